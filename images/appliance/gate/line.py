"""ONE BROWSER'S CONNECTION: what comes from there is judged, what goes there is made fit for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType
from aiohttp.web import WebSocketResponse
from livekit.protocol import rtc

from gate import functions, signalling
from gate.budget import Budget
from gate.functions import Refusal, Rights
from gate.signalling import View

LARGEST = 1024 * 1024
"""Bytes of one message."""
RATE, BURST = 50.0, 500.0
"""Messages in a second, for long and at once: a page that asks more is none of ours."""


@dataclass(eq=False)
class Line:
    """`rights` are asked anew for each message, so that what is taken away counts at once; `tracks` belongs to the
    participant, who may have had other connections."""

    down: WebSocketResponse
    up: ClientWebSocketResponse
    rights: Callable[[], Rights]
    view: View
    refusals: Counter[str]
    tracks: Callable[[], Budget]
    is_over: bool = False
    """Whether it ended because somebody left: not by a broken connection, after which he comes back."""
    _budget: Budget = field(default_factory=lambda: Budget(RATE, BURST))
    _hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self) -> None:
        """Until one of both sides ends it, or a request that must end it comes."""
        ways = [asyncio.create_task(way) for way in (self._upward(), self._downward(), self._hung_up.wait())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await self.up.close()
            await self.down.close(code=WSCloseCode.GOING_AWAY)

    def hang_up(self) -> None:
        """Ends it soon."""
        self._hung_up.set()

    async def _upward(self) -> None:
        async for message in self.down:
            if not self._budget.spend(time.monotonic()):
                self.refusals["TooMany"] += 1
                return
            if message.type is not WSMsgType.BINARY:
                self.refusals["NotBinary"] += 1
                continue
            asked = signalling.request(message.data)
            if asked is None:
                self.refusals["Unreadable"] += 1
                return
            kind = asked.WhichOneof("message")
            if kind in functions.UNHEARD:
                continue
            found = functions.refusal(asked, self.rights())
            if kind == "add_track" and not found and not self.tracks().spend(time.monotonic()):
                found = functions.TOO_MANY_TRACKS
            if found:
                self.refusals[found.reason] += 1
                if found.ends:
                    return
                await self._refuse(asked, found)
                continue
            self.is_over = self.is_over or kind == "leave"
            await self.up.send_bytes(signalling.passed_on(asked))

    async def _refuse(self, asked: rtc.SignalRequest, found: Refusal) -> None:
        if asked.WhichOneof("message") == "add_track":
            await self.down.send_bytes(signalling.refused(asked, found.message))

    async def _downward(self) -> None:
        async for message in self.up:
            if message.type is not WSMsgType.BINARY:
                continue
            said = signalling.for_browser(message.data, self.view)
            self.is_over = self.is_over or said.is_last
            if said.content is not None:
                await self.down.send_bytes(said.content)
