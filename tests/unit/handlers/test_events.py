"""Our three kinds come in by Kopf: with our settings every event gets to the store, and nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import kopf
import pytest
from kopf._cogs.clients import watching
from kopf._cogs.structs import references
from kopf._core.actions import application, lifecycles
from kopf._core.engines import indexing
from kopf._core.reactor import inventory, processing, queueing

from mcs_operator.handlers.events import configure, registry_for
from mcs_operator.handlers.service import Service
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, OURS, Resource
from mcs_operator.settings import Settings

MANY = 300
"""More than are handled at a time."""


def an_event(how: str | None, name: str, version: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": f"u-{name}", "resourceVersion": str(version)}
    return {"type": how, "object": {"metadata": metadata, "spec": {"domain": f"{name}.test"}}}


async def brought(
    resource: Resource, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, woken: list[str] | None = None
) -> set[str]:
    """What the store knows of a kind once Kopf was told all of this; each time that it woke a namespace is noted."""

    async def stream(**_: Any) -> AsyncIterator[Any]:
        for number, event in enumerate(events):
            if number % 100 == 0:
                await asyncio.sleep(0.05)
            yield event

    async def patched(**given: Any) -> Any:
        assert not given["patch"], "Kopf has nothing to write"
        return True, None, None

    monkeypatch.setattr(watching, "infinite_watch", stream)
    monkeypatch.setattr(application, "apply", patched)
    service, settings = Service(Settings()), kopf.OperatorSettings()
    service.store = store = Store([].append if woken is None else woken.append)
    configure(settings)
    settings.queueing.exit_timeout = 60  # where the stream ends, Kopf waits so long for what is not handled yet
    of_kopf = references.Resource("mcs.tvox.io", "v1alpha1", resource.plural, resource.kind, namespaced=True)
    process: Any = partial(
        processing.process_resource_event,
        lifecycle=lifecycles.get_default_lifecycle(),
        registry=registry_for(service),
        settings=settings,
        memories=inventory.ResourceMemories(),
        memobase=kopf.Memo(),
        indexers=indexing.OperatorIndexers(),
        event_queue=asyncio.Queue(),
        resource=of_kopf,
    )
    await queueing.watcher(namespace=None, settings=settings, resource=of_kopf, processor=process)
    return {
        f"{name} {body['metadata']['resourceVersion']}"
        for (kind, name), body in store.cache("demo").ours.items()
        if kind is resource
    }


@pytest.mark.parametrize("resource", OURS, ids=lambda resource: str(resource.kind))
async def test_what_is_listed_changed_and_deleted_comes_in(resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [an_event(None, "a", 1), an_event(None, "b", 2), an_event("MODIFIED", "a", 3), an_event("DELETED", "b", 4)]
    assert await brought(resource, events, monkeypatch) == {"a 3"}


@pytest.mark.parametrize("resource", OURS, ids=lambda resource: str(resource.kind))
async def test_an_event_that_says_nothing_new_wakes_nobody(resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf lists again after a gap, and our own write of a status comes back as an event: neither may have a namespace
    reconciled before its back-off is over."""
    woken: list[str] = []
    first, second = an_event(None, "a", 1), an_event("MODIFIED", "a", 2)
    events = [first, second, an_event(None, "a", 2), second, first, an_event("DELETED", "b", 3)]
    assert await brought(resource, events, monkeypatch, woken) == {"a 2"}
    assert woken == ["demo", "demo"]


async def test_many_at_once_come_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an idle time-out of 0 Kopf's tasks end before they take anything."""
    events = [an_event(None, f"l{number}", number + 1) for number in range(MANY)]
    events += [an_event("MODIFIED", f"l{number}", MANY + number + 1) for number in range(MANY)]
    expected = {f"l{number} {MANY + number + 1}" for number in range(MANY)}
    assert await brought(LINKS, events, monkeypatch) == expected


def test_each_kind_has_one_handler() -> None:
    registry = registry_for(Service(Settings()))
    plurals = {str(handler.selector.any_name or handler.selector.plural) for handler in registry._watching._handlers}
    assert len(registry._watching._handlers) == 3
    assert all(kind.plural in " ".join(plurals) for kind in (INSTANCES, COMMUNITIES, LINKS)), plurals
