"""Capacity at its thresholds, and the numbers of the vendor's table."""

from __future__ import annotations

import pytest

from mcs_operator.api.conditions import Reason
from mcs_operator.domain.rules.capacity import capacity_of, pressure
from support.worlds import instance


@pytest.mark.parametrize(
    ("tier", "bandwidth", "megabits", "connections"),
    [
        ("UpTo1000", None, 100, 208),
        ("UpTo10000", None, 1000, 2083),
        ("UpTo1000", "500M", 500, 1041),
        ("UpTo10000", "2G", 2000, 4166),
    ],
)
def test_the_band_carries_so_many_connections(
    tier: str, bandwidth: str | None, megabits: int, connections: int
) -> None:
    spec = {"tier": tier} | ({"bandwidth": bandwidth} if bandwidth else {})
    known = capacity_of(instance(**spec), 0, 0)
    assert (known.megabits, known.connections) == (megabits, connections)


@pytest.mark.parametrize(
    ("links", "users", "reason"),
    [
        (0, 0, None),
        (199, 799, None),
        (200, 0, Reason.NEARLY_FULL),
        (237, 800, Reason.NEARLY_FULL),
        (238, 0, Reason.ALMOST_FULL),
        (0, 950, Reason.ALMOST_FULL),
        (250, 1000, Reason.ALMOST_FULL),
    ],
)
def test_pressure_begins_at_80_and_again_at_95_per_cent(links: int, users: int, reason: Reason | None) -> None:
    verdict = pressure(capacity_of(instance(), links, users))
    assert (verdict.reason if verdict else None) is reason


def test_the_message_has_the_numbers_what_is_left_and_what_to_plan() -> None:
    verdict = pressure(capacity_of(instance(), 250, 800))
    assert verdict
    assert verdict.message == (
        "250 of 250 TVoxLinks (100 %, 0 left); plan another instance; "
        "800 of 1000 users (80 %, 200 left); plan a larger tier"
    )
    largest = pressure(capacity_of(instance(tier="UpTo10000"), 0, 9999))
    assert largest
    assert largest.message == "9999 of 10000 users (99 %, 1 left); plan another instance"
