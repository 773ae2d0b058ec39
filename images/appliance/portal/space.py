"""HOW MUCH ROOM THERE IS, AND HOW FAST: the file system of the data volume, and the line that calls go over, too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path


def free_part(path: Path) -> float:
    """The free part of the file system, 0 to 1, of space and of files; 0 where nobody knows."""
    try:
        stat = os.statvfs(path)
    except OSError:
        return 0.0
    space = stat.f_bavail / stat.f_blocks if stat.f_blocks else 0.0
    return min(space, stat.f_favail / stat.f_files) if stat.f_files else space


class Space:
    """Asked at most once a second."""

    def __init__(self, path: Path, steady: Callable[[], float], look: Callable[[Path], float] = free_part) -> None:
        self._path, self._steady, self._look = path, steady, look
        self._seen: tuple[float, float] | None = None

    def free(self) -> float:
        now = self._steady()
        if self._seen is None or now - self._seen[0] >= 1:
            self._seen = now, self._look(self._path)
        return self._seen[1]


class Pace:
    """Files of all communities together take a part of the line at most, or calls would hear it.

    Transfers take turns by the piece, so that each gets the same. `rate` gives bytes per second, and may change.
    """

    def __init__(
        self,
        rate: Callable[[], float],
        steady: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate, self._steady, self._sleep = rate, steady, sleep
        self._due = 0.0

    async def take(self, size: int) -> None:
        """Returns when so many bytes may go."""
        now = self._steady()
        begin = max(self._due, now)
        self._due = begin + size / self._rate()
        if begin > now:
            await self._sleep(begin - now)
