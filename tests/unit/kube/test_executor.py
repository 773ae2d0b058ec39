"""The executor: what is done to the pod, in which order."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mcs_operator.domain.changes import PodChanges, SetImages
from mcs_operator.kube import executor
from mcs_operator.kube.executor import Executor
from support.worlds import NOW


class Agents:
    """Agents that are asked, and answer as the test says."""

    def __init__(self, answer: bool) -> None:
        self.answer, self.asked = answer, list[tuple[str, tuple[int, ...]]]()

    async def exit_at_once(self, namespace: str, slots: tuple[int, ...], seconds: float) -> bool:
        assert 10 < seconds <= 300
        self.asked.append((namespace, slots))
        return self.answer


@pytest.mark.parametrize(
    ("exits", "answer", "asked", "replaced", "again"),
    [
        pytest.param((2, 3), True, [("demo", (2, 3))], 1, 1, id="told"),
        pytest.param((2, 3), False, [("demo", (2, 3))], 0, 30, id="not told"),
        pytest.param((), False, [], 1, 1, id="nobody to tell"),
    ],
)
async def test_a_slot_that_was_not_told_to_exit_at_once_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, exits: tuple[int, ...], answer: bool, asked: list[Any], replaced: int, again: int
) -> None:
    """It would wait for its turn, and hold up all else that is done to the pod."""
    agents, done = Agents(answer), list[SetImages]()

    async def set_images(*given: Any) -> None:
        done.append(given[-1])

    monkeypatch.setattr(executor.pod, "set_images", set_images)
    step = SetImages("uid", "mcs", {"link-002": "next"}, {}, None, exits)
    at_work = Executor(*cast("Any", (None, None, agents, None)))
    assert await at_work.take_step("demo", PodChanges("mcs-0", step=step, again=1.0), NOW) == again
    assert (agents.asked, len(done)) == (asked, replaced)
