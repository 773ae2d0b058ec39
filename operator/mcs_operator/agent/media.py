"""The appliance's HTTP contract, seen from beside it: what it says of itself, and the order to drain.

It may be absent, restarting or slow at any time; then nothing is known about it, and everything else goes on. It runs
what customers send it, so its answers are taken over within bounds. A long error is cut: were the whole answer refused,
the media would be taken for dead, and restarted without letting calls end.
"""

from __future__ import annotations

import asyncio
import time
from typing import Literal

import aiohttp

from mcs_operator.agent import foreign, usage
from mcs_operator.agent.board import Board
from mcs_operator.agent.usage import Usage
from mcs_operator.contract.linkstate import DRAIN_UNTIL, MAX_MESSAGE, MediaState

EVERY = 1.0
USAGE_EVERY = 10.0
_TIMEOUT = aiohttp.ClientTimeout(total=3)
SILENCE = 10.0
"""Seconds for which its last word stands while it is too busy to answer. A process that is gone refuses at once."""
_MAX_ANSWER = 64 * 1024


class Media:
    """A client of one appliance at this URL (loopback)."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._last: MediaState | None = None
        self._heard = 0.0

    async def __aenter__(self) -> Media:
        # No proxy from the environment, and one connection at a time: it is a neighbour on loopback.
        # What it sends is not unpacked: a few bytes may stand for gigabytes.
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
        )
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
            # Where it would send us on to is no business of ours: the agent reaches more than the appliance does.
            async with self._open().get(f"{self._url}/connections", allow_redirects=False) as response:
                self._last = parse(await _body(response)) if response.status == 200 else None
            self._heard = time.monotonic()
            return self._last
        except TimeoutError:  # were it taken for dead, a drain would be over, and with it every call
            return self._last if time.monotonic() - self._heard < SILENCE else None
        except (aiohttp.ClientError, OSError, ValueError):
            return None

    async def usage(self) -> Usage | None:
        """What each customer uses; None where it does not say."""
        try:
            async with self._open().get(f"{self._url}/usage", allow_redirects=False) as response:
                return usage.parse(await _body(response)) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    async def drain(self, method: Literal["POST", "DELETE"], until: str = "") -> tuple[int, bytes]:
        """Pass the order on; the appliance's own answer, or 502 where it gives none."""
        said, url = {DRAIN_UNTIL: until} if until else {}, f"{self._url}/drain"
        try:
            async with self._open().request(method, url, headers=said, allow_redirects=False) as response:
                body = await _body(response)
                return (response.status, body) if 200 <= response.status < 600 else (502, b"")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return 502, f'{{"error": "the appliance does not answer: {type(error).__name__}"}}'.encode()


def parse(raw: bytes) -> MediaState | None:
    """The appliance's word as a value; None if it is none, or names no number of connections. Never raises."""
    said = foreign.parsed(raw)
    connections = foreign.whole(said.get("connections", 0)) if isinstance(said, dict) else None
    if connections is None:
        return None
    told = {
        "connections": connections,
        "draining": said.get("draining") is True,
        "config": foreign.plain(said.get("config")),
        "users": foreign.whole(said.get("users")) or 0,
        "links": foreign.whole(said.get("links")) or 0,
        "error": foreign.plain(said.get("error"), MAX_MESSAGE),
        "refused": said.get("refused"),  # of these the model itself takes what is as agreed
        "notTaken": said.get("notTaken"),
        "outOfService": said.get("outOfService"),
        "size": said.get("size"),
        "contract": said.get("contract"),
        "portals": said.get("portals"),
        "erased": said.get("erased"),
        "acmeThumbprint": said.get("acmeThumbprint"),
        "http01Solver": said.get("http01Solver"),
    }
    return MediaState.model_validate(told)


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


async def watch_usage(media: Media, board: Board, every: float = USAGE_EVERY) -> None:
    """Keep what Prometheus is told of customers up to date."""
    while True:
        board.usage = await media.usage()
        await asyncio.sleep(every)
