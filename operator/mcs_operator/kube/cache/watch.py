"""Lists and watches of the children; of our three kinds a list of their metadata.

Kopf brings our three kinds, and its handlers hand them to the store. It tells neither when its list is complete nor
which deletions a list after a gap has missed, so their metadata are listed here as well: to know from when on decisions
are about the whole world, and to forget what is gone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from mcs_operator.kube.cache.child import BY_LABEL, OF_OURS, OF_USERS, TLS
from mcs_operator.kube.cache.store import Place, Store, place_of
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.parse.bounds import count, mapping, text
from mcs_operator.kube.parse.metadata import is_version, tidy
from mcs_operator.kube.resources import CHILDREN, CONFIG_MAPS, OURS, SECRETS, Object, Resource
from mcs_operator.kube.together import together
from mcs_operator.kube.wire import WatchEvent

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """Objects of one kind, all or by label or by field, in one namespace or (None) in all. ``bodies``: listed in full,
    because all of them are read and nobody else brings them."""

    resource: Resource
    label: tuple[str, str] | None = None
    field: tuple[str, str] | None = None
    bodies: bool = True
    namespace: str | None = None

    @property
    def ours(self) -> bool:
        """Whether these are of our three kinds: Kopf brings and watches them."""
        return self.resource in OURS

    @property
    def selectors(self) -> dict[str, str]:
        """As the client takes them."""
        selectors = {"labels": self.label, "fields": self.field}
        return {name: f"{pair[0]}={pair[1]}" for name, pair in selectors.items() if pair}

    @property
    def place(self) -> str:
        """The namespace, for a log."""
        return self.namespace or "all namespaces"

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether an object that is known already belongs here; what a field selects, no label does."""
        if self.ours:
            return True
        if self.label is not None:
            return labels.get(self.label[0]) == self.label[1]
        return all(labels.get(key) != value for key, value in BY_LABEL)


TLS_SECRETS = Scope(SECRETS, field=("type", TLS), bodies=False)

SCOPES: tuple[Scope, ...] = (
    *(Scope(resource, bodies=False) for resource in OURS),
    *(Scope(resource, OF_OURS) for resource in CHILDREN),
    Scope(CONFIG_MAPS, OF_USERS, bodies=False),
    Scope(SECRETS, OF_USERS, bodies=False),
    TLS_SECRETS,
)
"""Our three kinds (which Kopf brings), what we made, users files and certificates (of these two only the names, until
one of our objects names one)."""

RELIST_SECONDS = 600.0
BROKEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""How an answer fails that is not what an API server says: a proxy before it may answer anything."""
AT_ONCE = 50
"""Objects taken in before others have their turn: what a page brings must not hold up the webhook or an agent."""
LOOK_SECONDS = 0.05
"""Between two looks whether Kopf has brought what is listed."""
STALLED_SECONDS = 5.0
"""Where Kopf brings nothing for so long, it is asked whether the next object is still there."""
GAP_SECONDS = 1.0
"""Between Kopf's list after a gap and ours: it comes object by object, and is answered once."""
LONG_ENOUGH_SECONDS = 10.0
"""A watch that lasted as long may be begun anew at once. The API server itself ends each after five minutes."""


class Watcher:
    """Keeps the store true: one complete list, then watches, and a complete list again every ten minutes.

    ``ready`` is set once everything was listed, and Kopf has brought what is listed of our kinds: before that a
    decision would be about half a world, and would prune, allocate or refuse wrongly.
    """

    def __init__(
        self,
        api: Api,
        store: Store,
        namespaces: Sequence[str] = (),
        on_list: Callable[[], None] = lambda: None,
    ) -> None:
        self.ready = asyncio.Event()
        self._api, self._store, self._on_list = api, store, on_list
        places: Sequence[str | None] = namespaces or (None,)
        scopes = [replace(scope, namespace=place) for scope in SCOPES for place in places]
        self._ours = [scope for scope in scopes if scope.ours]
        self._children = [scope for scope in scopes if not scope.ours]
        self._gap = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            synced = group.create_task(together(*(self._sync(scope) for scope in self._ours)))
            since = await self._list_all(self._children)
            await synced
            self.ready.set()
            for scope, version in zip(self._children, since, strict=True):
                group.create_task(self._follow(scope, version))
            group.create_task(self._relist())
            group.create_task(self._sweep_after_gaps())

    async def list_once(self) -> None:
        """List everything, our kinds in full, for whoever looks once and has no Kopf."""
        await self._list_all([replace(scope, bodies=True) for scope in self._ours] + self._children)

    def note_gap(self) -> None:
        """Kopf, or one of our watches, has listed again: what went meanwhile, Kopf does not tell."""
        if self.ready.is_set():
            self._gap.set()

    async def _list_all(self, scopes: Sequence[Scope]) -> list[str]:
        """The lists' versions. What fails is listed again by itself: to begin anew with everything would be hardest on
        a server in trouble."""
        return await together(*(self._list(scope) for scope in scopes))

    async def _list(self, scope: Scope) -> str:
        """List until it succeeds; the list's version."""
        return await _persistently(partial(self._take_list, scope, partial(self._take, scope)))

    async def _take_list(self, scope: Scope, take: Callable[[Object], Object | None]) -> str:
        """List, a page at a time: all bodies at once would be gigabytes, if only for a moment."""
        listed: set[Place] = set()
        version = ""
        async for page, listed_at in self._api.pages(
            scope.resource, namespace=scope.namespace, metadata_only=not scope.bodies, **scope.selectors
        ):
            for number, body in enumerate(page, 1):  # items do not tell their kind; nothing here needs it
                taken = take(body)
                if taken is not None:
                    listed.add(place_of(taken))
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
            version = listed_at
        if not is_version(version):
            raise ValueError("a list without a version")
        self._store.sweep(scope.resource, listed, version, scope.covers, scope.namespace)
        return version

    def _take(self, scope: Scope, body: Object) -> Object | None:
        if scope.ours and not scope.bodies:
            return tidy(body)
        if not scope.bodies:
            return self._store.put(scope.resource, body, tls=scope.field is not None)
        return self._store.take(scope.resource, body)

    async def _sync(self, scope: Scope) -> None:
        """List one of our kinds, and wait until Kopf has brought all of it. Where it brings nothing more, either it is
        slow, or the next one went before Kopf listed; then nobody brings it."""
        missing = await _persistently(partial(self._missing, scope))
        since = time.monotonic()
        while missing:
            if self._store.has(scope.resource, missing[-1]):
                missing.pop()
                since = time.monotonic()
            elif time.monotonic() - since < STALLED_SECONDS:
                await asyncio.sleep(LOOK_SECONDS)
            elif await _persistently(partial(self._is_gone, scope.resource, missing[-1])):
                missing.pop()
            else:
                log.warning(
                    "%d of %s are listed, and Kopf has not brought them yet", len(missing), scope.resource.plural
                )
                since = time.monotonic()

    async def _is_gone(self, resource: Resource, metadata: Object) -> bool:
        live = await self._api.get(resource, metadata["namespace"], metadata["name"])
        return live is None or mapping(live.get("metadata")).get("uid") != metadata["uid"]

    async def _missing(self, scope: Scope) -> list[Object]:
        """List one of our kinds; what the store does not have yet in this version or a newer one, the first at the end:
        Kopf brings it about in this order."""
        missing: list[Object] = []

        def look(body: Object) -> Object | None:
            fit = tidy(body)
            if fit is not None and not self._store.has(scope.resource, fit["metadata"]):
                missing.append(_identified(fit["metadata"]))
            return fit

        await self._take_list(scope, look)
        return missing[::-1]

    async def _relist(self) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spread, not secrecy
            await self._list_all(self._ours + self._children)
            self._on_list()

    async def _sweep_after_gaps(self) -> None:
        while True:
            await self._gap.wait()
            await asyncio.sleep(GAP_SECONDS)
            self._gap.clear()
            await self._list_all(self._ours)

    async def _follow(self, scope: Scope, since: str) -> None:
        """Watch one kind for ever. Where the server has forgotten ``since``, list again: deletions were missed.

        A watch that ends early is a failure, also where it ends in good order: somebody between us and the server may
        end each of them at once, and would be asked hundreds of times a second.
        """
        failures = 0
        while True:
            begun, asked = time.monotonic(), None
            try:
                since = await self._watch(scope, since)
            except (NoAnswerError, *BROKEN) as error:
                log.info("watch of %s ended: %s", scope.resource.plural, str(error)[:200] or type(error).__name__)
            except ApiError as error:
                if error.status == 410 or error.reason == "Expired":
                    since = await self._list(scope)
                    self.note_gap()  # Kopf's watches have come to the same end
                else:
                    log.warning("watch of %s in %s: %s", scope.resource.plural, scope.place, error)
                asked = error.retry_after
            failures = 0 if time.monotonic() - begun > LONG_ENOUGH_SECONDS else failures + 1
            await asyncio.sleep(_delay(failures, asked) if failures else 0)

    async def _watch(self, scope: Scope, since: str) -> str:
        events = self._api.watch(
            scope.resource, since=since, namespace=scope.namespace, metadata_only=True, **scope.selectors
        )
        async for event in events:
            metadata = mapping(mapping(event.object).get("metadata"))
            if event.type == "ERROR":
                raise _as_error(event.object)
            if not is_version(metadata.get("resourceVersion")):
                raise ValueError("an event without a version")
            since = metadata["resourceVersion"]
            self._hear(scope, event)
        return since

    def _hear(self, scope: Scope, event: WatchEvent) -> None:
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            left = scope.label[0] if scope.label else ""
            self._store.take_event(scope.resource, event.type, event.object, tls=scope.field is not None, left=left)


def _identified(metadata: Object) -> Object:
    """What tells an object and its version: all that has to be held of a list of 25,000."""
    return {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}


def _as_error(told: object) -> ApiError:
    said = mapping(told)
    return ApiError(count(said.get("code"), 500), text(said.get("reason")), text(said.get("message")))


async def _persistently(attempt: Callable[[], Awaitable[T]]) -> T:
    failures = 0
    while True:
        try:
            return await attempt()
        except (ApiError, *BROKEN) as error:
            failures += 1
            log.warning("listing failed, trying again: %s", str(error)[:200] or type(error).__name__)
            await asyncio.sleep(_delay(failures, getattr(error, "retry_after", None)))


def _delay(failures: int, asked: float | None = None) -> float:
    """Seconds: 1, 2, 4… 30, jittered, and never less than the server asked for."""
    return max(asked or 0.0, min(30.0, 2.0 ** min(failures - 1, 5)) * random.uniform(0.5, 1.0))  # noqa: S311
