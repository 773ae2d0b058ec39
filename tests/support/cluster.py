"""Finding, or starting, what the tests and the demo run against."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import ROOT, Api

CLUSTER = ROOT / "hack" / "cluster" / "cluster"
_EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Node:
    """A cluster with a real node. ``ip`` is where host ports answer; ``audit_log`` is the API server's, if known."""

    kubeconfig: Path
    name: str
    ip: str
    zone: str
    audit_log: Path | None


class MissingError(Exception):
    """There is nothing to run against; the text says what, and how to get it."""


def somebodys() -> str | None:
    """The kubeconfig of a cluster that stays when the tests end: MCS_TEST_KUBECONFIG, KUBECONFIG."""
    return os.environ.get("MCS_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")


@contextmanager
def api_server() -> Iterator[Path]:
    """Kubeconfig of an API server: somebody's, or one of our own that ends with the tests."""
    if named := somebodys():
        _check(Path(named))
        yield Path(named)
        return
    with new_api_server() as kubeconfig:
        yield kubeconfig


@contextmanager
def new_api_server() -> Iterator[Path]:
    """Kubeconfig of an API server that knows nothing of ours yet, and ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="mcs-tests-", dir="/var/tmp"))
    environment = {**os.environ, "MCS_CLUSTER_DIR": str(folder)}
    try:
        started = subprocess.run(
            [CLUSTER, "apiserver-up", "--env"], env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        if started.returncode:
            raise MissingError(f"`hack/cluster/cluster apiserver-up` failed ({started.returncode}); see above")
        yield Path(_use(started.stdout)["KUBECONFIG"])
    finally:
        subprocess.run([CLUSTER, "apiserver-down"], env=environment, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def node() -> Node:
    """The cluster with a node: KUBECONFIG, or the one that `hack/cluster/cluster up` left running."""
    if "KUBECONFIG" not in os.environ:
        found = subprocess.run([CLUSTER, "env"], capture_output=True, text=True, check=False)
        if found.returncode:
            raise MissingError(f"no KUBECONFIG, and no node runs (`make cluster-up`): {found.stderr.strip()}")
        os.environ.update(_use(found.stdout))
    kubeconfig = Path(os.environ["KUBECONFIG"])
    api = _check(kubeconfig)
    nodes = api.list("Node")
    if not nodes:
        raise MissingError(f"{kubeconfig}: this cluster has no node")
    addresses = {a["type"]: a["address"] for a in nodes[0]["status"]["addresses"]}
    audit_log = os.environ.get("MCS_AUDIT_LOG")
    return Node(
        kubeconfig,
        name=nodes[0]["metadata"]["name"],
        ip=os.environ.get("MCS_NODE_IP") or addresses["InternalIP"],
        zone=os.environ.get("MCS_TEST_ZONE", "mcs.test"),
        audit_log=Path(audit_log) if audit_log else None,
    )


def _check(kubeconfig: Path) -> Api:
    if not kubeconfig.exists():
        raise MissingError(f"KUBECONFIG={kubeconfig} does not exist")
    api = Api(kubeconfig)
    try:
        well = api.is_well()
    except Exception as error:  # whatever the transport raises
        raise MissingError(f"KUBECONFIG={kubeconfig}: the API server does not answer: {error}") from error
    if not well:
        raise MissingError(f"KUBECONFIG={kubeconfig}: the API server is not ready")
    return api


def _use(exports: str) -> dict[str, str]:
    """The variables of `export` lines; PATH takes effect in this process at once, for kubectl."""
    values = {name: "".join(shlex.split(os.path.expandvars(text))) for name, text in _EXPORT.findall(exports)}
    if "PATH" in values:
        os.environ["PATH"] = values["PATH"]
    return values
