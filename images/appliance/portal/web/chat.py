"""Writing: to another user, and in a call. Both ends need the function; in a call, who is in it reads and writes."""

from __future__ import annotations

from aiohttp import web

from portal import chat, foreign, rights
from portal.calls import IN
from portal.chat import Message
from portal.ids import in_call, pair
from portal.limits import MESSAGE_CHARACTERS
from portal.refusals import RefusedError
from portal.web.answers import answer
from portal.web.door import Visit


async def history(visit: Visit, request: web.Request) -> web.StreamResponse:
    other = visit.other_with(rights.may_chat, request.match_info["user"])
    conversation = pair(visit.user.name, other.name)
    found = await visit.portal.store.run(chat.read, visit.community.name, conversation, _before(request))
    return _page(visit, *found)


async def write(visit: Visit, request: web.Request) -> web.StreamResponse:
    other = visit.other_with(rights.may_chat, request.match_info["user"])
    text = _text(visit)
    return await _keep(visit, pair(visit.user.name, other.name), other.name, text, [other.name])


async def call_history(visit: Visit, request: web.Request) -> web.StreamResponse:
    visit.must(rights.may_chat)
    call_id = _call_id(request)
    found = await visit.portal.store.run(
        chat.read_call, visit.community.name, call_id, visit.user.name, _before(request)
    )
    if found is None:
        raise RefusedError("not-found")
    return _page(visit, *found)


async def call_write(visit: Visit, request: web.Request) -> web.StreamResponse:
    visit.must(rights.may_chat)
    text = _text(visit)
    call = visit.portal.calls.member(visit.community.name, _call_id(request), visit.user.name)
    if call.state(visit.user.name) != IN:
        raise RefusedError("not-allowed")
    readers = [member.user for member in call.live() if member.state == IN and member.user != visit.user.name]
    return await _keep(visit, in_call(call.id), None, text, readers)


async def _keep(
    visit: Visit, conversation: str, recipient: str | None, text: str, readers: list[str]
) -> web.StreamResponse:
    portal, community = visit.portal, visit.community.name
    if portal.space.free() < portal.quota.chat_free:
        raise RefusedError("no-space")
    at = portal.clock.wall()
    message = Message(portal.ids.next(), community, conversation, visit.user.name, recipient, text, at)
    await portal.store.run(chat.write, message, portal.quota.chat_bytes)
    for name in [visit.user.name, *readers]:
        reader = portal.told.world.user(community, name)
        if reader and rights.may_chat(reader):
            # The directory comes by pages: its reader need not have read yet whom this is from.
            who = portal.person(community, message.other_than(name))
            portal.hub.tell(reader.key, {"type": "message", "message": message.shown_to(name), "who": who})
    return answer(message.shown_to(visit.user.name), 201)


def _text(visit: Visit) -> str:
    text = foreign.text(visit.said.get("text"), MESSAGE_CHARACTERS)
    if text is None or not text.strip():
        raise RefusedError("bad-request")
    if wait := visit.portal.messages.take(visit.key):
        raise RefusedError("too-many", wait)
    return text


def _call_id(request: web.Request) -> str:
    call_id = foreign.random_id(request.match_info["call"])
    if call_id is None:
        raise RefusedError("not-found")
    return call_id


def _before(request: web.Request) -> str | None:
    return foreign.random_id(request.query.get("before"))


def _page(visit: Visit, messages: list[Message], before: str | None) -> web.StreamResponse:
    return answer({"messages": [message.shown_to(visit.user.name) for message in messages], "before": before})
