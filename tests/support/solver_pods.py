"""The pods of cert-manager's solvers of HTTP-01 where no kubelet runs: for each one its own solver, as a process in a
network namespace. The cluster's DNS knows those that a headless Service selects.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.api import Api, Object
from support.lab import Namespace
from support.pod_network import NETWORK, PodNetwork

_FIRST = 20
"""The last number of the first one's address."""


class SolverPods:
    """``solved``: the names whose solvers ran, one after the other. What they say is in ``log``."""

    def __init__(self, api: Api, network: PodNetwork, program: Path, service: str, log: Path) -> None:
        self.solved: list[str] = []
        self._api, self._network, self._program = api, network, program
        self._service, self._log = service, log
        self._run: dict[str, tuple[Namespace, str]] = {}
        self._ended = threading.Event()

    def follow(self) -> None:
        """Until the end."""
        while not self._ended.wait(0.3):
            self._look()

    def end(self) -> None:
        self._ended.set()

    def close(self) -> None:
        """All of them are gone."""
        for uid in list(self._run):
            self._stop(uid)

    def _look(self) -> None:
        service = self._api.find("Service", self._service)
        if service is None:
            return
        selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
        pods = {pod["metadata"]["uid"]: pod for pod in self._api.list("Pod", selector)}
        for uid in self._run.keys() - pods:
            self._stop(uid)
        for uid in pods.keys() - self._run:
            self._start(uid, pods[uid])
        name = f"{self._service}.{self._api.namespace}.svc.cluster.local"
        self._network.dns.known[name] = [address for _, address in self._run.values()]

    def _start(self, uid: str, pod: Object) -> None:
        (container,) = pod["spec"]["containers"]
        number = _FIRST + len(self.solved)
        place = self._network.plug_in(number, "solver")
        place.start(self._log, self._program, "acmesolver", *container["args"])
        self._run[uid] = place, f"{NETWORK}.{number}"
        self.solved += [text.partition("=")[2] for text in container["args"] if text.startswith("--domain=")]

    def _stop(self, uid: str) -> None:
        place, _ = self._run.pop(uid)
        place.close()


@contextmanager
def solver_pods(api: Api, network: PodNetwork, program: Path, service: str, log: Path) -> Iterator[SolverPods]:
    """Of those pods of the namespace that the Service selects. ``program``: cert-manager."""
    pods = SolverPods(api, network, program, service, log)
    thread = threading.Thread(target=pods.follow)
    thread.start()
    try:
        yield pods
    finally:
        pods.end()
        thread.join()
        pods.close()
