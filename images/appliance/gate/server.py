"""WHO ASKS: browsers by one socket, which HAProxy alone connects to, and the portal and the supervisor by another."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from gate.gate import Asked, Gate, NotAdmittedError
from gate.line import LARGEST, Line
from gate.participants import Cut
from gate.portal import PortalError

SESSION = "__Host-session"
_CALL = re.compile(r"[A-Za-z0-9_-]{16,64}")
LONGEST_LINE = 32 * 1024
"""Bytes of an address: newer browsers bring their first offer in it. HAProxy takes no longer ones either."""


def for_browsers(gate: Gate) -> web.Application:
    """/calls/<id>/rtc and its kin; each answer to what is no WebSocket is a word with a status."""

    async def signal(request: web.Request) -> web.StreamResponse:
        try:
            asked = _asked(request, gate)
            admitted = await gate.admit(asked)
            up = await gate.call(admitted, asked.version)
        except NotAdmittedError as why:
            return web.Response(status=why.status, text=why.why)
        except PortalError as why:
            return web.Response(status=503, text=str(why))
        down = web.WebSocketResponse(max_msg_size=LARGEST, heartbeat=25, compress=False)
        line = Line(down, up, lambda: gate.rights(who), gate.view(admitted.who), gate.refusals, lambda: who.tracks)
        who = gate.participants.enter(admitted.who, line)
        if not admitted.is_new:
            who.told = None  # the media server may judge him by an older token
        gate.entered()
        try:
            await down.prepare(request)
            await line.carry()
        finally:
            gate.participants.leave(who, line, time.monotonic(), line.is_over)
            gate.entered()
            await up.close()
        return down

    async def validate(request: web.Request) -> web.StreamResponse:
        try:
            await gate.admit(_asked(request, gate))
        except NotAdmittedError as why:
            return web.Response(status=why.status, text=why.why)
        except PortalError as why:
            return web.Response(status=503, text=str(why))
        return web.Response(text="success")

    app = web.Application()
    for version in ("", "/v1"):
        app.router.add_get(f"/calls/{{call}}/rtc{version}", signal, name=f"rtc{version.strip('/')}")
        app.router.add_get(f"/calls/{{call}}/rtc{version}/validate", validate)
    return app


def _asked(request: web.Request, gate: Gate) -> Asked:
    """Raises NotAdmittedError for what comes from another page than the portal's own."""
    community = request.headers.get("X-MCS-Community", "")
    portal = gate.served.portal(community) if gate.served else None
    if portal is None:
        raise NotAdmittedError(503, "this portal is not served at the moment")
    host, origin = request.headers.get("Host", "").lower(), request.headers.get("Origin")
    is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
    own = f"https://{host}" if host.partition(":")[0] == portal else None
    # A page of another host could call this with the user's cookie: his browser then says which page it is.
    if (origin is not None or is_socket) and (own is None or origin != own):
        raise NotAdmittedError(403, "from this portal's own pages only")
    call, session = request.match_info["call"], request.cookies.get(SESSION, "")
    if not _CALL.fullmatch(call):
        raise NotAdmittedError(404, "no such call")
    if not session or len(session) > 500:
        raise NotAdmittedError(401, "not logged in")
    version = "/v1" if "/rtc/v1" in request.path else ""
    return Asked(community, session, call, version, dict(request.query))


def for_ourselves(gate: Gate) -> web.Application:
    """POST /cut and GET /counts."""

    async def cut(request: web.Request) -> web.Response:
        try:
            said = await request.json()
            words = {name: said.get(name) for name in ("community", "user", "session", "call")}
            if not isinstance(words["community"], str) or not all(
                w is None or isinstance(w, str) for w in words.values()
            ):
                raise ValueError
        except (ValueError, AttributeError):
            return web.Response(status=400)
        return web.json_response({"cut": await gate.cut(Cut(**words))})

    async def counts(_: web.Request) -> web.Response:
        people = gate.participants
        found = {"participants": people.counts(), "rooms": people.rooms(), "refused": dict(gate.refusals)}
        return web.json_response(found)

    app = web.Application()
    app.add_routes([web.post("/cut", cut), web.get("/counts", counts)])
    return app


@asynccontextmanager
async def listening(app: web.Application, socket: Path) -> AsyncIterator[None]:
    """Answers at this socket, which nobody but this user may connect to. It is there only when it answers."""
    runner = web.AppRunner(
        app, access_log=None, max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE, shutdown_timeout=1
    )
    await runner.setup()
    fresh = socket.with_suffix(".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    await web.UnixSite(runner, str(fresh)).start()
    fresh.chmod(0o600)
    fresh.rename(socket)
    try:
        yield
    finally:
        await runner.cleanup()


async def serve(gate: Gate, stop: asyncio.Event) -> None:
    """Until told to stop."""
    await gate.rooms.start()
    await gate.portal.start()
    await gate.look()
    run_dir = gate.settings.run_dir
    async with (
        listening(for_ourselves(gate), run_dir / "gate-inner.sock"),
        listening(for_browsers(gate), run_dir / "gate.sock"),
    ):
        following, told = asyncio.create_task(gate.follow()), asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({following, told}, return_when=asyncio.FIRST_COMPLETED)
        for task in (following, told):
            task.cancel()
        if following in done:
            following.result()
    await gate.portal.stop()
    await gate.rooms.stop()
