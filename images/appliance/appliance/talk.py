"""WHO TALKS NOW: asks portal and gate, by their inner sockets, what a restart would cut."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 1.0
LARGEST_ANSWER = 4 * 1024 * 1024
MOST_ERASED = 50
"""The link agent takes 64 KiB for the whole report."""
STALE = 60.0
"""Seconds for which the last answer counts: a part that is started anew ends no call."""


@dataclass(frozen=True)
class Counts:
    """By community; `logins` is None while the portal does not say how many users can log in."""

    participants: Mapping[str, int] = field(default_factory=dict)
    ringing: Mapping[str, int] = field(default_factory=dict)
    transfers: Mapping[str, int] = field(default_factory=dict)
    logins: Mapping[str, int] | None = None
    erased: tuple[str, ...] = ()
    """Requests to erase a user's data that are done, by their ids."""

    def open(self) -> dict[str, int]:
        """What a restart would cut, where it is something."""
        total = Counter(self.participants) + Counter(self.ringing) + Counter(self.transfers)
        return dict(sorted(total.items()))


@dataclass
class Talk:
    """The two parts that know; their last answers are kept for a while."""

    run_dir: Path
    _last: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    async def counts(self) -> Counts:
        """Asks both."""
        gate, portal = await asyncio.gather(self._ask("gate-inner.sock"), self._ask("portal-inner.sock"))
        logins = numbers(portal["logins"]) if "logins" in portal else None
        found = [numbers(said.get(name)) for said, name in ((gate, "participants"), (portal, "ringing"))]
        return Counts(found[0], found[1], numbers(portal.get("transfers")), logins, _ids(portal.get("erased")))

    async def usage(self) -> tuple[dict[str, Any], dict[str, int]]:
        """What the portal says of each community, and who is connected to calls of it."""
        portal, gate = await asyncio.gather(self._ask("portal-inner.sock", "/usage"), self._ask("gate-inner.sock"))
        return portal, numbers(gate.get("participants"))

    async def _ask(self, name: str, what: str = "/counts") -> dict[str, Any]:
        key = name + what
        try:
            async with asyncio.timeout(TIMEOUT):
                said = await ask(self.run_dir / name, what)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            when, last = self._last.get(key, (0.0, {}))
            return last if time.monotonic() - when < STALE else {}
        self._last[key] = time.monotonic(), said
        return said


async def ask(path: Path, what: str) -> dict[str, Any]:
    """One question by HTTP. Raises OSError, ValueError and asyncio's errors of reading."""
    reader, writer = await asyncio.open_unix_connection(path, limit=64 * 1024)
    try:
        # HTTP/1.0: the answer ends with the connection.
        writer.write(f"GET {what} HTTP/1.0\r\nHost: inner\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = bytearray()
        while len(body) <= LARGEST_ANSWER and (part := await reader.read(65536)):
            body += part
    finally:
        writer.close()
    status = head.split(b" ", 2)[1:2]
    said = json.loads(body) if status == [b"200"] and len(body) <= LARGEST_ANSWER else None
    if not isinstance(said, dict):
        raise ValueError("no answer")
    return said


def _ids(value: object) -> tuple[str, ...]:
    entries = value[:MOST_ERASED] if isinstance(value, list) else []
    return tuple(entry for entry in entries if isinstance(entry, str) and len(entry) == 32)


def numbers(value: object, most: int = 10**9) -> dict[str, int]:
    """The numbers by name that this is; what is none is left out."""
    if not isinstance(value, dict):
        return {}
    return {name: n for name, n in value.items() if isinstance(name, str) and type(n) is int and 0 <= n < most}
