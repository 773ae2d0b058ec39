"""THE STORY: a browser asks to be in a call; the portal says who it is, the set what he may, and the media server does.

Four times a second and after each change everything is looked at again: what the media server should know of its
participants is a function of the set in force, so that it does not matter what was missed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import ClientWebSocketResponse

from gate import functions, served, signalling
from gate.functions import Refusal, Rights
from gate.participants import LATELY, Cut, Participant, Participants, Permission, Removal
from gate.portal import Portal, Refused
from gate.rooms import MediaServerAwayError, MediaServerError, Rooms
from gate.served import Served, Watched
from gate.signalling import View

log = logging.getLogger("gate")

POLL = 0.25
STARTS, AGAIN = 4.0, 0.1
"""Seconds for which who comes waits for a media server that is not there, and between two looks for it."""
AT_ONCE = 20
"""Orders for the media server, or calls to tell of, that are under way at the same time."""


@dataclass(frozen=True)
class Settings:
    """What the environment says; ports are those that browsers see."""

    run_dir: Path
    livekit_url: str
    livekit_key: str
    livekit_secret: str
    turn_secret: str
    pod_address: str
    turn_port: int = 3478
    turns_port: int = 443
    turn_seconds: int = 600


@dataclass(frozen=True)
class Asked:
    """A browser at the door: `version` is "" or "/v1", `query` what its address says."""

    community: str
    session: str
    call: str
    version: str
    query: dict[str, str]


@dataclass(frozen=True)
class Admitted:
    """He may come in: with this token and address the media server takes him."""

    who: Participant
    token: str
    query: dict[str, str]
    is_new: bool
    since: float
    """When he asked."""


class NotAdmittedError(Exception):
    """Why not, as an HTTP answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass
class Gate:
    """The running gate."""

    settings: Settings
    rooms: Rooms
    portal: Portal
    served: Served | None = None
    participants: Participants = field(default_factory=Participants)
    refusals: Counter[str] = field(default_factory=Counter)
    """How often what was refused, since the start."""
    _set: Watched = field(init=False)
    _portals_life: int = 0
    _said: str = ""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._set = Watched(self.settings.run_dir / "set.json")

    # ------------------------------------------------------------------------------------------------- who comes in

    async def admit(self, asked: Asked) -> Admitted:
        """Raises NotAdmittedError."""
        since = time.monotonic()
        if self.served is None or not self.served.portal(asked.community):
            raise NotAdmittedError(503, "this portal is not served at the moment")
        member = await self.portal.authorize(asked.community, asked.session, asked.call)
        if isinstance(member, Refused):
            raise NotAdmittedError(member.status, member.why or "not in this call")
        allowed = self.served.functions(asked.community, member.user)
        who = Participant(asked.community, member.user, member.session, asked.call, told=allowed)
        if allowed is None or self.participants.was_cut(who, since):
            raise NotAdmittedError(403, "not in this call any more")
        query, is_new = self._judged(asked, self.rights(who))
        token = self.rooms.token(who, member.display_name, allowed)
        return Admitted(who, token, query, is_new, since)

    def _judged(self, asked: Asked, rights: Rights) -> tuple[dict[str, str], bool]:
        """What the media server is asked, and whether somebody comes anew."""
        packed = asked.query.get("join_request")
        if packed is None and not asked.version:
            return signalling.plain_query(asked.query), asked.query.get("reconnect") != "1"
        join = signalling.join_request(packed or "")
        refused = (
            functions.refusal_of_join(join, rights) if join else Refusal("Unreadable", "this is no request to join")
        )
        if join is None or refused:
            assert refused is not None  # noqa: S101 - one of both is there
            self.refusals[refused.reason] += 1
            raise NotAdmittedError(400 if join is None else 403, refused.message)
        return signalling.join_query(join), not join.reconnect

    async def call(self, admitted: Admitted, version: str) -> ClientWebSocketResponse:
        """The connection to the media server. Raises NotAdmittedError where it does not take him."""
        try:
            # Also for who comes back: a media server that was started anew then tells him to begin anew, where without
            # the room it would refuse him until he gives up.
            await self._make_room(admitted.who.room)
            up = await self.rooms.http.ws_connect(
                f"{self.rooms.url}/rtc{version}", params=admitted.query, max_msg_size=16 * 1024 * 1024,
                headers={"Authorization": f"Bearer {admitted.token}"},
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as why:
            raise NotAdmittedError(why.status if 400 <= why.status < 500 else 503, "the media server refuses") from None
        except (MediaServerError, aiohttp.ClientError, TimeoutError):
            raise NotAdmittedError(503, "the media server does not answer") from None
        if self.participants.was_cut(admitted.who, admitted.since):
            await up.close()
            raise NotAdmittedError(403, "not in this call any more")
        return up

    async def _make_room(self, name: str) -> None:
        """Who comes while the media server starts is let in as soon as it is there. Refused he would come back by
        himself, seconds later each time. Raises MediaServerError."""
        deadline = time.monotonic() + STARTS
        while True:
            try:
                return await self.rooms.create(name)
            except MediaServerAwayError:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(AGAIN)

    def view(self, who: Participant) -> View:
        """How his browser sees the server. The relay counts by user: he may have any number of sessions."""
        now, settings = self.served or Served(), self.settings
        own = settings.pod_address
        addresses = {own: now.public_address} if now.public_address else {}
        relays = signalling.relays(
            now.portal(who.community) or "", settings.turn_port, settings.turns_port, settings.turn_secret,
            f"{who.community}/{who.user}", int(time.time()) + settings.turn_seconds,
        )  # fmt: skip
        return View(addresses, relays)

    def rights(self, who: Participant) -> Rights:
        """What he may send at this moment."""
        now = self.served or Served()
        allowed = now.functions(who.community, who.user) or frozenset()
        is_recent = time.monotonic() - who.changed < LATELY
        return Rights(allowed, who.lately if is_recent else frozenset(), now.is_crowded(len(self.participants)))

    # ------------------------------------------------------------------------------------------------- what changes

    async def follow(self) -> None:
        """Looks for what is new, for ever."""
        await self._meet_everybody()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL)
            self._wake.clear()
            await self.look()

    async def look(self) -> None:
        """One look at everything."""
        content = await asyncio.to_thread(self._set.look)
        if content is not None:
            found = await asyncio.to_thread(served.understand, content)
            if found is None:
                log.warning("the set is not what is expected: what was served before stays")
            else:
                self._take(found)
        await asyncio.gather(self.settle(), self._tell_portal())

    def _take(self, found: Served) -> None:
        before, self.served = self.served or Served(), found
        for who in self.participants:
            had = before.functions(who.community, who.user) or frozenset()
            if had - (found.functions(who.community, who.user) or frozenset()):
                who.lately, who.changed = had, time.monotonic()

    async def _meet_everybody(self) -> None:
        """Who is in a call since before this program was started; the media server may be starting as well."""
        for _ in range(40):
            try:
                async for who in self.rooms.everybody():
                    self.participants.found(who, time.monotonic())
                return
            except MediaServerError:
                await asyncio.sleep(POLL)

    async def settle(self) -> None:
        """Has the media server judge by what is served now."""
        if self.served is None:
            return
        await _each(self._order, self.participants.due(self.served, time.monotonic()))

    async def _order(self, order: Removal | Permission) -> None:
        who = order.who
        try:
            if isinstance(order, Removal):
                await self._remove(who)
            elif await self.rooms.permit(who, order.functions):
                who.told = order.functions
            elif who.line is None:
                self.participants.forget(who)
            self._say("")
        except MediaServerError as why:
            self._say(f"the media server: {why}")

    async def _remove(self, who: Participant) -> None:
        """Who is on his way in is not there yet: he is hung up on, and looked for once more."""
        line = who.line
        is_out = await self.rooms.remove(who)
        if line is not None and not is_out:
            line.hang_up()
            return
        self.participants.forget(who)
        self.participants.stirred.add(who.call)

    def _say(self, what: str) -> None:
        """Once, until something else is to be said: it is tried again four times a second."""
        if what and what != self._said:
            log.warning("%s", what)
        self._said = what

    async def _tell_portal(self) -> None:
        """Who is in which call; everything after the portal was started anew."""
        life = self.portal.life()
        if life != self._portals_life:
            self.participants.stirred |= self.participants.calls()
            self._portals_life = life
        if not life:
            return
        calls, self.participants.stirred = self.participants.stirred, set()
        await _each(self._tell, calls)

    async def _tell(self, call: str) -> None:
        if not await self.portal.tell(call, self.participants.connected(call)):
            self.participants.stirred.add(call)

    async def cut(self, cut: Cut) -> int:
        """Whom it applies to is out when this returns, or at the next look; returns how many."""
        hit = self.participants.cut(cut, time.monotonic())
        await self.settle()
        return hit

    def entered(self) -> None:
        """Somebody came or went: the portal hears of it at once."""
        self._wake.set()


_T = TypeVar("_T")


async def _each(do: Callable[[_T], Awaitable[None]], things: Iterable[_T]) -> None:
    """All of them, some at the same time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(thing: _T) -> None:
        async with turn:
            await do(thing)

    await asyncio.gather(*map(one, things))
