"""Tasks that run beside the others: ended together, and supervised where none of them may ever end by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from typing import Any

log = logging.getLogger(__name__)


async def end_all(tasks: Iterable[asyncio.Future[Any] | None]) -> None:
    """Cancel these, and wait until all are at their end; what they raise then is told nobody."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class Supervisor:
    """Tasks none of which ends by itself. ``failed`` is set when one does: nobody would notice what it does no more,
    so the whole process ends and is started anew."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, work: Awaitable[None], name: str) -> None:
        """Run this until `end`."""
        self._tasks.append(asyncio.create_task(self._run(work, name), name=name))

    async def end(self) -> None:
        """End all of them."""
        await end_all(self._tasks)

    async def _run(self, work: Awaitable[None], name: str) -> None:
        try:
            await work
        except Exception:
            log.exception("the task %r, which must never end, has failed", name)
        self.failed.set()
