"""The vendor's table to the letter, and how a machine of a tier is shared out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mcs_operator.api import Tier
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.domain.pod.sizing import size
from mcs_operator.domain.rules.tiers import TIERS, connections_in
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.settings import Settings
from support.worlds import instance

FULL = {"resources": None, "vpn": {"slots": 250}}


@pytest.mark.parametrize(
    ("tier", "users", "cores", "memory", "disk", "nic", "internet", "connections"),
    [
        ("UpTo1000", 1_000, 4, 8 * 10**9, 150, 1_000, 100, 208),
        ("UpTo10000", 10_000, 8, 8 * 10**9, 150, 1_000, 1_000, 2_083),
    ],
)
def test_the_table(
    tier: str, users: int, cores: int, memory: int, disk: int, nic: int, internet: int, connections: int
) -> None:
    row = TIERS[tier]
    assert (row.users, row.cpu_millicores, row.memory_bytes) == (users, cores * 1000, memory)
    assert (row.disk_gigabytes, row.nic_megabits, row.internet_megabits) == (disk, nic, internet)
    assert row.connections == connections


def test_the_table_and_the_schema_have_the_same_tiers() -> None:
    assert set(TIERS) == {tier.value for tier in Tier}


@pytest.mark.parametrize(("megabits", "connections"), [(0, 0), (1, 2), (100, 208), (500, 1041), (1000, 2083)])
def test_a_band_carries_whole_connections(megabits: int, connections: int) -> None:
    assert connections_in(megabits) == connections


def requests_of_the_pod(tier: str, **spec: Any) -> dict[str, Decimal]:
    manifest = build_stateful_set(instance(tier=tier, **(FULL | spec)), Settings())
    containers = manifest.body["spec"]["template"]["spec"]["containers"]
    return {
        name: sum((parse_quantity(c["resources"]["requests"][name]) for c in containers), Decimal(0))
        for name in ("cpu", "memory")
    }


@pytest.mark.parametrize("tier", list(TIERS))
@pytest.mark.parametrize("slots", [1, 100, 250])
def test_the_whole_pod_asks_for_three_quarters_of_the_machine(tier: str, slots: int) -> None:
    asked, machine = requests_of_the_pod(tier, vpn={"slots": slots}), TIERS[tier]
    assert asked["cpu"] == Decimal(machine.cpu_millicores) / 1000 * Decimal("0.75")
    assert asked["memory"] == machine.memory_bytes * Decimal("0.75")


@pytest.mark.parametrize("tier", list(TIERS))
def test_the_media_may_use_the_whole_machine(tier: str) -> None:
    limits = size(instance(tier=tier, **FULL)).limits
    assert parse_quantity(limits["cpu"]) * 1000 == TIERS[tier].cpu_millicores
    assert parse_quantity(limits["memory"]) == TIERS[tier].memory_bytes


def test_without_an_override_nothing_is_below_the_tier() -> None:
    assert size(instance(**FULL)).below == ""


OVERRIDES = [
    pytest.param({"limits": {"cpu": "1", "memory": "512Mi"}}, id="lower limits alone"),
    pytest.param({"limits": {"cpu": "1"}}, id="a lower limit of one thing"),
    pytest.param({"limits": {"memory": "1Gi"}}, id="a lower limit of the other"),
    pytest.param({"requests": {"cpu": "50m", "memory": "64Mi"}}, id="lower requests alone"),
    pytest.param({"requests": {"cpu": "50m"}}, id="a lower request of one thing"),
    pytest.param({"requests": {"cpu": "6", "memory": "16G"}}, id="requests above the tier"),
    pytest.param({"requests": {"cpu": "50m"}, "limits": {"memory": "1Gi"}}, id="one of each"),
    pytest.param({"requests": {"cpu": "9"}, "limits": {"cpu": "9", "memory": "99G"}}, id="more of all"),
    pytest.param({}, id="an empty override"),
]


@pytest.mark.parametrize("override", OVERRIDES)
def test_whatever_is_overridden_requests_are_within_limits_and_nothing_is_unlimited(override: dict[str, Any]) -> None:
    found = size(instance(**FULL | {"resources": override}))
    assert set(found.requests) == set(found.limits) == {"cpu", "memory"}
    for name in found.requests:
        assert 0 < parse_quantity(found.requests[name]) <= parse_quantity(found.limits[name]), name


@pytest.mark.parametrize("override", OVERRIDES)
def test_what_the_user_says_is_taken(override: dict[str, Any]) -> None:
    found = size(instance(**FULL | {"resources": override}))
    for chosen, used in ((override.get("requests", {}), found.requests), (override.get("limits", {}), found.limits)):
        assert {name: parse_quantity(used[name]) for name in chosen} == {
            n: parse_quantity(a) for n, a in chosen.items()
        }


def test_an_override_below_the_tier_names_every_difference() -> None:
    below = size(instance(**FULL | {"resources": {"limits": {"cpu": "1", "memory": "16G"}}})).below
    assert "UpTo1000" in below
    assert "limits.cpu is 1, the tier's is 4000m" in below
    assert "memory" not in below


def test_what_is_below_the_tier_is_told_part_by_part() -> None:
    assert size(instance(**FULL | {"resources": {"limits": {"cpu": "1", "memory": "1G"}}})).below == (
        "spec.resources: below tier UpTo1000: requests.cpu is 1, the tier's is 2450m; requests.memory is 1G, the "
        "tier's is 4850760704; limits.cpu is 1, the tier's is 4000m; limits.memory is 1G, the tier's is 8000000000"
    )


def test_an_override_above_the_tier_is_not_below_it() -> None:
    more = {"requests": {"cpu": "9", "memory": "9G"}, "limits": {"cpu": "9", "memory": "99G"}}
    assert size(instance(**FULL | {"resources": more})).below == ""


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1K", "1mm", "1.2.3", "GiB", "1GiB", "0x1"])
def test_what_is_no_quantity_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is not a quantity such as 500m or 8Gi$"):
        parse_quantity(text)
