"""The socket of a page: what it shows goes in, what happens comes out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import WSMsgType, web

from portal import foreign
from portal.hub import OVER, SIGNED_OUT, TOO_MANY, Socket
from portal.limits import SOCKET_BYTES, WATCHED
from portal.portal import Portal
from portal.told import ordered
from portal.web.door import Visit

SILENCE = 30.0
"""Seconds between two pings, and that a reader may take for one message."""
GOODBYE = 5.0
"""Seconds in which the browser says goodbye as well."""


async def listen(visit: Visit, request: web.Request) -> web.StreamResponse:
    portal, socket = visit.portal, Socket(visit.session)
    # Without compression: it would take 300 KiB of memory for each socket.
    connection = web.WebSocketResponse(heartbeat=SILENCE, timeout=GOODBYE, max_msg_size=SOCKET_BYTES, compress=False)
    await connection.prepare(request)
    if visit.now() is None:  # out since he knocked
        socket.close(SIGNED_OUT)
    elif portal.hub.join(socket):
        portal.presence.joined(socket)
        try:
            _greet(visit, socket)
            await _talk(portal, socket, connection)
        finally:
            portal.hub.leave(socket)
            portal.presence.left(socket)
    else:
        socket.close(TOO_MANY)
    await connection.close(code=socket.closing or OVER)
    return connection


async def _talk(portal: Portal, socket: Socket, connection: web.WebSocketResponse) -> None:
    """Until one of the two has had enough."""
    reading, writing = (
        asyncio.create_task(_read(portal, socket, connection)),
        asyncio.create_task(_write(socket, connection)),
    )
    try:
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        socket.close(OVER)
        await asyncio.wait({writing}, timeout=SILENCE)
    finally:
        # Nobody may be reading when it is closed: the browser would find the line cut instead of a goodbye.
        for task in (reading, writing):
            task.cancel()
        await asyncio.gather(reading, writing, return_exceptions=True)


def _greet(visit: Visit, socket: Socket) -> None:
    """How it is now: a page that lost its connection has missed nothing that still counts."""
    portal = visit.portal
    now = portal.user(visit.session) or visit.user
    socket.send({"type": "functions", "functions": ordered(now.functions)})
    socket.send({"type": "draining"} | portal.told.drain)
    if call := portal.calls.call_of(visit.key):
        if any(member.user == visit.user.name for member in call.ringing()):
            socket.send(portal.ring(call))
        socket.send({"type": "call", "call": portal.shown(call)})


async def _read(portal: Portal, socket: Socket, connection: web.WebSocketResponse) -> None:
    async for message in connection:
        if message.type != WSMsgType.TEXT or portal.said.take(socket.session.public):
            socket.close(TOO_MANY)
            return
        users = watched(message.data)
        if users is not None:
            portal.presence.watch(socket, users)


def watched(content: str) -> frozenset[str] | None:
    """The users of a "watch"; None for any other message. Who is not of the community is offline for ever."""
    said = foreign.document(content) or {}
    users = said.get("users")
    if said.get("type") != "watch" or not isinstance(users, list):
        return None
    return frozenset(name for user in users[:WATCHED] if (name := foreign.user_name(user)))


async def _write(socket: Socket, connection: web.WebSocketResponse) -> None:
    """Sends until the end; a reader who does not take it is cut off."""
    with suppress(ConnectionError, TimeoutError, RuntimeError):
        while (text := await socket.next()) is not None:
            async with asyncio.timeout(SILENCE):
                await connection.send_str(text)
