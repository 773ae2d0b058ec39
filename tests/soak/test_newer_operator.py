"""A newer operator at an instance of 250 slots, twenty of them in use: how long it takes, and what customers notice."""

from __future__ import annotations

import pytest

from e2e.crowd import a_town, bring_up
from e2e.updates import assert_in_turn, newer_operator, update_with_probes
from support.api import Api
from support.cluster import Node
from support.operator import Operator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

SLOTS, USED = 250, 20
LIMIT_SECONDS = 600
LONGEST_GAP = 10.0
"""A pod of 252 containers is slower than one of 14, where three seconds are the limit: the runtime reads the
specifications of all of them for each container that begins or ends."""


def test_250_slots_get_other_images_within_ten_minutes_and_no_two_customers_notice_at_once(
    node: Node, server: Api, operator_process: Operator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [f"tvox-{number:03d}" for number in range(USED)]
    with a_town(node, server, tmp_path_factory.mktemp("crowd"), names, slots=SLOTS) as town:
        bring_up(town.mcs, town.crowd, names, timeout=240)
        before = town.mcs.identity()
        with newer_operator(operator_process):
            gaps, took = update_with_probes(town.mcs, names, timeout=2 * LIMIT_SECONDS)
            after = town.mcs.identity()
    longest = sorted(gap.seconds for gap in gaps.values())
    print(f"{SLOTS} slots, {USED} in use: updated in {took:.0f} s; gaps from {longest[0]} to {longest[-1]} s")
    assert after.uid == before.uid
    assert {name: after.restarts[name] - count for name, count in before.restarts.items() if name != "media"} == {
        name: 1 for name in before.restarts if name != "media"
    }
    assert_in_turn(gaps, LONGEST_GAP)
    assert took <= LIMIT_SECONDS
