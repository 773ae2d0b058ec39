"""What `kubectl mcs plan` says a change costs, and whom."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api import Impact, MCSInstance, TVoxLink
from mcs_operator.cli.effects import Effect, effect, exit_code
from mcs_operator.render.hashes import restart_hash
from support.objects import a_link, an_instance

SERVED = ("acme", "bolt")


def instance(**spec: Any) -> MCSInstance:
    return MCSInstance.from_object(an_instance(**spec))


def link(**spec: Any) -> TVoxLink:
    return TVoxLink.from_object(a_link("acme", **spec))


def test_a_new_customer_interrupts_nobody() -> None:
    found = effect(None, link(), SERVED)
    assert (found.impact, found.customers) == (Impact.HOT, ())
    assert found.lines() == ["TVoxLink/acme: created: nobody is interrupted"]


def test_the_same_again_changes_nothing() -> None:
    found = effect(link(), link(protocol="UDP"), SERVED)  # spelling out a default
    assert (found.impact, found.action) == (None, "unchanged")


def test_a_changed_link_interrupts_itself_only() -> None:
    found = effect(link(), link(enabled=False), SERVED)
    assert (found.impact, found.customers) == (Impact.THIS_LINK, ("acme",))


def test_a_useless_profile_is_foretold_with_the_command_for_the_new_one() -> None:
    found = effect(link(), link(protocol="TCP", enabled=False), SERVED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, ("acme",))
    assert found.lines()[0] == (
        "TVoxLink/acme: changed: spec.protocol: the TVox is cut off until its new profile is uploaded to it: "
        "kubectl mcs profile acme"
    )
    assert found.as_data()["effect"].endswith("kubectl mcs profile acme")


def test_sources_that_leave_out_the_tvox_that_is_connected_are_foretold() -> None:
    found = effect(link(), link(allowedSources=["198.51.100.0/24"]), SERVED, "203.0.113.9:40000")
    assert (found.impact, found.customers) == (Impact.THIS_LINK, ("acme",))
    assert "TVoxLink acme is connected from 203.0.113.9, which is in none of these networks" in found.lines()[0]
    assert "reconnects" not in found.words


def test_a_new_profile_does_not_help_a_tvox_whose_address_is_left_out() -> None:
    found = effect(link(), link(allowedSources=["198.51.100.0/24"], protocol="TCP"), SERVED, "203.0.113.9:40000")
    assert "add 203.0.113.9/32; spec.protocol: the TVox is cut off until" in found.words


def test_a_link_that_is_switched_off_needs_the_new_profile_too_and_interrupts_nobody() -> None:
    found = effect(link(enabled=False), link(enabled=False, protocol="TCP"), SERVED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, ())


def test_another_ca_would_make_every_profile_useless() -> None:
    found = effect(instance(), instance(vpn={"slots": 6, "caSecretRef": {"name": "ours"}}), SERVED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, SERVED)


@pytest.mark.parametrize(
    ("impacts", "code"),
    [
        pytest.param([], 0, id="nothing to do"),
        pytest.param([None, Impact.HOT], 0, id="nobody"),
        pytest.param([Impact.THIS_LINK, Impact.HOT], 3, id="a reconnect"),
        pytest.param([Impact.NEW_PROFILE, Impact.THIS_LINK], 3, id="a new profile"),
        pytest.param([Impact.IN_PLACE, Impact.HOT], 0, id="another size"),
        pytest.param([Impact.MEDIA_RESTART, Impact.IN_PLACE], 4, id="another image"),
        pytest.param([Impact.HOT, Impact.RESTART, Impact.NEW_PROFILE], 4, id="a restart"),
    ],
)
def test_the_exit_code_is_that_of_the_worst(impacts: list[Impact | None], code: int) -> None:
    effects = [Effect("TVoxLink", "acme", "changed", impact) for impact in impacts]
    assert exit_code(effects) == code
    assert exit_code([*effects, Effect("TVoxLink", "bolt", "changed", None, refused="taken")]) == 1


@pytest.mark.parametrize("impact", Impact)
def test_every_impact_is_told_in_words(impact: Impact) -> None:
    assert Effect("TVoxLink", "acme", "changed", impact).words


def test_a_restart_names_every_customer_and_the_field() -> None:
    found = effect(instance(), instance(vpn={"slots": 8}), SERVED)
    assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    assert any("spec.vpn.slots (Restart): 6 -> 8" in line for line in found.lines())


@pytest.mark.parametrize("spec", [{"vpn": {"slots": 8}}, {"domain": "other.test"}, {"tier": "UpTo10000"}, {}])
def test_a_restart_is_foretold_exactly_where_the_operator_restarts(spec: dict[str, Any]) -> None:
    """By the hash that the operator compares with the running pod's."""
    restarts = restart_hash(instance()) != restart_hash(instance(**spec))
    assert (effect(instance(), instance(**spec), SERVED).impact is Impact.RESTART) == restarts


def test_suspending_interrupts_everybody_and_what_follows_nobody() -> None:
    found = effect(instance(), instance(suspend=True), SERVED)
    assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    for after in (instance(), instance(suspend=True, vpn={"slots": 8}, image="localhost/mcs/appliance:next")):
        found = effect(instance(suspend=True), after, SERVED)
        assert (found.impact, found.customers) == (Impact.HOT, ())


def test_another_image_ends_every_customers_calls_and_no_tunnel() -> None:
    found = effect(instance(), instance(image="localhost/mcs/appliance:next", tier="UpTo10000"), SERVED)
    assert (found.impact, found.customers) == (Impact.MEDIA_RESTART, SERVED)
    assert found.words == "the media restarts after draining: every customer's calls end, tunnels stay up"


def test_another_size_interrupts_nobody() -> None:
    found = effect(instance(), instance(tier="UpTo10000"), SERVED)
    assert (found.impact, found.customers) == (Impact.IN_PLACE, ())


def test_where_the_cluster_cannot_do_that_it_is_a_restart() -> None:
    found = effect(instance(), instance(tier="UpTo10000"), SERVED, resizes_in_place=False)
    assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    hot = effect(instance(), instance(domain="other.test"), SERVED, resizes_in_place=False)
    assert hot.impact is Impact.HOT


@pytest.mark.parametrize("output", [effect(None, link(), ()).as_data()])
def test_scripts_get_plain_data(output: dict[str, Any]) -> None:
    assert output == {
        "kind": "TVoxLink",
        "name": "acme",
        "action": "created",
        "effect": "nobody is interrupted",
        "refused": False,
        "fields": [],
        "customers": [],
    }
