"""OUR OWN PARTS: starts them, starts anew which dies, ends all of them.

Each dies alone. Only the media server may end the whole appliance, when it dies again and again: a container that the
kubelet starts anew has other ports, another key and a clean memory, and without calls there is nothing to save.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("parts")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
"""Seconds before a part is started anew; twice as long each time, until it has run for STABLE. A call is to have its
signalling back within ten seconds, and the start takes some of them."""
STABLE = 30.0
MINUTE = 60.0


@dataclass(frozen=True)
class Part:
    """A program of ours.

    `address_space` is a limit of its memory in bytes, `nice` how much it gives way to others; `needs` has to be there,
    or it is not started; `patience` is how long it may take to end. `deaths` within a minute, if any, are too many.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    needs: Path
    address_space: int | None = None
    nice: int = 0
    patience: float = 2.0
    deaths: int | None = None

    def argv(self) -> list[str]:
        """The limits are set by programs on the way, which become the part: code of ours between fork and exec could
        hang, since this process has threads."""
        limit = ["prlimit", f"--as={self.address_space}"] if self.address_space else []
        return [*limit, *(["nice", "-n", str(self.nice)] if self.nice else []), *self.command]


@dataclass
class Parts:
    """All of them. Nothing runs before start()."""

    home: Path
    hopeless: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when one that all calls need has died too often."""
    started: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, parts: Sequence[Part]) -> None:
        """Starts them, and keeps them running until stop()."""
        self.started = True
        for part in parts:
            if part.needs.exists():
                self._tasks.append(asyncio.create_task(self._keep(part), name=part.name))
            else:
                log.warning("%s is not part of this image", part.name)

    async def stop(self) -> None:
        """Ends all of them at once, each within its patience."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _keep(self, part: Part) -> None:
        pause, deaths = FIRST_PAUSE, deque[float](maxlen=part.deaths or 1)
        while True:
            began = time.monotonic()
            status = await self._run(part)
            now = time.monotonic()
            log.error("%s ended after %.0f s with status %s and is started anew", part.name, now - began, status)
            deaths.append(now)
            if part.deaths and len(deaths) == part.deaths and now - deaths[0] < MINUTE:
                log.error("%s died %d times within a minute", part.name, part.deaths)
                self.hopeless.set()
                return
            pause = FIRST_PAUSE if now - began >= STABLE else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, part: Part) -> int | str:
        """Until it ends; when this is cancelled, it is ended."""
        try:
            process = await asyncio.create_subprocess_exec(
                *part.argv(), cwd=self.home, env=dict(part.environment), stdin=asyncio.subprocess.DEVNULL
            )
        except OSError as why:
            return str(why)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), part.patience)
                except TimeoutError:
                    process.kill()
                    await process.wait()
