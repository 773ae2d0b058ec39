"""Files between two users. They leave as attachments that no browser opens as a page of ours."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web

from portal import files, foreign, rights
from portal.files import PIECE, File
from portal.ids import pair
from portal.limits import FILE_NAME_CHARACTERS
from portal.refusals import RefusedError
from portal.told import User
from portal.web.answers import answer
from portal.web.door import Visit

SILENCE = 30.0
"""Seconds that a browser may neither send nor take anything."""
LONGEST = 7200.0
"""Seconds of one transfer: of 100 Mbit/s the largest file takes 40 s, and one hour and a half among 127 others."""


async def upload(visit: Visit, request: web.Request) -> web.StreamResponse:
    _must_not_drain(visit)
    other = visit.other_with(rights.may_share_files, request.match_info["user"])
    name = foreign.file_name(request.query.get("name"), FILE_NAME_CHARACTERS)
    if name is None:
        raise RefusedError("bad-request")
    if (request.content_length or 0) > visit.portal.quota.file_bytes:
        raise RefusedError("too-large")
    file_id, conversation = secrets.token_hex(16), pair(visit.user.name, other.name)

    def described(size: int, digest: str) -> File:
        people = visit.user.name, other.name
        return File(file_id, visit.community.name, conversation, *people, name, size, digest, visit.portal.clock.wall())

    with visit.portal.files.transfer(visit.key):
        pieces = _pieces(visit, request, other, visit.portal.clock.steady() + LONGEST)
        file = await visit.portal.files.receive(visit.community.name, file_id, described, pieces)
    for reader in (visit.user.name, other.name):
        who = visit.portal.person(visit.community.name, file.other_than(reader))
        said = {"type": "file", "file": file.shown_to(reader), "who": who}
        visit.portal.hub.tell((visit.community.name, reader), said)
    return answer({"id": file.id, "name": file.name, "size": file.size, "sha256": file.sha256}, 201)


async def listing(visit: Visit, request: web.Request) -> web.StreamResponse:
    other = visit.other_with(rights.may_share_files, request.match_info["user"])
    conversation = pair(visit.user.name, other.name)
    found = await visit.portal.store.run(files.of_conversation, visit.community.name, conversation)
    return answer({"files": [file.shown_to(visit.user.name) for file in found]})


async def download(visit: Visit, request: web.Request) -> web.StreamResponse:
    visit.must(rights.may_share_files)
    _must_not_drain(visit)
    file_id = foreign.random_id(request.match_info["file"])
    found = (
        await visit.portal.store.run(files.find, visit.community.name, file_id, visit.user.name) if file_id else None
    )
    if found is None:
        raise RefusedError("not-found")
    with visit.portal.files.transfer(visit.key):
        return await _send(visit, request, found)


async def _send(visit: Visit, request: web.Request, file: File) -> web.StreamResponse:
    pieces = visit.portal.files.pieces(file)
    try:
        first = await anext(pieces, b"")
    except OSError:
        raise RefusedError("not-found") from None
    response = web.StreamResponse(headers=_attachment(file.name))
    response.content_length = file.size
    await response.prepare(request)
    sent, end = 0, visit.portal.clock.steady() + LONGEST
    try:
        async for piece in _all(first, pieces):
            if not _still(visit) or visit.portal.clock.steady() > end:
                break
            await _write(response, piece)
            sent += len(piece)
    finally:
        # Shorter than announced, the answer must be the last of this connection: what follows on it would be taken for
        # the rest of the file, and HAProxy shares connections among browsers.
        if sent != file.size and request.transport is not None:
            request.transport.abort()
    return response


async def _all(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    async with asyncio.timeout(SILENCE):
        await response.write(piece)


async def _pieces(visit: Visit, request: web.Request, other: User, end: float) -> AsyncIterator[bytes]:
    """What the browser sends, for as long as both may, and not beyond this moment of the steady clock."""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                piece = await request.content.read(PIECE)
        except TimeoutError:
            raise RefusedError("bad-request") from None
        if not piece:
            return
        now = visit.portal.told.world.user(*other.key)
        if not _still(visit) or now is None or not rights.may_share_files(now):
            raise RefusedError("not-allowed")
        if visit.portal.clock.steady() > end:
            raise RefusedError("too-large")
        yield piece


def _must_not_drain(visit: Visit) -> None:
    """A restart waits for transfers: no new ones."""
    if visit.portal.told.draining:
        raise RefusedError("draining")


def _still(visit: Visit) -> bool:
    now = visit.now()
    return now is not None and rights.may_share_files(now)


def _attachment(name: str) -> dict[str, str]:
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\;%' else "_" for letter in name
    )
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
    }
