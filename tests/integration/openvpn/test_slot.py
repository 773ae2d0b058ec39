"""A slot as it is: the real supervisor with real openvpn, nft and ip, on a host of its own, with a TVox connected."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mcs_operator.contract.slotfiles import SLOT_FILES, slot_revision
from mcs_operator.render.openvpn import Firewall, build_firewall
from support.lab import DOMAIN, Link, Namespace, Process, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]

Host = Callable[[str], Namespace]
SUPERVISOR = Path(__file__).parents[3] / "images" / "link" / "supervisor"
CIDR = "198.18.254.0/24"


class Slot:
    """The slot of link 17 on a host."""

    def __init__(self, link: Link, mcs: Namespace) -> None:
        self.link, self._mcs, self._secret = link, mcs, link.folder / "slot"
        self.run = link.folder / "run" / "link"
        self.publish()

    def publish(self, **firewall: object) -> str:
        """The slot's Secret, with another firewall where options are given; its revision."""
        files = {name: (self._secret / name).read_text() for name in SLOT_FILES}
        files["firewall.nft"] = build_firewall(Firewall(self.link.net, **firewall))  # type: ignore[arg-type]
        (self._secret / "firewall.nft").write_text(files["firewall.nft"])
        (self._secret / "revision").write_text(slot_revision(files))
        return slot_revision(files)

    def start(self) -> Process:
        environment = [
            f"LINK_DIR={self._secret}",
            "RUN_DIR=/run/link",
            "STOP_DIR=/nowhere",
            f"VPN_CIDR={CIDR}",
            "SLOT=17",
        ]
        return self._mcs.start(
            self.link.folder / "slot.log", "env", *environment, SUPERVISOR, run=self.link.folder / "run"
        )

    def state(self) -> dict[str, object]:
        try:
            found: dict[str, object] = json.loads((self.run / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def is_running(self, revision: str) -> Callable[[], bool]:
        return lambda: (self.state().get("state"), self.state().get("revision")) == ("Running", revision)


@pytest.fixture
def mcs(host: Host) -> Namespace:
    namespace = host("mcs")
    namespace.listen("MCS", "tcp", 80)
    return namespace


@pytest.fixture
def site(host: Host) -> Namespace:
    namespace = host("tvox")
    namespace.listen("TVox 17", "udp", 7)
    return namespace


def test_a_new_firewall_costs_a_tvox_that_is_connected_no_packet(
    mcs: Namespace, site: Namespace, tmp_path: Path
) -> None:
    """As it is when an operator brings other rules, or another source is allowed."""
    link = Link(tmp_path)
    link.join(mcs, site)
    slot = Slot(link, mcs)
    before = slot.publish(limited=False)
    slot.start()
    eventually("the slot runs", slot.is_running(before))
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost\n{link.outside} {DOMAIN}\n")
    link.dial(site, hosts=tmp_path / "hosts")
    eventually("the TVox is there", lambda: mcs.ask("udp", "198.18.254.17", 7, seconds=0.5), 20)
    pid, over, lost = slot.state()["pid"], threading.Event(), []

    def talk() -> None:
        while not over.wait(0.02):
            if mcs.ask("udp", "198.18.254.17", 7, seconds=2) != "TVox 17":
                lost.append(1)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        for options in ({}, {"allowed_sources": [f"10.77.{link.number}.0/24"]}, {"limited": False}, {}):
            eventually("the new one is in force", slot.is_running(slot.publish(**options)))
    finally:
        over.set()
        talking.join()
    assert (slot.state()["pid"], lost) == (pid, [])
    assert "link_017_tcp" in mcs.run("nft", "list", "ruleset")
    eventually("the shut out one is away", slot.is_running(slot.publish(allowed_sources=["192.0.2.1/32"])))
    assert mcs.ask("udp", "198.18.254.17", 7, seconds=1) is None
    assert eventually("it is told how many packets were dropped", lambda: slot.state().get("dropped"), 40)
    eventually("and comes back", slot.is_running(slot.publish()))
    assert eventually("the TVox is there", lambda: mcs.ask("udp", "198.18.254.17", 7, seconds=0.5), 30) == "TVox 17"


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(CIDR, id="the same network"),
        pytest.param("198.18.0.0/15", id="a wider one"),
        pytest.param("198.18.254.64/26", id="a part of it"),
    ],
)
def test_where_the_network_is_routed_elsewhere_a_slot_starts_nothing_and_says_why(
    host: Host, mcs: Namespace, tmp_path: Path, network: str
) -> None:
    device = "pods0"
    mcs.cable(host("elsewhere"), here="10.88.0.1/24", there="10.88.0.2/24", device=(device, "eth0"))
    mcs.ip("route", "add", network, "dev", device)
    mcs.ip("route", "add", "default", "dev", device)
    slot = Slot(Link(tmp_path), mcs)
    slot.start()
    eventually("it refuses", lambda: slot.state().get("state") == "Quarantined")
    assert network in str(slot.state()["error"])
    assert not mcs.run("nft", "list", "ruleset")
    mcs.ip("route", "del", network, "dev", device)
    eventually("it starts", slot.is_running(slot.publish()), 20)


def test_an_address_of_the_node_within_the_network_is_a_reason_too(mcs: Namespace, tmp_path: Path) -> None:
    mcs.ip("addr", "add", "198.18.254.77/32", "dev", "lo")
    slot = Slot(Link(tmp_path), mcs)
    slot.start()
    eventually("it refuses", lambda: slot.state().get("state") == "Quarantined")
    assert "198.18.254.77" in str(slot.state()["error"])
