"""What `kubectl mcs plan` says a change costs, and whom."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api import Impact, MCSInstance, TVoxLink
from mcs_operator.cli import effects
from mcs_operator.cli.effects import Effect, exit_code
from mcs_operator.domain.pod.prediction import Resizing
from mcs_operator.domain.rules.costs import LOADED_ANEW
from mcs_operator.render.hashes import restart_hash
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW

SERVED = ("acme", "bolt")
NEXT = "localhost/mcs/appliance:next"
SMALL, LARGE = {"resources": None}, {"resources": None, "tier": "UpTo10000"}
"""Of the tier's size, which our instances on a laptop are not."""
SERVES = {"podUID": "u"}


def instance(**spec: Any) -> MCSInstance:
    return MCSInstance.from_object(an_instance(**spec))


def link(**spec: Any) -> TVoxLink:
    return TVoxLink.from_object(a_link("acme", **spec))


CONNECTED = {"tunnel": {"peer": "203.0.113.9:40000"}}


def effect(before: Any, after: Any, links: Any, **more: Any) -> Effect:
    return effects.effect(before, after, links, now=NOW, **more)


def test_a_new_customer_interrupts_nobody() -> None:
    found = effect(None, link(), SERVED)
    assert (found.impact, found.customers) == (Impact.HOT, ())
    assert found.lines() == ["TVoxLink/acme: created: nobody is interrupted"]


def test_the_same_again_changes_nothing() -> None:
    found = effect(link(), link(protocol="UDP"), SERVED)  # spelling out a default
    assert (found.impact, found.action) == (None, "unchanged")


def test_a_changed_link_interrupts_itself_only() -> None:
    found = effect(link(), link(allowedSources=["203.0.113.0/24"]), SERVED)
    assert (found.impact, found.customers) == (Impact.THIS_LINK, ("acme",))
    assert found.words == LOADED_ANEW, "the slot's OpenVPN runs on"
    both = effect(link(), link(allowedSources=["203.0.113.0/24"], enabled=False), SERVED)
    assert "stays down" in both.words


def test_a_link_that_is_switched_off_stops_and_one_that_is_switched_on_interrupts_nobody() -> None:
    found = effect(link(), link(enabled=False), SERVED)
    assert (found.impact, found.customers) == (Impact.THIS_LINK, ("acme",))
    assert found.words == "spec.enabled: this customer's tunnel stops, and stays down until it is true again"
    found = effect(link(enabled=False), link(), SERVED)
    assert (found.impact, found.customers, found.words) == (Impact.HOT, (), "nobody is interrupted")


def test_what_goes_out_of_service_interrupts_nobody_and_is_told() -> None:
    out = {"serviceState": "OutOfService"}
    go_on = "are refused; open ones and the tunnels go on"
    for of, whose in ((link, "this customer"), (instance, "every customer")):
        found = effect(of(), of(**out), SERVED)
        assert (found.impact, found.customers) == (Impact.HOT, ())
        assert found.words == f"nobody is interrupted; spec.serviceState: new sessions of {whose} {go_on}"


def test_a_useless_profile_is_foretold_with_the_command_for_the_new_one() -> None:
    found = effect(link(), link(protocol="TCP"), SERVED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, ("acme",))
    assert found.lines()[0] == (
        "TVoxLink/acme: changed: spec.protocol: the TVox is cut off until its new profile is uploaded to it: "
        "kubectl mcs profile acme"
    )
    assert found.as_data()["effect"].endswith("kubectl mcs profile acme")


def test_sources_that_leave_out_the_tvox_that_is_connected_are_foretold() -> None:
    found = effect(link(), link(allowedSources=["198.51.100.0/24"]), SERVED, status=CONNECTED)
    assert (found.impact, found.customers) == (Impact.THIS_LINK, ("acme",))
    assert "TVoxLink acme is connected from 203.0.113.9, which is in none of these networks" in found.lines()[0]
    assert "reconnects" not in found.words


def test_a_new_profile_does_not_help_a_tvox_whose_address_is_left_out() -> None:
    found = effect(link(), link(allowedSources=["198.51.100.0/24"], protocol="TCP"), SERVED, status=CONNECTED)
    assert "add 203.0.113.9/32; spec.protocol: the TVox is cut off until" in found.words


def test_a_link_that_is_switched_off_needs_the_new_profile_too_and_interrupts_nobody() -> None:
    found = effect(link(enabled=False), link(enabled=False, protocol="TCP"), SERVED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, ())


WAITS = {"conditions": [{"type": "Programmed", "reason": "NotAccepted"}]}
STOPPED = {"slot": 2, "conditions": [{"type": "Programmed", "reason": "Suspended"}]}


@pytest.mark.parametrize("status", [WAITS, STOPPED], ids=["no number yet", "no pod"])
def test_a_link_without_a_tunnel_is_changed_and_deleted_and_interrupts_nobody(status: Any) -> None:
    for change in ({"enabled": False}, {"allowedSources": ["10.0.0.0/8"]}):
        found = effect(link(), link(**change), SERVED, status=status)
        assert (found.impact, found.customers, found.words) == (Impact.HOT, (), "nobody is interrupted")
    gone = effects.deletion(a_link("acme") | {"status": status}, [])
    assert (gone.impact, gone.customers) == (Impact.HOT, ())
    for body in (a_community(), an_instance()):
        gone = effects.deletion(body, [a_link("acme") | {"status": status}])
        assert gone.customers == ()


def test_only_who_has_a_profile_needs_another_one() -> None:
    found = effect(link(), link(protocol="TCP"), SERVED, status=WAITS)
    assert (found.impact, found.words) == (Impact.HOT, "nobody is interrupted")
    found = effect(link(), link(protocol="TCP"), SERVED, status=STOPPED)
    assert (found.impact, found.customers) == (Impact.NEW_PROFILE, ())
    assert "until its new profile is uploaded" in found.words


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


def test_suspending_interrupts_everybody_and_what_follows_nobody_once_the_pod_is_gone() -> None:
    found = effect(instance(), instance(suspend=True), SERVED)
    assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    for after in (instance(), instance(suspend=True, vpn={"slots": 8}, image=NEXT), instance(tier="UpTo10000")):
        found = effect(instance(suspend=True), after, SERVED, resizing=Resizing(in_place=False))
        assert (found.impact, found.customers) == (Impact.HOT, ())


def test_as_long_as_the_pod_of_a_suspended_instance_serves_a_change_interrupts_everybody() -> None:
    """It drains, or waits for its window: with suspend: false it goes on, and is restarted for what else changed."""
    for after in (instance(vpn={"slots": 8}), instance(suspend=True, vpn={"slots": 8})):
        found = effect(instance(suspend=True), after, SERVED, status=SERVES)
        assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    image = effect(instance(suspend=True), instance(image=NEXT), SERVED, status=SERVES)
    assert image.impact is Impact.MEDIA_RESTART
    stops = effect(instance(suspend=True), instance(suspend=True, image=NEXT), SERVED, status=SERVES)
    assert stops.impact is Impact.RESTART, "the tunnels go with the pod"


def test_the_pod_of_an_instance_that_is_suspended_no_more_goes_on_as_it_is() -> None:
    found = effect(instance(suspend=True), instance(), SERVED, status=SERVES)
    assert (found.impact, found.customers) == (Impact.HOT, ())


def test_another_image_ends_every_customers_calls_and_no_tunnel() -> None:
    found = effect(instance(**SMALL), instance(image=NEXT, **LARGE), SERVED)
    assert (found.impact, found.customers) == (Impact.MEDIA_RESTART, SERVED)
    assert found.words == "the media restarts after draining: every customer's calls end, tunnels stay up"


NIGHT = {"windows": [{"schedule": "0 2 * * *", "duration": "2h"}]}


@pytest.mark.parametrize("change", [{"vpn": {"slots": 8}}, {"image": NEXT}])
def test_what_waits_for_its_hour_says_when_that_is(change: dict[str, Any]) -> None:
    found = effect(instance(disruptions=NIGHT), instance(disruptions=NIGHT, **change), SERVED)
    planned = "waits for the window that begins at 2026-03-02T02:00:00Z; until then nothing is interrupted"
    assert found.words.endswith(f"; what is to restart {planned}")
    assert exit_code([found]) == 4, "it will restart all the same"


def test_the_rules_that_come_with_a_change_hold_for_it() -> None:
    assert "2026-03-02T02:00:00Z" in effect(instance(), instance(disruptions=NIGHT, vpn={"slots": 8}), SERVED).words
    assert "waits" not in effect(instance(disruptions=NIGHT), instance(vpn={"slots": 8}), SERVED).words


def test_what_interrupts_nobody_waits_for_nothing() -> None:
    assert "waits" not in effect(instance(disruptions=NIGHT, **SMALL), instance(disruptions=NIGHT, **LARGE), ()).words


def test_another_size_interrupts_nobody() -> None:
    found = effect(instance(**SMALL), instance(**LARGE), SERVED)
    assert (found.impact, found.customers) == (Impact.IN_PLACE, ())


def test_where_the_cluster_cannot_do_that_it_is_a_restart() -> None:
    found = effect(instance(**SMALL), instance(**LARGE), SERVED, resizing=Resizing(in_place=False))
    assert (found.impact, found.customers) == (Impact.RESTART, SERVED)
    for hot in ({"domain": "other.test"}, {"tier": "UpTo10000"}):  # spec.resources says each amount, the tier none
        found = effect(instance(), instance(**hot), SERVED, resizing=Resizing(in_place=False))
        assert found.impact is Impact.HOT


def test_what_waits_for_its_hour_is_also_a_restart_for_another_size() -> None:
    before, after = instance(disruptions=NIGHT, **SMALL), instance(disruptions=NIGHT, **LARGE)
    found = effect(before, after, SERVED, resizing=Resizing(in_place=False))
    assert "waits for the window that begins at 2026-03-02T02:00:00Z" in found.words


def sized(memory: str) -> MCSInstance:
    """Of this limit, with requests that fit under each."""
    return instance(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": memory}})


@pytest.mark.parametrize(
    ("after", "impact"),
    [
        pytest.param(sized("2Gi"), Impact.RESTART, id="less memory"),
        pytest.param(sized("8Gi"), Impact.IN_PLACE, id="more memory"),
        pytest.param(instance(**SMALL), Impact.IN_PLACE, id="the tier's, which is more"),
    ],
)
def test_kubernetes_1_33_takes_no_memory_from_a_container_that_runs(after: MCSInstance, impact: Impact) -> None:
    found = effect(sized("4Gi"), after, SERVED, resizing=Resizing(lowers_memory=False))
    assert (found.impact, found.customers) == (impact, SERVED if impact is Impact.RESTART else ())
    assert effect(sized("4Gi"), after, SERVED).impact is Impact.IN_PLACE, "later ones do"


def test_another_tier_takes_no_memory_away() -> None:
    found = effect(instance(**LARGE), instance(**SMALL), SERVED, resizing=Resizing(lowers_memory=False))
    assert found.impact is Impact.IN_PLACE


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
