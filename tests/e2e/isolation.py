"""What a TVox can reach through its tunnel: tests for every mode in which ports are published on the node.

::

      TVox globex ═ tunnel ═ link-N ┐                    ┌ the pod's other ports, the node, its neighbours' pods,
                                    ├ media pod ─ node ──┤ Services, and beyond: a host on the node's bridge
      TVox acme ══ tunnel ══ link-2 ┘                    └ (the Internet, as far as the MCS is concerned)

A connect that is accepted proves nothing (a gateway may accept all), and one that is not answered proves little. So
whoever can be reached has a name that he answers with, every forbidden place is first reached from where that is
allowed, every refused question is seen to come out of the tunnel, and the pod's network forwards packets, as a pod's
may: a new network namespace takes that over from its node.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from support.lab import Namespace, bridge_of, sh
from support.listening import QUESTIONS, Voices, ask, in_container, listening
from support.mcs import POD, Mcs
from support.objects import INSTANCE
from support.processes import network_of, network_of_node
from support.sites import profile_of
from support.waiting import until

NEIGHBOUR, CURIOUS = "acme", "globex"
MCS = "198.18.254.1"
SHORT = 0.4
"""Seconds that a question may take where no answer is expected."""
SERVICE = "sites"
FORWARDING = "net.ipv4.ip_forward"


def careless_profile(mcs: Mcs, name: str) -> str:
    """His profile, for a client that means harm: others never send packets for their own server into the tunnel."""
    return profile_of(mcs.api, name) + "allow-recursive-routing\n"


@dataclass
class Around:
    """Who is there to be reached, beside the customers: in the pod, on the node, beyond it."""

    pod: Voices
    node: Voices
    beyond: Voices
    beyond_address: str
    beyond_network: str
    site_address: str
    service_address: str

    def forget(self) -> None:
        """What was asked so far was asked from where it is allowed."""
        for voices in (self.pod, self.node, self.beyond):
            voices.heard.clear()

    def heard(self, place: str) -> list[str]:
        """Where the question for a place arrived."""
        return [voices.name for voices in (self.pod, self.node, self.beyond) if voices.has_heard(place)]


def who_is_around(mcs: Mcs, node: list[str], bridge: str, closing: ExitStack) -> Around:
    """Listeners with names, until ``closing``. The host beyond the node has to be of this machine, and so has the node,
    into whose network the command ``node`` leads."""
    in_pod = ["tcp:3478", "udp:3478", "udp:10000", "tcp:2222", "udp:2222", "tcp:8080", "tcp:8443", "udp:5353"]
    pod = closing.enter_context(listening("the media", in_pod, in_container(mcs.api, POD, "media")))
    on_node = ["tcp:2224", "udp:2226", f"udp:2224:{mcs.node.ip}"]
    host = closing.enter_context(listening("the node", on_node, node))
    address = mcs.node.ip.rsplit(".", 1)[0] + ".77"
    outside = Namespace("beyond")
    closing.callback(outside.close)
    outside.plug_in(bridge, address, mcs.node.ip)
    prefix = ["ip", "netns", "exec", outside.name]
    beyond = closing.enter_context(listening("beyond", ["tcp:2225", "udp:2225"], prefix))
    service = mcs.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE},
            "spec": {"selector": {"app.kubernetes.io/name": "tvox"}, "ports": [{"port": 80}]},
        }
    )
    closing.callback(mcs.api.delete, "Service", SERVICE)
    return Around(
        pod, host, beyond, address, outside.name, mcs.sites[NEIGHBOUR].address(), service["spec"]["clusterIP"]
    )


def forward_packets(network: list[str], closing: ExitStack) -> None:
    """Switch it on in a pod's network, until ``closing``; a node's own network has it on already."""
    if sh(*network, "sysctl", "-n", FORWARDING).strip() != "1":
        sh(*network, "sysctl", "-qw", f"{FORWARDING}=1")
        closing.callback(sh, *network, "sysctl", "-qw", f"{FORWARDING}=0")


def from_media(mcs: Mcs, *places: str) -> list[str | None]:
    return ask(mcs.api, POD, "media", places)


def from_tvox(mcs: Mcs, *places: str, seconds: float = SHORT) -> list[str | None]:
    """Through the tunnel, whatever the routes of the TVox say."""
    network = network_of(mcs.api, mcs.sites[CURIOUS].pod)
    answers: list[str | None] = json.loads(sh(*network, sys.executable, "-c", QUESTIONS, "tun0", str(seconds), *places))
    return answers


def reaches(mcs: Mcs, name: str) -> bool:
    """Whether the media reaches this TVox, and no gateway that answers in its place."""
    page = mcs.inside(f"http://{mcs.status(name)['vpnAddress']}/", patience=1)
    return isinstance(page, dict) and page.get("tvox") == name


def all_answer(mcs: Mcs, places: list[str]) -> None:
    """Who cannot be reached from where it is allowed proves nothing by his silence."""

    def look() -> bool:
        silent = [p for p, answer in zip(places, from_media(mcs, *places), strict=True) if not answer]
        assert not silent, f"silent also towards the media: {silent}"
        return True

    until("all of them answer the media", look, 20)


def arrived(link: str, pod_network: list[str]) -> int:
    """Packets that came out of a link's tunnel, at its end in the MCS."""
    said = json.loads(sh(*pod_network, "ip", "-j", "-s", "link", "show", "dev", link))
    packets: int = said[0]["stats64"]["rx"]["packets"]
    return packets


def dropped(link: str, pod_network: list[str]) -> int:
    """Packets from a link's tunnel, for the MCS itself, that the link's own rules have dropped."""
    chain = f"{link.replace('-', '_')}_from"
    said = sh(*pod_network, "nft", "-j", "list", "chain", "inet", "mcs_links", chain)
    rules = [entry["rule"] for entry in json.loads(said)["nftables"] if "rule" in entry]
    return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)


def tried_by_the_agent(mcs: Mcs, *command: str) -> tuple[str, str]:
    """A command in the agent's container: what it said, and what went wrong."""
    whole = mcs.api.kubectl_command("exec", POD, "-c", "agent", "--", *command)
    done = subprocess.run(whole, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout, done.stderr


class Isolation:
    """Needs an `mcs` with NEIGHBOUR and CURIOUS as its customers, the latter with his `careless_profile`."""

    @pytest.fixture(scope="class")
    @classmethod
    def around(cls, mcs: Mcs) -> Iterator[Around]:
        bridge, node = bridge_of(mcs.node.ip), network_of_node(mcs.node.ip)
        if bridge is None or node is None:
            pytest.skip("the node is not this machine: nobody can listen on it")
        with ExitStack() as closing:
            forward_packets(network_of(mcs.api, POD), closing)
            yield who_is_around(mcs, node, bridge, closing)

    def test_the_media_reaches_every_tvox(self, mcs: Mcs, around: Around) -> None:
        for name in (CURIOUS, NEIGHBOUR):
            assert mcs.inside(f"http://{mcs.status(name)['vpnAddress']}/")["tvox"] == name
        assert mcs.answers_outside(mcs.domain(NEIGHBOUR), 200)["tvox"] == NEIGHBOUR

    def test_a_tvox_reaches_the_medias_ports(self, mcs: Mcs, around: Around) -> None:
        web, *others = from_tvox(
            mcs, f"tcp:{MCS}:80", f"tcp:{MCS}:3478", f"udp:{MCS}:3478", f"udp:{MCS}:10000", seconds=3
        )
        assert web and web.startswith("HTTP/1.")
        assert others == ["the media"] * 3

    def test_a_tvox_reaches_nothing_else(self, mcs: Mcs, around: Around) -> None:
        b, node = mcs.status(NEIGHBOUR)["vpnAddress"], mcs.node.ip
        answers_the_media = [
            *(f"{transport}:{b}:{port}" for transport, port in (("tcp", 80), ("udp", 7))),
            *(f"{transport}:{node}:2224" for transport in ("tcp", "udp")),
            *(f"{transport}:{around.site_address}:{port}" for transport, port in (("tcp", 80), ("udp", 7))),
            f"tcp:{around.service_address}:80",
            *(f"{transport}:{around.beyond_address}:2225" for transport in ("tcp", "udp")),
        ]
        all_answer(mcs, answers_the_media)
        in_pod = ["tcp:{}:21000", "tcp:{}:2222", "udp:{}:2222", "tcp:{}:8080", "tcp:{}:8443", "udp:{}:5353"]
        if mcs.on_host_network:
            in_pod += ["tcp:{}:2224", "udp:{}:2226"]
        all_answer(mcs, [p.format("127.0.0.1") for p in in_pod])
        around.forget()
        # Those who answer strangers with nothing, so that here the counters alone speak.
        silent = [
            f"tcp:{MCS}:21001",
            *(f"{t}:{MCS}:{mcs.status(n)['port']}" for t in ("tcp", "udp") for n in (CURIOUS, NEIGHBOUR)),
        ]
        silent += [f"tcp:{node}:10250", f"tcp:{node}:6443", "tcp:10.96.0.1:443", f"udp:{node}:53"]

        counted = f"link-{mcs.status(CURIOUS)['slot']:03d}", network_of(mcs.api, POD)
        for place in [*answers_the_media, *(p.format(MCS) for p in in_pod), *silent]:
            before = arrived(*counted), dropped(*counted)
            assert from_tvox(mcs, place) == [None], place
            until(f"{place} came through the tunnel", lambda past=before: arrived(*counted) > past[0], 10)
            if MCS in place:
                until(f"{place} was dropped by the link's rules", lambda past=before: dropped(*counted) > past[1], 10)
            assert around.heard(place) == [], place

    def test_a_tvox_that_pretends_to_be_somebody_else_is_not_heard(self, mcs: Mcs, around: Around) -> None:
        place, site = f"udp:{MCS}:10000", mcs.sites[CURIOUS].pod
        own = mcs.status(CURIOUS)["vpnAddress"]
        assert from_tvox(mcs, f"{place}:{own}", seconds=3) == ["the media"]
        for source in (mcs.status(NEIGHBOUR)["vpnAddress"], MCS, "198.18.254.251", "10.96.0.1", "203.0.113.7"):
            mcs.api.kubectl("exec", site, "--", "ip", "address", "add", f"{source}/32", "dev", "lo")
            try:
                assert from_tvox(mcs, f"{place}:{source}") == [None]
            finally:
                mcs.api.kubectl("exec", site, "--", "ip", "address", "del", f"{source}/32", "dev", "lo")
            assert not around.pod.has_heard(f"{place}:{source}")
        assert around.pod.has_heard(f"{place}:{own}")

    def test_a_links_secret_is_mounted_in_its_slot_only(self, mcs: Mcs) -> None:
        spec = mcs.api.get("Pod", POD)["spec"]
        secrets = {v["name"]: v["secret"]["secretName"] for v in spec["volumes"] if "secret" in v}
        for link in (CURIOUS, NEIGHBOUR):
            slot = f"link-{mcs.status(link)['slot']:03d}"
            mounting = {
                c["name"]
                for c in [*spec["containers"], *spec.get("initContainers", [])]
                for m in c.get("volumeMounts", [])
                if secrets.get(m["name"]) == f"{INSTANCE}-{slot}"
            }
            assert mounting == {slot}
            assert "PRIVATE KEY" in mcs.run(slot, "cat", "/etc/link/tls.key")
            # The agent sees every slot's directory of the run volume, but not what a slot keeps for itself there.
            said, error = tried_by_the_agent(mcs, "cat", f"/run/links/{slot}/good/tls.key")
            assert (said, "Permission denied" in error) == ("", True)

    def test_the_agent_can_plant_nothing_in_a_slot(self, mcs: Mcs) -> None:
        idle = mcs.api.get("Pod", POD)["spec"]["containers"][-1]["name"]
        for slot in (f"link-{mcs.status(CURIOUS)['slot']:03d}", idle):
            for command in (("mkdir", f"/run/links/{slot}/good"), ("touch", f"/run/links/{slot}/state.json.new")):
                _, error = tried_by_the_agent(mcs, *command)
                assert "Read-only" in error or "File exists" in error, (command, error)
        assert tried_by_the_agent(mcs, "touch", "/run/agent/tried", "/run/links/tried")[1].count("Read-only") == 1

    def test_the_contract_port_is_not_published(self, mcs: Mcs, around: Around) -> None:
        node = mcs.node.ip
        command = ["ip", "netns", "exec", around.beyond_network, "python3", "-c", QUESTIONS, "-"]
        node_answers, own = json.loads(sh(*command, "10", f"tcp:{node}:2224", f"tcp:{node}:80"))
        assert node_answers == "the node"
        assert own and own.startswith("HTTP/1."), "the web is what is published"
        assert json.loads(sh(*command, "1", f"tcp:{node}:21000")) == [None]
        assert from_media(mcs, "tcp:127.0.0.1:21000") != [None]
