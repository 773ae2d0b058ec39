"""WHO IS TO BE FORGOTTEN: requests of the set in force, each done once, also over restarts.

Noted is a digest of request and user, which names nobody. By the id alone a request with an id of before, but for
another user, would be told as done.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress

from portal.store import Store, StoreError
from portal.told import Key, Request

log = logging.getLogger("portal.erasures")

MOST_TOLD = 50
REMEMBERED = 10_000
"""Of requests that nobody asks for any more: a Secret that is restored may have them again. There is a bound, as a
Community may ask anew all day."""

Asked = Mapping[str, Request]


class Erasures:
    """`forget` erases all of one user, and may be done again."""

    def __init__(self, store: Store, forget: Callable[[Key], Awaitable[int]]) -> None:
        self._store, self._forget = store, forget
        self._done: dict[str, None] = {}  # the newest last

    async def recall(self) -> None:
        """What was done before the portal ended. Raises StoreError."""
        self._done = dict.fromkeys(await self._store.run(_noted))

    def done(self, asked: Asked) -> list[str]:
        """Of what is asked for now, what is done, as far as it can be told: the newest of each Community in turn, so
        that none hides another one's behind those that it leaves there."""
        if not asked:
            return []
        open_ids = {request for digest, (request, _) in asked.items() if digest not in self._done}
        turns: Counter[str] = Counter()
        told: dict[str, int] = {}
        for request, (community, _) in (asked[digest] for digest in reversed(self._done) if digest in asked):
            if request not in open_ids:
                told.setdefault(request, turns[community])
                turns[community] += 1
        return sorted(told, key=told.__getitem__)[:MOST_TOLD]

    async def work(self, asked: Asked, now: float) -> None:
        """Does what is asked and not done. It is done once it is noted: whoever was killed in between does it again."""
        for digest, (request, key) in asked.items():
            if digest in self._done:
                continue
            try:
                await self._forget(key)
                await self._store.run(_note, digest, now)
            except StoreError as why:
                log.warning("not erased yet: %s", why)
                return
            self._done[digest] = None
            log.info("what was kept of a user is erased, as asked by request %s", request[:8])
        await self._drop_oldest(asked)

    async def _drop_oldest(self, asked: Collection[str]) -> None:
        if len(self._done) <= REMEMBERED:
            return
        past = [digest for digest in self._done if digest not in asked][:-REMEMBERED]
        with suppress(StoreError):  # the next time
            await self._store.run(_drop, past)
            for digest in past:
                del self._done[digest]


def _noted(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT id FROM erasures ORDER BY at")]


def _note(connection: sqlite3.Connection, digest: str, now: float) -> None:
    connection.execute("INSERT OR IGNORE INTO erasures VALUES (?, ?)", (digest, now))


def _drop(connection: sqlite3.Connection, digests: Iterable[str]) -> None:
    connection.executemany("DELETE FROM erasures WHERE id = ?", [(digest,) for digest in digests])
