"""Our three kinds come in by Kopf: with our settings every event gets to the store, and nothing is written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import kopf
import pytest
from kopf._cogs.clients import watching
from kopf._cogs.structs import references
from kopf._core.actions import application, lifecycles
from kopf._core.engines import indexing
from kopf._core.reactor import inventory, processing, queueing

from mcs_operator.handlers.events import configure, registry_for
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import COMMUNITIES, INSTANCES, LINKS, OURS, Resource

MANY = 300
"""More than are handled at a time."""


def an_event(how: str | None, name: str, version: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"type": how, "object": {"metadata": metadata, "spec": {"domain": f"{name}.test"}}}


async def brought(resource: Resource, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the store knows of a kind once Kopf was told all of this."""

    async def stream(**_: Any) -> AsyncIterator[Any]:
        for number, event in enumerate(events):
            if number % 100 == 0:
                await asyncio.sleep(0.05)
            yield event
        await asyncio.sleep(60)

    async def patched(**given: Any) -> Any:
        assert not given["patch"], "Kopf has nothing to write"
        return True, None, None

    monkeypatch.setattr(watching, "infinite_watch", stream)
    monkeypatch.setattr(application, "apply", patched)
    store, settings = Store(lambda _: None), kopf.OperatorSettings()
    configure(settings)
    of_kopf = references.Resource("mcs.tvox.io", "v1alpha1", resource.plural, resource.kind, namespaced=True)
    process: Any = partial(
        processing.process_resource_event,
        lifecycle=lifecycles.get_default_lifecycle(),
        registry=registry_for(SimpleNamespace(store=store)),  # type: ignore[arg-type]
        settings=settings,
        memories=inventory.ResourceMemories(),
        memobase=kopf.Memo(),
        indexers=indexing.OperatorIndexers(),
        event_queue=asyncio.Queue(),
        resource=of_kopf,
    )
    watch = asyncio.create_task(
        queueing.watcher(namespace=None, settings=settings, resource=of_kopf, processor=process)
    )
    await asyncio.wait([watch], timeout=2)
    assert not watch.done()
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    return {
        f"{name} {body['metadata']['resourceVersion']}"
        for (kind, name), body in store.cache("demo").ours.items()
        if kind is resource
    }


@pytest.mark.parametrize("resource", OURS, ids=lambda resource: str(resource.kind))
async def test_what_is_listed_changed_and_deleted_comes_in(resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [an_event(None, "a", 1), an_event(None, "b", 2), an_event("MODIFIED", "a", 3), an_event("DELETED", "b", 4)]
    assert await brought(resource, events, monkeypatch) == {"a 3"}


async def test_many_at_once_come_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an idle time-out of 0 Kopf's tasks end before they take anything."""
    events = [an_event(None, f"l{number}", number + 1) for number in range(MANY)]
    events += [an_event("MODIFIED", f"l{number}", MANY + number + 1) for number in range(MANY)]
    expected = {f"l{number} {MANY + number + 1}" for number in range(MANY)}
    assert await brought(LINKS, events, monkeypatch) == expected


def test_each_kind_has_one_handler() -> None:
    registry = registry_for(SimpleNamespace(store=None))  # type: ignore[arg-type]
    plurals = {str(handler.selector.any_name or handler.selector.plural) for handler in registry._watching._handlers}
    assert len(registry._watching._handlers) == 3
    assert all(kind.plural in " ".join(plurals) for kind in (INSTANCES, COMMUNITIES, LINKS)), plurals
