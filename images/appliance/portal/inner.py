"""WHAT OUR OWN PARTS ASK, by a socket that no browser reaches: who may be in a call, and what is going on."""

from __future__ import annotations

from aiohttp import web

from portal import foreign
from portal.gate import pairs
from portal.limits import MIB
from portal.portal import Portal
from portal.refusals import RefusedError
from portal.rights import may_be_in_calls
from portal.told import ordered
from portal.web.answers import answer, done
from portal.web.door import always_answered


def application(portal: Portal) -> web.Application:
    app = web.Application(middlewares=[always_answered], client_max_size=MIB)
    inner = Inner(portal)
    app.add_routes(
        [
            web.post("/authorize", inner.authorize),
            web.put("/calls/{call}/participants", inner.participants),
            web.get("/counts", inner.counts),
            web.get("/usage", inner.usage),
            web.post("/forget", inner.forget),
        ]
    )
    return app


class Inner:
    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Whether this session may be connected to this call, and what it may send."""
        portal, given = self._portal, foreign.document(await request.read()) or {}
        community, token, call_id = (foreign.text(given.get(key), 253) for key in ("community", "session", "call"))
        session = portal.sessions.find(community or "", token)
        user = portal.user(session) if session else None
        if session is None or user is None:
            raise RefusedError("signed-out")
        call = portal.calls.find(user.community, call_id or "")
        if call is None:
            raise RefusedError("not-found")
        if not may_be_in_calls(user):
            raise RefusedError("not-allowed")
        why = portal.calls.admits(call, user.name, session.public, portal.told.draining)
        if why == "draining":
            return answer({"error": why, "why": why}, 503)
        if why:
            raise RefusedError(why)
        return answer(user.told() | {"session": session.public, "functions": ordered(user.functions)})

    async def participants(self, request: web.Request) -> web.StreamResponse:
        """Who is connected to this call now."""
        given = foreign.document(await request.read())
        if given is None or not isinstance(given.get("participants"), list):
            raise RefusedError("bad-request")
        call = self._portal.calls.any(request.match_info["call"])
        if call is None:
            raise RefusedError("not-found")
        self._portal.calls.connected(call, pairs(given["participants"]))
        self._portal.deliver()
        return done()

    async def counts(self, request: web.Request) -> web.StreamResponse:
        return answer(self._portal.counts())

    async def usage(self, request: web.Request) -> web.StreamResponse:
        portal = self._portal
        return answer(await portal.usage.told(portal.calls.all(), portal.told.world, portal.in_force))

    async def forget(self, request: web.Request) -> web.StreamResponse:
        given = foreign.document(await request.read()) or {}
        community, user = foreign.text(given.get("community"), 253), foreign.text(given.get("user"), 253)
        if community is None or user is None:
            raise RefusedError("bad-request")
        return answer({"files": await self._portal.forget((community, user))})
