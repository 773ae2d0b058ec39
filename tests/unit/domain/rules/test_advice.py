"""`kubectl mcs size`: the vendor's table, asked the other way round, at its edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcs_operator.domain.rules import advice as module
from mcs_operator.domain.rules.advice import Advice, advise
from mcs_operator.domain.rules.tiers import TIERS, connections_in, megabits_for


@pytest.mark.parametrize(
    ("users", "links", "connections", "instances", "tier", "megabits"),
    [
        pytest.param(1, 0, 0, 1, "UpTo1000", 100, id="one user"),
        pytest.param(1_000, 250, 208, 1, "UpTo1000", 100, id="all that the smaller tier carries"),
        pytest.param(1_000, 250, 209, 1, "UpTo1000", 101, id="one connection more is a wider band, and no larger tier"),
        pytest.param(1_001, 250, 208, 1, "UpTo10000", 1_000, id="one user more is the larger tier"),
        pytest.param(10_000, 250, 2_083, 1, "UpTo10000", 1_000, id="all that the larger tier carries"),
        pytest.param(10_001, 250, 0, 2, "UpTo10000", 1_000, id="one user more is another instance"),
        pytest.param(100, 251, 0, 2, "UpTo1000", 100, id="one TVox more is another instance"),
        pytest.param(100, 0, 2_084, 2, "UpTo1000", 501, id="more than a network card carries is another instance"),
        pytest.param(2_000, 500, 0, 2, "UpTo1000", 100, id="two instances for their links may be small ones"),
    ],
)
def test_the_fewest_instances_and_the_smallest_tier_that_do(
    users: int, links: int, connections: int, instances: int, tier: str, megabits: int
) -> None:
    advice = advise(users, links, connections)
    assert (advice.instances, advice.tier, advice.megabits) == (instances, tier, megabits)
    assert advice.instances * advice.users >= users
    assert advice.instances * advice.links >= links
    assert advice.instances * advice.connections >= connections


@pytest.mark.parametrize("connections", [1, 2, 208, 209, 2_083])
def test_a_band_is_the_least_that_carries_its_connections(connections: int) -> None:
    band = megabits_for(connections)
    assert connections_in(band) >= connections
    assert connections_in(band - 1) < connections


def test_a_band_is_written_into_the_spec_where_it_is_not_the_tiers() -> None:
    assert advise(900).spec == {"tier": "UpTo1000"}
    assert advise(900, connections=625).spec == {"tier": "UpTo1000", "bandwidth": "300M"}


def test_who_asks_for_users_alone_is_told_of_no_tvoxes() -> None:
    assert advise(900) == Advice(1, "UpTo1000", 900, 0, 100)


def test_the_smallest_tier_is_that_with_the_fewest_users_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"UpTo500": replace(TIERS["UpTo1000"], users=500), **TIERS}
    monkeypatch.setattr(module, "TIERS", small)
    assert [advise(users).tier for users in (500, 501)] == ["UpTo500", "UpTo1000"]
