"""Tasks beside the others: none is left behind, and one that ends by itself is noticed."""

from __future__ import annotations

import asyncio

import pytest

from mcs_operator.tasks import Supervisor, end_all


async def forever() -> None:
    await asyncio.Event().wait()


async def test_all_are_at_their_end_when_it_returns_whatever_they_raise_then() -> None:
    async def fails_at_its_end() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("at its end")

    tasks = [asyncio.create_task(work()) for work in (forever, fails_at_its_end)]
    await asyncio.sleep(0)
    await end_all([*tasks, None])
    assert all(task.done() for task in tasks)


@pytest.mark.parametrize("fails", [True, False], ids=["it fails", "it returns"])
async def test_a_task_that_ends_by_itself_is_noticed(fails: bool) -> None:
    async def ends() -> None:
        if fails:
            raise RuntimeError("a defect")

    supervisor = Supervisor()
    supervisor.begin(forever(), "goes on")
    supervisor.begin(ends(), "ends")
    await asyncio.wait_for(supervisor.failed.wait(), 1)
    await supervisor.end()


async def test_to_be_ended_is_no_failure() -> None:
    supervisor = Supervisor()
    supervisor.begin(forever(), "goes on")
    await asyncio.sleep(0)
    await supervisor.end()
    assert not supervisor.failed.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
