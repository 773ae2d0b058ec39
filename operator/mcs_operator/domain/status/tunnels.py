"""Events about tunnels that go and come back. They are few, whatever happens: a site with a bad line, or a node that
loses its Internet, would fill the cluster's Events otherwise. Pure.

What is told is a change of the reason of ``Connected``. So a link that flaps is told once, and not at each loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from mcs_operator.api.conditions import ConditionStatus, Kind, Reason, Type, find_condition
from mcs_operator.domain.status.events import NOTE_LIMIT, Note

EACH = 3
"""So many links are told each by itself; more that change together for one reason are one Event at their instance."""
NAMED = 10
"""Links that such an Event names."""
BURST = 20
"""Events about tunnels that one namespace may have at once."""
REFILL_SECONDS = 60.0
"""After so many seconds it may have one more."""
_BAD = (
    Reason.LOST,
    Reason.FLAPPING,
    Reason.CERTIFICATE_EXPIRED,
    Reason.AUTHENTICATION_FAILED,
    Reason.WRONG_PEER,
)
_WHAT = {Reason.LOST: "the tunnels of {} links ended", Reason.ESTABLISHED: "the tunnels of {} links are up again"}


@dataclass(frozen=True, slots=True)
class TunnelNote:
    """What is told about one link's tunnel."""

    link: str
    instance: str
    note: Note


def tunnel_note(before: Mapping[str, Any], after: Mapping[str, Any]) -> Note | None:
    """What is told where a link's status changes so. A first tunnel is no news, nor is one of which it was not known
    what it was: an agent that is back would tell of 250."""
    old, new = (find_condition(status.get("conditions"), Type.CONNECTED) for status in (before, after))
    reason, was = new.get("reason"), old.get("reason")
    if reason == was or old.get("status") not in (ConditionStatus.TRUE, ConditionStatus.FALSE):
        return None
    host = str((after.get("tunnel") or {}).get("peer") or "").rpartition(":")[0]  # each port would be another text
    if reason == Reason.ESTABLISHED and was in _BAD:
        return Note(False, reason, "Watch", f"the tunnel is up again; the TVox dials in from {host}"[:NOTE_LIMIT])
    if reason not in _BAD or (reason == Reason.LOST and old.get("status") != ConditionStatus.TRUE):
        return None
    dialled = f"; the TVox dialled in from {host}" if host else ""
    return Note(True, str(reason), "Watch", f"{new.get('message', '')}{dialled}"[:NOTE_LIMIT])


def gathered(notes: Iterable[TunnelNote]) -> Iterator[tuple[Kind, str, Note]]:
    """Kind and name of who is told what: a few links each by itself, many at their instance."""

    def together(one: TunnelNote) -> tuple[str, str]:
        return one.instance, one.note.reason

    for (instance, reason), group in groupby(sorted(notes, key=lambda one: (*together(one), one.link)), together):
        told = list(group)
        if len(told) <= EACH:
            yield from ((Kind.LINK, one.link, one.note) for one in told)
            continue
        more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
        what = _WHAT.get(Reason(reason), f"{{}} links: {reason}").format(len(told))
        names = ", ".join(one.link for one in told[:NAMED])
        yield Kind.INSTANCE, instance, replace(told[0].note, note=f"{what}: {names}{more}"[:NOTE_LIMIT])


@dataclass(slots=True)
class Budget:
    """How many Events about tunnels one namespace may have now. ``at``: seconds of any clock that goes forwards."""

    left: float = BURST
    at: float = 0.0
    untold: int = 0
    """Those that there was no room for, since the last one that was told."""

    def admitted(self, note: Note, now: float) -> Note | None:
        """The Event to post; None where it is one too many."""
        self.left = min(BURST, self.left + max(0.0, now - self.at) / REFILL_SECONDS)
        self.at = now
        if self.left < 1:
            self.untold += 1
            return None
        self.left -= 1
        untold, self.untold = self.untold, 0
        if not untold:
            return note
        return replace(note, note=f"{note.note[: NOTE_LIMIT - 80]} ({untold} changes before it were too many to tell)")
