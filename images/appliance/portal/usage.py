"""HOW MUCH IS USED, of each community: how long it talked, kept over a restart, and what it stores. Names nobody."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from portal.calls import Call
from portal.limits import Quota
from portal.store import Store
from portal.told import World

KEPT_EVERY = 15.0
"""Seconds of talk that are not counted after a portal was killed, at most."""
LONGEST_STEP = 5.0
"""Of a longer time between two looks nobody knows whether anybody talked."""
CAUSES = {
    "draining": "Draining",
    "no-bandwidth": "NoBandwidth",
    "not-allowed": "NotAllowed",
    "too-many": "TooMany",
    "community-full": "CommunityLimitExceeded",
}
"""Refusals of a call that are counted, by the word of the API. That somebody is busy is no refusal of ours."""


class Usage:
    """What is counted while it happens."""

    def __init__(self, store: Store, steady: Callable[[], float]) -> None:
        self._store, self._steady = store, steady
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._refused: Counter[str] = Counter()
        self._fresh: set[str] = set()
        self._looked = self._kept = steady()

    async def recall(self) -> None:
        """What was counted before the portal ended. Raises StoreError."""
        self._seconds.update(await self._store.run(_seconds))

    def refuse(self, word: str) -> None:
        if word in CAUSES:
            self._refused[CAUSES[word]] += 1

    def tick(self, calls: Iterable[Call]) -> None:
        now = self._steady()
        step, self._looked = min(now - self._looked, LONGEST_STEP), now
        for call in calls:
            if _is_talk(call):
                self._seconds[call.community] += step
                self._fresh.add(call.community)
        if now - self._kept >= KEPT_EVERY:
            self._kept = now
            self.keep()

    def keep(self) -> None:
        fresh = {community: self._seconds[community] for community in self._fresh}
        self._fresh.clear()
        if fresh:
            self._store.post(_put_seconds, fresh)

    async def told(self, calls: Iterable[Call], world: World, quota: Quota) -> dict[str, Any]:
        """For the supervisor. Raises StoreError. Seconds are told once they are kept: were the counter lower after the
        portal was killed, Prometheus would take it for one that began anew, and add all of it once more."""
        stored, kept = await self._store.run(_stored), await self._store.run(_seconds)
        talks = Counter(call.community for call in calls if _is_talk(call))
        communities = {}
        for name in (community.name for community in world.communities.values() if community.portal):
            chat, files = stored.get(name, (0, 0))
            used = {"calls": talks[name], "callSeconds": int(kept.get(name, 0))}
            communities[name] = used | {"chatBytes": chat, "fileBytes": files}
        return {
            "communities": communities,
            "refused": {cause: self._refused[cause] for cause in CAUSES.values()},
            "quota": {"chatBytes": quota.chat_bytes, "fileBytes": quota.community_bytes},
            "retention": {"chatSeconds": int(quota.chat_seconds), "fileSeconds": int(quota.file_seconds)},
        }


def _is_talk(call: Call) -> bool:
    """Whether two are connected at least: who waits until somebody answers, or talks to nobody, is in no call."""
    return len({user for user, _ in call.connected}) > 1


def _seconds(connection: sqlite3.Connection) -> dict[str, float]:
    return dict(connection.execute("SELECT community, seconds FROM talk").fetchall())


def _put_seconds(connection: sqlite3.Connection, seconds: dict[str, float]) -> None:
    connection.executemany(
        "INSERT INTO talk VALUES (?, ?) ON CONFLICT (community) DO UPDATE SET seconds = max(seconds, excluded.seconds)",
        list(seconds.items()),
    )


def _stored(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    return {row[0]: row[1:] for row in connection.execute("SELECT community, chat, files FROM usage")}
