"""Who I am, who there is, and who called in vain."""

from __future__ import annotations

from aiohttp import web

from portal import people, records, rights
from portal.clock import iso
from portal.limits import ROOM
from portal.refusals import RefusedError
from portal.told import ordered
from portal.web.answers import answer
from portal.web.door import Visit


async def me(visit: Visit, request: web.Request) -> web.StreamResponse:
    portal, community = visit.portal, visit.community
    return answer(
        visit.user.told()
        | {
            "community": {"name": community.name, "displayName": community.display_name},
            "functions": ordered(visit.user.functions),
            "limits": {"fileBytes": portal.quota.file_bytes, "room": ROOM},
        }
        | portal.told.drain
    )


async def directory(visit: Visit, request: web.Request) -> web.StreamResponse:
    portal = visit.portal
    wanted, after = request.query.get("q", "")[:200], request.query.get("after", "")[:4000]
    users, more = portal.directory.search(visit.community.name, wanted, after, but=visit.user.name)
    shown = [user.told() | {"presence": portal.presence.of(user.key)} for user in users]
    return answer({"users": shown, "next": more})


async def conversations(visit: Visit, request: web.Request) -> web.StreamResponse:
    """With whom of late, as far as they are still here, and who said something last."""
    portal, community = visit.portal, visit.community.name
    if not rights.may_chat(visit.user) and not rights.may_share_files(visit.user):
        raise RefusedError("not-allowed")
    found = await portal.store.run(people.conversations, community, visit.user.name)
    known = [(portal.told.world.user(community, other), {"at": iso(at), "from": who}) for other, at, who in found]
    return answer({"conversations": [user.told() | last for user, last in known if user]})


async def missed(visit: Visit, request: web.Request) -> web.StreamResponse:
    portal, community = visit.portal, visit.community.name
    found = await portal.store.run(records.get_missed, community, visit.user.name)
    shown = [
        {
            "id": entry.id,
            "from": portal.person(community, entry.caller),
            "media": entry.media,
            "at": iso(entry.at),
        }
        for entry in found
    ]
    return answer({"missed": shown})
