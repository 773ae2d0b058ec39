"""The pod on the node's own network: what a TVox can reach, what the pod does there, and what is left of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from e2e.isolation import (
    CURIOUS,
    MCS,
    NEIGHBOUR,
    Around,
    Isolation,
    careless_profile,
    from_tvox,
    reaches,
)
from support.api import Api
from support.cluster import Node
from support.lab import sh
from support.mcs import POD, Mcs, standing
from support.objects import INSTANCE
from support.operator import Operator
from support.processes import kill_container, network_of_node
from support.sites import profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.usefixtures("operator")]


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with two customers who are connected."""
    # Few slots, for a pod that is soon there and soon gone: here it is about links, not about how many.
    with standing(node, server, network={"mode": "HostNetwork"}, vpn={"slots": 3}) as mcs:
        mcs.api.apply(mcs.a_link(NEIGHBOUR), mcs.a_link(CURIOUS))
        for name in (NEIGHBOUR, CURIOUS):
            mcs.programmed(name)
        mcs.visit(NEIGHBOUR, profile_of(mcs.api, NEIGHBOUR))
        mcs.visit(CURIOUS, careless_profile(mcs, CURIOUS))
        for name in (NEIGHBOUR, CURIOUS):
            mcs.dialled_in(name)
        yield mcs


@pytest.fixture(scope="module")
def on_node(node: Node) -> list[str]:
    """What a command begins with to run in the node's network."""
    network = network_of_node(node.ip)
    if network is None:
        pytest.skip("the node is not this machine: nobody can look at its network")
    return network


class TestOnTheNodesNetwork(Isolation):
    def test_a_slot_that_is_killed_leaves_its_rules_in_force_and_comes_back(
        self, mcs: Mcs, around: Around, on_node: list[str]
    ) -> None:
        device = f"link-{mcs.status(CURIOUS)['slot']:03d}"
        before, restarts = node_rules(on_node), mcs.identity().restarts[device]
        assert f'"{device}"' in before
        assert kill_container(mcs.api, POD, device)
        assert f"{device.replace('-', '_')}_from" in node_rules(on_node)
        until("the slot was started anew", lambda: mcs.identity().restarts[device] == restarts + 1, 60)
        until("the customer is back", lambda: reaches(mcs, CURIOUS), 60)
        assert counters_aside(node_rules(on_node)) == counters_aside(before)
        assert from_tvox(mcs, f"tcp:{MCS}:2224") == [None]

    def test_names_of_the_cluster_resolve_on_the_nodes_network(self, mcs: Mcs) -> None:
        said = mcs.run("media", "cat", "/etc/resolv.conf")
        assert f"{mcs.api.namespace}.svc." in said

    def test_what_a_killed_pod_leaves_on_the_node_is_gone_when_the_next_one_runs(
        self, mcs: Mcs, on_node: list[str]
    ) -> None:
        before, uid = node_rules(on_node), mcs.identity().uid
        sh(*on_node, "nft", "add", "chain", "inet", "mcs_links", "stale")
        for container in mcs.identity().restarts:
            if container.startswith("link-"):
                assert kill_container(mcs.api, POD, container)
        mcs.api.delete("Pod", POD)

        def next_one_serves() -> bool:
            pod = mcs.api.find("Pod", POD)
            assert pod and pod["metadata"]["uid"] != uid, "the old one is there still"
            # Not the status: for a moment it still is what the former pod's agent has told.
            return reaches(mcs, CURIOUS) and reaches(mcs, NEIGHBOUR)

        until("the next pod has both tunnels", next_one_serves, 120, pause=1)
        assert "stale" not in node_rules(on_node)
        assert counters_aside(node_rules(on_node)) == counters_aside(before)

    def test_a_pod_that_ends_leaves_nothing_on_the_node(self, mcs: Mcs, on_node: list[str]) -> None:
        routes = sh(*on_node, "ip", "route")
        assert "unreachable 198.18.254.0/24" in routes
        assert device_names(on_node) > set()
        for name in list(mcs.sites):
            mcs.sites.pop(name).remove()
        mcs.api.allow_deletion(INSTANCE)
        mcs.api.delete("MCSInstance", INSTANCE)
        until("the pod is gone", lambda: mcs.api.find("Pod", POD) is None, 90)
        assert node_rules(on_node) == ""
        assert "mcs_contract" not in sh(*on_node, "nft", "list", "tables")
        assert device_names(on_node) == set()
        assert "198.18.254." not in sh(*on_node, "ip", "route")


def node_rules(on_node: list[str]) -> str:
    """The links' table on the node; empty without one."""
    command = [*on_node, "nft", "list", "table", "inet", "mcs_links"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def counters_aside(rules: str) -> list[str]:
    """The rules without what was counted, and who knocked; links in the order of their names, whoever came first."""
    rules = re.sub(r"elements = \{[^}]* expires [^}]*\}", "", rules)
    return sorted(" ".join(w for w in line.split() if not w.isdigit()) for line in rules.splitlines())


def device_names(on_node: list[str]) -> set[str]:
    """The links' devices on the node."""
    devices = json.loads(sh(*on_node, "ip", "-j", "link", "show"))
    return {link["ifname"] for link in devices if link.get("ifname", "").startswith("link-")}
