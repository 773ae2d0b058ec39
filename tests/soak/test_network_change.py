"""Somebody in a call comes to another network: his browser has another address from one moment to the next."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.portal import ALL, CONNECTIONS, a_browser_that_moves, sign_in, with_portal
from support.api import Api
from support.browser import CHROMIUM, neighbour
from support.cluster import Node
from support.lab import bridge_of
from support.mcs import Mcs
from support.operator import Operator
from support.people import Person, eventually, talk
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]

BACK = 20
"""Seconds after which both hear each other again."""


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with a portal for two people."""
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    if bridge_of(node.ip) is None:
        pytest.skip("the node is another machine: no browser of this one has a network of its own beside it")
    with with_portal(node, server, {"ada": ALL, "bob": ALL}) as mcs:
        yield mcs


@pytest.mark.parametrize("without", [0, 5], ids=["at once", "after five seconds without any"])
async def test_a_call_goes_on_where_somebody_comes_to_another_network(mcs: Mcs, without: float) -> None:
    async with a_browser_that_moves(mcs, 81) as (hers, her_host), a_browser_that_moves(mcs, 83) as (his, _):
        ada, bob = await sign_in(hers, mcs, "ada"), await sign_in(his, mcs, "bob")
        await ada.call("bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        call, pod = ada.call_id, mcs.identity()
        her_host.unplug()
        await asyncio.sleep(without)
        her_host.come_to(neighbour(mcs.node.ip, 82), mcs.node.ip)
        begun = time.monotonic()
        silent = await heard(ada, bob)
        await eventually("both hear each other again", lambda: both_hear(silent, ada, bob), BACK)
        print(f"\nboth hear each other {time.monotonic() - begun:.1f} s after ada has another address")
        await asyncio.gather(ada.recognises(), bob.recognises())
        await eventually("both are in the call, as the portal has it", lambda: both_are_in(call, ada, bob), BACK)
        assert [ada.call_id, bob.call_id] == [call, call]
        assert mcs.identity() == pod
        assert not [said for person in (ada, bob) for said in person.told if says_that_it_ended(said)]
        for person in (ada, bob):
            assert await person.page.get_by_text("The call has ended.").count() == 0
            assert person.errors == []
        await ada.hang_up()
        # And who is told of an end says so here, or what was asked above could not fail.
        await eventually("bob is told now", lambda: told_of_the_end(bob), 20)
    await asyncio.to_thread(until, "the call is over", lambda: mcs.inside(CONNECTIONS)["connections"] == 0, 40)


async def heard(*people: Person) -> list[int]:
    """Packets of sound that each has received, when those have come that were under way with the old address."""
    await asyncio.sleep(0.3)
    return [(await person.received())["audio"]["packets"] for person in people]


async def both_hear(silent: list[int], *people: Person) -> bool:
    """Half a second of sound has come to each since then."""
    now = [(await person.received())["audio"] for person in people]
    return all(one["packets"] - before > 25 and one["tracks"] == 1 for one, before in zip(now, silent, strict=True))


async def both_are_in(call: str, *people: Person) -> bool:
    """By what the portal answers each of them."""
    asked = f"fetch('/api/calls/{call}').then(answer => answer.json(), () => null)"
    told: list[Any] = [await person.page.evaluate(asked) for person in people]
    return all(one and not one["ended"] and [m["state"] for m in one["members"]] == ["in", "in"] for one in told)


def says_that_it_ended(said: str) -> bool:
    """Of some call."""
    content = json.loads(said)
    return bool(content["type"] == "call" and content["call"]["ended"])


async def told_of_the_end(person: Person) -> bool:
    return any(map(says_that_it_ended, person.told))
