"""The pod's NetworkPolicy: who comes in at which port, and where the pod itself may go."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from mcs_operator.render.network import build_network_policy
from mcs_operator.settings import Settings
from support.worlds import instance

Object = dict[str, Any]
INSIDE = Settings(namespace="mcs-system")


def spec(settings: Settings = INSIDE, **fields: Any) -> Object:
    (policy,) = build_network_policy(instance(**fields), settings)
    found: Object = policy.body["spec"]
    return found


def agent_rule(settings: Settings) -> Object:
    _, rule = spec(settings)["ingress"]
    return dict(rule)


def namespaces(rule: Object) -> list[str]:
    peers = rule["from"]
    assert all(set(peer) == {"namespaceSelector"} for peer in peers)
    return [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers]


def test_the_agent_is_reached_from_the_operators_namespace_and_from_no_other() -> None:
    rule = agent_rule(INSIDE)
    assert rule["ports"] == [{"port": 21001, "protocol": "TCP"}]
    assert namespaces(rule) == ["mcs-system"]


def test_prometheus_reaches_the_agent_where_its_namespace_is_told() -> None:
    assert namespaces(agent_rule(Settings(namespace="mcs-system", metrics_namespace="monitoring"))) == [
        "mcs-system",
        "monitoring",
    ]


def test_an_operator_outside_of_the_cluster_reaches_the_agent_too() -> None:
    assert "from" not in agent_rule(Settings())


def test_strangers_come_in_at_the_public_ports_and_not_at_the_agents_or_the_contracts() -> None:
    public, _ = spec(vpn={"slots": 250})["ingress"]
    assert "from" not in public
    ranges = [(port["port"], port.get("endPort", port["port"])) for port in public["ports"]]
    assert {port["protocol"] for port in public["ports"]} == {"TCP", "UDP"}
    for closed in (21000, 21001, 21252, 22, 8080):
        assert not any(first <= closed <= last for first, last in ranges), closed
    for opened in (80, 443, 3478, 21002, 21251):
        assert any(first <= opened <= last for first, last in ranges), opened


def test_names_are_asked_of_the_clusters_resolvers_and_of_nobody_else() -> None:
    dns, _ = spec()["egress"]
    assert [sorted(peer) for peer in dns["to"]] == [["namespaceSelector", "podSelector"], ["ipBlock"]]
    pods, local = dns["to"]
    assert pods["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert pods["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert local["ipBlock"] == {"cidr": "169.254.20.10/32"}
    assert {(port["port"], port["protocol"]) for port in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }


def test_solvers_of_challenges_are_pods_of_the_same_namespace_at_their_port_and_of_no_other() -> None:
    assert len(spec()["egress"]) == 2
    *_, solvers = spec(tls={"http01": {"serviceRef": {"name": "acme-solver", "port": 18089}}})["egress"]
    assert solvers == {"to": [{"podSelector": {}}], "ports": [{"port": 18089, "protocol": "TCP"}]}


def test_resolvers_that_are_named_take_the_place_of_the_usual_ones() -> None:
    named = Settings(namespace="mcs-system", dns=("10.1.2.3", "10.9.0.0/24", "fd00::a", "openshift-dns"))
    dns, _ = spec(named)["egress"]
    assert dns["to"] == [
        {"ipBlock": {"cidr": "10.1.2.3/32"}},
        {"ipBlock": {"cidr": "10.9.0.0/24"}},
        {"ipBlock": {"cidr": "fd00::a/128"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}},
    ]


def test_a_resolvers_network_may_be_written_by_any_address_in_it() -> None:
    """Else it would be taken for a namespace's name, which the API server refuses: no policy at all."""
    dns, _ = spec(Settings(namespace="mcs-system", dns=("10.9.0.7/24",)))["egress"]
    assert dns["to"] == [{"ipBlock": {"cidr": "10.9.0.0/24"}}]


@pytest.mark.parametrize(
    "address",
    ["10.96.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255"],
)
def test_the_pod_has_no_way_to_a_private_network(address: str) -> None:
    _, out = spec()["egress"]
    (block,) = (peer["ipBlock"] for peer in out["to"])
    assert any(ip_address(address) in ip_network(network) for network in block["except"])


@pytest.mark.parametrize("address", ["203.0.113.7", "100.63.255.255", "100.128.0.0", "11.0.0.0", "172.32.0.0"])
def test_the_pod_reaches_the_internet(address: str) -> None:
    _, out = spec()["egress"]
    (block,) = (peer["ipBlock"] for peer in out["to"])
    assert ip_address(address) in ip_network(block["cidr"])
    assert not any(ip_address(address) in ip_network(network) for network in block["except"])
    assert "ports" not in out


def test_both_directions_are_held_and_only_of_this_pod() -> None:
    found = spec()
    assert found["policyTypes"] == ["Ingress", "Egress"]
    assert found["podSelector"]["matchLabels"]["mcs.tvox.io/instance"] == instance().name


def test_in_the_nodes_own_network_there_is_none_to_hold() -> None:
    assert build_network_policy(instance(network={"mode": "HostNetwork"}), INSIDE) == []
