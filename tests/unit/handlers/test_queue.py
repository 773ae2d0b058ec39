"""The queue: bursts become one run or two, nothing is lost, and a failure is tried again with growing pauses.

Time is virtual: where the loop would wait, its clock jumps. Minutes of back-off take no time, and are exact.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mcs_operator.handlers.queue import LONGEST_BACKOFF, LONGEST_WAIT, SETTLE_SECONDS, Queue
from mcs_operator.kube.together import together
from support.virtual_time import VirtualTime


class Work:
    """A reconcile function that notes its runs. ``answers`` are used up one by one; an exception is raised."""

    def __init__(self, takes: float = 1.0, answers: tuple[object, ...] = ()) -> None:
        self.runs: list[tuple[str, float]] = []
        self.at_once = self.most_at_once = 0
        self._takes, self._answers = takes, list(answers)

    async def __call__(self, key: str) -> float | None:
        self.runs.append((key, asyncio.get_running_loop().time()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._takes)
        finally:
            self.at_once -= 1
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    def count(self, key: str = "a") -> int:
        return sum(1 for ran, _ in self.runs if ran == key)

    def pauses(self) -> list[float]:
        """Seconds from the end of each run to the beginning of the next."""
        times = [at for _, at in self.runs]
        return [after - before - self._takes for before, after in itertools.pairwise(times)]


def during(work: Work, story: Callable[[Queue], Awaitable[None]], seconds: float = 1000, **options: Any) -> Work:
    """What became of the work while the story happened, and for so many seconds after it."""

    async def main() -> None:
        queue = Queue(work, **options)
        await story(queue)
        await asyncio.sleep(seconds)
        await queue.close()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(main())
    return work


async def opened(queue: Queue) -> None:
    queue.open()


@pytest.mark.parametrize("changes", [1, 2, 249, 250, 251])
def test_a_burst_is_one_run(changes: int) -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(changes):
            queue.enqueue("a")

    assert during(Work(), story).count() == 1


def test_250_changes_while_it_runs_are_two_runs_in_all() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(250):
            queue.enqueue("a")
            await asyncio.sleep(0.003)

    assert during(Work(takes=1.0), story).count() <= 2


def test_a_mark_during_a_run_leads_to_exactly_one_more() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(0.5)
        queue.enqueue("a")
        queue.enqueue("a")

    assert during(Work(takes=1.0), story).count() == 2


def test_a_mark_in_the_last_moment_of_a_run_is_not_lost() -> None:
    queues: list[Queue] = []

    class MarksAtItsEnd(Work):
        async def __call__(self, key: str) -> float | None:
            answer = await super().__call__(key)
            if len(self.runs) == 1:
                queues[0].enqueue(key)
            return answer

    async def story(queue: Queue) -> None:
        queues.append(queue)
        queue.open()
        queue.enqueue("a")

    assert during(MarksAtItsEnd(), story).count() == 2


def test_without_a_mark_nothing_runs_again() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")

    assert during(Work(), story, seconds=86_400).count() == 1


def test_before_it_is_opened_marks_are_only_collected() -> None:
    work = Work()

    async def story(queue: Queue) -> None:
        for _ in range(250):
            queue.enqueue("a")
        await asyncio.sleep(60)
        assert work.runs == []
        queue.open()

    assert during(work, story).count() == 1


def test_a_key_is_never_run_twice_at_once_and_others_go_on_beside_it() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(20):
            for key in ("a", "b"):
                queue.enqueue(key)
            await asyncio.sleep(0.2)

    work = during(Work(takes=1.0), story)
    assert work.most_at_once == 2
    assert work.count("a") == work.count("b")


@pytest.mark.parametrize("parallel", [1, 4])
def test_only_so_many_run_at_once_and_all_get_their_turn(parallel: int) -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for number in range(50):
            queue.enqueue(f"namespace-{number}")

    work = during(Work(), story, parallel=parallel)
    assert work.most_at_once == parallel
    assert {key for key, _ in work.runs} == {f"namespace-{number}" for number in range(50)}


def test_a_run_that_asks_for_another_look_gets_it_then() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")

    work = during(Work(takes=1.0, answers=(30.0,)), story)
    assert work.count() == 2
    assert work.pauses() == pytest.approx([30.0])


def test_a_mark_comes_before_the_look_that_was_asked_for() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(5)
        queue.enqueue("a")

    work = during(Work(takes=1.0, answers=(3000.0,)), story)
    assert work.count() == 2
    assert work.pauses()[0] < 5


def test_failures_are_tried_again_with_growing_pauses_up_to_a_minute() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")

    work = during(Work(answers=tuple(RuntimeError("no") for _ in range(12))), story)
    pauses = work.pauses()
    assert work.count() == 13
    for doubling, pause in zip([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60], pauses, strict=True):
        assert 0.7 * doubling - 0.01 <= pause <= doubling + 0.1
    assert max(pauses) <= LONGEST_BACKOFF + 0.1


def test_days_of_failures_are_tried_again_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # a thousand tracebacks take their time

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")

    failures = tuple(RuntimeError("no") for _ in range(1400))
    assert during(Work(answers=failures), story, 60 * 1100).count() > 1050


def test_a_success_ends_the_back_off() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(100)
        queue.enqueue("a")

    failures = [RuntimeError("no")] * 3
    work = during(Work(answers=(*failures, None, RuntimeError("again"), None)), story)
    assert work.count() == 6
    assert work.pauses()[-1] <= 1.1


def test_events_do_not_hasten_what_fails() -> None:
    """An event storm around a broken namespace must not become a request storm."""

    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(1000):
            queue.enqueue("a")
            await asyncio.sleep(0.1)

    assert during(Work(takes=0.0, answers=(RuntimeError("no"),) * 50), story, seconds=0).count() <= 9


def test_what_fails_in_one_namespace_delays_no_other() -> None:
    class FailsForA(Work):
        async def __call__(self, key: str) -> float | None:
            await super().__call__(key)
            if key == "a":
                raise RuntimeError("no")
            return None

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        for _ in range(10):
            await asyncio.sleep(10)
            queue.enqueue("b")

    assert during(FailsForA(), story, parallel=1).count("b") == 10


def tasks_of_keys() -> list[str]:
    return sorted(task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("reconcile "))


def test_100_namespaces_that_came_and_went_leave_nothing() -> None:
    left: list[str] = []

    async def story(queue: Queue) -> None:
        queue.open()
        for number in range(100):
            queue.enqueue(f"namespace-{number}")
        await asyncio.sleep(0)
        assert len(tasks_of_keys()) == 100
        await asyncio.sleep(1000)
        left.extend(tasks_of_keys())

    assert len(during(Work(), story).runs) == 100
    assert left == []


def test_whoever_waits_for_something_stays() -> None:
    left: list[str] = []

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(100)
        left.extend(tasks_of_keys())

    assert during(Work(answers=(3000.0,)), story).count() == 1
    assert left == ["reconcile a"]


def test_a_namespace_that_comes_back_runs_again_and_never_twice_at_once() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(5):
            queue.enqueue("a")
            await asyncio.sleep(100)

    work = during(Work(), story)
    assert work.count() == 5
    assert work.most_at_once == 1


def test_to_close_ends_a_run_and_starts_no_other() -> None:
    work = Work(takes=10_000)

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        queue.enqueue("b")
        await asyncio.sleep(1)
        await queue.close()

    during(work, story)
    assert work.at_once == 0
    assert len(work.runs) == 2


def test_to_close_what_never_ran() -> None:
    during(Work(), opened)


def test_after_a_no_op_changes_of_low_priority_wait_together_and_take_a_tenth_of_the_time() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        for _ in range(1000):
            queue.enqueue("a", low_priority=True)
            await asyncio.sleep(0.02)

    assert 9 <= during(Work(takes=0.1), story).count() <= 21


def test_a_change_of_low_priority_waits_two_seconds_at_most_and_is_not_lost() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(1.5)
        queue.enqueue("a", low_priority=True)

    assert during(Work(takes=1), story).pauses() == pytest.approx([LONGEST_WAIT + SETTLE_SECONDS], abs=0.01)


def test_a_change_of_high_priority_is_served_at_once_also_beside_others() -> None:
    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(1.1)
        queue.enqueue("a", low_priority=True)
        queue.enqueue("a")

    assert during(Work(takes=1), story).pauses() == pytest.approx([0.08 + 2 * SETTLE_SECONDS], abs=0.05)


def test_after_a_run_that_wrote_nobody_waits() -> None:
    written = itertools.count()

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a", low_priority=True)
        await asyncio.sleep(1.1)
        queue.enqueue("a", low_priority=True)

    work = during(Work(takes=1), story, writes=lambda _: next(written))
    assert work.pauses() == pytest.approx([0.1], abs=0.05)


def test_a_run_that_is_due_is_not_put_off_by_a_no_op() -> None:
    assert during(Work(takes=1, answers=(0.5,)), enqueued).pauses() == pytest.approx([0.5], abs=0.01)


async def enqueued(queue: Queue) -> None:
    queue.open()
    queue.enqueue("a")


def test_a_moment_that_is_due_and_never_passes_keeps_nobody_busy() -> None:
    """A date that was computed wrongly: each run says that another is due at once."""
    work = during(Work(takes=0.01, answers=(0.0,) * 10_000), enqueued, seconds=60)
    assert 55 <= work.count() <= 65


def test_a_few_runs_that_are_due_at_once_are_not_put_off() -> None:
    assert during(Work(takes=0.01, answers=(0.0, 0.0)), enqueued).pauses() == pytest.approx([0.0, 0.0], abs=0.01)


def test_to_close_waits_for_every_part_of_a_run() -> None:
    """A run writes in parallel: none of its parts may write after the Lease is somebody else's."""
    wrote: list[float] = []

    async def writes_in_parallel(_: str) -> float | None:
        async def write(seconds: float) -> None:
            await asyncio.sleep(seconds)
            wrote.append(asyncio.get_running_loop().time())

        await together(*(write(0.5 * number) for number in range(20)))
        return None

    async def story(queue: Queue) -> None:
        queue.open()
        queue.enqueue("a")
        await asyncio.sleep(3)
        await queue.close()

    during(writes_in_parallel, story)  # type: ignore[arg-type]
    assert 0 < len(wrote) < 8
    assert max(wrote) <= 3
