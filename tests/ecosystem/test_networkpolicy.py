"""Our NetworkPolicies, enforced: every line of the operator's and of the chart's is tried with packets.

Each test asks twice. Without the policy everybody is reached, so silence is the policy's doing. The pods stand in for
the media and for the operator: they have their labels and their ports, and answer at ports that must stay shut as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mcs_operator.render.network import build_network_policy
from mcs_operator.settings import Settings
from support import chart, cluster
from support.api import Api, Object, remove_namespaces
from support.beyond import PRIVATE, Beyond, beyond, let_out
from support.cluster import Node
from support.dual_stack import dual_stack
from support.lab import bridge_of
from support.levels import left_out_if_missing
from support.listening import ask, in_container, listening
from support.network_policies import enforced
from support.objects import INSTANCE
from support.waiting import until
from support.worlds import instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NEEDS = "a node; kube-network-policies, which is built the first time: 9 minutes on two busy cores. Then 4 minutes."
PUBLIC = ["tcp:80", "tcp:443", "tcp:3478", "udp:3478", "udp:10000"]
PUBLIC += [f"{transport}:{port}" for transport in ("tcp", "udp") for port in (21002, 21004)]
AGENT = "tcp:21001"
SHUT = ["tcp:8080", "tcp:10000", "tcp:21000", "tcp:21005", "udp:80", "udp:10001", "udp:21001", "udp:21005"]
NAMES = [f"{transport}:{port}" for transport in ("udp", "tcp") for port in (53, 5353)]
WEB = ["tcp:443", "udp:443"]
SOLVER = ["tcp:8089", "udp:8089"]
HEALTH, METRICS, WEBHOOK = "tcp:8080", "tcp:8443", "tcp:9443"
OPERATOR = [HEALTH, METRICS, WEBHOOK]
MEDIA_LABELS = {
    "app.kubernetes.io/managed-by": "mcs-operator",
    "app.kubernetes.io/name": "mcs",
    "mcs.tvox.io/instance": INSTANCE,
}
RESOLVER_LABELS = {"k8s-app": "kube-dns"}

Answered = dict[str, list[str]]
"""Who is asked, and at which of his places."""
Case = tuple[str, Answered, Answered]
"""Who asks, whom, and who has to answer him."""


@dataclass
class World:
    """Pods in namespaces of their own, and a host outside of the cluster with several addresses."""

    server: Api
    suffix: str
    outside: Beyond
    addresses: dict[str, str]
    by_ipv6: dict[str, str]

    def home(self, name: str) -> Api:
        """The namespace of a pod."""
        known = {"resolver": "kube-system", "neighbour": f"policy-media-{self.suffix}"}
        return self.server.within(known.get(name, f"policy-{name}-{self.suffix}"))

    def pod(self, name: str) -> str:
        return f"{name}-{self.suffix}"

    def answered(self, asker: str, asked: Answered) -> Answered:
        """At which of these places somebody answers to this one, with his own name."""
        targets = [(name, place) for name, places in asked.items() for place in places]
        told = self._ask(asker, [self._address(name, place) for name, place in targets])
        assert all(answer in (None, name) for answer, (name, _) in zip(told, targets, strict=True)), told
        heard = [target for target, answer in zip(targets, told, strict=True) if answer]
        return {name: [place for who, place in heard if who == name] for name in asked}

    def _address(self, name: str, place: str) -> str:
        transport, port = place.split(":")
        return f"{transport}:{in_brackets(self.addresses[name])}:{port}"

    def _ask(self, asker: str, places: list[str]) -> list[str | None]:
        if asker == "lan":
            return self.outside.ask(places)
        return ask(self.home(asker), self.pod(asker), "main", places)

    @contextmanager
    def under(self, policy: Object, name: str) -> Iterator[None]:
        """With this policy in the namespace of that pod."""
        home = self.home(name)
        metadata = {key: value for key, value in policy["metadata"].items() if key in ("name", "labels")}
        home.apply({**policy, "metadata": metadata | {"namespace": home.namespace}})
        try:
            yield
        finally:
            home.delete("NetworkPolicy", metadata["name"], wait=10)

    def proven(self, policy: Object, of: str, cases: Sequence[Case]) -> None:
        """Who asks, what he asks, and what he has to hear under the policy. Without it he hears everybody."""
        for asker, asked, _ in cases:
            until(f"{asker} hears all", lambda a=asker, q=asked: same(self.answered(a, q), q), 30)
        with self.under(policy, of):
            for asker, asked, wanted in cases:
                until(f"{asker} hears", lambda a=asker, q=asked, e=wanted: same(self.answered(a, q), e), 60)


def in_brackets(address: str) -> str:
    """As an address of IPv6 stands before a port."""
    return f"[{address}]" if ":" in address else address


def same(found: Answered, wanted: Answered) -> bool:
    assert found == wanted, f"{found} and not {wanted}"
    return True


@pytest.fixture(scope="module")
def node() -> Node:
    with left_out_if_missing():
        return cluster.node()


@pytest.fixture(scope="module")
def both(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All of them answer at all of their places, and the policies of this cluster are enforced."""
    bridge = bridge_of(node.ip)
    if bridge is None:
        pytest.skip("the node is not this machine")
    with ExitStack() as closing, left_out_if_missing():
        outside = closing.enter_context(beyond(bridge, node.ip))
        closing.enter_context(dual_stack(node))
        known = dict(outside.addresses), dict(outside.by_ipv6)
        world = World(Api(node.kubeconfig), secrets.token_hex(3), outside, *known)
        place_pods(world, closing)
        closing.enter_context(enforced(world.server, node.name, tmp_path_factory.mktemp("policies")))
        yield world


@pytest.fixture
def world(both: World, request: pytest.FixtureRequest) -> World:
    """By IPv4, where nothing else is said."""
    return replace(both, addresses=both.by_ipv6) if getattr(request, "param", "IPv4") == "IPv6" else both


by_ipv6 = pytest.mark.parametrize("world", ["IPv6"], indirect=True)
by_both = pytest.mark.parametrize("world", ["IPv4", "IPv6"], indirect=True)


@pytest.fixture
def way_out(world: World) -> Iterator[None]:
    """Pods of this node reach the Internet."""
    with let_out():
        yield


def place_pods(world: World, closing: ExitStack) -> None:
    """The pods, and who listens in them and outside."""
    labels = {"media": MEDIA_LABELS, "operator": operator_labels(), "resolver": RESOLVER_LABELS}
    names = ("media", "neighbour", "operator", "monitoring", "stranger", "resolver")
    namespaces = {world.home(name).namespace for name in names} - {"kube-system"}
    closing.callback(remove_namespaces, world.server, *namespaces)
    closing.callback(world.home("resolver").delete, "Pod", world.pod("resolver"), wait=20)
    for name in namespaces:
        world.server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for name in names:
        home = world.home(name)
        until("its service account", lambda home=home: home.find("ServiceAccount", "default"))
        home.create(a_pod(world.pod(name), labels.get(name, {"app": name})))
    for name in names:
        running = until(f"{name} runs", lambda name=name: runs(world.home(name), world.pod(name)), 60)
        world.addresses[name], world.by_ipv6[name] = (one["ip"] for one in running["status"]["podIPs"])
    listen(world, closing)


def listen(world: World, closing: ExitStack) -> None:
    """Everybody says his own name."""
    places = {
        "media": [*PUBLIC, AGENT, *SHUT],
        "operator": [*OPERATOR, "tcp:9000", "udp:8443"],
        "neighbour": [*SOLVER, "tcp:443"],
        "stranger": [*WEB, *NAMES],
        "resolver": [*WEB, *NAMES],
    }
    for name, ports in places.items():
        into = in_container(world.home(name), world.pod(name), "main")
        closing.enter_context(listening(name, ports + at(world.by_ipv6[name], ports), into))
    for known in (world.outside.addresses, world.outside.by_ipv6):
        for name, address in known.items():  # by address: several listeners share these ports
            closing.enter_context(listening(name, at(address, [*WEB, *NAMES]), world.outside.within))


def at(address: str, places: Sequence[str]) -> list[str]:
    """These places of one address."""
    return [f"{place}:{in_brackets(address)}" for place in places]


def runs(home: Api, name: str) -> Object | None:
    pod = home.get("Pod", name)
    return pod if pod["status"]["phase"] == "Running" and pod["status"].get("podIP") else None


def a_pod(name: str, labels: Object) -> Object:
    """One that waits. It has the operator's ports, since the chart's policy names them."""
    container = {
        "name": "main",
        "image": "localhost/mcs/operator:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "3600"],
        "ports": chart.operator()["ports"],
    }
    sysctls = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "securityContext": {"sysctls": sysctls}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def operator_labels() -> Object:
    labels: Object = chart.deployment()["spec"]["template"]["metadata"]["labels"]
    return labels


def of_media(world: World, tls: Object | None = None, **settings: Any) -> Object:
    """The operator's policy for its media pod, with three slots."""
    known = {"namespace": world.home("operator").namespace} | settings
    (policy,) = build_network_policy(instance(vpn={"slots": 3}, tls=tls or {}), Settings(**known))
    return policy.body


def of_operator(*values: str) -> Object:
    """The chart's policy for the operator."""
    return chart.rendered(*values)["NetworkPolicy", "mcs-operator"]


@by_both
def test_the_media_is_reached_at_its_public_ports_and_its_agent_by_the_operators_namespace_alone(world: World) -> None:
    asked = {"media": [*PUBLIC, AGENT, *SHUT]}
    public, agent_too = {"media": PUBLIC}, {"media": [*PUBLIC, AGENT]}
    cases = [(asker, asked, public) for asker in ("stranger", "lan", "monitoring")]
    world.proven(of_media(world), "media", [*cases, ("operator", asked, agent_too)])


@by_both
def test_prometheus_reaches_the_agent_where_its_namespace_is_told(world: World) -> None:
    asked = {"media": [AGENT]}
    policy = of_media(world, metrics_namespace=world.home("monitoring").namespace)
    cases: list[Case] = [
        ("monitoring", asked, {"media": [AGENT]}),
        ("operator", asked, {"media": [AGENT]}),
        ("stranger", asked, {"media": []}),
    ]
    world.proven(policy, "media", cases)


def test_an_operator_outside_of_the_cluster_reaches_the_agent(world: World) -> None:
    asked = {"media": [AGENT, "tcp:8080"]}
    world.proven(of_media(world, namespace=""), "media", [("lan", asked, {"media": [AGENT]})])


ELSEWHERE = {name: [*WEB, *NAMES] for name in ("internet", "lan", "cache", "resolver", "stranger")}
ELSEWHERE |= {name: [*WEB, "udp:53"] for name in PRIVATE}  # each silence takes a second
UNHEARD: Answered = {name: [] for name in PRIVATE}


def test_the_media_goes_to_the_internet_and_to_the_clusters_resolvers_and_nowhere_else(
    world: World, way_out: None
) -> None:
    asked = ELSEWHERE | {"operator": OPERATOR}
    wanted = {"internet": [*WEB, *NAMES], "lan": [], "cache": NAMES, "resolver": NAMES, "stranger": [], "operator": []}
    world.proven(of_media(world), "media", [("media", asked, wanted | UNHEARD)])


@by_ipv6
def test_by_ipv6_the_media_goes_to_the_clusters_resolvers_and_nowhere_else(world: World) -> None:
    """Its Internet is that of IPv4."""
    asked = {name: ELSEWHERE[name] for name in ("internet", "lan", "resolver", "stranger")} | {"operator": OPERATOR}
    wanted = {"internet": [], "lan": [], "resolver": NAMES, "stranger": [], "operator": []}
    world.proven(of_media(world), "media", [("media", asked, wanted)])


@by_both
def test_the_media_goes_to_solvers_of_challenges_in_its_own_namespace_where_they_are_named(world: World) -> None:
    policy = of_media(world, tls={"http01": {"serviceRef": {"name": "acme-solver"}}})
    asked = {"neighbour": [*SOLVER, "tcp:443"], "stranger": ["tcp:443"]}
    world.proven(policy, "media", [("media", asked, {"neighbour": ["tcp:8089"], "stranger": []})])


def test_resolvers_that_are_named_are_asked_instead_of_the_usual_ones(world: World, way_out: None) -> None:
    """An address, and the namespace of pods."""
    policy = of_media(world, dns=(world.addresses["lan"], world.home("stranger").namespace))
    wanted = {"internet": [*WEB, *NAMES], "lan": NAMES, "cache": [], "resolver": [], "stranger": NAMES}
    world.proven(policy, "media", [("media", ELSEWHERE, wanted | UNHEARD)])


@by_both
def test_the_operator_is_reached_at_its_three_ports_and_goes_anywhere(world: World, way_out: None) -> None:
    asked = {"operator": [*OPERATOR, "tcp:9000", "udp:8443"]}
    cases = [(asker, asked, {"operator": OPERATOR}) for asker in ("stranger", "lan")]
    out = {"media": [AGENT], "lan": WEB, "internet": WEB}
    world.proven(of_operator(), "operator", [*cases, ("operator", out, out)])


@by_both
def test_metrics_are_for_those_who_are_named_and_a_webhook_that_is_off_is_shut(world: World) -> None:
    named = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name"
    policy = of_operator(f"{named}={world.home('monitoring').namespace}", "webhook.enabled=false")
    asked = {"operator": OPERATOR}
    cases: list[Case] = [
        ("stranger", asked, {"operator": [HEALTH]}),
        ("lan", asked, {"operator": [HEALTH]}),
        ("monitoring", asked, {"operator": [HEALTH, METRICS]}),
    ]
    world.proven(policy, "operator", cases)


@by_both
def test_an_operator_whose_ways_are_listed_goes_these_and_no_other(world: World) -> None:
    """Agents, and servers of ACME."""
    rule = "networkPolicy.egress[0].ports"
    values = [f"{rule}[{n}].{key}" for n, port in enumerate((443, 21001)) for key in (f"port={port}", "protocol=TCP")]
    asked = {"media": ["tcp:443", AGENT, "tcp:80"], "lan": [*WEB, *NAMES]}
    wanted = {"media": ["tcp:443", AGENT], "lan": ["tcp:443"]}
    world.proven(of_operator(*values), "operator", [("operator", asked, wanted)])
