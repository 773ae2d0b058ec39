"""Calling: to ring, accept, refuse, leave, and to invite another one."""

from __future__ import annotations

from aiohttp import web

from portal import foreign, rights
from portal.calls import Call
from portal.limits import ROOM
from portal.refusals import RefusedError
from portal.told import User
from portal.web.answers import answer
from portal.web.door import Handler, Visit


def counted(handler: Handler) -> Handler:
    """A call that is refused is counted, by the reason alone."""

    async def handle(visit: Visit, request: web.Request) -> web.StreamResponse:
        try:
            return await handler(visit, request)
        except RefusedError as why:
            visit.portal.usage.refuse(why.word)
            raise

    return handle


@counted
async def start(visit: Visit, request: web.Request) -> web.StreamResponse:
    names, media = visit.said.get("users"), visit.said.get("media")
    if not isinstance(names, list) or not names or not isinstance(media, str) or media not in rights.MEDIA:
        raise RefusedError("bad-request")
    if len(names) >= ROOM:
        raise RefusedError("full")
    users = {user.name: user for user in map(visit.other, names)}
    _may_ring(visit, list(users.values()), media)
    try:
        call = visit.portal.calls.start(visit.key, list(users), media, visit.session.public)
    finally:
        visit.portal.deliver()
    return answer(visit.portal.shown(call), 201)


@counted
async def invite(visit: Visit, request: web.Request) -> web.StreamResponse:
    call = _call(visit, request)
    user = visit.other(visit.said.get("user"))
    _may_ring(visit, [user], call.media)
    try:
        visit.portal.calls.invite(call, visit.user.name, user.name)
    finally:
        visit.portal.deliver()
    return answer(visit.portal.shown(call))


async def show(visit: Visit, request: web.Request) -> web.StreamResponse:
    return answer(visit.portal.shown(_call(visit, request)))


async def accept(visit: Visit, request: web.Request) -> web.StreamResponse:
    call = _call(visit, request)
    if not rights.may_be_in_calls(visit.user):
        raise RefusedError("not-allowed")
    visit.portal.calls.accept(call, visit.user.name, visit.session.public)
    visit.portal.deliver()
    return answer(visit.portal.shown(call))


async def refuse(visit: Visit, request: web.Request) -> web.StreamResponse:
    call = _call(visit, request)
    visit.portal.calls.refuse(call, visit.user.name)
    visit.portal.deliver()
    return answer(visit.portal.shown(call))


async def leave(visit: Visit, request: web.Request) -> web.StreamResponse:
    call = _call(visit, request)
    visit.portal.calls.leave(call, visit.user.name)
    visit.portal.deliver()
    return answer(visit.portal.shown(call))


def _call(visit: Visit, request: web.Request) -> Call:
    call_id = foreign.random_id(request.match_info["call"])
    if call_id is None:
        raise RefusedError("not-found")
    return visit.portal.calls.member(visit.community.name, call_id, visit.user.name)


def _may_ring(visit: Visit, users: list[User], media: str) -> None:
    """Asked before anybody's telephone rings."""
    if not rights.may_start(visit.user, media) or not all(map(rights.may_be_in_calls, users)):
        raise RefusedError("not-allowed")
    if visit.portal.told.draining:
        raise RefusedError("draining")
    if media == "video" and visit.portal.line_is_busy():
        raise RefusedError("no-bandwidth", 60)
    if wait := visit.portal.rings.take(visit.key):
        raise RefusedError("too-many", wait)
