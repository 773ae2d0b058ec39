"""The second node of this machine, and a public address that moves between the two, as in a rack."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import ROOT, Api
from support.cluster import CLUSTER, MissingError, Node
from support.lab import sh

NAME, IP, CABLE, BRIDGE = "mcs-node-2", "10.89.0.2", "mcsnode2", "mcsnode0"
OURS_ALONE = "mcs.test/two-nodes"
"""A taint: what others run on this cluster stays on the first node."""


@dataclass(frozen=True)
class SecondNode:
    """The worker; ``folder`` is where the cluster keeps its state."""

    server: Api
    folder: Path

    def switch_on(self) -> None:
        """Returns when the node is Ready."""
        _cluster("worker-up")
        self.server.kubectl("taint", "node", NAME, f"{OURS_ALONE}=:NoSchedule", "--overwrite")

    def lose_power(self) -> None:
        """Everything on it ends at once."""
        _cluster("worker-off")

    @contextmanager
    def without_network(self) -> Iterator[None]:
        """Its cable is pulled for as long as the block lasts."""
        sh("ip", "link", "set", CABLE, "down")
        try:
            yield
        finally:
            sh("ip", "link", "set", CABLE, "up")

    def run(self, *command: str) -> str:
        """A command in its network."""
        holder = json.loads((self.folder / "node-2" / "run" / "namespaces.json").read_text())["pid"]
        return sh("nsenter", "--target", str(holder), "--net", *command)

    def tasks(self) -> list[str]:
        """The containers whose processes its runtime has."""
        socket = self.folder / "node-2" / "containerd.sock"
        return sh("ctr", "--address", socket, "--namespace", "k8s.io", "tasks", "list", "--quiet").split()


@dataclass(frozen=True)
class PublicAddress:
    """One address that either node can have, and the names that lead to it."""

    second: SecondNode
    ip: str

    def named(self, *names: str) -> None:
        """Have the cluster's DNS lead these names to it."""
        self._names.write_text("".join(f"{self.ip} {name}\n" for name in names))

    def to_second(self) -> None:
        """Take it from the first node, if it is there, and give it to the second."""
        self._leave_first()
        self.second.run("ip", "address", "replace", f"{self.ip}/32", "dev", "eth0")

    def to_first(self, *, from_second: bool = True) -> None:
        """And back; a node without power has none to give."""
        if from_second:
            self.second.run("ip", "address", "delete", f"{self.ip}/32", "dev", "eth0")
        sh("ip", "address", "replace", f"{self.ip}/32", "dev", BRIDGE)

    def _leave_first(self) -> None:
        delete = ["ip", "address", "delete", f"{self.ip}/32", "dev", BRIDGE]
        subprocess.run(delete, capture_output=True, check=False)

    @property
    def _names(self) -> Path:
        return self.second.folder / "node" / "dns" / "two-nodes"

    def forget(self) -> None:
        """Neither node has it, and no name leads to it."""
        self._leave_first()
        self._names.unlink(missing_ok=True)


@contextmanager
def second_node(node: Node, server: Api) -> Iterator[SecondNode]:
    """It joins, with our images, and goes at the end with all that was on it."""
    if node.audit_log is None:
        raise MissingError("a second node joins that of hack/cluster alone")
    second = SecondNode(server, node.audit_log.parents[2])
    try:
        second.switch_on()
        built = subprocess.run([ROOT / "hack" / "images" / "build"], stdout=subprocess.PIPE, text=True, check=True)
        _cluster("load", *built.stdout.split())
        yield second
    finally:
        _cluster("worker-down")


def _cluster(*command: str) -> None:
    done = subprocess.run([CLUSTER, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"hack/cluster/cluster {command[0]}: {done.stderr[-2000:]}")
