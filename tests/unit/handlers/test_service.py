"""The process's start and stop: what failed is what is told, and nothing is left behind."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.handlers import service as module
from mcs_operator.handlers.service import Service
from mcs_operator.kube.resources import LINKS, SECRETS
from mcs_operator.settings import LABEL_MANAGED_BY, OPERATOR, Settings


async def test_to_stop_what_never_started_is_nothing() -> None:
    await Service(Settings()).stop()


async def test_a_start_that_fails_tells_its_cause_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    async def refuses(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no usable kubeconfig")

    monkeypatch.setattr(module.Api, "connect", refuses)
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="no usable kubeconfig"):
        await Service(Settings(), health_port=unused_tcp_port).start()
    assert asyncio.all_tasks() == before
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        another.bind(("127.0.0.1", unused_tcp_port))


@pytest.mark.parametrize("broken", ["Agents", "Lookups", "Reporter", "Reconciler", "Queue", "Watcher", "Leader"])
async def test_however_far_the_start_came_its_cause_is_told(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the cause")

    closed: list[str] = []

    class Client:
        may_write: Any = None

        async def beside(self) -> Client:
            return self

        async def close(self) -> None:
            closed.append("client")
            raise OSError("it cannot even be closed")

        async def get(self, *_: Any) -> None:
            return None

    async def connect() -> Client:
        return Client()

    monkeypatch.setattr(module.Api, "connect", connect)
    monkeypatch.setattr(module, broken, fails)
    with pytest.raises(RuntimeError, match="the cause"):
        await Service(Settings(namespace="operators", identity="me")).start()
    assert closed, "what was open is closed"


async def test_who_waits_for_the_lease_may_not_write_and_asks_for_it_on_connections_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    class Client:
        def __init__(self) -> None:
            self.may_write: Any = lambda: True
            self.other: Client | None = None

        async def beside(self) -> Client:
            self.other = Client()
            return self.other

        async def get(self, resource: Any, *_: Any) -> Any:
            asked.append(self)
            await asyncio.sleep(60)

        async def pages(self, *_: Any, **__: Any) -> Any:
            await asyncio.sleep(60)
            yield [], "1"

        async def close(self) -> None:
            pass

    client = Client()

    async def connect() -> Client:
        return client

    monkeypatch.setattr(module.Api, "connect", connect)
    service = Service(Settings(namespace="operators", identity="me"))
    await service.start()
    try:
        await asyncio.sleep(0.05)
        assert not client.may_write()
        assert asked == [client.other]
    finally:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await service.stop()


class Queue:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.opened, self.keys = asyncio.Event(), list[tuple[str, bool]]()

    def open(self) -> None:
        self.opened.set()

    def enqueue(self, key: str, *, low_priority: bool) -> None:
        self.keys.append((key, low_priority))

    async def close(self) -> None:
        pass


def listed(queue: Queue, *, nodes: bool = True) -> Any:
    """A service that knows the world, and does not lead yet."""
    service: Any = Service(Settings())
    ready, known = asyncio.Event(), SimpleNamespace(listed=asyncio.Event())
    ready.set()
    if nodes:
        known.listed.set()
    service._watcher, service._queue = SimpleNamespace(ready=ready), queue
    service._reconciler = SimpleNamespace(nodes=known, expiries={}, failures={})
    return service


@pytest.fixture
def thresholds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """What the collector of cycles was told; this process's is left alone."""
    told: list[tuple[int, ...]] = []
    monkeypatch.setattr(module.gc, "set_threshold", lambda *threshold: told.append(threshold))
    monkeypatch.setattr(module.gc, "freeze", lambda: told.append(()))
    return told


async def lead(service: Any, queue: Queue) -> None:
    """Until it has begun."""
    leads = asyncio.create_task(service._lead())
    await asyncio.wait_for(queue.opened.wait(), 5)
    leads.cancel()


async def test_an_api_server_that_does_not_list_its_nodes_keeps_the_operator_from_nothing(
    monkeypatch: pytest.MonkeyPatch, thresholds: list[tuple[int, ...]]
) -> None:
    monkeypatch.setattr(module, "_NODES_SECONDS", 0.01)
    queue = Queue()
    await lead(listed(queue, nodes=False), queue)


async def test_what_kopf_leaves_behind_is_collected_often_once_the_world_is_listed(
    thresholds: list[tuple[int, ...]],
) -> None:
    queue = Queue()
    await lead(listed(queue), queue)
    frozen, (young, middle, old) = thresholds
    assert frozen == (), "what was listed is never looked at again"
    assert young <= 20_000, "157 events, 3.5 MB"
    assert young * middle * old <= 2_000_000, "16,000 events: nothing waits for longer"


async def test_who_stands_by_remembers_no_namespace_and_wakes_all_that_are_left_when_it_leads(
    thresholds: list[tuple[int, ...]],
) -> None:
    queue = Queue()
    service = listed(queue)
    for number, type in enumerate(("ADDED", "ADDED", "DELETED"), 1):
        metadata = {"name": "acme", "namespace": f"n{min(number, 2)}", "uid": f"u{min(number, 2)}"}
        service.store.take_event(LINKS, type, {"metadata": metadata | {"resourceVersion": str(number)}})
    assert queue.keys == []
    await lead(service, queue)
    assert queue.keys == [("n1", False)]


async def test_what_people_write_wakes_the_leader_at_once_and_a_child_when_there_is_time() -> None:
    queue = Queue()
    service = listed(queue)
    service._leads = True
    for resource, name in ((LINKS, "acme"), (SECRETS, "mcs-ca")):
        metadata = {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "1"}
        labels = {LABEL_MANAGED_BY: OPERATOR}
        service.store.put(resource, {"metadata": metadata | {"labels": labels}})
    assert queue.keys == [("demo", False), ("demo", True)]
