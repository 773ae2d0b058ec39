"""What a change of a link costs its customer: who is shut out, and who needs a new profile."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.domain.rules.costs import LOADED_ANEW, connected_peer, costs, cut_off, has_profile, may_run
from support.worlds import link

PEER = "203.0.113.9:40000"
PROGRAMMED = {"type": "Programmed", "reason": "Programmed"}
UP = {"tunnel": {"peer": PEER}}


@pytest.mark.parametrize(
    ("before", "after", "address"),
    [
        pytest.param({}, {"allowedSources": ["198.51.100.0/24"]}, "203.0.113.9", id="none of the networks holds it"),
        pytest.param({}, {"allowedSources": ["203.0.113.8/32"]}, "203.0.113.9", id="the neighbour's address"),
        pytest.param({}, {"allowedSources": ["198.51.100.0/24", "203.0.113.9/32"]}, "", id="one of them is it"),
        pytest.param({}, {"allowedSources": ["203.0.113.77/24"]}, "", id="a network by one of its addresses"),
        pytest.param({}, {"allowedSources": ["0.0.0.0/0"]}, "", id="everybody"),
        pytest.param({"allowedSources": ["203.0.113.9/32"]}, {}, "", id="no limit any more"),
        pytest.param(
            {"allowedSources": ["10.0.0.0/8"]},
            {"allowedSources": ["10.0.0.0/8"], "protocol": "TCP"},
            "",
            id="another field changes",
        ),
        pytest.param({}, {"allowedSources": ["10.0.0.0/8"], "enabled": False}, "", id="it is stopped anyway"),
    ],
)
def test_a_tvox_that_is_connected_is_shut_out(before: dict[str, Any], after: dict[str, Any], address: str) -> None:
    told = [text for text in cut_off(link("a", **before), link("a", **after), UP) if "allowedSources" in text]
    assert [f"connected from {address}" in text for text in told] == ([True] if address else [])


@pytest.mark.parametrize(
    ("status", "peer"),
    [
        pytest.param(
            {"tunnel": {"peer": PEER}, "conditions": [{"type": "Connected", "status": "True"}]}, PEER, id="up"
        ),
        pytest.param(
            {"tunnel": {"peer": PEER}, "conditions": [{"type": "Connected", "status": "False"}]}, None, id="down"
        ),
        pytest.param(
            {"tunnel": {"peer": PEER}, "conditions": [{"type": "Ready", "status": "False"}]}, PEER, id="another"
        ),
        pytest.param({"tunnel": {"peer": PEER}, "conditions": ["x"]}, PEER, id="somebody's conditions"),
        pytest.param({"tunnel": "x", "conditions": "x"}, None, id="somebody's writing"),
        pytest.param(None, None, id="none"),
    ],
)
def test_who_is_shut_out_is_who_is_connected_and_not_who_was(status: object, peer: object) -> None:
    assert connected_peer(status) == peer


@pytest.mark.parametrize("peer", [None, "", "203.0.113.9", "[2001:db8::1]:40000", "nonsense:1", 7, {}, "::ffff:1"])
def test_of_a_peer_that_is_not_known_nothing_is_said(peer: object) -> None:
    after = link("a", allowedSources=["10.0.0.0/8"])
    assert list(costs(link("a"), after, {"tunnel": {"peer": peer}})) == [f"spec.allowedSources: {LOADED_ANEW}"]


def test_each_cost_is_told_for_itself() -> None:
    after = link("a", allowedSources=["10.0.0.0/8"], protocol="TCP")
    assert [text.split(": ")[0] for text in costs(link("a"), after, UP)] == ["spec.allowedSources", "spec.protocol"]
    after = link("a", enabled=False, protocol="TCP")
    assert [text.split(": ")[0] for text in costs(link("a"), after, UP)] == ["spec.protocol", "spec.enabled"]


def test_a_change_that_nobody_notices_is_not_told() -> None:
    assert list(costs(link("a"), link("a", domain="other.mcs.test"), UP)) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(True, False, "stops, and stays down until it is true again", id="switched off"),
        pytest.param(False, True, "", id="switched on"),
        pytest.param(False, False, "", id="off before and after"),
    ],
)
def test_a_tunnel_that_is_switched_off_does_not_reconnect(before: bool, after: bool, told: str) -> None:
    found = list(costs(link("a", enabled=before), link("a", enabled=after, allowedSources=["10.0.0.0/8"]), None))
    assert found == ([f"spec.enabled: this customer's tunnel {told}"] if told else [])


@pytest.mark.parametrize(
    ("status", "profile", "tunnel"),
    [
        pytest.param(None, True, True, id="nobody has said anything yet"),
        pytest.param({"slot": 2, "conditions": [PROGRAMMED]}, True, True, id="served"),
        pytest.param({"slot": 2, "conditions": [PROGRAMMED | {"reason": "Suspended"}]}, True, False, id="suspended"),
        pytest.param(
            {"slot": 9, "conditions": [PROGRAMMED | {"reason": "NoFreeSlot"}]}, True, False, id="above all slots"
        ),
        pytest.param(
            {"slot": 2, "conditions": [PROGRAMMED | {"reason": "AgentUnreachable"}]}, True, True, id="silence"
        ),
        pytest.param({"conditions": [PROGRAMMED | {"reason": "NotAccepted"}]}, False, False, id="refused, no number"),
    ],
)
def test_who_has_no_tunnel_loses_none_and_who_has_no_profile_needs_no_other(
    status: object, profile: bool, tunnel: bool
) -> None:
    assert (has_profile(status), may_run(status)) == (profile, tunnel)
    sources, protocol = link("a", allowedSources=["10.0.0.0/8"]), link("a", protocol="TCP")
    assert bool(list(costs(link("a"), sources, status))) == tunnel
    assert bool(list(costs(link("a"), link("a", enabled=False), status))) == tunnel
    assert bool(list(costs(link("a"), protocol, status))) == profile
