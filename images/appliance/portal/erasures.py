"""WHO IS TO BE FORGOTTEN: requests of the set in force, each done once, also over restarts. Their ids name nobody."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping

from portal.store import Store, StoreError
from portal.told import Key

log = logging.getLogger("portal.erasures")


class Erasures:
    """`forget` erases all of one user, and may be done again."""

    def __init__(self, store: Store, forget: Callable[[Key], Awaitable[int]]) -> None:
        self._store, self._forget = store, forget
        self._done: set[str] = set()

    async def recall(self) -> None:
        """What was done before the portal ended. Raises StoreError."""
        self._done = await self._store.run(_noted)

    def done(self, asked: Mapping[str, Key]) -> list[str]:
        """Of what is asked for now, what is done."""
        return sorted(asked.keys() & self._done)

    async def work(self, asked: Mapping[str, Key], now: float) -> None:
        """Does what is asked and not done. It is done once it is noted: whoever was killed in between does it again."""
        for request, key in list(asked.items()):
            if request in self._done:
                continue
            try:
                await self._forget(key)
                await self._store.run(_note, request, now)
            except StoreError as why:
                log.warning("not erased yet: %s", why)
                return
            self._done.add(request)
            log.info("what was kept of a user is erased, as asked by request %s", request[:8])


def _noted(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT id FROM erasures")}


def _note(connection: sqlite3.Connection, request: str, now: float) -> None:
    connection.execute("INSERT OR IGNORE INTO erasures VALUES (?, ?)", (request, now))
