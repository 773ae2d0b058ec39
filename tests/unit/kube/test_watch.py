"""What lists and watches bring, whatever it is: the watcher takes what is an object, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcs_operator.handlers.service import Service
from mcs_operator.kube.cache import watch
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.cache.watch import Watcher
from mcs_operator.kube.resources import CONFIG_MAPS, LINKS, SECRETS, Resource
from mcs_operator.kube.wire import WatchEvent
from mcs_operator.settings import Settings
from support.hostile import VALUES, nested
from support.hostile.objects import bodies

OURS = {"app.kubernetes.io/managed-by": "mcs-operator"}


def a_body(name: str, version: str = "5", labels: Any = OURS, **other: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "tenant", "uid": f"u-{name}", "resourceVersion": version, "labels": labels}
    return {"metadata": metadata} | other


class Server:
    """Lists once, then tells of events; ``broken`` lists are answered so often with what is no list."""

    def __init__(self, listed: dict[Resource, list[Any]], events: list[tuple[Resource, WatchEvent]], broken: int = 0):
        self.listed, self.events, self.broken = listed, events, broken
        self.told = asyncio.Event()

    async def pages(self, resource: Resource, *, labels: str = "", **_: Any) -> AsyncIterator[tuple[list[Any], Any]]:
        if self.broken:
            self.broken -= 1
            raise RecursionError if self.broken % 2 else KeyError("metadata")
        yield (self.listed.get(resource, []) if "users" not in labels else []), "10"

    async def watch(self, resource: Resource, *, labels: str = "", **_: Any) -> AsyncIterator[WatchEvent]:
        for concerned, event in self.events if "users" not in labels else []:
            if concerned is resource:
                yield event
        if resource is CONFIG_MAPS:
            self.told.set()
        await asyncio.sleep(60)


async def taken(server: Server, brought: tuple[dict[str, Any], ...] = ()) -> set[str]:
    """Names that are known once everything was told; ``brought`` are links that come by Kopf."""
    store = Store(lambda _: None)
    for body in brought:
        store.take_event(LINKS, None, body)
    watcher = Watcher(server, store)  # type: ignore[arg-type]
    task = asyncio.create_task(watcher.run())
    done, _ = await asyncio.wait(
        [task, asyncio.create_task(server.told.wait())], return_when="FIRST_COMPLETED", timeout=5
    )
    assert task not in done, task.exception()
    assert watcher.ready.is_set()
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return {
        name for space in store.namespaces() for _, name in (*store.cache(space).children, *store.cache(space).ours)
    }


async def test_a_configmap_with_our_label_in_any_namespace_ends_nothing() -> None:
    """It ended the operator of the whole cluster, at each start."""
    stray = a_body("list", data={"users-acme.yaml": "- name: anna.rossi\n"})
    assert await taken(Server({CONFIG_MAPS: [stray, a_body("mcs-links")]}, [])) == {"list", "mcs-links"}


async def test_of_a_list_what_is_an_object_is_taken() -> None:
    odd = [
        *VALUES,
        nested(2000),
        {"metadata": None},
        a_body("no-version", version="x"),
        a_body("no-labels", labels=None),
    ]
    too_deep = a_body("acme", spec=nested(5000))
    server = Server(
        {SECRETS: [*odd, a_body("mcs-ca")], LINKS: [*VALUES, a_body("no-version", version="x"), too_deep]}, []
    )
    assert await taken(server, (too_deep,)) == {"no-labels", "mcs-ca"}


async def test_events_of_any_shape_end_no_watch() -> None:
    events = [
        (resource, WatchEvent(type, body))
        for number, (resource, body) in enumerate(bodies(7, 200))
        for type in (("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "strange", "ERROR")[number % 5],)
        if isinstance(body, dict) and str(body.get("metadata", {})).count("resourceVersion")
    ]
    last = [(CONFIG_MAPS, WatchEvent("ADDED", a_body("mcs-links", version="99999")))]
    good = [e for e in events if str((e[1].object.get("metadata") or {}).get("resourceVersion", "")).isdigit()]
    assert len(good) > 100
    assert "mcs-links" in await taken(Server({}, good + last))


async def test_a_list_that_cannot_be_read_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_delay", lambda *_: 0.0)
    assert await taken(Server({SECRETS: [a_body("mcs-ca")]}, [], broken=9)) == {"mcs-ca"}


# --- our kinds, which Kopf brings ---


class Listing(Server):
    """Lists links one after the other, as they are told: the last time for ever."""

    def __init__(self, *lists: list[dict[str, Any]]) -> None:
        super().__init__({}, [])
        self.lists, self.times, self.with_bodies = list(lists), 0, True
        self.live: dict[str, Any] = {}

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return self.live[name]

    async def pages(self, resource: Resource, **given: Any) -> AsyncIterator[tuple[list[Any], Any]]:
        if resource is not LINKS:
            async for page in super().pages(resource, labels=given.get("labels", "")):
                yield page
            return
        self.with_bodies = not given["metadata_only"]
        found = self.lists[min(self.times, len(self.lists) - 1)]
        self.times += 1
        yield found, "10"


@contextlib.asynccontextmanager
async def watching(server: Server, store: Store) -> AsyncIterator[Watcher]:
    watcher = Watcher(server, store)  # type: ignore[arg-type]
    task = asyncio.create_task(watcher.run())
    await asyncio.sleep(0.2)
    yield watcher
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def ready(watcher: Watcher) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watcher.ready.wait(), 0.5)
    return watcher.ready.is_set()


async def test_nothing_is_decided_before_all_that_is_listed_was_brought() -> None:
    server, store = Listing([a_body("acme"), a_body("bolt")]), Store(lambda _: None)
    async with watching(server, store) as watcher:
        store.take_event(LINKS, None, a_body("acme"))
        assert not await ready(watcher)
        store.take_event(LINKS, None, a_body("bolt", version="4"))
        assert not await ready(watcher), "it was listed in a newer version"
        store.take_event(LINKS, "MODIFIED", a_body("bolt", version="6"))
        assert await ready(watcher)
    assert server.times == 1
    assert not server.with_bodies, "they come by Kopf"


async def test_what_goes_before_it_is_brought_is_not_waited_for() -> None:
    store = Store(lambda _: None)
    async with watching(Listing([a_body("acme")]), store) as watcher:
        store.take_event(LINKS, "DELETED", a_body("acme", version="6"))
        assert await ready(watcher)


@pytest.mark.parametrize("instead", [None, {"metadata": {"uid": "another"}}], ids=["none", "a namesake"])
async def test_what_went_before_kopf_listed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, instead: Any) -> None:
    """A link that goes between our list and Kopf's is brought by nobody."""
    monkeypatch.setattr(watch, "STALLED_SECONDS", 0.1)
    server, store = Listing([a_body("acme"), a_body("bolt"), a_body("gone")]), Store(lambda _: None)
    server.live = {"acme": a_body("acme"), "bolt": a_body("bolt"), "gone": instead}
    store.take_event(LINKS, None, a_body("acme"))
    async with watching(server, store) as watcher:
        assert not await ready(watcher), "bolt is there, and Kopf is slow"
        store.take_event(LINKS, None, a_body("bolt"))
        assert await ready(watcher)
    assert server.times == 1


async def test_a_deletion_that_nobody_told_is_found_by_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf lists again after a gap, and tells only of what there is."""
    monkeypatch.setattr(watch, "RELIST_SECONDS", 0.1)
    server, store = Listing([a_body("acme"), a_body("ghost")], [a_body("acme")]), Store(lambda _: None)
    for name in ("acme", "ghost"):
        store.take_event(LINKS, None, a_body(name))
    async with watching(server, store) as watcher:
        assert await ready(watcher)
        await asyncio.sleep(0.3)
    assert names(store) == {"acme"}


def names(store: Store) -> set[str]:
    return {name for _, name in store.cache("tenant").ours}


async def test_what_went_in_a_gap_of_kopfs_watch_is_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that was deleted while the API server was away must not keep its tunnel for ten minutes."""
    monkeypatch.setattr(watch, "GAP_SECONDS", 0.1)
    both = [a_body("acme"), a_body("ghost")]
    server, service = Listing(both, [a_body("acme")]), Service(Settings())
    for body in both:
        service.take_event(LINKS, {"type": None, "object": body})
    async with watching(server, service.store) as watcher:
        service._watcher = watcher
        assert await ready(watcher)
        service.take_event(LINKS, {"type": "MODIFIED", "object": a_body("acme", version="8")})
        await asyncio.sleep(0.3)
        assert server.times == 1
        for _ in range(3):
            service.take_event(LINKS, {"type": None, "object": a_body("acme", version="8")})
        await asyncio.sleep(0.3)
        assert server.times == 2, "once for all that Kopf has listed"
    assert names(service.store) == {"acme"}


async def test_where_the_server_has_forgotten_our_own_watches_it_has_forgotten_kopfs_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where all links are gone, Kopf's new list tells of none."""
    monkeypatch.setattr(watch, "GAP_SECONDS", 0.1)
    expired = WatchEvent("ERROR", {"code": 410, "reason": "Expired"})
    server, store = Listing([a_body("ghost")], []), Store(lambda _: None)
    server.events = [(SECRETS, expired)]
    store.take_event(LINKS, None, a_body("ghost"))
    async with watching(server, store) as watcher:
        assert await ready(watcher)
        await asyncio.sleep(0.3)
    assert names(store) == set()


async def test_who_looks_once_lists_our_kinds_in_full() -> None:
    """A dry run has no Kopf, and waits for nothing that only Kopf brings."""
    server, store = Listing([a_body("acme", spec={"domain": "acme.test"})]), Store(lambda _: None)
    await Watcher(server, store).list_once()  # type: ignore[arg-type]
    assert store.cache("tenant").ours[LINKS, "acme"]["spec"] == {"domain": "acme.test"}
    assert server.with_bodies
