"""One OpenVPN server's management socket: what is asked there, how often, and how long an answer may take.

socket ──► lines ──► Reader.feed(line) ──► Established | Refused | Stir | Noise | Listing ──► whoever follows
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path

from mcs_operator.agent.inputs import Established, Gone
from mcs_operator.agent.lines import Event, GoodBye, Heard, Listing, Reader, Stir

MAX_LINE = 16 * 1024
"""OpenVPN's own longest message is under 5 KiB; a longer line means that this is not OpenVPN."""
PAST = 100
"""Lines of the log that are asked for at first: more than OpenVPN writes until its first client is let in."""
AT_ONCE = 25
"""Lines that are read before all other links have their turn, also where one of them never stops to talk."""

STATUS_EVERY = 10.0
"""Seconds between two lists when nothing happens: a safety net, and the resolution of the byte counters."""
ANSWER_WITHIN = 4.0
"""Seconds for an answer. A process that is slower is stuck, and so is its tunnel."""
ASK_AGAIN_AFTER = 0.25
"""Seconds between two lists when much happens."""
PARTING = (5.3, 6.3)
"""Seconds after a client's good-bye at which it may have left the list: OpenVPN waits for five, by whole seconds."""


class NotOpenVPNError(Exception):
    """What is at the other end does not speak as OpenVPN does."""


async def converse(path: Path, hear: Callable[[Heard], None]) -> None:
    """Read one OpenVPN from connect to the end of it; then ``hear(Gone())``, and return.

    Raises OSError where nobody listens. Ends also when OpenVPN does not answer in time, or answers nonsense.
    """
    reader, writer = await _connection(path)
    try:
        await _Conversation(reader, writer, hear).run()
    except (OSError, TimeoutError, NotOpenVPNError, asyncio.IncompleteReadError):
        pass  # whatever it was, this process is not to be read any more, which is what Gone says
    finally:
        writer.transport.abort()
        hear(Gone())


async def _connection(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the socket that lies here, and to none that a link here leads to: by one, a slot could have its neighbour's
    OpenVPN read in its name, and keep the agent from it, as OpenVPN speaks with one at a time."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, "not a socket")
        # By the descriptor, for the path may lead elsewhere by now.
        return await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}", limit=MAX_LINE)
    finally:
        os.close(descriptor)


class _Conversation:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[Heard], None]
    ) -> None:
        self._input, self._output, self._hear = reader, writer, hear
        self._reader = Reader()
        self._loop = asyncio.get_running_loop()
        self._asked: float | None = None
        """When the list was asked for that has not come yet."""
        self._ask_at = self._loop.time()
        self._parting: list[float] = []
        """When a client may have left that said good-bye."""
        self._answered_at = 0.0
        self._stirred = False
        """Whether something happened since the list was asked for."""

    async def run(self) -> None:
        self._output.write(f"verb 2\nlog on\nlog {PAST}\n".encode())
        for count in itertools.count():
            if count % AT_ONCE == 0:
                await asyncio.sleep(0)  # lines that are there already are read without waiting for anything
            self._ask_if_due()
            due = min([self._ask_at, *self._parting])
            deadline = self._asked + ANSWER_WITHIN if self._asked is not None else due
            try:
                async with asyncio.timeout_at(deadline):
                    line = await self._line()
            except TimeoutError:
                if self._asked is not None:
                    raise
                continue
            event = self._reader.feed(line)
            if event is not None:
                self._take(event)

    def _take(self, event: Event) -> None:
        now = self._loop.time()
        if isinstance(event, Listing):
            # A list that was asked for before something else happened may be older than that: ask again.
            self._ask_at = now + (ASK_AGAIN_AFTER if self._stirred else STATUS_EVERY)
            self._asked, self._stirred, self._answered_at = None, False, now
        elif isinstance(event, GoodBye):
            self._parting = [now + seconds for seconds in PARTING]
        elif isinstance(event, Stir | Established):
            self._stirred = self._asked is not None
            self._ask_at = max(now, self._answered_at + ASK_AGAIN_AFTER)
        if not isinstance(event, Stir | GoodBye):
            self._hear(event)

    def _ask_if_due(self) -> None:
        now = self._loop.time()
        if self._asked is None and now >= min([self._ask_at, *self._parting]):
            if self._output.transport.get_write_buffer_size() > MAX_LINE:
                raise NotOpenVPNError  # it talks and never listens
            self._asked = now
            self._parting = [moment for moment in self._parting if moment > now]
            self._output.write(b"status 3\n")

    async def _line(self) -> str:
        try:
            raw = await self._input.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise NotOpenVPNError from error
        return raw.decode("utf-8", "replace").rstrip("\r\n")


async def follow(path: Path, hear: Callable[[Heard], None], *, pause: float = 0.25) -> None:
    """Converse with whoever listens at this path, for ever; look every ``pause`` seconds while nobody does.

    The pause is short because a client that connects before we do is known only by list and log, without its
    certificate.
    """
    while True:
        try:
            await converse(path, hear)
        except OSError:
            hear(Gone())  # also of a tunnel that is only remembered from before this agent was restarted
        await asyncio.sleep(pause)
