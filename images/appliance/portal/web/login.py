"""Signing in and out. Whether the user is unknown or the password is wrong: the same answer in the same time."""

from __future__ import annotations

from aiohttp import web

from portal import foreign
from portal.limits import SESSION_LIFE
from portal.passwords import LONGEST, UnverifiableError
from portal.refusals import RefusedError
from portal.web.answers import done
from portal.web.door import COOKIE, PORTAL, Visit, body, community_of, must_come_from_own_page


async def login(request: web.Request) -> web.StreamResponse:
    portal, community = request.app[PORTAL], community_of(request)
    must_come_from_own_page(request, community)
    given = await body(request)
    name, password = foreign.text(given.get("user"), 253), foreign.text(given.get("password"), LONGEST)
    if name is None or password is None:
        raise RefusedError("bad-request")
    key, source = (community.name, name.strip().lower()), _source(request)
    if wait := portal.throttle.begin(key, source):
        raise RefusedError("too-many", wait)
    known = portal.told.world.user(*key)
    encoded = (portal.hashes.of(key) if known else None) or portal.hashes.stand_in(key)
    try:
        right = await portal.verifier.verify(community.name, encoded, password)
    except (RefusedError, UnverifiableError):
        portal.throttle.undecided(key, source)
        raise RefusedError("too-many", 2) from None
    # The set may be another one by now.
    if not right or portal.told.world.user(*key) is None or portal.hashes.of(key) != encoded:
        raise RefusedError("wrong-credentials")
    portal.throttle.succeeded(key, source)
    if before := portal.sessions.find(community.name, request.cookies.get(COOKIE)):
        portal.sign_out(before)  # whoever it was: nobody has its cookie any more
    token = portal.sign_in(key)
    await portal.store.settled()  # or he is told that he is in, and a portal that is killed now knows nothing of it
    answer = done()
    _set_cookie(answer, token, int(SESSION_LIFE))
    return answer


async def logout(visit: Visit, request: web.Request) -> web.StreamResponse:
    visit.portal.sign_out(visit.session)
    visit.portal.deliver()
    await visit.portal.store.settled()
    answer = done()
    _set_cookie(answer, "", 0)
    return answer


async def logout_everywhere(visit: Visit, request: web.Request) -> web.StreamResponse:
    visit.portal.sign_out_everywhere(visit.key)
    await visit.portal.store.settled()
    answer = done()
    _set_cookie(answer, "", 0)
    return answer


def _set_cookie(answer: web.Response, value: str, seconds: int) -> None:
    answer.set_cookie(COOKIE, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def _source(request: web.Request) -> str:
    """The browser's address: HAProxy writes the header, whatever the caller sent."""
    return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()[:64]
