"""A call whose signalling is cut off, by the death of the gate: the media goes on by the way that it had."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from contract.given import usual
from contract.people import two
from contract.subject import Subject
from support.people import each_received_over, eventually, lines_to_the_gate, talk

KILLS = 5
RESUMED = 10
"""Seconds."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def kill_gate(appliance: Subject) -> None:
    """SIGKILL for the gate that the supervisor runs now."""
    assert appliance.process
    children = Path(f"/proc/{appliance.process.pid}/task/{appliance.process.pid}/children").read_text().split()
    found = [pid for pid in children if b"\0gate\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(found) == 1, "one gate"
    os.kill(int(found[0]), signal.SIGKILL)


async def test_a_gate_that_is_killed_again_and_again_costs_no_packet(appliance: Subject) -> None:
    async with two(appliance, usual(appliance)) as people:
        ada, bob = people
        await ada.call("Bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        for _ in range(KILLS):
            resumed = lines_to_the_gate(ada, bob)
            over = asyncio.Event()
            hearing = asyncio.create_task(each_received_over(people, over.wait()))
            await asyncio.sleep(1)
            kill_gate(appliance)
            took = await eventually("both have a line to the gate again", resumed, RESUMED)
            await asyncio.sleep(3)
            over.set()
            heard = await hearing
            print(f"\nboth have resumed {took:.1f} s after the kill: {heard}")
            assert all(one["lost"] == 0 and one["audio"] > 40 * one["seconds"] for one in heard), heard
            assert all(one["new"] == 0 for one in heard), "nobody joined anew"
        assert [ada.errors, bob.errors] == [[], []]
