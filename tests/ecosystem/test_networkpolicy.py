"""Our NetworkPolicies, enforced: every line of the operator's and of the chart's is tried with packets.

Each test asks twice. Without the policy everybody is reached, so silence is the policy's doing. The pods stand in for
the media and for the operator: they have their labels and their ports, and answer at ports that must stay shut as well.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mcs_operator.render.network import build_network_policy
from mcs_operator.settings import Settings
from support import chart, cluster
from support.api import Api, Object, remove_namespaces
from support.cluster import Node
from support.lab import Namespace, bridge_of, sh
from support.levels import left_out_if_missing
from support.listening import QUESTIONS, ask, in_container, listening
from support.network_policies import enforced
from support.objects import INSTANCE
from support.waiting import until
from support.worlds import instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NEEDS = "a node; kube-network-policies, which is built the first time: 9 minutes on two busy cores. Then 3 minutes."
PODS = "10.244.0.0/24"
INTERNET, LOCAL_CACHE = "203.0.113.77", "169.254.20.10"
PUBLIC = ["tcp:80", "tcp:443", "tcp:3478", "udp:3478", "udp:10000"]
PUBLIC += [f"{transport}:{port}" for transport in ("tcp", "udp") for port in (21002, 21004)]
AGENT = "tcp:21001"
SHUT = ["tcp:8080", "tcp:10000", "tcp:21000", "tcp:21005", "udp:80", "udp:10001", "udp:21001", "udp:21005"]
NAMES = [f"{transport}:{port}" for transport in ("udp", "tcp") for port in (53, 5353)]
WEB = ["tcp:443", "udp:443"]
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
    """Pods in namespaces of their own, and a host outside of the cluster with three addresses."""

    server: Api
    suffix: str
    outside: Namespace
    addresses: dict[str, str] = field(default_factory=dict)

    def home(self, name: str) -> Api:
        """The namespace of a pod."""
        return self.server.within("kube-system" if name == "resolver" else f"policy-{name}-{self.suffix}")

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
        return f"{transport}:{self.addresses[name]}:{port}"

    def _ask(self, asker: str, places: list[str]) -> list[str | None]:
        if asker != "lan":
            return ask(self.home(asker), self.pod(asker), "main", places)
        said = sh("ip", "netns", "exec", self.outside.name, sys.executable, "-c", QUESTIONS, "-", "1", *places)
        answers: list[str | None] = json.loads(said)
        return answers

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


def same(found: Answered, wanted: Answered) -> bool:
    assert found == wanted, f"{found} and not {wanted}"
    return True


@pytest.fixture(scope="module")
def node() -> Node:
    with left_out_if_missing():
        return cluster.node()


@pytest.fixture(scope="module")
def world(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All of them answer at all of their places, and the policies of this cluster are enforced."""
    server, suffix = Api(node.kubeconfig), secrets.token_hex(3)
    bridge = bridge_of(node.ip)
    if bridge is None:
        pytest.skip("the node is not this machine")
    with ExitStack() as closing, left_out_if_missing():
        outside = Namespace("beyond")
        closing.callback(outside.close)
        world = World(server, suffix, outside)
        place_outside(world, bridge, node.ip, closing)
        place_pods(world, closing)
        closing.enter_context(enforced(server, node.name, PODS, tmp_path_factory.mktemp("policies")))
        yield world


def place_outside(world: World, bridge: str, router: str, closing: ExitStack) -> None:
    """A host of the LAN, one of the Internet, and a NodeLocal DNSCache: one machine with three addresses."""
    lan = router.rsplit(".", 1)[0] + ".77"
    world.addresses |= {"lan": lan, "internet": INTERNET, "cache": LOCAL_CACHE}
    world.outside.plug_in(bridge, lan, router)
    for address in (INTERNET, LOCAL_CACHE):
        world.outside.ip("addr", "add", f"{address}/32", "dev", "eth0")
        sh("ip", "route", "replace", f"{address}/32", "via", lan)
        closing.callback(sh, "ip", "route", "delete", f"{address}/32", "via", lan)


@pytest.fixture
def way_out(world: World) -> Iterator[None]:
    """Pods of this node do not leave the machine; to the host outside they may. For each test: `cluster up` of somebody
    else writes the node's rules anew."""
    with ExitStack() as closing:
        for address in (INTERNET, LOCAL_CACHE):
            where = ["rule", "ip", "mcsnode", "forward"]
            told = sh("nft", "--echo", "--handle", "insert", *where, "ip", "daddr", address, "accept")
            handle = told.partition("# handle ")[2].split()[0]
            gone = ["nft", "delete", *where, "handle", handle]
            closing.callback(subprocess.run, gone, capture_output=True, check=False)
        yield


def place_pods(world: World, closing: ExitStack) -> None:
    """The pods, and who listens in them and outside."""
    labels = {"media": MEDIA_LABELS, "operator": operator_labels(), "resolver": RESOLVER_LABELS}
    names = ("media", "operator", "monitoring", "stranger", "resolver")
    closing.callback(remove_namespaces, world.server, *(world.home(name).namespace for name in names[:-1]))
    closing.callback(world.home("resolver").delete, "Pod", world.pod("resolver"))
    for name in names:
        home = world.home(name)
        if name != "resolver":
            home.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home.namespace}})
            until("its service account", lambda home=home: home.find("ServiceAccount", "default"))
        home.create(a_pod(world.pod(name), labels.get(name, {"app": name})))
    for name in names:
        running = until(f"{name} runs", lambda name=name: runs(world.home(name), world.pod(name)), 60)
        world.addresses[name] = running["status"]["podIP"]
    listen(world, closing)


def listen(world: World, closing: ExitStack) -> None:
    """Everybody says his own name."""
    places = {
        "media": [*PUBLIC, AGENT, *SHUT],
        "operator": [*OPERATOR, "tcp:9000", "udp:8443"],
        "stranger": [*WEB, *NAMES],
        "resolver": [*WEB, *NAMES],
    }
    for name, ports in places.items():
        into = in_container(world.home(name), world.pod(name), "main")
        closing.enter_context(listening(name, ports, into))
    for name in ("lan", "internet", "cache"):
        # By address: three listeners share these ports.
        ports = [f"{place}:{world.addresses[name]}" for place in (*WEB, *NAMES)]
        closing.enter_context(listening(name, ports, ["ip", "netns", "exec", world.outside.name]))


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


def of_media(world: World, **settings: Any) -> Object:
    """The operator's policy for its media pod, with three slots."""
    known = {"namespace": world.home("operator").namespace} | settings
    (policy,) = build_network_policy(instance(vpn={"slots": 3}), Settings(**known))
    return policy.body


def of_operator(*values: str) -> Object:
    """The chart's policy for the operator."""
    return chart.rendered(*values)["NetworkPolicy", "mcs-operator"]


def test_the_media_is_reached_at_its_public_ports_and_its_agent_by_the_operators_namespace_alone(world: World) -> None:
    asked = {"media": [*PUBLIC, AGENT, *SHUT]}
    public, agent_too = {"media": PUBLIC}, {"media": [*PUBLIC, AGENT]}
    cases = [(asker, asked, public) for asker in ("stranger", "lan", "monitoring")]
    world.proven(of_media(world), "media", [*cases, ("operator", asked, agent_too)])


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


def test_the_media_goes_to_the_internet_and_to_the_clusters_resolvers_and_nowhere_else(
    world: World, way_out: None
) -> None:
    asked = ELSEWHERE | {"operator": OPERATOR}
    wanted = {"internet": [*WEB, *NAMES], "lan": [], "cache": NAMES, "resolver": NAMES, "stranger": [], "operator": []}
    world.proven(of_media(world), "media", [("media", asked, wanted)])


def test_resolvers_that_are_named_are_asked_instead_of_the_usual_ones(world: World, way_out: None) -> None:
    """An address, and the namespace of pods."""
    policy = of_media(world, dns=(world.addresses["lan"], world.home("stranger").namespace))
    wanted = {"internet": [*WEB, *NAMES], "lan": NAMES, "cache": [], "resolver": [], "stranger": NAMES}
    world.proven(policy, "media", [("media", ELSEWHERE, wanted)])


def test_the_operator_is_reached_at_its_three_ports_and_goes_anywhere(world: World, way_out: None) -> None:
    asked = {"operator": [*OPERATOR, "tcp:9000", "udp:8443"]}
    cases = [(asker, asked, {"operator": OPERATOR}) for asker in ("stranger", "lan")]
    out = {"media": [AGENT], "lan": WEB, "internet": WEB}
    world.proven(of_operator(), "operator", [*cases, ("operator", out, out)])


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


def test_an_operator_whose_ways_are_listed_goes_these_and_no_other(world: World) -> None:
    """Agents, and servers of ACME."""
    rule = "networkPolicy.egress[0].ports"
    values = [f"{rule}[{n}].{key}" for n, port in enumerate((443, 21001)) for key in (f"port={port}", "protocol=TCP")]
    asked = {"media": ["tcp:443", AGENT, "tcp:80"], "lan": [*WEB, *NAMES]}
    wanted = {"media": ["tcp:443", AGENT], "lan": ["tcp:443"]}
    world.proven(of_operator(*values), "operator", [("operator", asked, wanted)])
