"""The operator as users install it: a release of the chart."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from support.api import ROOT, Api, Object, remove_namespaces
from support.waiting import until

DEPLOYMENT = LEASE = "mcs-operator"
FAILOVER_SECONDS = 15.0
OURS = "app.kubernetes.io/managed-by=mcs-operator"


@dataclass(frozen=True)
class Release:
    """The chart, installed in the namespace of ``home``."""

    home: Api

    def install(self, *values: str) -> None:
        """`hack/install`: returns when both replicas are ready."""
        self._run(str(ROOT / "hack" / "install"), *(f"--set={value}" for value in values))

    def upgrade(self, chart: Path) -> None:
        """To another chart, with the values that it has: returns when both replicas are ready."""
        self._helm("upgrade", "mcs-operator", str(chart), "--reuse-values", "--force-conflicts", "--wait")

    def check(self) -> None:
        """`helm test`."""
        self._helm("test", "mcs-operator")

    def roll_back(self) -> None:
        """To what it was before: returns when both replicas are ready."""
        self._helm("rollback", "mcs-operator", "--force-conflicts", "--wait")

    def uninstall(self) -> None:
        """`helm uninstall`: returns when its pods are gone."""
        self._helm("uninstall", "mcs-operator", "--wait")
        until("the operator's pods are gone", lambda: not self.home.list("Pod"), 60)

    def pods(self) -> dict[str, Object]:
        """The replicas that are not on their way out, by name."""
        pods = self.home.list("Pod", f"app.kubernetes.io/name={DEPLOYMENT}")
        return {pod["metadata"]["name"]: pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}

    def ready(self) -> bool:
        """Whether both replicas are."""
        ready = [
            condition
            for pod in self.pods().values()
            for condition in pod.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        return len(ready) == 2

    def leader(self) -> str:
        """The pod that holds the Lease; empty where none does."""
        path = "--output=jsonpath={.spec.holderIdentity}"
        return self.home.kubectl("get", "lease", LEASE, "--ignore-not-found", path)

    def another_leads_after(self, deed: Callable[[str], None]) -> float:
        """Do it to the leader, and wait until another pod holds the Lease; the seconds until it did, by the Lease."""
        leader, before, begun = self.leader(), self._acquired(), time.time()
        deed(leader)
        until("another replica leads", lambda: self.leader() not in ("", leader), 60, pause=0.3)
        assert self._acquired() > before, "it is of the leader before"
        return self._acquired() - begun

    def _acquired(self) -> float:
        """When the Lease was taken, in seconds of the epoch."""
        return datetime.fromisoformat(self.home.get("Lease", LEASE)["spec"]["acquireTime"]).timestamp()

    def logs(self) -> str:
        """What the replicas said."""
        selector = f"--selector=app.kubernetes.io/name={DEPLOYMENT}"
        return self.home.kubectl("logs", selector, "--prefix", "--tail=60", check=False)

    def _helm(self, *command: str) -> None:
        self._run(str(ROOT / "hack" / "helm"), *command, "--namespace", self.home.namespace)

    def _run(self, *command: str) -> None:
        environment = os.environ | {
            "KUBECONFIG": str(self.home.kubeconfig),
            "MCS_INSTALL_NAMESPACE": self.home.namespace,
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}{done.stdout[-1000:]}\n{self.logs()[-6000:]}"


@contextmanager
def installed(server: Api, *values: str) -> Iterator[Release]:
    """The chart in a namespace of its own, with both replicas ready; gone afterwards."""
    others = list(server.everywhere("Pod", OURS))
    assert not others, "another MCS has the node's ports (of the demo? `make demo-clean`)"
    name = f"mcs-chart-{secrets.token_hex(3)}"
    release = Release(server.within(name))
    try:
        release.install(*values)
        yield release
    finally:
        if release.pods():
            release.uninstall()
        remove_namespaces(server, name)


def audited(log: Path) -> Iterator[Any]:
    """The requests that the API server has noted."""
    with log.open() as lines:
        yield from map(json.loads, lines)
