"""A node of the newest Kubernetes that can be had: kubelet, kube-proxy, scheduler and controllers as well as the API
server. The end-to-end tests run against it as they are.

There is one node per machine: that of `make cluster-up` makes way, unless an MCS is on it, and is back afterwards.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import ROOT, Api
from support.cluster import CLUSTER, MissingError
from support.levels import left_out_if_missing
from support.programs import built, kubernetes_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]

NEEDS = "a node of its own, built the first time: 7 minutes. Then all of `make e2e`, half an hour."
OURS = "app.kubernetes.io/managed-by=mcs-operator"
START = ROOT / "hack" / "test-e2e"


@pytest.fixture(scope="module")
def newest() -> Iterator[dict[str, str]]:
    """The environment in which the node is of that version."""
    usual = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "MCS_KUBERNETES")}
    with left_out_if_missing():
        built("kubernetes-newest")
        was_up = makes_way(usual)
    try:
        yield usual | {"MCS_KUBERNETES": "newest"}
    finally:
        subprocess.run([CLUSTER, "down"], env=usual, check=True)
        if was_up:
            subprocess.run([START, "true"], env=usual, check=True)


def makes_way(environment: dict[str, str]) -> bool:
    """Whether a node was up. It is down now."""
    server = on_node(environment)
    if server and (served := list(server.everywhere("Pod", OURS))):
        raise MissingError(f"an MCS is on this machine's node, which has to make way: {served[0]['metadata']['name']}")
    subprocess.run([CLUSTER, "down"], env=environment, check=True)  # also what a reboot has left of one
    return server is not None


def on_node(environment: dict[str, str]) -> Api | None:
    """A client of the node, where one is up and well."""
    if subprocess.run([CLUSTER, "status"], env=environment, capture_output=True, check=False).returncode:
        return None
    told = subprocess.run([CLUSTER, "env"], env=environment, capture_output=True, text=True, check=False).stdout
    found = re.search(r"^export KUBECONFIG=(\S+)$", told, re.MULTILINE)
    return Api(Path(found[1])) if found else None


def test_end_to_end_tests_hold_on_a_node_of_it(newest: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():  # it takes its time, and tells how far it is
        ran = subprocess.run(
            [START, ROOT / ".venv" / "bin" / "pytest", "--durations=10", "tests/e2e"], cwd=ROOT, env=newest, check=False
        )
    assert ran.returncode == 0, "see above"
    server = on_node(newest)
    assert server is not None
    version = kubernetes_of("kubernetes-newest")
    assert [node["status"]["nodeInfo"]["kubeletVersion"] for node in server.list("Node")] == [version]
    assert server.version() == version
