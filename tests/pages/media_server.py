"""The real media server on loopback, behind the fake portal: for what cannot be seen without one.

Who may send what is decided by nobody here: the gate is not part of it, and has tests of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType, web
from livekit import api

from support.appliance import program
from unit.images.appliance_set import APPLIANCE, media

LARGEST = 1024 * 1024


class MediaServer:
    def __init__(self, agreed: media.Media, http: aiohttp.ClientSession) -> None:
        self.agreed, self.http = agreed, http
        self.url = f"http://127.0.0.1:{agreed.signal_port}"
        self.lines: set[ClientWebSocketResponse] = set()
        self.away = False
        """The network is gone: nobody gets here."""

    async def carry(self, request: web.Request, user: str, shown: str) -> web.StreamResponse:
        """One browser's signalling, with a token that this browser does not get."""
        room = request.match_info["call"]
        if self.away:
            assert request.transport
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        token = api.AccessToken(self.agreed.key, self.agreed.secret).with_identity(f"{user}~1").with_name(shown)
        token = token.with_grants(api.VideoGrants(room_join=True, room=room))
        query = {name: value for name, value in request.query.items() if name != "access_token"}
        headers = {"Authorization": f"Bearer {token.to_jwt()}"}
        url = f"{self.url}/{request.match_info['rest']}"
        down = web.WebSocketResponse(max_msg_size=LARGEST)
        async with self.http.ws_connect(url, params=query, headers=headers, max_msg_size=LARGEST) as up:
            await down.prepare(request)
            self.lines.add(up)
            ways = [asyncio.create_task(_pass_on(up, down)), asyncio.create_task(_pass_on(down, up))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            self.lines.discard(up)
            await down.close()
        return down

    async def drop(self) -> None:
        """All signalling is lost, as when a browser changes its network."""
        for line in list(self.lines):
            await line.close()


async def _pass_on(
    origin: ClientWebSocketResponse | web.WebSocketResponse, target: ClientWebSocketResponse | web.WebSocketResponse
) -> None:
    async for message in origin:
        if message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


@asynccontextmanager
async def media_server(run_dir: Path) -> AsyncIterator[MediaServer]:
    """Started as the supervisor does it; but rooms come about by themselves, which is the gate's part there."""
    port = media.free_port()
    agreed = media.Media(APPLIANCE, run_dir, run_dir, "demo", port, media.free_port(), 443, media.pod_address())
    config = agreed.livekit() | {"room": {"auto_create": True}}
    binary = await asyncio.to_thread(program, "livekit-server")
    process = await asyncio.create_subprocess_exec(binary, env={"LIVEKIT_CONFIG": json.dumps(config)})
    try:
        async with aiohttp.ClientSession() as http:
            server = MediaServer(agreed, http)
            async with asyncio.timeout(20):
                await _answers(server)
            yield server
    finally:
        process.kill()
        await process.wait()


async def _answers(server: MediaServer) -> None:
    while True:
        try:
            async with server.http.get(server.url):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)
