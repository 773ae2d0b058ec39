"""Two nodes: what becomes of an appliance, and of the operator, when one of them is drained, cut off, or without power.

The second node joins that of this machine, with a network, a runtime and a kubelet of its own; the volume's folder is
one that both reach. Customers' TVoxes are on the first one, elsewhere as far as the MCS can tell.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.conftest import node, operator_process, server
from support.api import Api, Object, remove_namespaces
from support.cluster import Node
from support.levels import left_out_if_missing
from support.listening import ask, in_container, listening
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE
from support.operator import Operator
from support.release import FAILOVER_SECONDS, Release, audited, installed
from support.second_node import NAME, OURS_ALONE, PublicAddress, SecondNode, second_node
from support.snapshots import Audit, assert_rests
from support.waiting import until

__all__ = ["node", "operator_process", "server"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

NEEDS = "a node. 9 minutes."
FIRST, PUBLIC, ZONE = "acme", "10.89.0.50", "two.mcs.test"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
MAY_HAVE_IT = "mcs.test/public"
"""A label of the nodes that may have the public address."""
HERE = "kubernetes.io/hostname"
UNKNOWN_WITHIN = 35 + 10
"""Seconds that docs/conditions.md promises, and ten of a busy machine."""


@pytest.fixture(scope="module")
def second(node: Node, server: Api) -> Iterator[SecondNode]:
    with left_out_if_missing(), second_node(node, server) as second:
        yield second


@pytest.fixture
def public(second: SecondNode) -> Iterator[PublicAddress]:
    """The appliance's address, which the second node has."""
    address = PublicAddress(second, PUBLIC)
    address.named(ZONE, f"{FIRST}.{ZONE}")
    address.to_second()
    yield address
    address.forget()
    second.server.kubectl("uncordon", NAME)


@contextmanager
def on_second(node: Node, server: Api, selector: dict[str, str], **spec: Any) -> Iterator[Mcs]:
    """An instance on the second node, with a customer who is connected."""
    there = replace(node, name=NAME, ip=PUBLIC, zone=ZONE)
    tolerations = [{"key": OURS_ALONE, "operator": "Exists"}]
    known: dict[str, Any] = {"vpn": {"slots": 3}, "drainSeconds": 5, "tolerations": tolerations}
    with serving(there, server, first=FIRST, nodeSelector=selector, **known | spec) as mcs:
        assert where(mcs) == NAME
        yield mcs


def where(mcs: Mcs) -> str:
    """The node of the media pod that there is; empty where it has none."""
    return str((mcs.api.find("Pod", POD) or {}).get("spec", {}).get("nodeName", ""))


def identities(mcs: Mcs) -> Object:
    """What a customer's TVox knows the appliance by, and has of it."""
    status = mcs.status(FIRST)
    return {
        "CA": mcs.api.get("Secret", f"{INSTANCE}-ca")["data"],
        "profile": mcs.api.get("Secret", f"{FIRST}-profile")["data"],
        "link": [status[key] for key in ("slot", "vpnAddress", "port")],
        "volume": mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")["spec"]["volumeName"],
    }


def serves_on(mcs: Mcs, node: str, before: Object) -> None:
    """The appliance is there, as whom its customer knows, and he is connected."""
    until(f"the pod is on {node}", lambda: where(mcs) == node, 90)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", "Serving", timeout=120)
    mcs.dialled_in(FIRST, timeout=60)
    assert identities(mcs) == before


def versions(mcs: Mcs) -> dict[str, str]:
    """Of the objects whose status tells how the appliance is."""
    names = {"MCSInstance": INSTANCE, "TVoxLink": FIRST}
    return {kind: mcs.api.get(kind, name)["metadata"]["resourceVersion"] for kind, name in names.items()}


def test_pods_of_the_two_nodes_reach_each_other_and_nobody_beyond_this_machine(
    second: SecondNode, node: Node, server: Api
) -> None:
    home = server.within(f"mcs-talk-{secrets.token_hex(3)}")
    home.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home.namespace}})
    try:
        until("its service account", lambda: home.find("ServiceAccount", "default"))
        for name in (node.name, NAME):
            home.create(a_pod(name))
        home.kubectl("wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s", timeout=70)
        addresses = {name: home.get("Pod", name)["status"]["podIP"] for name in (node.name, NAME)}
        with ExitStack() as closing:
            for name in addresses:
                closing.enter_context(listening(name, ["tcp:8000", "udp:8000"], in_container(home, name, "main")))
            for asker, asked in ((node.name, NAME), (NAME, node.name)):
                places = [f"tcp:{addresses[asked]}:8000", f"udp:{addresses[asked]}:8000", "tcp:203.0.113.9:443"]
                assert ask(home, asker, "main", places) == [asked, asked, None]
    finally:
        remove_namespaces(server, home.namespace)


def a_pod(node: str) -> Object:
    """One that waits on this node, by whose name it goes."""
    main = {"name": "main", "image": "localhost/mcs/operator:dev", "imagePullPolicy": "IfNotPresent"}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [main | {"command": ["sleep", "3600"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": node}, "spec": spec}


def test_a_replica_that_is_cut_off_is_succeeded_and_writes_nothing_when_it_is_back(
    second: SecondNode, node: Node, server: Api
) -> None:
    """One replica on each node. That of the second node leads, and loses its network."""
    spread = "topologySpreadConstraints[0]"
    values = [f"tolerations[0].key={OURS_ALONE}", "tolerations[0].operator=Exists"]
    values += [f"{spread}.maxSkew=1", f"{spread}.topologyKey={HERE}", f"{spread}.whenUnsatisfiable=DoNotSchedule"]
    with installed(server, *values) as release, serving(node, server, first=FIRST, vpn={"slots": 3}) as mcs:
        leader, begun = lead_from(release, NAME), datetime.now(UTC)
        address = release.pods()[leader]["status"]["podIP"]
        mcs.link("before")
        assert written(release, node, address, begun), "the audit log does not tell what it writes"
        with mcs.unnoticed(FIRST):
            with second.without_network():
                cut = datetime.now(UTC)
                took = release.another_leads_after(lambda _: None)
                mcs.link("meanwhile")
            mcs.connect("meanwhile")
            until("both replicas are ready again", release.ready, 120)
            time.sleep(10)  # the one that was cut off would have written by now
        print(f"another replica led {took:.1f} s after the network was cut")
        assert took < FAILOVER_SECONDS + 5
        assert node.audit_log is not None
        assert written(release, node, address, cut) == []
        for name in ("before", "meanwhile"):
            mcs.remove(name)
        assert_rests(mcs.api)


def lead_from(release: Release, node: str) -> str:
    """Have the replica on this node lead; its name."""

    def look() -> str:
        leader = release.leader()
        pod = release.pods().get(leader)
        if pod and pod["spec"].get("nodeName") != node:
            release.home.delete("Pod", leader)
        there = {one["spec"].get("nodeName") for one in release.pods().values()}
        return leader if pod and pod["spec"].get("nodeName") == node and release.ready() and len(there) == 2 else ""

    return until(f"the replica on {node} leads", look, 120, pause=2)


def written(release: Release, node: Node, address: str, since: datetime) -> list[str]:
    """What the operator's account has written from this address since then, its Lease aside."""
    assert node.audit_log is not None
    user = f"system:serviceaccount:{release.home.namespace}:mcs-operator"
    found = []
    for entry in audited(node.audit_log):
        resource = entry.get("objectRef", {}).get("resource")
        if (
            entry["user"].get("username") == user
            and address in entry["sourceIPs"]
            and entry["verb"] in ("create", "update", "patch", "delete")
            and resource not in ("leases", "tokenreviews", "subjectaccessreviews")
            and datetime.fromisoformat(entry["requestReceivedTimestamp"]) > since
        ):
            found.append(f"{entry['verb']} {entry['requestURI']}")
    return found


def test_a_drain_waits_and_a_change_of_the_node_moves_the_appliance_in_its_window(
    second: SecondNode, public: PublicAddress, node: Node, server: Api, operator_process: Operator
) -> None:
    never = {"windows": [{"schedule": "0 3 1 1 *", "duration": "1h"}]}
    with on_second(node, server, {HERE: NAME}, disruptions=never) as mcs:
        before = identities(mcs)
        with mcs.unnoticed(FIRST):
            told = drained(server, seconds=12)
            assert "disruption budget" in told and "global timeout reached" in told, told
            message = mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "NoNodeFits")
            assert f"node {NAME} is cordoned" in message
            server.kubectl("uncordon", NAME)
            mcs.api.change("MCSInstance", INSTANCE, nodeSelector={HERE: node.name})
            mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
        mcs.release(FIRST)
        begun = time.monotonic()
        mcs.api.change("MCSInstance", INSTANCE, disruptions={"windows": [now()]})
        until("the pod leaves its node", lambda: where(mcs) != NAME, 60)
        public.to_first()
        serves_on(mcs, node.name, before)
        print(f"moved to the other node, tunnel and all: {time.monotonic() - begun:.1f} s")
        assert_rests(mcs.api)


def drained(server: Api, seconds: int) -> str:
    """What `kubectl drain` says of the second node, and of its media pod alone; it is cordoned from then on."""
    command = ("drain", NAME, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s")
    selector = f"--pod-selector=statefulset.kubernetes.io/pod-name={POD}"
    return server.kubectl(*command, selector, check=False, merge=True, timeout=seconds + 20)


def now() -> Object:
    """A window that has just begun."""
    begun = datetime.now(UTC) - timedelta(minutes=1)
    return {"schedule": f"{begun.minute} {begun.hour} * * *", "duration": "1h"}


def test_a_drain_moves_an_appliance_that_the_other_node_may_have(
    second: SecondNode, public: PublicAddress, node: Node, server: Api, operator_process: Operator
) -> None:
    """Both nodes have the label that the instance asks for."""
    labels = (node.name, NAME)
    server.kubectl("label", "node", NAME, f"{MAY_HAVE_IT}=yes")
    try:
        with on_second(node, server, {MAY_HAVE_IT: "yes"}) as mcs:
            server.kubectl("label", "node", node.name, f"{MAY_HAVE_IT}=yes")
            before, begun = identities(mcs), time.monotonic()
            told = drained(server, seconds=90)
            assert f"node/{NAME} drained" in told, told
            public.to_first()
            serves_on(mcs, node.name, before)
            print(f"drained to tunnel: {time.monotonic() - begun:.1f} s")
            assert_rests(mcs.api)
    finally:
        server.kubectl("label", "node", *labels, f"{MAY_HAVE_IT}-")


def test_the_appliance_of_a_node_without_network_is_told_once_and_is_the_same_when_the_network_is_back(
    second: SecondNode, public: PublicAddress, node: Node, server: Api, operator_process: Operator
) -> None:
    with on_second(node, server, {HERE: NAME}) as mcs:
        before, pod = identities(mcs), mcs.identity()
        begun = time.monotonic()
        with second.without_network():
            told_once(mcs, begun)
        back = time.monotonic()
        serves_on(mcs, NAME, before)
        print(f"network to tunnel: {time.monotonic() - back:.1f} s")
        assert mcs.identity() == pod
        assert_rests(mcs.api)


def test_the_appliance_of_a_node_without_power_is_told_once_and_comes_up_on_the_other_when_somebody_says_so(
    second: SecondNode, public: PublicAddress, node: Node, server: Api, operator_process: Operator
) -> None:
    """And it runs nowhere twice when the node is back."""
    with on_second(node, server, {HERE: NAME}) as mcs:
        before = identities(mcs)
        begun = time.monotonic()
        second.lose_power()
        told = told_once(mcs, begun)
        audit = Audit.of(mcs.api)
        assert audit is not None
        until("the node is not ready", lambda: not is_ready(server), 90)
        until("its pods are not ready", lambda: not is_ready(mcs.api, "Pod", POD), 30)
        time.sleep(3)
        assert versions(mcs) == told, "it is told again"
        assert audit.writes(mcs.api.namespace) == []
        assert where(mcs) == NAME, "it was started a second time, and nobody had said that the first one is off"
        said = time.monotonic()
        server.kubectl("taint", "node", NAME, OUT_OF_SERVICE)
        public.to_first(from_second=False)
        mcs.api.change("MCSInstance", INSTANCE, nodeSelector={HERE: node.name})
        serves_on(mcs, node.name, before)
        print(f"power-off to tunnel: {time.monotonic() - begun:.1f} s, of them from the word that the node is off: "
              f"{time.monotonic() - said:.1f} s")  # fmt: skip
        with mcs.unnoticed(FIRST):
            second.switch_on()
            server.kubectl("taint", "node", NAME, f"{OUT_OF_SERVICE}-")
            time.sleep(10)  # a kubelet that knew of an old pod would have started it
            assert second.tasks() == [] and where(mcs) == node.name
        assert_rests(mcs.api)


def told_once(mcs: Mcs, begun: float) -> dict[str, str]:
    """Nobody hears from it: that is written as soon as it is promised, once, and then no more. The versions then."""
    for kind, name in (("MCSInstance", INSTANCE), ("TVoxLink", FIRST)):
        left = begun + UNKNOWN_WITHIN - time.monotonic()
        mcs.api.wait_condition(kind, name, "Ready", "Unknown", "AgentUnreachable", timeout=left)
    print(f"lost to Unknown: {time.monotonic() - begun:.1f} s")
    time.sleep(2)
    once = versions(mcs)
    time.sleep(10)
    assert versions(mcs) == once
    return once


def is_ready(server: Api, kind: str = "Node", name: str = NAME) -> bool:
    """By its condition; the second node, where nothing else is said."""
    conditions = server.get(kind, name)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
