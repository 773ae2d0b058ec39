"""WHAT WE ASK OF THE GATE: to cut who may not be connected any more, and who is connected.

A gate that does not answer ends nothing here. Whoever it lets in when it is back, it asks us about first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from portal import foreign

log = logging.getLogger("portal.gate")

Pairs = frozenset[tuple[str, str]]
"""(user, session)"""
_TIMEOUT = aiohttp.ClientTimeout(total=2)
_MOST_CUTS = 1000


@dataclass(frozen=True)
class Counts:
    """`participants` by community. `rooms`: who is in which, by (community, call); None where the gate does not say."""

    participants: Mapping[str, int]
    rooms: Mapping[tuple[str, str], Pairs] | None


class Gate:
    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession
        self._cuts: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        connector = aiohttp.UnixConnector(str(self._socket), limit=20)
        self._session = aiohttp.ClientSession("http://gate", connector=connector, timeout=_TIMEOUT)

    async def close(self) -> None:
        if self._cuts:
            await asyncio.wait(self._cuts, timeout=0.3)
        for task in list(self._cuts):
            task.cancel()
        await self._session.close()

    def cut(self, community: str, **what: str) -> None:
        """`user`, `session` and `call`, what is known of it. Done aside, thrice if need be."""
        if len(self._cuts) < _MOST_CUTS:
            task = asyncio.create_task(self._cut({"community": community} | what))
            self._cuts.add(task)
            task.add_done_callback(self._cuts.discard)

    async def counts(self) -> Counts | None:
        """None when the gate does not answer."""
        try:
            async with self._session.get("/counts") as answer:
                return understood(await answer.read()) if answer.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def _cut(self, what: dict[str, str]) -> None:
        for pause in (0.2, 1.0, None):
            try:
                async with self._session.post("/cut", json=what) as answer:
                    if answer.status < 500:
                        return
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            if pause:
                await asyncio.sleep(pause)
        log.warning("the gate did not take an order to cut")


def understood(content: bytes) -> Counts | None:
    """The answer to GET /counts. Total."""
    document = foreign.document(content)
    participants = document.get("participants") if document else None
    if document is None or not isinstance(participants, dict):
        return None
    counted = {name: count for name, count in participants.items() if type(count) is int}
    rooms = document.get("rooms")
    return Counts(counted, _rooms(rooms) if isinstance(rooms, dict) else None)


def _rooms(rooms: dict[str, Any]) -> dict[tuple[str, str], Pairs]:
    found = {}
    for name, entries in rooms.items():
        community, _, call = name.rpartition("/")
        found[community, call] = pairs(entries)
    return found


def pairs(entries: object) -> Pairs:
    """[{"user","session"}] as pairs; what is none of it is left out."""
    if not isinstance(entries, list):
        return frozenset()
    found = ((entry.get("user"), entry.get("session")) for entry in entries[:1000] if isinstance(entry, dict))
    return frozenset((user, session) for user, session in found if isinstance(user, str) and isinstance(session, str))
