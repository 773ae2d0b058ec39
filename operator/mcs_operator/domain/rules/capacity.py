"""Capacity: what an instance may hold, what it holds, what is left, and when to think of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Reason
from mcs_operator.domain.rules.tiers import TIERS, connections_in
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import MAX_LINKS

HIGH, VERY_HIGH = 80, 95
"""Per cent of a capacity."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is counted. ``remedy``: what there is to do before it is full."""

    what: str
    used: int
    capacity: int
    remedy: str

    @property
    def left(self) -> int:
        """How many more fit."""
        return max(0, self.capacity - self.used)

    @property
    def percent(self) -> int:
        """Whole per cent that are used, rounded down: 199 of 250 are 79."""
        return self.used * 100 // self.capacity

    def __str__(self) -> str:
        return f"{self.used} of {self.capacity} {self.what} ({self.percent} %, {self.left} left); {self.remedy}"


@dataclass(frozen=True, slots=True)
class Capacity:
    """One instance's. ``megabits`` is the site's Internet band, ``connections`` what it carries at 60 KB/s each."""

    links: Line
    users: Line
    megabits: int
    connections: int

    @property
    def lines(self) -> tuple[Line, ...]:
        """Everything that can run out."""
        return (self.links, self.users)


def capacity_of(instance: MCSInstance, links: int, users: int) -> Capacity:
    """The capacity of an instance in which so many links have a slot, and so many users are served."""
    tier = TIERS[instance.spec.tier]
    megabits = instance.spec.bandwidth_megabits or tier.internet_megabits
    larger = "plan another instance" if tier.users == max(t.users for t in TIERS.values()) else "plan a larger tier"
    slots = instance.spec.vpn.slots
    raised = "" if slots == MAX_LINKS else "raise spec.vpn.slots (restarts the pod) or "
    return Capacity(
        links=Line("TVoxLinks", links, slots, f"{raised}plan another instance"),
        users=Line("users", users, tier.users, larger),
        megabits=megabits,
        connections=connections_in(megabits),
    )


def pressure(known: Capacity) -> Verdict | None:
    """What is nearly full, by the fullest; None where nothing is."""
    worst = max(line.percent for line in known.lines)
    if worst < HIGH:
        return None
    reason = Reason.ALMOST_FULL if worst >= VERY_HIGH else Reason.NEARLY_FULL
    return Verdict(reason, "; ".join(str(line) for line in known.lines if line.percent >= HIGH))


def crossings(before: Line, after: Line) -> Iterator[str]:
    """What to warn of when something was added: only by whom a threshold is reached, or everybody is told for ever."""
    for threshold in (VERY_HIGH, HIGH):
        if before.percent < threshold <= after.percent:
            yield f"capacity: {after}"
            return
