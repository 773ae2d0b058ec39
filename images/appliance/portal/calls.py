"""WHO TALKS WITH WHOM: the calls that are going on. No I/O: what happens is told as events, which portal.py delivers.

    start ──► ringing ──accept──► in ──leave──► left ──accept──► in …
                 │ refuse ──► refused      45 s without an answer ──► left, and a missed call
                 └ the caller leaves ──► left, and a missed call

A call ends when fewer than two members are ringing or in, or when nobody was connected for 15 s. Who is a member, and
may therefore hear, see and read, is asked here by everybody: gate, chat and pages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf

from portal.caps import Caps
from portal.limits import MEMBERS, ROOM
from portal.refusals import RefusedError
from portal.told import Key

RINGING, IN, LEFT, REFUSED = "ringing", "in", "left", "refused"
RINGS = 45.0
EMPTY = 15.0
"""Seconds until a call that nobody is connected to ends."""
RETURNS = 60.0
"""Seconds that a member without a connection may take to come back: a new network, a page that is loaded again. For so
long his sessions are let in while the appliance drains."""


@dataclass
class Member:
    """`seen`: when each of his sessions was in the call last. `joined`: he was in it at some time."""

    user: str
    state: str
    since: float
    joined: bool = False
    seen: dict[str, float] = field(default_factory=dict)


@dataclass
class Call:
    """`connected`: (user, session) as the gate told last. `quiet`: since when nobody is connected and nothing rings.
    `stirred`: when it rang or somebody came in last: those who wait for him need not be connected until then.
    `told`: whose pages know it as a call of theirs, and must hear when it is none any more."""

    id: str
    community: str
    media: str
    caller: str
    quiet: float
    stirred: float
    members: dict[str, Member] = field(default_factory=dict)
    connected: frozenset[tuple[str, str]] = frozenset()
    told: frozenset[str] = frozenset()
    ended: bool = False

    def live(self) -> list[Member]:
        return [member for member in self.members.values() if member.state in (RINGING, IN)]

    def ringing(self) -> list[Member]:
        return [member for member in self.members.values() if member.state == RINGING]

    def state(self, user: str) -> str | None:
        member = self.members.get(user)
        return member.state if member else None


@dataclass(frozen=True)
class Ring:
    call: Call
    user: str


@dataclass(frozen=True)
class RingEnded:
    """`but`: the session that knows it because it answered."""

    call: Call
    user: str
    why: str
    but: str | None = None


@dataclass(frozen=True)
class Missed:
    call: Call
    user: str


@dataclass(frozen=True)
class Changed:
    """Members, or that it ended. Comes last of what one step tells of a call."""

    call: Call


@dataclass(frozen=True)
class Connected:
    """Others are connected than before: kept for a restart, and nobody's news."""

    call: Call


@dataclass(frozen=True)
class Cut:
    """The gate has to end what is connected: all of the call, or this user in it."""

    call: Call
    user: str | None = None


Event = Ring | RingEnded | Missed | Changed | Connected | Cut


class Calls:
    """Each user is in one call at most, ringing ones included."""

    def __init__(self, steady: Callable[[], float], caps: Callable[[], Caps] = Caps) -> None:
        self._steady, self._caps = steady, caps
        self._calls: dict[str, Call] = {}
        self._of_user: dict[Key, str] = {}
        self._events: list[Event] = []

    # ---- asked

    def events(self) -> list[Event]:
        """What happened since they were asked last."""
        events, self._events = self._events, []
        return events

    def busy(self, key: Key) -> bool:
        return key in self._of_user

    def talking(self) -> int:
        """Members who are in a call now, of all communities."""
        return sum(member.state == IN for call in self._calls.values() for member in call.members.values())

    def call_of(self, key: Key) -> Call | None:
        return self._calls.get(self._of_user.get(key, ""))

    def any(self, call_id: str) -> Call | None:
        """Of whichever community: for our own parts."""
        return self._calls.get(call_id)

    def find(self, community: str, call_id: str) -> Call | None:
        call = self._calls.get(call_id)
        return call if call and call.community == community else None

    def member(self, community: str, call_id: str, user: str) -> Call:
        """The call, for one of its members; for anybody else there is none."""
        call = self.find(community, call_id)
        if call is None or user not in call.members:
            raise RefusedError("not-found")
        return call

    def all(self) -> list[Call]:
        return list(self._calls.values())

    def admits(self, call: Call, user: str, session: str, draining: bool) -> str | None:
        """None when the gate may let this session of a member in, else the word why not."""
        member = call.members.get(user)
        if member is None or member.state != IN:
            return "not-allowed"
        was_in = (user, session) in call.connected or self._steady() - member.seen.get(session, -inf) <= RETURNS
        return "draining" if draining and not was_in else None

    # ---- done by members

    def start(self, caller: Key, users: list[str], media: str, session: str) -> Call:
        """Rings for the users who are free. One who is not has a missed call."""
        community, name = caller
        if self.busy(caller):
            raise RefusedError("busy")
        if len(users) + 1 > ROOM:
            raise RefusedError("full")
        now = self._steady()
        call = Call(secrets.token_hex(16), community, media, name, now, now)
        call.members[name] = Member(name, IN, now, joined=True, seen={session: now})
        free = [user for user in users if not self.busy((community, user))]
        if free:
            self._must_fit(community, calls=1, people=1 + len(free))
        self._events += [Missed(call, user) for user in users if user not in free]
        if not free:
            raise RefusedError("busy")
        self._calls[call.id] = call
        self._of_user[caller] = call.id
        for user in users:
            call.members[user] = Member(user, REFUSED, now)
            if user in free:
                self._ring(call, user)
        self._events.append(Changed(call))
        return call

    def accept(self, call: Call, user: str, session: str) -> None:
        """Also for one who was in it, and lost it: his network may be another one."""
        member, now = call.members[user], self._steady()
        if member.state == REFUSED:
            raise RefusedError("not-allowed")
        if member.state == LEFT:
            self._must_have_room(call)
            if self.busy((call.community, user)):
                raise RefusedError("busy")
        if member.state == RINGING:
            self._events.append(RingEnded(call, user, "accepted", but=session))
        self._of_user[call.community, user] = call.id
        member.seen[session] = now
        if member.state != IN:
            member.state, member.since, member.joined = IN, now, True
            call.quiet = call.stirred = now
            self._events.append(Changed(call))

    def refuse(self, call: Call, user: str) -> None:
        if call.state(user) == RINGING:
            self._events.append(RingEnded(call, user, "refused"))
            self._out(call, user, REFUSED)
            self._settle(call, "ended")

    def leave(self, call: Call, user: str) -> None:
        if call.state(user) not in (RINGING, IN):
            return
        if call.state(user) == RINGING:
            self._events.append(RingEnded(call, user, "ended"))
        self._out(call, user, LEFT)
        self._events.append(Cut(call, user))
        self._settle(call, "cancelled" if user == call.caller else "ended")

    def invite(self, call: Call, inviter: str, user: str) -> None:
        if call.state(inviter) != IN:
            raise RefusedError("not-allowed")
        if call.state(user) in (RINGING, IN):
            return
        self._must_have_room(call)
        if user not in call.members and len(call.members) >= MEMBERS:
            raise RefusedError("full")
        if self.busy((call.community, user)):
            self._events.append(Missed(call, user))
            raise RefusedError("busy")
        self._ring(call, user)
        self._events.append(Changed(call))

    # ---- done by others

    def connected(self, call: Call, pairs: Iterable[tuple[str, str]]) -> None:
        """Who is connected, as the gate says. Who is so and may not be is cut."""
        now, before = self._steady(), call.connected
        call.connected = frozenset(pairs)
        for user, session in before | call.connected:
            member = call.members.get(user)
            if member is not None and member.state == IN:
                member.seen[session] = now
                while len(member.seen) > ROOM:
                    del member.seen[min(member.seen, key=lambda key: member.seen[key])]
        for user in {user for user, _ in call.connected if call.state(user) != IN}:
            self._events.append(Cut(call, user))
        if before or call.connected:
            call.quiet = now
        if before != call.connected:
            self._events.append(Connected(call))

    def signed_out(self, key: Key, remaining: Iterable[str]) -> None:
        """A session of the user ended. He is out of the call that none of the remaining ones was in."""
        call = self.call_of(key)
        if call and call.state(key[1]) == IN and not call.members[key[1]].seen.keys() & set(remaining):
            self.leave(call, key[1])

    def forget(self, key: Key) -> None:
        """No call has been his: what is kept of those that go on names him no more. He has left them."""
        for call in self.all():
            if call.community == key[0]:
                call.members.pop(key[1], None)

    def tick(self) -> None:
        """What becomes true by itself when time goes by."""
        for call in self.all():
            self._time(call, self._steady())

    def _time(self, call: Call, now: float) -> None:
        unanswered = [member for member in call.ringing() if now - member.since >= RINGS]
        for member in unanswered:
            self._events += [RingEnded(call, member.user, "missed"), Missed(call, member.user)]
            self._out(call, member.user, LEFT)
        lost = [member for member in call.live() if member.state == IN and self._is_lost(call, member, now)]
        for member in lost:
            self._out(call, member.user, LEFT)
        if call.ringing():
            call.stirred = now
        if call.ringing() or call.connected:
            call.quiet = now
        if now - call.quiet >= EMPTY:
            self._end(call, "ended")
        elif unanswered or lost:
            self._settle(call, "ended")

    def _is_lost(self, call: Call, member: Member, now: float) -> bool:
        if any(user == member.user for user, _ in call.connected):
            return False
        return now - max([call.stirred, member.since, *member.seen.values()]) >= RETURNS

    # ---- how

    def _must_have_room(self, call: Call) -> None:
        if len(call.live()) >= ROOM:
            raise RefusedError("full")
        self._must_fit(call.community, calls=0, people=1)

    def _must_fit(self, community: str, calls: int, people: int) -> None:
        """Who is rung counts like who is in: he may accept whenever he likes."""
        now = [call for call in self._calls.values() if call.community == community]
        self._caps().must_allow(len(now) + calls, sum(len(call.live()) for call in now) + people)

    def _ring(self, call: Call, user: str) -> None:
        now = self._steady()
        known = call.members.get(user)
        call.members[user] = Member(user, RINGING, now, joined=bool(known and known.joined))
        self._of_user[call.community, user] = call.id
        call.quiet = call.stirred = now
        self._events.append(Ring(call, user))

    def _out(self, call: Call, user: str, state: str) -> None:
        member = call.members[user]
        member.state, member.since = state, self._steady()
        if self._of_user.get((call.community, user)) == call.id:
            del self._of_user[call.community, user]

    def _settle(self, call: Call, why: str) -> None:
        if len(call.live()) < 2 or all(member.state == RINGING for member in call.live()):
            self._end(call, why)
        else:
            self._events.append(Changed(call))

    def _end(self, call: Call, why: str) -> None:
        for member in call.live():
            if member.state == RINGING:
                self._events += [RingEnded(call, member.user, why), Missed(call, member.user)]
            self._out(call, member.user, LEFT)
        call.ended = True
        del self._calls[call.id]
        self._events += [Cut(call), Changed(call)]

    # ---- kept over a restart

    def recall(self, call: Call) -> None:
        """A call of before the restart goes on; the time that it has begins anew."""
        self._calls[call.id] = call
        for member in call.live():
            self._of_user[call.community, member.user] = call.id
