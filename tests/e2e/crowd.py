"""Many customers at once: each a plain `openvpn` in a network namespace of its own, at the bridge of the node.

::

      namespace of a customer                    node                        media pod
      eth0 10.89.0.N ──────── mcsnode0 10.89.0.1:21017 ── host port ──────── link-017
      tun0 198.18.254.17 ═════════════════════ OpenVPN ═════════════════════ 198.18.254.1

Pods would be more like the TVoxes of the other tests, but 250 of them would measure the kubelet.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.api import Api
from support.cluster import MissingError, Node
from support.lab import Namespace, Process, bridge_of, missing
from support.levels import left_out_if_missing
from support.mcs import Mcs, standing
from support.waiting import until

ECHO = 7
_FIRST = 3
"""Of the customers' own addresses in the node's network of 254; the node is .1, or .2 where kind's engine is .1."""


class Customer:
    """One site: a network namespace, in which its OpenVPN client runs after `dial`, and a UDP echo."""

    def __init__(self, host: Namespace, folder: Path, hosts: Path) -> None:
        self.host = host
        self._folder, self._hosts = folder, hosts
        self._client: Process | None = None

    def dial(self, profile: str) -> None:
        """Install a profile and switch on, as at a visit; a client that runs is replaced."""
        self.hang_up()
        path, log = self._folder / "profile.ovpn", self._folder / "client.log"
        path.write_text(profile)
        log.write_text("")
        # A TVox has a machine of its own. Hence the last in the queue for this one, however many of them dial.
        self._client = self.host.start(log, "nice", "-n", "19", "openvpn", "--config", path, hosts=self._hosts)

    @property
    def has_tunnel(self) -> bool:
        """Whether this client has had a tunnel since it was switched on."""
        return self._client is not None and self._client.says("Initialization Sequence Completed")

    def log(self) -> str:
        """What the client said."""
        return (self._folder / "client.log").read_text(errors="replace")

    def hang_up(self) -> None:
        """Switch off, with a word to the MCS."""
        if self._client:
            self._client.terminate(patience=3)
            self._client = None


class Crowd:
    """The customers by their links' names."""

    def __init__(self, node: Node, bridge: str, folder: Path) -> None:
        self._node, self._bridge, self._folder = node, bridge, folder
        self._closing = ExitStack()
        self.customers: dict[str, Customer] = {}
        self._hosts = folder / "hosts"
        self._hosts.write_text(f"127.0.0.1 localhost\n{node.ip} {node.zone}\n")

    def __getitem__(self, name: str) -> Customer:
        return self.customers[name]

    def move_in(self, name: str) -> None:
        """A site, switched off."""
        host = self.host(name, _FIRST + len(self.customers))
        host.listen("", "udp", ECHO)
        folder = self._folder / name
        folder.mkdir()
        self.customers[name] = Customer(host, folder, self._hosts)

    def host(self, purpose: str, number: int) -> Namespace:
        """Some host at the node's bridge, at this number of its network."""
        host = Namespace(purpose)
        self._closing.callback(host.close)
        host.plug_in(self._bridge, f"{self._node.ip.rpartition('.')[0]}.{number}", self._node.ip)
        return host

    def move_out(self) -> None:
        """All of them, with all that runs there."""
        self._closing.close()


@contextmanager
def crowd_at(node: Node, folder: Path, names: Sequence[str]) -> Iterator[Crowd]:
    """A site for each of these customers, switched off; gone afterwards. Skips where the node is another machine."""
    with left_out_if_missing():
        if reason := missing():
            raise MissingError(reason)
    bridge = bridge_of(node.ip)
    if bridge is None:
        pytest.skip("the node is not this machine: nobody can be at its bridge")
    crowd = Crowd(node, bridge, folder)
    try:
        for name in names:
            crowd.move_in(name)
        yield crowd
    finally:
        crowd.move_out()


@dataclass
class Town:
    """An instance, and the sites around it."""

    mcs: Mcs
    crowd: Crowd


@contextmanager
def a_town(node: Node, server: Api, folder: Path, names: Sequence[str], slots: int) -> Iterator[Town]:
    """A ready instance with so many slots, and a site for each of these names, switched off; gone afterwards."""
    with crowd_at(node, folder, names) as crowd, standing(node, server, vpn={"slots": slots}) as mcs:
        yield Town(mcs, crowd)


def bring_up(mcs: Mcs, crowd: Crowd, names: Sequence[str], timeout: float) -> float:
    """Apply a link for each, dial with each profile as soon as it is there, until all are connected; seconds of it."""
    begun = time.monotonic()
    for name in names:
        mcs.api.apply(mcs.a_link(name))
    waiting = set(names)

    def dialled() -> bool:
        for name, profile in profiles(mcs).items():
            if name in waiting:
                crowd[name].dial(profile)
                waiting.discard(name)
        assert not waiting, f"without a profile: {len(waiting)}"
        return True

    until("all have dialled", dialled, timeout, pause=0.5)
    have_dialled = time.monotonic() - begun
    until_connected(mcs, names, timeout - have_dialled)
    took = time.monotonic() - begun
    print(
        f"{len(names)} links created, all have dialled after {have_dialled:.1f} s, all are connected after {took:.1f} s"
    )
    return took


def until_connected(mcs: Mcs, names: Sequence[str], timeout: float) -> None:
    """Wait until the status of each of these links says that it is connected."""

    def look() -> bool:
        missing = sorted(set(names) - connected(mcs).keys())
        assert not missing, f"{len(missing)} are not: {', '.join(missing[:10])}"
        return True

    until("all are connected", look, timeout, pause=0.5)


def connected(mcs: Mcs) -> dict[str, str]:
    """Since when each link that says so is connected."""
    return {
        link["metadata"]["name"]: link["status"]["tunnel"]["since"]
        for link in mcs.api.list("TVoxLink")
        for condition in link.get("status", {}).get("conditions", [])
        if (condition["type"], condition["status"]) == ("Connected", "True")
    }


def profiles(mcs: Mcs) -> dict[str, str]:
    """The profile of each link that has one."""
    found = {secret["metadata"]["name"]: secret["data"] for secret in mcs.api.list("Secret", "mcs.tvox.io/link")}
    return {
        link: base64.b64decode(data[f"{link}.ovpn"]).decode()
        for name, data in found.items()
        if (link := name.removesuffix("-profile")) != name and f"{link}.ovpn" in data
    }
