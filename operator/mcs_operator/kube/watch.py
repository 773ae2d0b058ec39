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

from mcs_operator.kube.client import (
    CHILDREN,
    CONFIG_MAPS,
    INSTANCES,
    OURS,
    SECRETS,
    Api,
    ApiError,
    Resource,
)
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.observe import take_body
from mcs_operator.kube.store import Place, Store, place_of
from mcs_operator.kube.together import together
from mcs_operator.settings import LABEL_MANAGED_BY, LABEL_USERS, OPERATOR

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
        return all(labels.get(key) != value for key, value in (OF_OURS, OF_USERS))


OF_OURS = (LABEL_MANAGED_BY, OPERATOR)
OF_USERS = (LABEL_USERS, "true")
TLS_SECRETS = Scope(SECRETS, field=("type", "kubernetes.io/tls"), bodies=False)

SCOPES: tuple[Scope, ...] = (
    *(Scope(resource) for resource in OURS),
    *(Scope(resource, OF_OURS) for resource in CHILDREN),
    Scope(CONFIG_MAPS, OF_USERS),
    Scope(SECRETS, OF_USERS),
    TLS_SECRETS,
)
"""Our three kinds, what we made, users files, and certificates (of those only the names, until one of our objects names
one)."""

RELIST_SECONDS = 600.0
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
            for body in page:  # items of a list do not tell their kind; nothing here needs it
                if scope.ours or not scope.bodies:
                    self._store.put(scope.resource, body)
                else:
                    take_body(self._store, scope.resource, body)
                listed.add(place_of(body))
            version = listed_at
        self._store.sweep(scope.resource, listed, version, scope.covers, scope.namespace)
        return version

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
            except (NoAnswerError, ValueError) as error:
                log.info("watch of %s ended: %s", scope.resource.plural, error)
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
            if event.type == "ERROR":
                raise ApiError(
                    int(event.object.get("code", 500)),
                    str(event.object.get("reason", "")),
                    str(event.object.get("message", "")),
                )
            metadata = event.object["metadata"]
            since = metadata["resourceVersion"]
            if event.type == "DELETED":
                self._store.drop(
                    scope.resource,
                    metadata["namespace"],
                    metadata["name"],
                    metadata["uid"],
                    metadata["resourceVersion"],
                )
            elif event.type in ("ADDED", "MODIFIED"):
                self._store.put(scope.resource, event.object)
        return since


async def _persistently(attempt: Callable[[], Awaitable[T]]) -> T:
    failures = 0
    while True:
        try:
            return await attempt()
        except ApiError as error:
            failures += 1
            log.warning("listing failed, trying again: %s", error)
            await asyncio.sleep(_delay(failures, error.retry_after))


def _delay(failures: int, asked: float | None = None) -> float:
    """Seconds: 1, 2, 4… 30, jittered, and never less than the server asked for."""
    return max(asked or 0.0, min(30.0, 2.0 ** min(failures - 1, 5)) * random.uniform(0.5, 1.0))  # noqa: S311
