"""WHAT IS NOT KEPT ANY LONGER: once an hour, in small pieces, so that nobody waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace

from portal import files, people
from portal.files import Files
from portal.limits import DAY, HOUR, Quota
from portal.store import Store
from portal.told import Key, World

AT_ONCE = 200
"""Rows per transaction: some milliseconds."""


DECLARED = 7 * DAY
"""For so long a time holds that is declared no more: an operator of before knows nothing of it, says nothing, and would
have what is older than the default erased."""
_TIMES = {"chatSeconds": "chat_seconds", "fileSeconds": "file_seconds"}


async def in_force(store: Store, quota: Quota, declared: object, now: float) -> Quota:
    """`quota` by which is erased now; it follows from what is `declared`. Raises StoreError."""
    said = declared if isinstance(declared, dict) else {}
    times = {name: getattr(quota, field) for name, field in _TIMES.items()}
    before = await store.run(_declared, {name: times[name] for name in times.keys() & said.keys()}, now)
    longer = {name: max(times[name], before[name]) for name in (before.keys() & times.keys()) - said.keys()}
    return replace(quota, **{_TIMES[name]: seconds for name, seconds in longer.items()})


def _declared(connection: sqlite3.Connection, said: dict[str, float], now: float) -> dict[str, float]:
    """What was declared last, and not too long ago. Writes once a day, or what is new."""
    rows = connection.execute("SELECT name, seconds, at FROM declared").fetchall()
    fresh = {name: seconds for name, seconds, at in rows if abs(now - at) < DAY}
    new = [(name, seconds, now) for name, seconds in said.items() if fresh.get(name) != seconds]
    connection.executemany("INSERT OR REPLACE INTO declared VALUES (?, ?, ?)", new)
    return {name: seconds for name, seconds, at in rows if now - at < DECLARED}


async def clean(store: Store, kept: Files, quota: Quota, world: World, now: float) -> None:
    """Deletes what is too old. `world` is the set in force."""
    await _in_pieces(store, _old_messages, now - quota.chat_seconds)
    await _in_pieces(store, _old_missed, now - quota.chat_seconds)
    await _in_pieces(store, _old_calls, now - quota.chat_seconds)
    await _in_pieces(store, _old_conversations, now - quota.chat_seconds)
    while ids := await store.run(_old_files, now - quota.file_seconds):
        await asyncio.to_thread(kept.delete, ids)
    await store.run(people.note_absent, world.has, now)
    for key in await store.run(people.long_gone, now - quota.gone_seconds):
        await forget(store, kept, key)
    known = await store.run(files.all_ids)
    await asyncio.to_thread(kept.sweep, known, now - HOUR)


async def forget(store: Store, kept: Files, key: Key) -> int:
    """Erases all of one user, and what the write-ahead log still has of it. Gives the number of his files."""
    ids = await store.run(people.forget, *key)
    await asyncio.to_thread(kept.delete, ids)
    await store.checkpoint()
    return len(ids)


async def _in_pieces(store: Store, delete: Callable[[sqlite3.Connection, float], int], before: float) -> None:
    while await store.run(delete, before) >= AT_ONCE:
        pass


def _old_messages(connection: sqlite3.Connection, before: float) -> int:
    # Ids begin with the time: the oldest come first, without an index of their own.
    oldest = "SELECT id FROM messages WHERE id < ? ORDER BY id LIMIT ?"
    bound = f"{max(0, int(before * 1_000_000)):014x}"
    return connection.execute(f"DELETE FROM messages WHERE id IN ({oldest})", (bound, AT_ONCE)).rowcount  # noqa: S608


def _old_missed(connection: sqlite3.Connection, before: float) -> int:
    oldest = "SELECT id FROM missed WHERE at < ? LIMIT ?"
    return connection.execute(f"DELETE FROM missed WHERE id IN ({oldest})", (before, AT_ONCE)).rowcount  # noqa: S608


def _old_calls(connection: sqlite3.Connection, before: float) -> int:
    ended = [row[0] for row in connection.execute("SELECT id FROM calls WHERE ended < ? LIMIT ?", (before, AT_ONCE))]
    for call_id in ended:
        connection.execute("DELETE FROM call_members WHERE call = ?", [call_id])
        connection.execute("DELETE FROM calls WHERE id = ?", [call_id])
    return len(ended)


def _old_conversations(connection: sqlite3.Connection, before: float) -> int:
    oldest = "SELECT community, user, other FROM conversations WHERE at < ? LIMIT ?"
    return connection.execute(
        f"DELETE FROM conversations WHERE (community, user, other) IN ({oldest})",  # noqa: S608
        (before, AT_ONCE),
    ).rowcount


def _old_files(connection: sqlite3.Connection, before: float) -> list[str]:
    old = [row[0] for row in connection.execute("SELECT id FROM files WHERE at < ? LIMIT ?", (before, AT_ONCE))]
    connection.executemany("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in old])
    return old
