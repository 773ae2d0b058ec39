"""What is true about one link's tunnel: a pure state machine, given what OpenVPN and its supervisor said, and when.

    inputs (inputs.py) ──► Link.after(input, now) ──► a new Link ──► Link.tunnel(now) ──► what is reported

OpenVPN's list of clients is the truth about who is connected; its log only says why somebody is not. Whatever reaches
the port without having been let in (strangers, scanners, a second appliance with a wrong certificate) changes nothing
about a tunnel that is up.

Planned or not. A loss is a *flap* unless the slot took another revision (or was stopped) at that time: the operator
restarts OpenVPN for a renewed certificate, a changed setting or a new image, and that is not the customer's line being
bad. The
supervisor's word about its new revision may come a second later than the end of the old process, so the end of a
process is judged only after ``GRACE``; until then the tunnel is still reported as up. So a planned restart, about one
second long, does not make a link's status toggle.

Times are seconds since the epoch, as ``time.time()`` gives them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

from mcs_operator.agent import foreign
from mcs_operator.agent.inputs import Established, Gone, Input, Refusal, Refused, Roster, Session, Slot
from mcs_operator.contract.linkstate import MAX_MESSAGE, SlotState, TunnelReason, TunnelState, TunnelStatus

WINDOW = 600.0
"""Ten minutes: what counts together as flapping, and how long it must be quiet to be over."""
FLAPS = 3
"""Losses within the window from which on a link is flapping."""
RETURNS = 2
"""How often within the window someone who was thrown out must throw out the other. Once is a TVox that changed its
uplink and changed back; twice is two places that use one profile."""
GRACE = 3.0
"""How long after the end of an OpenVPN process its supervisor may take to say that it took another revision."""
REFUSAL_HOLDS = 120.0
"""A refused client tries again within seconds; if nobody did for so long, he is gone, and so is the reason."""
REFUSAL_STANDS = 60.0
"""Two refused clients for different reasons take turns; the report does not follow each of them."""


_IDLE = Slot(SlotState.IDLE)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A session whose process ended, until it is known whether that was planned."""

    session: Session
    at: float
    revision: str | None
    stopped: bool
    """Whether the supervisor had said before that it ends: its container is replaced, or the pod."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    refused: Refused
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class _Move:
    """One host threw out another by showing the same certificate."""

    at: float
    loser: str
    winner: str


@dataclass(frozen=True, slots=True)
class Link:
    """Everything remembered about one link. Immutable: ``after`` returns the next one."""

    slot: Slot = _IDLE
    session: Session | None = None
    revision: str | None = None
    """The one in force when the session began. Not the slot's present one: the supervisor's word about the next may be
    heard before the end of the process that it replaced."""
    read: bool = False
    """Whether OpenVPN's list of clients was ever read. Before that nothing is known, and nothing is claimed."""
    ended: _Ended | None = None
    lost: float | None = None
    """When the last tunnel ended; None before the first one did."""
    last: Session | None = None
    """Whose tunnel that was: while nobody is there, where he dialled in from is what a person asks the site about."""
    fingerprint: str | None = None
    losses: tuple[float, ...] = ()
    """Times of the unplanned ones within the window, oldest first."""
    flaps: int = 0
    flapping: bool = False
    refusal: _Refusal | None = None
    moves: tuple[_Move, ...] = ()
    contested: float | None = None
    """Since when two places throw each other out; None while they do not."""

    # ------------------------------------------------------------------------------------------------------- inputs

    def after(self, heard: Input, now: float) -> Link:
        """The link after this input at this time."""
        link = self.at(now)
        match heard:
            case Established(session):
                return link._joined(session, now)
            case Roster(sessions):
                return link._listed(sessions, now)
            case Refused():
                return link._refused(heard, now)
            case Gone():
                return link._process_gone(now)
            case Slot():
                return link._supervised(heard, now)
            case _:
                assert_never(heard)

    def at(self, now: float) -> Link:
        """The link when only time has passed: ends are judged, what is over is forgotten."""
        link = self
        if link.ended and now - link.ended.at >= GRACE:
            link = link._judged()
        if link.flapping and not _recent(link.losses, now):
            link = replace(link, flapping=False)
        if link.contested is not None and not _recent(tuple(move.at for move in link.moves), now):
            link = replace(link, contested=None)
        if link.refusal and now - link.refusal.last >= REFUSAL_HOLDS:
            link = replace(link, refusal=None)
        return link

    def next_change(self, now: float) -> float | None:
        """When ``at`` would next say something else although nothing happens; None for never."""
        moments = []
        if self.ended:
            moments.append(self.ended.at + GRACE)
        if self.flapping and self.losses:
            moments.append(self.losses[-1] + WINDOW)
        if self.contested is not None and self.moves:
            moments.append(self.moves[-1].at + WINDOW)
        if self.refusal:
            moments.append(self.refusal.last + REFUSAL_HOLDS)
        return max(now, min(moments)) if moments else None

    def _joined(self, session: Session, now: float) -> Link:
        link, old = self, self.session
        if old and not old.is_same(session):
            # One certificate, one tunnel: OpenVPN drops the former one. The TVox was restarted and its ghost had not
            # timed out yet, or this is another place with the same profile.
            if old.host != session.host:
                link = link._moved(_Move(now, old.host, session.host), now)
            # While two places are at it, each turn would be a flap, and a write of the status every ten seconds.
            link = link._lose(now) if link.contested is None else link
        fingerprint = session.fingerprint or link.fingerprint
        return replace(
            link,
            read=True,
            session=session,
            revision=link.slot.revision,
            fingerprint=fingerprint,
            refusal=None,
        )

    def _listed(self, sessions: tuple[Session, ...], now: float) -> Link:
        link = replace(self, read=True)
        if not sessions:
            return link._lose(now) if link.session else link
        known = link.session or (link.ended and link.ended.session) or None
        same = next((session for session in sessions if known and session.is_same(known)), None)
        if known and same:
            # The list knows no fingerprint, and a version only where the log told it. The peer may differ: the client's
            # NAT gave it another port, and OpenVPN followed ("floated") without a new handshake. And a process that
            # seemed gone was only slow to answer.
            ended = None if link.session is None else link.ended
            session = replace(known, peer=same.peer, version=known.version or same.version)
            return replace(link, session=session, ended=ended)
        return link._joined(sessions[-1], now)

    def _refused(self, refused: Refused, now: float) -> Link:
        if self.session or self.ended:
            return self
        old = self.refusal
        if old is None:
            return replace(self, refusal=_Refusal(refused, now, now))
        if old.refused == refused:
            return replace(self, refusal=replace(old, last=now))
        if now - old.first < REFUSAL_STANDS:
            return self
        return replace(self, refusal=_Refusal(refused, now, now))

    def _process_gone(self, now: float) -> Link:
        if not self.session:
            return self
        ended = _Ended(self.session, now, self.revision, self.slot.state is SlotState.STOPPING)
        return replace(self._judged(), session=None, ended=ended)

    def _supervised(self, slot: Slot, now: float) -> Link:
        link = self
        if slot.revision != link.slot.revision:
            # What was refused, was refused by other rules; and a rotation is how a contested profile is put right.
            link = replace(link, refusal=None, moves=(), contested=None)
        if link.session and slot.pid is not None and slot.pid == link.slot.pid:
            link = replace(link, revision=slot.revision)
        link = replace(link, slot=slot)
        if slot.state is SlotState.IDLE and slot.revision is None:
            # Free for another link: nothing of the former one may colour it.
            return Link(slot=slot)
        if slot.state is SlotState.IDLE and link.ended:
            return link._judged()
        return link

    def _judged(self) -> Link:
        """Decide about a session whose process ended: was it planned?"""
        if not self.ended:
            return self
        ended, link = self.ended, replace(self, ended=None)
        link = replace(link, last=ended.session)
        stopped = ended.stopped or link.slot.state in (SlotState.IDLE, SlotState.STOPPING)
        if stopped or link.slot.revision != ended.revision:
            return replace(link, lost=ended.at)
        return link._counted(ended.at)

    def _lose(self, now: float) -> Link:
        return replace(self, session=None, last=self.session)._counted(now)

    def _counted(self, when: float) -> Link:
        losses = (*_recent(self.losses, when), when)[-FLAPS:]
        flapping = self.flapping or len(losses) >= FLAPS
        return replace(self, lost=when, flaps=self.flaps + 1, losses=losses, flapping=flapping)

    def _moved(self, move: _Move, now: float) -> Link:
        moves = (*(m for m in self.moves if now - m.at < WINDOW), move)[-2 * FLAPS :]
        losers: set[str] = set()
        returns = 0
        for one in moves:
            returns += one.winner in losers
            losers.add(one.loser)
        contested = now if self.contested is None and returns >= RETURNS else self.contested
        return replace(self, moves=moves, contested=contested)

    # ------------------------------------------------------------------------------------------------------- report

    def tunnel(self, now: float) -> TunnelState:
        """What is reported about this link at this time."""
        link = self.at(now)
        session = link.session or (link.ended.session if link.ended else None)
        status, reason, message = link._verdict(session)
        contested = reason is TunnelReason.WRONG_PEER
        since = link.contested if contested else session.since if session else link.lost
        shown = None if contested else session or link.last
        return TunnelState(
            status=status,
            reason=reason,
            message=message[:MAX_MESSAGE],
            since=_moment(since),
            # With two places by turns this would change at every turn, and each change is a write of the status.
            peer=shown.peer if shown else None,
            clientVersion=shown.version if shown else None,
            flaps=link.flaps,
            fingerprint=link.fingerprint,
        )

    def _verdict(self, session: Session | None) -> tuple[TunnelStatus, TunnelReason, str]:
        up = TunnelStatus.TRUE if session else TunnelStatus.FALSE
        if not self.read and not session:
            return TunnelStatus.UNKNOWN, TunnelReason.PENDING, "OpenVPN of this slot has not been read yet"
        if self.contested is not None:
            return TunnelStatus.FALSE, TunnelReason.WRONG_PEER, self._contest()
        if self.refusal and not session:
            expired = self.refusal.refused.why is Refusal.EXPIRED
            reason = TunnelReason.CERTIFICATE_EXPIRED if expired else TunnelReason.AUTHENTICATION_FAILED
            return TunnelStatus.FALSE, reason, str(self.refusal.refused)
        if self.flapping:
            minutes = f"{WINDOW // 60:.0f} minutes"
            return up, TunnelReason.FLAPPING, f"lost {FLAPS} times within {minutes}; over when {minutes} are quiet"
        if session:
            return up, TunnelReason.ESTABLISHED, ""
        if self.lost is None:
            return up, TunnelReason.NEVER_CONNECTED, f"nobody has connected yet{self._kept_out()}"
        ended = _moment(self.lost)
        when = f" at {ended:%Y-%m-%dT%H:%M:%SZ}" if ended else ""
        return up, TunnelReason.LOST, f"the tunnel ended{when}{self._kept_out()}"

    def _kept_out(self) -> str:
        """Without the number, which grows: each change of the text would be a write of the status."""
        return "; spec.allowedSources keeps out others who dial" if self.slot.dropped else ""

    def _contest(self) -> str:
        hosts = sorted({host for move in self.moves for host in (move.loser, move.winner)})[:4]
        return f"the same profile is used by turns at {' and '.join(hosts)}: each throws the other out"

    # ------------------------------------------------------------------------------------------------------- memory

    def remembered(self) -> dict[str, Any]:
        """What must outlive this process (JSON types), so that a restarted agent tells no other story.

        Without it every link that is down would turn from Lost to NeverConnected, and 250 statuses would be written.
        """
        if self.ended:
            return self._judged().remembered()
        return {
            "session": self.session and asdict(self.session),
            "last": self.last and asdict(self.last),
            "revision": self.revision,
            "pid": self.slot.pid,
            "lost": self.lost,
            "fingerprint": self.fingerprint,
            "losses": list(self.losses),
            "flaps": self.flaps,
            "flapping": self.flapping,
            "contested": self.contested,
            "moves": [[move.at, move.loser, move.winner] for move in self.moves],
        }

    @classmethod
    def recalled(cls, memory: object, slot: Slot, now: float) -> Link:
        """A link as it was remembered; what OpenVPN says next corrects it. Whatever is of no use is left out."""
        said: dict[str, Any] = memory if isinstance(memory, dict) else {}
        moves = [move for move in _listed(said.get("moves")) if isinstance(move, list) and len(move) == 3]
        known = cls(
            slot=slot,
            lost=foreign.seconds(said.get("lost")),
            last=_session(said.get("last")),
            fingerprint=foreign.sha256(said.get("fingerprint")),
            losses=tuple(filter(None, map(foreign.seconds, _listed(said.get("losses")))))[-FLAPS:],
            flaps=foreign.whole(said.get("flaps")) or 0,
            flapping=said.get("flapping") is True,
            contested=foreign.seconds(said.get("contested")),
            moves=tuple(
                _Move(foreign.seconds(at) or 0.0, foreign.plain(loser) or "", foreign.plain(winner) or "")
                for at, loser, winner in moves[-2 * FLAPS :]
            ),
        )
        session = _session(said.get("session"))
        if session is None:
            return known
        if said.get("revision") != slot.revision and (slot.pid is None or said.get("pid") != slot.pid):
            # OpenVPN was restarted on purpose while nobody watched; client IDs begin anew, so the old one says nothing.
            return replace(known, lost=now, last=session)
        return replace(known, session=session, revision=slot.revision)


def _session(said: object) -> Session | None:
    if not isinstance(said, dict):
        return None
    client, since = foreign.whole(said.get("client")), foreign.seconds(said.get("since"))
    peer = foreign.plain(said.get("peer"))
    if client is None or since is None or peer is None:
        return None
    version, fingerprint = foreign.plain(said.get("version")), foreign.sha256(said.get("fingerprint"))
    return Session(client, peer, since, version, fingerprint)


def _listed(said: object) -> list[Any]:
    return said if isinstance(said, list) else []


def _moment(since: float | None) -> datetime | None:
    # Bounded here once more, behind all doors: a date that cannot be written would silence the report of all links.
    known = foreign.seconds(since)
    return datetime.fromtimestamp(known, UTC) if known is not None else None


def _recent(times: tuple[float, ...], now: float) -> tuple[float, ...]:
    return tuple(time for time in times if now - time < WINDOW)
