"""What lists and watches bring, whatever it is: the watcher takes what is an object, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcs_operator.kube.cache import watch
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.cache.watch import Watcher
from mcs_operator.kube.client import WatchEvent
from mcs_operator.kube.resources import CONFIG_MAPS, LINKS, SECRETS, Resource
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


async def taken(server: Server) -> set[str]:
    """Names that are known once everything was told."""
    store = Store(lambda _: None)
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
    server = Server({SECRETS: [*odd, a_body("mcs-ca")], LINKS: [*odd, a_body("acme", spec=nested(5000))]}, [])
    assert await taken(server) == {"no-labels", "mcs-ca"}


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
