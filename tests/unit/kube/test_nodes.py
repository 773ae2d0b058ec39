"""Which nodes are cordoned, from what an API server says, and how little it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mcs_operator.domain.facts.nodes import CordonedNode, Node, Taint
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.nodes import CORDONED, Nodes
from mcs_operator.kube.parse.node import read_node
from mcs_operator.kube.parse.volume import reaches
from mcs_operator.kube.resources import INSTANCES, PODS, Resource
from mcs_operator.kube.wire import WatchEvent
from mcs_operator.settings import LABEL_MANAGED_BY, OPERATOR
from support.worlds import given, instance, pod


def a_node(name: str, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    status = {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


class FakeApi:
    """Nodes by name; of a watch, the events that were put there."""

    def __init__(self, *nodes: dict[str, Any], error: ApiError | None = None) -> None:
        self.nodes, self.error = nodes, error
        self.asked: list[dict[str, Any]] = []
        self.volumes: dict[str, dict[str, Any]] = {}
        self.events: asyncio.Queue[WatchEvent | None] = asyncio.Queue()

    async def pages(self, _: Any, **selectors: Any) -> AsyncIterator[tuple[list[Any], str]]:
        self.asked.append(selectors)
        if self.error:
            raise self.error
        wanted = selectors.get("fields", "")
        found = [
            node
            for node in self.nodes
            if (wanted != CORDONED or node["spec"].get("unschedulable"))
            and (not wanted.startswith("metadata.name=") or wanted == f"metadata.name={node['metadata']['name']}")
        ]
        yield found, "7"

    async def get(self, resource: Resource, _: str | None, name: str) -> dict[str, Any] | None:
        self.asked.append({resource.plural: name})
        return self.volumes.get(name)

    async def list(self, resource: Any, **selectors: Any) -> tuple[list[Any], str]:
        async for page in self.pages(resource, **selectors):
            return page
        raise AssertionError

    async def watch(self, _: Any, **selectors: Any) -> AsyncIterator[WatchEvent]:
        assert selectors == {"since": "7", "fields": CORDONED, "metadata_only": True}
        while event := await self.events.get():
            yield event


def nodes(api: FakeApi, woken: list[str] | None = None) -> Nodes:
    store = Store(wake=(woken if woken is not None else []).append, wake_low_priority=lambda _: None)
    for namespace, node in (("here", "n1"), ("there", "n2")):
        metadata = {"name": "mcs", "namespace": namespace, "uid": f"mcs-{namespace}", "resourceVersion": "1"}
        store.put(INSTANCES, {"metadata": metadata})
        metadata |= {
            "name": "mcs-0",
            "uid": namespace,
            "labels": {LABEL_MANAGED_BY: OPERATOR},
            "creationTimestamp": "2026-03-01T00:00:00Z",
        }
        store.take(PODS, {"metadata": metadata, "spec": {"nodeName": node}})
    return Nodes(api, store)  # type: ignore[arg-type]


async def test_of_nodes_that_nobody_maintains_nothing_is_asked() -> None:
    api = FakeApi(a_node("n1"), a_node("n2", unschedulable=True))
    found = nodes(api)
    await found.read()
    assert api.asked == [{"fields": CORDONED, "metadata_only": True}]
    assert found.cordoned == {"n2"} and found.listed.is_set()
    world = given(instance(), pod(node="n1"))
    assert await found.known(world) is world
    assert len(api.asked) == 1


async def test_who_has_a_pod_on_a_node_that_is_cordoned_or_uncordoned_is_woken() -> None:
    woken: list[str] = []
    api = FakeApi(a_node("n1"), a_node("n2"))
    found = nodes(api, woken)
    woken.clear()
    task = asyncio.create_task(found.run())
    for event, cordoned in (("ADDED", {"n1"}), ("MODIFIED", {"n1"}), ("DELETED", set())):
        await api.events.put(WatchEvent(event, {"metadata": {"name": "n1"}}))
        await asyncio.sleep(0.01)
        assert found.cordoned == cordoned
    assert woken == ["here", "here"]
    task.cancel()


async def test_where_its_pod_could_go_is_looked_for_once_in_a_while() -> None:
    taint = {"key": "a", "effect": "NoSchedule", "value": "b"}
    api = FakeApi(a_node("n1", unschedulable=True, taints=[taint]), a_node("n2"), a_node("n3", unschedulable=True))
    found = nodes(api)
    await found.read()
    api.asked.clear()
    world = given(instance(nodeSelector={"zone": "a", "kind": "media"}), pod(node="n1"))
    for _ in range(3):
        known = await found.known(world)
        assert known.cordoned == CordonedNode("n1", ready=True, others=(Node("n2"),))
    of_volume = {"persistentvolumeclaims": "mcs-data"}
    assert api.asked == [{"fields": "metadata.name=n1"}, of_volume, {"labels": "kind=media,zone=a"}]
    found._take(frozenset({"n1", "n2"}))
    assert (await found.known(world)).cordoned == CordonedNode("n1", ready=True, others=())


async def test_who_asks_for_other_nodes_each_moment_costs_one_look_a_second_and_is_held_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("mcs_operator.kube.nodes.time.monotonic", lambda: now)
    api = FakeApi(a_node("n1", unschedulable=True), a_node("n2"))
    found = nodes(api)
    await found.read()
    api.asked.clear()
    for number in range(50):
        await found.known(given(instance(nodeSelector={"zone": str(number)}), pod(node="n1")))
    assert [asked["labels"] for asked in api.asked if "labels" in asked] == ["zone=0"]
    now += 1.1
    world = given(instance(nodeSelector={"zone": "b"}), pod(node="n1"))
    assert (await found.known(world)).cordoned == CordonedNode("n1", ready=True, others=(Node("n2"),))
    assert len(found._looks) == 1


async def test_of_a_large_cluster_five_hundred_nodes_are_looked_at_whether_they_fit_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = list[int]()

    async def a_hundred_at_a_time(*_: Any, **__: Any) -> AsyncIterator[tuple[list[Any], str]]:
        for page in range(50):
            pages.append(page)
            yield [a_node(f"n{page}-{number}", unschedulable=True) for number in range(100)], "7"

    api = FakeApi(a_node("n1", unschedulable=True))
    found = nodes(api)
    await found.read()
    found.cordoned = frozenset({"n1"})
    monkeypatch.setattr(api, "list", FakeApi(a_node("n1")).list)
    monkeypatch.setattr(api, "pages", a_hundred_at_a_time)
    assert (await found.known(given(instance(), pod(node="n1")))).cordoned == CordonedNode("n1", ready=True, others=())
    assert len(pages) == 5


async def test_what_cannot_be_asked_is_not_known() -> None:
    api = FakeApi(a_node("n1", unschedulable=True))
    found = nodes(api)
    await found.read()
    api.error = ApiError(500, "InternalError", "no")
    assert (await found.known(given(instance(), pod(node="n1")))).cordoned == CordonedNode("n1", None, None)


@pytest.mark.parametrize(("status", "goes_on"), [(403, True), (500, False)])
async def test_an_operator_that_may_not_list_nodes_does_not_wait_for_them(status: int, goes_on: bool) -> None:
    found = nodes(FakeApi(error=ApiError(status, "", "no")))
    task = asyncio.create_task(found.run())
    await asyncio.sleep(0.01)
    assert found.listed.is_set() is goes_on
    task.cancel()


def test_a_node_is_read_whatever_it_says() -> None:
    assert read_node(a_node("n", ready="Unknown")) == Node("n", ready=False)
    taints = [{"key": "a", "effect": "NoSchedule"}, "nonsense", {"key": 7}]
    assert read_node(a_node("n", unschedulable=True, taints=taints)) == Node(
        "n", unschedulable=True, taints=(Taint("a", "NoSchedule"), Taint("", ""))
    )
    for body in ({}, {"spec": [], "status": {"conditions": {}}}, {"metadata": {"name": ["n"]}}):
        assert replace(read_node(body), name="") == Node("", ready=False)


# --- the volume ---


def a_volume(*expressions: dict[str, Any], **term: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": list(expressions), **term}]
    return {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}


def zone(operator: str, *values: str) -> dict[str, Any]:
    return {"key": "zone", "operator": operator, "values": list(values)}


async def test_a_node_where_the_volume_cannot_be_mounted_takes_no_pod() -> None:
    api = FakeApi(a_node("n1", unschedulable=True), a_node("n2"), a_node("n3"))
    of_n3 = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n3"]}]}
    api.volumes = {"mcs-data": {"spec": {"volumeName": "pv"}}, "pv": a_volume(**of_n3)}
    found = nodes(api)
    await found.read()
    known = await found.known(given(instance(), pod(node="n1")))
    assert known.cordoned == CordonedNode("n1", ready=True, others=(Node("n3"),))


@pytest.mark.parametrize(
    ("volume", "within_reach"),
    [
        ({}, True),
        ({"spec": {"nodeAffinity": {}}}, True),
        (a_volume(zone("In", "a", "b")), True),
        (a_volume(zone("In", "b")), False),
        (a_volume(zone("NotIn", "b")), True),
        (a_volume(zone("NotIn", "a")), False),
        (a_volume(zone("Exists")), True),
        (a_volume(zone("DoesNotExist")), False),
        (a_volume(zone("Gt", "1")), False),
        (a_volume(zone("In", "a"), {"key": "disk", "operator": "Exists"}), False),
        (a_volume(), False),
        (a_volume({"key": ["zone"], "operator": "In", "values": {"a": 1}}), False),
    ],
)
def test_where_a_volume_can_be_mounted_it_says_itself(volume: dict[str, Any], within_reach: bool) -> None:
    node = {"metadata": {"name": "n", "labels": {"zone": "a"}}}
    assert reaches(volume, node) is within_reach


def test_one_of_several_terms_is_enough() -> None:
    terms = [{"matchExpressions": [zone("In", "b")]}, {"matchExpressions": [zone("In", "a")]}]
    volume = {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}}
    assert reaches(volume, {"metadata": {"labels": {"zone": "a"}}})
