"""The operator as its chart installs it, and the media pod that it makes, each behind its NetworkPolicy, enforced.

Where the operator may go is listed, as `networkPolicy.egress` allows it: agents, DNS, and ACME servers. The tests are a
story.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
import yaml

from e2e.conftest import node, server
from support import chart
from support.api import Api, Object, remove_namespaces
from support.beyond import INTERNET, Beyond, beyond, let_out
from support.cluster import Node
from support.lab import bridge_of
from support.levels import left_out_if_missing
from support.listening import ask, listening
from support.mcs import POD, Mcs, serving
from support.network_policies import enforced
from support.objects import INSTANCE
from support.pebble import Pebble, pebble
from support.release import Release, installed
from support.snapshots import Audit, assert_rests
from support.waiting import until

__all__ = ["node", "server"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NEEDS = "a node; kube-network-policies and Pebble, built the first time: 9 minutes on two busy cores. Then 3 minutes."
FIRST = "acme"
METRICS, WEBHOOK, AGENT = 8443, 9443, 21001
WAYS = (("TCP", AGENT), ("TCP", 443), ("TCP", 53), ("UDP", 53))
NAME_OF_NAMESPACE = r"namespaceSelector.matchLabels.kubernetes\.io/metadata\.name"
DOORS = """
import json, ssl, sys
def opens(door):
    address, _, port = door.rpartition(":")
    try:
        return bool(ssl.get_server_certificate((address, int(port)), timeout=1))
    except OSError:
        return False
print(json.dumps([door for door in sys.argv[1:] if opens(door)]))
"""
"""Which of these places show a certificate."""


@pytest.fixture(scope="module")
def outside(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beyond]:
    """A host beyond the cluster, which pods may reach, in which policies are enforced."""
    bridge = bridge_of(node.ip)
    if bridge is None:
        pytest.skip("the node is not this machine")
    policies = enforced(Api(node.kubeconfig), node.name, tmp_path_factory.mktemp("policies"))
    with left_out_if_missing(), beyond(bridge, node.ip) as outside, let_out(), policies:
        yield outside


@pytest.fixture(scope="module")
def acme_server(outside: Beyond, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """In the Internet. It finds the instance's names as all the world does."""
    place = {"at": (INTERNET, 443), "on": outside.within}
    with pebble(tmp_path_factory.mktemp("pebble"), 80, dns=f"{node.ip}:53", **place) as it:
        yield it


@pytest.fixture(scope="module")
def others(outside: Beyond, server: Api) -> Iterator[dict[str, Api]]:
    """Two pods, each named `main` in a namespace of its own: Prometheus's, and that of a stranger."""
    suffix = secrets.token_hex(3)
    homes = {name: server.within(f"policy-{name}-{suffix}") for name in ("monitoring", "stranger")}
    try:
        for home in homes.values():
            server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home.namespace}})
            until("its service account", lambda home=home: home.find("ServiceAccount", "default"))
            home.create(a_pod())
            home.kubectl("wait", "pod/main", "--for=condition=Ready", "--timeout=60s", timeout=70)
        yield homes
    finally:
        remove_namespaces(server, *(home.namespace for home in homes.values()))


def a_pod() -> Object:
    main = {"name": "main", "image": "localhost/mcs/operator:dev", "imagePullPolicy": "IfNotPresent"}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [main | {"command": ["sleep", "3600"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "main"}, "spec": spec}


@pytest.fixture(scope="module")
def release(server: Api, others: dict[str, Api]) -> Iterator[Release]:
    """The chart, with a policy that names all that it can name."""
    monitoring = others["monitoring"].namespace
    values = [f"networkPolicy.metricsFrom[0].{NAME_OF_NAMESPACE}={monitoring}", f"metrics.namespace={monitoring}"]
    for number, (protocol, port) in enumerate(WAYS):
        rule = f"networkPolicy.egress[0].ports[{number}]"
        values += [f"{rule}.port={port}", f"{rule}.protocol={protocol}"]
    with installed(server, *values) as release:
        yield release


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, release: Release, acme_server: Pebble) -> Iterator[Mcs]:
    """An instance that orders its certificates, with a customer who has a tunnel."""
    with serving(node, server, first=FIRST, vpn={"slots": 3}, tls={"acme": acme_server.acme()}) as mcs:
        yield mcs


def test_the_operator_serves_a_customer_and_orders_certificates(mcs: Mcs) -> None:
    for kind, name in (("MCSInstance", INSTANCE), ("TVoxLink", FIRST)):
        mcs.api.wait_condition(kind, name, "CertificateReady", "True", "Issued", timeout=120)
    assert mcs.api.condition("TVoxLink", FIRST, "Connected")[0] == "True"


def test_its_webhook_refuses_and_helm_test_passes(mcs: Mcs, release: Release) -> None:
    rival = mcs.a_link("rival") | {"spec": mcs.a_link(FIRST)["spec"]}

    def refused() -> bool:
        how = ("apply", "--dry-run=server", "-f", "-")
        said = mcs.api.kubectl(*how, stdin=yaml.safe_dump(rival), check=False, merge=True)
        return f"{mcs.domain(FIRST)} is in use" in said

    until("it is refused", refused)
    release.check()


def test_metrics_are_for_prometheus_and_strangers_get_the_webhook_alone(
    mcs: Mcs, release: Release, others: dict[str, Api]
) -> None:
    replicas = [pod["status"]["podIP"] for pod in release.pods().values()]
    agent = f"{mcs.api.get('Pod', POD)['status']['podIP']}:{AGENT}"
    webhooks, metrics = ([f"{address}:{port}" for address in replicas] for port in (WEBHOOK, METRICS))
    doors = sorted([agent, *webhooks, *metrics])
    assert len(doors) == 5
    for who, expected in (("monitoring", doors), ("stranger", sorted(webhooks))):
        until(f"they open to {who}", lambda who=who, e=expected: same(opened(others[who], doors), e))


def opened(home: Api, doors: list[str]) -> list[str]:
    """Which of these show a certificate to the pod of this namespace."""
    found: list[str] = json.loads(home.kubectl("exec", "main", "--", "python3", "-c", DOORS, *doors))
    return found


def same(found: object, expected: object) -> bool:
    assert found == expected
    return True


def test_the_operator_goes_where_it_is_let_and_nowhere_else(
    outside: Beyond, release: Release, others: dict[str, Api]
) -> None:
    lan = outside.addresses["lan"]
    asked = [f"{transport}:{lan}:{port}" for transport in ("tcp", "udp") for port in (443, 53, 80)]
    let = [f"tcp:{lan}:443", f"tcp:{lan}:53", f"udp:{lan}:53"]
    container, stranger = chart.operator()["name"], others["stranger"]
    with listening("lan", [f"{place.replace(f':{lan}', '')}:{lan}" for place in asked], outside.within):
        assert heard(stranger, "main", "main", asked) == sorted(asked)
        for pod in release.pods():
            assert heard(release.home, pod, container, asked) == sorted(let)


def heard(home: Api, pod: str, container: str, places: list[str]) -> list[str]:
    """At which of these places somebody answers this pod."""
    return sorted(place for place, answer in zip(places, ask(home, pod, container, places), strict=True) if answer)


def test_at_rest_nobody_writes(mcs: Mcs) -> None:
    audit = Audit.of(mcs.api)
    assert audit is not None
    mcs.link("second")
    assert audit.writes(mcs.api.namespace), "the audit log does not tell what it writes"
    assert_rests(mcs.api)
