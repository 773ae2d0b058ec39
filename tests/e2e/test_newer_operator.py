"""A newer operator brings agent and slots its own images, in the pod that runs: who has a tunnel notices once, at most
three seconds long and alone; nobody else notices anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.updates import assert_in_turn, newer_operator, update_with_probes
from support.api import Api
from support.cluster import Node
from support.mcs import Mcs, serving
from support.operator import Operator

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CUSTOMERS = ("acme", "globex")


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with two customers who have tunnels."""
    with serving(node, server, first=CUSTOMERS[0]) as mcs:
        mcs.link(CUSTOMERS[1])
        mcs.connect(CUSTOMERS[1])
        yield mcs


def test_the_images_of_a_newer_operator_reach_agent_and_slots_and_each_customer_reconnects_once(
    mcs: Mcs, operator_process: Operator
) -> None:
    before = mcs.identity()
    speed: list[float] = []

    def a_customer_comes() -> None:
        created = time.time()
        status = mcs.link("newcomer")
        speed.append(mcs.openvpn_started(status["slot"]) - created)

    with newer_operator(operator_process):
        gaps, took = update_with_probes(mcs, CUSTOMERS, meanwhile=a_customer_comes)
        after = mcs.identity()
        flaps = {name: mcs.status(name)["tunnel"].get("flaps", 0) for name in CUSTOMERS}

    print(f"updated in {took:.1f} s; gaps: {gaps}; a customer who came meanwhile: {speed[0]:.2f} s")
    assert after.uid == before.uid
    changed = {name: after.restarts[name] - count for name, count in before.restarts.items()}
    assert changed == {name: int(name != "media") for name in changed}
    assert_in_turn(gaps)
    assert speed[0] <= 2.5
    assert flaps == dict.fromkeys(CUSTOMERS, 0), "the agent's own change is no loss, and a slot's is meant"
