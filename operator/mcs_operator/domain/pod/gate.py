"""The gate: whether a disruption may begin now. Open at any time, as long as no rules say otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether the gate is open; else when it is expected to be, when to look again, and half a sentence why."""

    open: bool
    planned: datetime | None = None
    look_again: datetime | None = None
    why: str = ""


def passage(rules: object, since: datetime, now: datetime, idle_since: datetime | None, drain_seconds: int) -> Passage:
    """May a disruption that is known ``since`` begin ``now``?"""
    del rules, since, idle_since, drain_seconds
    return Passage(open=True, planned=now)
