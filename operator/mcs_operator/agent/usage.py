"""What each customer uses of the appliance, in its own words: for Prometheus alone.

It is asked apart from `/connections`, and stands in no report: numbers that change all the time must wake nobody, and
those of 250 customers would not fit beside what the operator needs to know. An image that knows no such thing says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcs_operator.agent import foreign
from mcs_operator.contract.linkstate import OBJECT_NAME

MOST = 250
"""Communities that are told, the first ones by name: as many series as there can be links."""
OF_COMMUNITY = ("calls", "participants", "callSeconds", "chatBytes", "fileBytes")
CAUSES = ("CommunityLimitExceeded", "Draining", "NoBandwidth", "NotAllowed", "TooMany")
KINDS = {"chat": "chatBytes", "files": "fileBytes"}
"""What is stored, and how the appliance calls its bytes; of times see AGES."""
AGES = {"chat": "chatSeconds", "files": "fileSeconds"}

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Usage:
    """By community what is used; of all together the quota of each, for how long is kept, and refused calls."""

    communities: Mapping[str, Counts] = field(default_factory=dict)
    refused: Counts = field(default_factory=dict)
    quota: Counts = field(default_factory=dict)
    retention: Counts = field(default_factory=dict)


def parse(raw: bytes) -> Usage | None:
    """The answer to `GET /usage`; None for what is none. Never raises."""
    said = foreign.parsed(raw)
    if not isinstance(said, dict):
        return None
    entries = said.get("communities")
    found = entries if isinstance(entries, dict) else {}
    names = sorted(name for name in found if OBJECT_NAME.fullmatch(name))[:MOST]
    return Usage(
        {name: _counts(found[name], OF_COMMUNITY) for name in names},
        _counts(said.get("refused"), CAUSES),
        _counts(said.get("quota"), KINDS.values()),
        _counts(said.get("retention"), AGES.values()),
    )


def _counts(value: object, names: Iterable[str]) -> Counts:
    """The counts of these names that it has."""
    told = value if isinstance(value, dict) else {}
    known = ((name, foreign.whole(told.get(name))) for name in names)
    return {name: count for name, count in known if count is not None}
