"""Lists of everything, and watches of all but the instances: they feed the store.

Our own and not Kopf's, which runs a task and copies the body for each object: that suits a hundred instances, not
their 25,000 links and 50,000 Secrets. Children are watched as metadata only.
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
from mcs_operator.kube.client import Api, ApiError, WatchEvent
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.parse.bounds import count, mapping, text
from mcs_operator.kube.parse.metadata import is_version, tidy
from mcs_operator.kube.resources import CHILDREN, CONFIG_MAPS, INSTANCES, OURS, SECRETS, Object, Resource
from mcs_operator.kube.together import together

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """Objects of one kind, all or by label or by field, in one namespace or (None) in all. ``bodies``: listed in full,
    because all of them are read."""

    resource: Resource
    label: tuple[str, str] | None = None
    field: tuple[str, str] | None = None
    bodies: bool = True
    namespace: str | None = None

    @property
    def ours(self) -> bool:
        """Whether these are of our three kinds: all of them, in full, also when they change."""
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
    *(Scope(resource) for resource in OURS),
    *(Scope(resource, OF_OURS) for resource in CHILDREN),
    Scope(CONFIG_MAPS, OF_USERS, bodies=False),
    Scope(SECRETS, OF_USERS, bodies=False),
    TLS_SECRETS,
)
"""Our three kinds, what we made, users files and certificates (of these two only the names, until one of our objects
names one)."""

RELIST_SECONDS = 600.0
BROKEN = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""How an answer fails that is not what an API server says: a proxy before it may answer anything."""
AT_ONCE = 50
"""Objects taken in before others have their turn: what a page brings must not hold up the webhook or an agent."""
LONG_ENOUGH_SECONDS = 10.0
"""A watch that lasted as long may be begun anew at once. The API server itself ends each after five minutes."""


class Watcher:
    """Keeps the store true: one complete list, then watches, and a complete list again every ten minutes.

    ``ready`` is set once everything was listed: before that a decision would be about half a world, and would
    prune, allocate or refuse wrongly.
    """

    def __init__(
        self,
        api: Api,
        store: Store,
        namespaces: Sequence[str] = (),
        on_list: Callable[[], None] = lambda: None,
    ) -> None:
        self.ready = asyncio.Event()
        self._places: Sequence[str | None] = namespaces or (None,)
        self._api, self._store, self._on_list = api, store, on_list

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            since = await self._list_everything()
            self.ready.set()
            for scope in self._scopes():
                if scope.resource == INSTANCES:
                    continue  # Kopf tells of them
                group.create_task(self._follow(scope, since[scope]))
            group.create_task(self._relist())

    async def _list_everything(self) -> dict[Scope, str]:
        """List our kinds and all children with their bodies; the versions from which to watch the children.

        What fails is listed again by itself: to begin anew with everything would be hardest on a server in trouble.
        """
        scopes = self._scopes()
        versions = await together(*(_persistently(partial(self._list, scope)) for scope in scopes))
        return dict(zip(scopes, versions, strict=True))

    def _scopes(self) -> list[Scope]:
        return [replace(scope, namespace=place) for scope in SCOPES for place in self._places]

    async def _list(self, scope: Scope) -> str:
        """List, a page at a time: all bodies at once would be gigabytes, if only for a moment."""
        listed: set[Place] = set()
        version = ""
        async for page, listed_at in self._api.pages(
            scope.resource, namespace=scope.namespace, metadata_only=not scope.bodies, **scope.selectors
        ):
            for number, body in enumerate(page, 1):  # items do not tell their kind; nothing here needs it
                taken = self._take(scope, body)
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
        if not scope.bodies:
            return self._store.put(scope.resource, body, tls=scope.field is not None)
        return self._store.take(scope.resource, body)

    async def _relist(self) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spread, not secrecy
            await self._list_everything()
            self._on_list()

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
                    since = await _persistently(partial(self._list, scope))
                else:
                    log.warning("watch of %s in %s: %s", scope.resource.plural, scope.place, error)
                asked = error.retry_after
            failures = 0 if time.monotonic() - begun > LONG_ENOUGH_SECONDS else failures + 1
            await asyncio.sleep(_delay(failures, asked) if failures else 0)

    async def _watch(self, scope: Scope, since: str) -> str:
        events = self._api.watch(
            scope.resource, since=since, namespace=scope.namespace, metadata_only=not scope.ours, **scope.selectors
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
        if event.type in ("ADDED", "MODIFIED"):
            self._store.put(scope.resource, event.object, tls=scope.field is not None)
        elif event.type == "DELETED" and (gone := tidy(event.object)) is not None:
            metadata, left = gone["metadata"], scope.label[0] if scope.label else ""
            self._store.drop(
                scope.resource,
                metadata["namespace"],
                metadata["name"],
                metadata["uid"],
                metadata["resourceVersion"],
                left,
            )


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
