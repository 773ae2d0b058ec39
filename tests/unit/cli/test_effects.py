"""What `kubectl mcs plan` says a change costs, and whom."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api import MCSInstance, TVoxLink
from mcs_operator.cli.effects import Severity, effect
from mcs_operator.render.pod import restart_hash
from support.objects import a_link, an_instance

SERVED = ("acme", "bolt")


def instance(**spec: Any) -> MCSInstance:
    return MCSInstance.from_object(an_instance(**spec))


def link(**spec: Any) -> TVoxLink:
    return TVoxLink.from_object(a_link("acme", **spec))


def test_a_new_customer_interrupts_nobody() -> None:
    found = effect(None, link(), SERVED)
    assert (found.severity, found.customers) == (Severity.HOT, ())
    assert found.lines() == ["TVoxLink/acme: created: nobody is interrupted"]


def test_the_same_again_changes_nothing() -> None:
    found = effect(link(), link(protocol="UDP"), SERVED)  # spelling out a default
    assert (found.severity, found.action) == (Severity.NONE, "unchanged")


def test_a_changed_link_interrupts_itself_only() -> None:
    found = effect(link(), link(protocol="TCP"), SERVED)
    assert (found.severity, found.customers) == (Severity.THIS_LINK, ("acme",))


def test_a_restart_names_every_customer_and_the_field() -> None:
    found = effect(instance(), instance(vpn={"slots": 8}), SERVED)
    assert (found.severity, found.customers) == (Severity.RESTART, SERVED)
    assert any("spec.vpn.slots (Restart): 6 -> 8" in line for line in found.lines())


@pytest.mark.parametrize("spec", [{"vpn": {"slots": 8}}, {"domain": "other.test"}, {"tier": "UpTo10000"}, {}])
def test_a_restart_is_foretold_exactly_where_the_operator_restarts(spec: dict[str, Any]) -> None:
    """By the hash that the operator compares with the running pod's."""
    restarts = restart_hash(instance()) != restart_hash(instance(**spec))
    assert (effect(instance(), instance(**spec), SERVED).severity is Severity.RESTART) == restarts


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
