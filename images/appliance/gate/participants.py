"""WHO IS IN A CALL: everybody whom the media server may know, and what it has to be told of him. No I/O.

A participant stays for a while after his connection broke: his media goes on without it, and browsers come back when
their network changes or this program is started anew. Whoever does not come back is put out at last: he would stay in
the call, where nothing that is taken away from him reaches him.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from gate.budget import Budget
from gate.served import Served

AWAY = 60.0
"""Seconds without a connection until a participant is put out: browsers try for 45."""
REMEMBERED = 30.0
"""Seconds for which a cut counts against those who were on their way in."""
TRACKS, TRACK_RATE = 40.0, 0.2
"""Tracks that one may announce at once, and in a second after that: each switch of a screen or a camera is one or two.
The media server remembers each until its participant is gone."""
LATELY = 5.0
"""Seconds for which an offer may still hold what was taken away."""


class Connection(Protocol):
    """Who carries what a participant says."""

    def hang_up(self) -> None:
        """Ends it soon."""


@dataclass(frozen=True)
class Cut:
    """Who is to be out, now: everybody to whom all that is said applies."""

    community: str
    user: str | None = None
    session: str | None = None
    call: str | None = None

    def applies(self, who: Participant) -> bool:
        wanted = ((self.user, who.user), (self.session, who.session), (self.call, who.call))
        return self.community == who.community and all(said is None or said == is_ for said, is_ in wanted)


@dataclass(eq=False)
class Participant:
    """One session of a user in one call. `told`: by which functions the media server judges him, as far as known."""

    community: str
    user: str
    session: str
    call: str
    told: frozenset[str] | None
    line: Connection | None = None
    """Whoever carries his connection, None while there is none."""
    left: float = 0.0
    """When his last connection ended."""
    lately: frozenset[str] = frozenset()
    changed: float = 0.0
    is_cut: bool = False
    tracks: Budget = field(default_factory=lambda: Budget(TRACK_RATE, TRACKS))
    """He may announce so many more."""

    @property
    def room(self) -> str:
        return f"{self.community}/{self.call}"

    @property
    def identity(self) -> str:
        return f"{self.user}~{self.session}"


@dataclass(frozen=True)
class Removal:
    """The media server is to put him out."""

    who: Participant


@dataclass(frozen=True)
class Permission:
    """The media server is to judge him by these functions from now on."""

    who: Participant
    functions: frozenset[str]


@dataclass
class Participants:
    """Everybody, by room and identity; `stirred` are calls of which the portal does not know yet who is in them."""

    _by_name: dict[tuple[str, str], Participant] = field(default_factory=dict)
    _cuts: list[tuple[float, Cut]] = field(default_factory=list)
    stirred: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Participant]:
        return iter(list(self._by_name.values()))

    def enter(self, who: Participant, line: Connection) -> Participant:
        """He has a connection, a first one or one anew; who carried it before does so no longer."""
        known = self._by_name.setdefault((who.room, who.identity), who)
        known.told, known.line, known.is_cut = who.told, line, False
        self.stirred.add(who.call)
        return known

    def found(self, who: Participant, now: float) -> None:
        """The media server has him, from before this program was started; nobody knows what it was told."""
        if (who.room, who.identity) not in self._by_name:
            who.left = now
            self._by_name[who.room, who.identity] = who

    def leave(self, who: Participant, line: Connection, now: float, for_good: bool) -> None:
        """His connection ended, unless another one has taken its place."""
        if who.line is not line:
            return
        who.line, who.left = None, now
        self.stirred.add(who.call)
        if for_good:
            self.forget(who)

    def forget(self, who: Participant) -> None:
        if self._by_name.get((who.room, who.identity)) is who:
            del self._by_name[who.room, who.identity]

    def cut(self, cut: Cut, now: float) -> int:
        """Marks whom it applies to; returns how many."""
        self._cuts = [(when, old) for when, old in self._cuts if now - when < REMEMBERED]
        self._cuts.append((now, cut))
        hit = [who for who in self._by_name.values() if cut.applies(who)]
        for who in hit:
            who.is_cut = True
        return len(hit)

    def was_cut(self, who: Participant, since: float) -> bool:
        """Whether he was cut while he was on his way in."""
        return any(when >= since and cut.applies(who) for when, cut in self._cuts)

    def connected(self, call: str) -> list[dict[str, str]]:
        """Who is in a call now, in words for the portal."""
        return [
            {"user": who.user, "session": who.session}
            for who in self._by_name.values()
            if who.call == call and who.line is not None
        ]

    def rooms(self) -> dict[str, list[dict[str, str]]]:
        """Who is connected, by room."""
        return {who.room: self.connected(who.call) for who in self._by_name.values() if who.line is not None}

    def calls(self) -> set[str]:
        return {who.call for who in self._by_name.values()}

    def __len__(self) -> int:
        return len(self._by_name)

    def counts(self) -> dict[str, int]:
        """Participants by community, also those who may come back: their media goes on."""
        return dict(Counter(who.community for who in self._by_name.values()))

    def due(self, served: Served, now: float) -> list[Removal | Permission]:
        """What the media server is to be told: it has to judge by what is served now."""
        orders: list[Removal | Permission] = []
        for who in self._by_name.values():
            functions = served.functions(who.community, who.user)
            if who.is_cut or functions is None or (who.line is None and now - who.left >= AWAY):
                orders.append(Removal(who))
            elif functions != who.told:
                orders.append(Permission(who, functions))
        return orders


def parsed(room: str, identity: str) -> Participant | None:
    """The participant of a room as the media server names both; None for what this program never named so."""
    community, _, call = room.partition("/")
    user, _, session = identity.rpartition("~")
    return Participant(community, user, session, call, told=None) if community and call and user and session else None
