"""The gate: whether what interrupts customers may begin now, and if not, when. Pure.

    since        window begins         last moment  window ends
      │  outside      │   inside: when idle  │ forced  │   outside: the next window
    ──┴───────────────┴──────────────────────┴─────────┴──────────────────────────────▶

What has begun to drain is not asked again: it goes on to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mcs_operator.api import MCSInstance
from mcs_operator.api.annotations import moment
from mcs_operator.api.disruptions import AtWindowEnd, Disruptions
from mcs_operator.domain.rules.windows import Opening, opening, problems
from mcs_operator.settings import ANNOTATION_ALLOWED
from mcs_operator.timestamps import rfc3339

TO_REPLACE = timedelta(minutes=2)
"""What a pod of 250 slots takes from its end until all tunnels are back: with the drain it fits into the window."""
LOOK_AGAIN_WITHIN = timedelta(minutes=10)
"""A timer of the operator knows nothing of a clock that is set, or of a machine that slept."""
ALLOWED_FOR = timedelta(minutes=10)
"""What somebody allows by hand ends by itself: forgotten, it would let pass whatever comes next year."""


@dataclass(frozen=True, slots=True)
class Passage:
    """``open``: it may begin. ``planned``: when it is expected to begin, now where it may; None: nobody knows, as it
    depends on who talks. ``look_again``: when to ask again. ``why``: half a sentence, "waits …".

    Who comes and goes changes none of the texts and times, but ``open`` and ``look_again``: they are told in a status,
    which would otherwise be written for each call. ``never``: not even where a drain has begun for it.
    """

    open: bool
    planned: datetime | None = None
    look_again: datetime | None = None
    why: str = ""
    never: bool = False


def passage(
    rules: Disruptions, since: datetime, now: datetime, idle_since: datetime | None, drain_seconds: int
) -> Passage:
    """``since``: from when on it waits. ``idle_since``: since when nobody talks; None: somebody does, or who knows."""
    if rules.is_at_once:
        return Passage(True, now)
    due = _sum(since, rules.patience) if rules.patience else None
    if not rules.windows:
        return _when_idle(rules, now, idle_since, due, "")
    found = [o for o in (opening(window, now) for window in rules.windows) if o is not None]
    if not found:  # it must not pass because somebody wrote 30 February
        return Passage(False, why=f"waits for a window, and none can come: {problems(rules.windows)[0]}")
    inside = [o for o in found if o.begin <= now]
    if not inside:
        begin = min(o.begin for o in found)
        return Passage(False, begin, _within(now, begin), f"waits for the window that begins at {rfc3339(begin)}")
    forced = min((_last_moment(o, drain_seconds) for o in inside if _is_forced(rules, o, due)), default=None)
    ends = [o.end for o in inside]
    return _when_idle(rules, now, idle_since, forced, f"; the window ends at {rfc3339(max(ends))}", *ends)


def allowed_at(instance: MCSInstance) -> datetime | None:
    """When somebody allows, by hand, what spec.disruptions would hold back."""
    return moment(instance.annotations.get(ANNOTATION_ALLOWED, ""))


def is_allowed(instance: MCSInstance, now: datetime) -> bool:
    """Whether he allows it now."""
    allowed = allowed_at(instance)
    return allowed is not None and timedelta(0) <= now - allowed < ALLOWED_FOR


def foretold(instance: MCSInstance, now: datetime) -> str:
    """When what is asked for now will be done, for whoever is about to ask; "" where it is done at once."""
    found = passage(instance.spec.disruptions, now, now, None, instance.spec.drain_seconds)
    return (
        ""
        if found.open or is_allowed(instance, now)
        else f"what is to restart {found.why}; until then nothing is interrupted"
    )


def _is_forced(rules: Disruptions, of: Opening, due: datetime | None) -> bool:
    return rules.at_window_end is AtWindowEnd.FORCE or (due is not None and of.end >= due)


def _last_moment(of: Opening, drain_seconds: int) -> datetime:
    """When what is to be over by the end of the window has to begin, and not before its begin."""
    return max(of.begin, of.end - timedelta(seconds=drain_seconds) - TO_REPLACE)


def _when_idle(
    rules: Disruptions,
    now: datetime,
    idle_since: datetime | None,
    forced: datetime | None,
    or_else: str,
    *ends: datetime,
) -> Passage:
    """At a time at which it may be done. ``forced``: from when on also while somebody talks."""
    if rules.when_idle is None or (forced is not None and forced <= now):
        return Passage(True, now)
    idle = idle_since + timedelta(seconds=rules.when_idle.seconds) if idle_since else None
    if idle is not None and idle <= now:
        return Passage(True, now)
    until = f", until {rfc3339(forced)} at most" if forced else or_else
    why = f"waits until nobody talks for {rules.when_idle.seconds} s{until}"
    return Passage(False, forced, _within(now, forced, idle, *ends), why)


def _within(now: datetime, *moments: datetime | None) -> datetime:
    return min(moment for moment in (*moments, now + LOOK_AGAIN_WITHIN) if moment is not None)


def _sum(moment: datetime, length: timedelta) -> datetime:
    """Also where somebody's edit of an annotation says the year 9999."""
    try:
        return moment + length
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
