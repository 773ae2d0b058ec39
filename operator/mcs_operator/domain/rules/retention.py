"""Identities whose link is gone: how long they are kept, and who needs their number before."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from mcs_operator.domain.facts.world import Profile


@dataclass(frozen=True, slots=True)
class Retained:
    """``expired``: their time is over. ``given_up``: it is not, and a new link needs the number. ``next_end``: when the
    next one's time is over."""

    expired: tuple[Profile, ...]
    given_up: tuple[Profile, ...]
    next_end: datetime | None


def of(without_link: Collection[Profile], kept_for: float, needed: Set[int], now: datetime) -> Retained:
    """What becomes of these identities. ``kept_for``: seconds from the release on; ``needed``: numbers of new links."""
    ends = {p.link: p.released + timedelta(seconds=kept_for) for p in without_link if p.released}
    expired = tuple(p for p in without_link if p.link in ends and ends[p.link] <= now)
    given_up = tuple(p for p in without_link if p not in expired and p.number in needed)
    return Retained(expired, given_up, min((end for end in ends.values() if end > now), default=None))
