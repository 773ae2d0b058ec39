"""The appliance's HTTP contract, seen from beside it: what it says of itself, and the order to drain.

It may be absent, restarting or slow at any time; then nothing is known about it, and everything else goes on.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import aiohttp
from pydantic import ValidationError

from mcs_operator.agent.board import Board
from mcs_operator.domain.linkstate import MediaState

EVERY = 1.0
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_MAX_ANSWER = 64 * 1024


class Media:
    """A client of one appliance at this URL (loopback)."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Media:
        # No proxy from the environment, and one connection at a time: it is a neighbour on loopback.
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open().close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use `async with`")
        return self._session

    async def state(self) -> MediaState | None:
        """What it says now; None if it does not answer, or not as agreed."""
        try:
            async with self._open().get(f"{self._url}/connections") as response:
                if response.status != 200:
                    return None
                return MediaState.model_validate_json(await _body(response))
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError):
            return None

    async def drain(self, method: Literal["POST", "DELETE"]) -> tuple[int, bytes]:
        """Pass the order on; the appliance's own answer, or 502 where it gives none."""
        try:
            async with self._open().request(method, f"{self._url}/drain") as response:
                return response.status, await _body(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 502, f'{{"error": "the appliance does not answer: {type(error).__name__}"}}'.encode()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    # `read(n)` gives what is there by then, which may be a part.
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _MAX_ANSWER:
            raise aiohttp.ClientPayloadError("too long an answer")
    return bytes(body)


async def watch(media: Media, board: Board, every: float = EVERY) -> None:
    """Keep the board's word about the media up to date."""
    while True:
        board.media_says(await media.state())
        await asyncio.sleep(every)
