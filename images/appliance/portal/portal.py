"""THE STORY: take each new set, deliver what happened, and keep time. Everything that is true now hangs here."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from portal import records, retention
from portal.calls import Call, Calls, Changed, Connected, Cut, Event, Missed, Ring, RingEnded
from portal.clock import Clock
from portal.directory import Directory
from portal.erasures import Erasures
from portal.files import Files
from portal.gate import Gate
from portal.hub import GOING_AWAY, Hub
from portal.ids import OrderedIds
from portal.limits import HOUR, SESSIONS_OF_USER
from portal.passwords import AT_ONCE, Hashes, Verifier, verify
from portal.presence import Presence
from portal.rates import Bucket, Throttle
from portal.records import Kept, MissedCall
from portal.rights import may_be_in_calls
from portal.sessions import Session, Sessions
from portal.settings import Settings
from portal.space import Pace, Space, free_part
from portal.store import Store, StoreError, database
from portal.told import NO_LOGINS, NOTHING, Key, Told, User, World, ordered
from portal.usage import Usage

log = logging.getLogger("portal")

LOOK, FLUSH, ASK_GATE = 0.25, 1.0, 5.0
FILES_PART_OF_LINE = 0.20
VIDEO_PART_OF_LINE = 0.85
MBPS_OF_CONNECTION = 0.48
"""60 KB/s: what the instance's tiers reckon with."""


@dataclass(frozen=True)
class Outside:
    """What the portal finds outside of itself; tests bring their own."""

    clock: Clock = field(default_factory=Clock)
    check: Callable[[str, str], bool] = verify
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    free: Callable[[Path], float] = free_part


class Portal:
    def __init__(self, settings: Settings, outside: Outside | None = None) -> None:
        outside = outside or Outside()
        self.settings, self.clock = settings, outside.clock
        self.quota = self.in_force = settings.quota  # what is declared, and by what is erased at the moment
        steady = self.clock.steady
        self.told = Told(settings.run_dir)
        self.store = Store(database(settings.data_dir))
        self.sessions = Sessions(self.store, self.clock)
        self.hub = Hub(settings.places, self._size)
        self.calls = Calls(steady, lambda: self.told.world.caps)
        self.presence = Presence(self.hub, self.calls.busy, steady)
        self.usage = Usage(self.store, steady)
        self.erasures = Erasures(self.store, self.forget)
        self.gate = Gate(settings.run_dir / "gate-inner.sock")
        self.throttle = Throttle(steady)
        self.requests = Bucket(20, 200, steady)
        self.messages = Bucket(3, 30, steady)
        self.rings = Bucket(0.2, 10, steady)
        self.said = Bucket(5, 50, steady)
        self._pool = ThreadPoolExecutor(AT_ONCE, "passwords")
        self.verifier = Verifier(self._pool, outside.check)
        self.space = Space(settings.data_dir, steady, outside.free)
        pace = Pace(lambda: self.told.world.bandwidth_mbps * 125_000 * FILES_PART_OF_LINE, steady, outside.sleep)
        self.files = Files(settings.data_dir / "portal" / "files", self.store, lambda: self.quota, self.space, pace)
        self.ids = OrderedIds(self.clock.wall)
        self.directory = Directory(NOTHING)
        self._seed = secrets.token_bytes(16)
        self.hashes = Hashes(NO_LOGINS, self._seed)
        self._taken = NOTHING, NO_LOGINS
        self._drain = self.told.drain
        self._flushed = steady()
        self._clean_now = asyncio.Event()  # other data is to be kept than before

    def _size(self, community: str) -> int:
        return self.directory.size(community)  # which is another one with each set

    # ---- life

    async def open(self) -> None:
        await self.store.open()
        await self.gate.open()
        try:
            await asyncio.to_thread(self.files.folder.mkdir, mode=0o770, parents=True, exist_ok=True)
        except OSError as why:
            log.error("files cannot be kept: %s", type(why).__name__)
        try:
            await self._recall()
        except StoreError as why:
            log.error("sessions and calls of before are lost: %s", why)
        await self.look()

    async def _recall(self) -> None:
        """What was going on when the portal ended."""
        await self.sessions.recall()
        await self.usage.recall()
        await self.erasures.recall()
        for call in await self.store.run(records.get_calls, self.clock.steady()):
            self.calls.recall(call)
        going_on = [call.id for call in self.calls.all()]
        await self.store.run(records.close_others, going_on, self.clock.wall())

    def close_sockets(self) -> None:
        """The pages come back by themselves."""
        for socket in self.hub.all():
            socket.close(GOING_AWAY)

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.usage.keep()
        await self.gate.close()
        await self.store.close()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(LOOK, self.tick))
            group.create_task(_every(ASK_GATE, self.ask_gate))
            group.create_task(_every(FLUSH, self.erase))
            group.create_task(_every(HOUR, self.clean, self._clean_now))

    async def tick(self) -> None:
        await self.look()
        self.usage.tick(self.calls.all())
        self.calls.tick()
        self.deliver()
        if self.clock.steady() - self._flushed >= FLUSH:
            self._flushed = self.clock.steady()
            self.presence.flush()

    # ---- a new set

    async def look(self) -> None:
        """Takes what is new. What failed half way is done again: it is the set in force that counts, and no event."""
        await self.told.look()
        world, logins, drain = self.told.world, self.told.logins, self.told.drain
        if self._taken[0] is not world or self._taken[1] is not logins:
            self.directory = await asyncio.to_thread(Directory, world)
            self.hashes = await asyncio.to_thread(Hashes, logins, self._seed)
            self._take(self._taken[0], world)
            if self._taken[0].portals != world.portals:
                self.quota = self.in_force = self.settings.quota.declared(world.portals)
                self._clean_now.set()
            self._taken = world, logins
            log.info("set %s taken: %d users, %d logins", world.config[:12], len(world.users), len(logins.hashes))
        if self._drain != drain:
            self._drain = drain
            self.hub.tell_all({"type": "draining"} | drain)

    def _take(self, before: World, world: World) -> None:
        """Who is not served any more is out; who may do other things than before is told so."""
        for session in self.sessions.all():
            if not self._may_stay(session):
                self.sign_out(session)
        for call in self.calls.all():
            for member in call.live():
                user = world.user(call.community, member.user)
                if user is None or not may_be_in_calls(user):
                    self.calls.leave(call, member.user)
        for key in self.hub.listening():
            old, new = before.users.get(key), world.users.get(key)
            if new and (old is None or old.functions != new.functions):
                self.hub.tell(key, {"type": "functions", "functions": ordered(new.functions)})
        self.deliver()

    def _may_stay(self, session: Session) -> bool:
        if self.told.ready and self.told.world.user(*session.key) is None:
            return False
        # Another password, or none: whoever knew the one of before is out.
        return not self.told.agree or self.hashes.proof(session.key) == session.proof

    # ---- who is in

    def user(self, session: Session) -> User | None:
        """The user of a session, if both are still served."""
        return self.told.world.user(*session.key) if self.sessions.lives(session) else None

    def sign_in(self, key: Key) -> str:
        """A token for the browser. Of too many sessions the oldest makes room, one without an open page first."""
        mine, listening = self.sessions.of(key), {socket.session.public for socket in self.hub.of(key)}
        mine.sort(key=lambda session: (session.public in listening, session.used, session.created))
        for oldest in mine[: max(0, len(mine) + 1 - SESSIONS_OF_USER)]:
            self.sign_out(oldest)
        self.deliver()
        return self.sessions.open(key, self.hashes.proof(key) or "")[0]

    def sign_out(self, session: Session) -> None:
        """Ends a session, its sockets, and what the media server has of it. deliver() has to follow."""
        if not self.sessions.end(session):
            return
        self.hub.sign_out(session)
        self.gate.cut(session.community, user=session.user, session=session.public)
        self.calls.signed_out(session.key, [one.public for one in self.sessions.of(session.key)])

    def sign_out_everywhere(self, key: Key) -> None:
        for session in self.sessions.of(key):
            self.sign_out(session)
        self.deliver()

    # ---- what happened

    def deliver(self) -> None:
        """Tells pages, gate and database what the calls did."""
        while events := self.calls.events():
            for event in events:
                self._deliver(event)

    def _deliver(self, event: Event) -> None:
        community = event.call.community
        match event:
            case Ring(call, user):
                self.hub.tell((community, user), self.ring(call))
            case RingEnded(call, user, why, but):
                self.hub.tell((community, user), {"type": "ring-ended", "call": call.id, "why": why}, but=but)
            case Missed(call, user) if call.caller in call.members:
                kept = MissedCall(self.ids.next(), call.id, call.caller, call.media, self.clock.wall())
                self.store.post(records.put_missed, community, user, kept)
            case Cut(call, user):
                self.gate.cut(community, call=call.id, **({"user": user} if user else {}))
            case Changed(call):
                self._tell_change(call)
                self._keep(call)
            case Connected(call):
                self._keep(call)

    def _tell_change(self, call: Call) -> None:
        now_live = frozenset(member.user for member in call.live())
        message = {"type": "call", "call": self.shown(call)}
        for user in call.told | now_live:
            self.hub.tell((call.community, user), message)
        call.told = now_live
        for user in call.members:
            self.presence.mark((call.community, user))

    def _keep(self, call: Call) -> None:
        self.store.post(records.put_call, Kept.of(call), self.clock.wall())

    def ring(self, call: Call) -> dict[str, object]:
        caller = self.person(call.community, call.caller)
        return {"type": "ring", "call": {"id": call.id, "from": caller, "media": call.media}}

    def shown(self, call: Call) -> dict[str, object]:
        """The call as pages take it."""
        members = [self.person(call.community, one.user) | {"state": one.state} for one in call.members.values()]
        caller = self.person(call.community, call.caller)
        return {"id": call.id, "media": call.media, "from": caller, "members": members, "ended": call.ended}

    def person(self, community: str, name: str) -> dict[str, str]:
        """Who that is, as pages take it: by his name alone when he is gone."""
        found = self.told.world.users.get((community, name))
        return found.told() if found else {"user": name, "displayName": name}

    # ---- in the background

    async def ask_gate(self) -> None:
        """Who is connected, asked anew: whichever of us was restarted, this heals it."""
        if not self.calls.all():
            return
        counts = await self.gate.counts()
        if counts is None:
            return
        for call in self.calls.all():
            if counts.rooms is not None:
                self.calls.connected(call, counts.rooms.get((call.community, call.id), frozenset()))
            elif not counts.participants.get(call.community):
                self.calls.connected(call, ())
        self.deliver()

    async def clean(self) -> None:
        self._clean_now.clear()
        for socket in self.hub.all():
            self.sessions.touch(socket.session)
        for session in self.sessions.expired():
            self.sign_out(session)
        self.deliver()
        world = self._taken[0]  # one that is only read so far has its times not in force: the default may be shorter
        if world is not NOTHING:  # until then nobody says for how long things are kept, nor who is gone
            now = self.clock.wall()
            self.in_force = await retention.in_force(self.store, self.quota, world.portals, now)
            await retention.clean(self.store, self.files, self.in_force, world, now)

    async def erase(self) -> None:
        """What the set in force asks for. Apart from look(): a full disk must not keep a set from being taken."""
        await self.erasures.work(self.told.logins.erasures, self.clock.wall())

    async def forget(self, key: Key) -> int:
        """Erases all of a user, who may be one of the set, and then begins anew. Gives the number of his files."""
        self.sign_out_everywhere(key)
        self.calls.forget(key)
        return await retention.forget(self.store, self.files, key)

    def line_is_busy(self) -> bool:
        """From here on no new video: the line is kept for those who talk."""
        return self.calls.talking() * MBPS_OF_CONNECTION >= VIDEO_PART_OF_LINE * self.told.world.bandwidth_mbps

    def counts(self) -> dict[str, object]:
        """For the supervisor: what a drain waits for, who can log in, and what was erased as asked."""
        ringing: dict[str, int] = {}
        for call in self.calls.all():
            # One that was accepted, and that nobody is connected to yet, is none of the gate's.
            if call.ringing() or not call.connected:
                ringing[call.community] = ringing.get(call.community, 0) + 1
        world = self.told.world
        logins = {community.name: 0 for community in world.communities.values() if community.served}
        for key in self.hashes.known():
            if world.user(*key):
                logins[key[0]] += 1
        erased = self.erasures.done(self.told.logins.erasures)
        return {"ringing": ringing, "transfers": self.files.transfers(), "logins": logins, "erased": erased}


async def _every(seconds: float, work: Callable[[], Awaitable[None]], sooner: asyncio.Event | None = None) -> None:
    """A fault of one time is none of the next: what ends here would end it for all customers. One that lasts is told
    once. `sooner`: set, it is done at once."""
    told, sooner = "", sooner or asyncio.Event()
    while True:
        try:
            await work()
            told = ""
        except Exception as why:
            if (words := discreetly(why)) != told:
                log.error("%s: %s", work.__name__, words)
            told = words
        with suppress(TimeoutError):
            await asyncio.wait_for(sooner.wait(), seconds)


def discreetly(why: BaseException) -> str:
    """What it was and where, without its words: they may quote a name or a text."""
    trace, place = why.__traceback__, "?"
    while trace:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(why).__name__} at {place}"
