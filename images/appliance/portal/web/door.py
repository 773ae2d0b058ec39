"""THE DOOR: which community, from which page, by whom. No handler runs before these questions are answered."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from portal import foreign
from portal.limits import BODY_BYTES, BODY_SECONDS, REQUESTS_AT_ONCE
from portal.portal import Portal, discreetly
from portal.refusals import RefusedError
from portal.sessions import Session
from portal.store import StoreError
from portal.told import Community, Key, User
from portal.web.answers import PORTAL_HOST, refusal

log = logging.getLogger("portal.web")

COOKIE = "__Host-session"
PORTAL = web.AppKey("portal", Portal)
_AT_ONCE = web.AppKey("at_once", Counter[str])
_SAFE = ("GET", "HEAD")
_OF_HTTP = {404: "not-found", 413: "too-large", 503: "waiting"}


@dataclass(frozen=True)
class Visit:
    """A request of somebody who is signed in. `user` is as the set in force says at its beginning."""

    portal: Portal
    community: Community
    session: Session
    user: User
    said: Mapping[str, Any]
    """The body, where there is one to be."""

    @property
    def key(self) -> Key:
        return self.user.key

    def now(self) -> User | None:
        """The user as the set in force says now; None when he is out. For what lasts longer than a moment."""
        return self.portal.user(self.session)

    def other(self, name: object) -> User:
        """Another user of the same community. Raises RefusedError: there is no other."""
        known = foreign.user_name(name)
        found = self.portal.told.world.user(self.community.name, known) if known else None
        if found is None or found.name == self.user.name:
            raise RefusedError("not-found")
        return found

    def must(self, may: Callable[[User], bool], who: User | None = None) -> None:
        """Raises RefusedError: who asks, or `who`, may not do it."""
        if not may(who or self.user):
            raise RefusedError("not-allowed")

    def other_with(self, may: Callable[[User], bool], name: object) -> User:
        """Another user, where both may do it. Whoever may not learns nothing of the other. Raises RefusedError."""
        self.must(may)
        other = self.other(name)
        self.must(may, other)
        return other


Handler = Callable[[Visit, web.Request], Awaitable[web.StreamResponse]]
AioHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def prepare(app: web.Application, portal: Portal) -> None:
    app[PORTAL] = portal
    app[_AT_ONCE] = Counter()


@web.middleware
async def always_answered(request: web.Request, handler: AioHandler) -> web.StreamResponse:
    """Whatever goes wrong has an answer of ours, and a line in the log that quotes nobody."""
    try:
        return await handler(request)
    except RefusedError as why:
        return refusal(why.word, why.retry)
    except StoreError as why:
        log.warning("the database did not do it: %s", why)
        return refusal("no-space")
    except web.HTTPException as why:
        return refusal(_OF_HTTP.get(why.status, "bad-request"))
    except (ConnectionError, TimeoutError):
        return refusal("bad-request")
    except Exception as why:
        log.error("a request failed: %s", discreetly(why))
        return refusal("failed")


def community_of(request: web.Request) -> Community:
    """The community whose portal is asked; HAProxy says which. Raises RefusedError when it is not served."""
    portal = request.app[PORTAL]
    named = request.headers.getall("X-MCS-Community", [])
    if not portal.told.ready:
        raise RefusedError("waiting")
    community = portal.told.world.communities.get(named[0]) if len(named) == 1 else None
    if community is None or community.portal is None:
        raise RefusedError("not-found")
    if not community.open:
        raise RefusedError("closed")
    request[PORTAL_HOST] = community.portal
    return community


def must_come_from_own_page(request: web.Request, community: Community) -> None:
    """Other customers' pages are of the same site: neither SameSite nor the cookie keeps them out, Origin does."""
    https_port = request.app[PORTAL].settings.https_port
    own = {f"https://{community.portal}", f"https://{community.portal}:{https_port}"}
    origins = request.headers.getall("Origin", [])
    unsafe = request.method not in _SAFE or "Upgrade" in request.headers
    if (unsafe or origins) and (len(origins) != 1 or origins[0] not in own):
        raise RefusedError("not-allowed")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise RefusedError("not-allowed")


def visit(request: web.Request, said: Mapping[str, Any] | None = None) -> Visit:
    """Who asks. Raises RefusedError."""
    portal = request.app[PORTAL]
    community = community_of(request)
    must_come_from_own_page(request, community)
    session = portal.sessions.find(community.name, request.cookies.get(COOKIE))
    user = portal.user(session) if session else None
    if session is None or user is None:
        raise RefusedError("signed-out")
    return Visit(portal, community, session, user, said or {})


def signed_in(handler: Handler, *, says: bool = False, lasting: bool = False) -> AioHandler:
    """`says`: it has a body. `lasting`: a socket or a transfer, which has limits of its own."""

    async def handle(request: web.Request) -> web.StreamResponse:
        who = visit(request)
        if wait := who.portal.requests.take(who.session.public):
            raise RefusedError("too-many", wait)
        if says:
            who = visit(request, await body(request))  # asked again: it may have taken its time to arrive
        if lasting:
            return await handler(who, request)
        at_once = request.app[_AT_ONCE]
        if at_once[who.community.name] >= REQUESTS_AT_ONCE:
            raise RefusedError("too-many", 1)
        at_once[who.community.name] += 1
        try:
            return await handler(who, request)
        finally:
            at_once[who.community.name] -= 1

    return handle


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises RefusedError."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            content = await request.content.read(BODY_BYTES + 1)
            while len(content) <= BODY_BYTES and (more := await request.content.read(BODY_BYTES + 1)):
                content += more
    except TimeoutError:
        raise RefusedError("bad-request") from None
    if len(content) > BODY_BYTES:
        raise RefusedError("too-large")
    found = foreign.document(content)
    if found is None:
        raise RefusedError("bad-request")
    return found
