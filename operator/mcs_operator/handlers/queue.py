"""One coalescing queue: a change enqueues its namespace, and each namespace is reconciled by one run at a time.

A hundred events in a burst make one run, or two: whatever comes in during a run leads to exactly one more. Failures
are retried with back-off here and nowhere else, because Kopf logs an event handler's error and forgets it. A namespace
that has nothing to wait for costs nothing: its task ends, and the next change begins another.

A run that wrote nothing was a no-op. A tool that annotates all Secrets, or a controller that counts replicas, could
keep the operator busy with no-ops. So changes of children have a low priority: after a no-op they wait for a while,
together. What people write to our three kinds never waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mcs_operator.tasks import end_all
from mcs_operator.telemetry import Counter, Histogram, Metric

log = logging.getLogger(__name__)

Reconcile = Callable[[str], Awaitable[float | None]]

SETTLE_SECONDS = 0.02
"""Events of one user action come in this close together; waiting so long halves the runs of a burst."""
LONGEST_BACKOFF = 60.0
NO_OP_SHARE = 0.1
"""The share of the time that a namespace's no-ops may take."""
LONGEST_WAIT = 2.0
"""Seconds that a change of low priority waits at most."""
LEAST_PAUSE = 1.0
"""Seconds between runs that nobody asked for but the one before, from the third no-op on: a moment that is due and
never passes must not keep the operator busy."""

RECONCILES = Metric(
    "mcs_operator_reconciles_total",
    "counter",
    "Reconciliations of a namespace, by outcome: done or failed.",
    ("outcome",),
)
RECONCILE_SECONDS = Metric(
    "mcs_operator_reconcile_duration_seconds", "histogram", "What a reconciliation of one namespace took."
)
_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(slots=True)
class _Key:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    high_priority: asyncio.Event = field(default_factory=asyncio.Event)
    pause_after_no_op: float = 0.0
    no_ops: int = 0
    task: asyncio.Task[None] | None = None
    failures: int = 0


class Queue:
    """Runs ``reconcile`` for enqueued keys, at most ``parallel`` at a time, after `open` was called.

    ``writes`` counts what the runs of a key have changed: where it is the same after a run, that was a no-op.
    """

    def __init__(self, reconcile: Reconcile, writes: Callable[[str], int] = lambda key: 0, parallel: int = 4) -> None:
        self.outcomes, self.seconds = Counter(RECONCILES), Histogram(RECONCILE_SECONDS, _BOUNDS)
        self._reconcile, self._writes = reconcile, writes
        self._running = asyncio.Semaphore(parallel)
        self._keys: dict[str, _Key] = {}
        self._open = asyncio.Event()

    @property
    def depth(self) -> int:
        """Keys that wait for their run to begin."""
        return sum(state.wake.is_set() for state in self._keys.values())

    def enqueue(self, key: str, *, low_priority: bool = False) -> None:
        """Have this key reconciled soon; ``low_priority``: not at once after a no-op. Never blocks, never fails."""
        state = self._keys.get(key)
        if state is None:
            state = self._keys[key] = _Key()
            state.task = asyncio.create_task(self._serve(key, state), name=f"reconcile {key}")
        state.wake.set()
        if not low_priority:
            state.high_priority.set()

    def open(self) -> None:
        """Begin: until now keys were only collected, because the store was not complete."""
        self._open.set()

    async def close(self) -> None:
        """Cancel all runs; every step of a reconciliation may be the last one. Later keys wait for another `open`."""
        self._open.clear()
        tasks = [state.task for state in self._keys.values()]
        self._keys.clear()
        await end_all(tasks)

    async def _serve(self, key: str, state: _Key) -> None:
        await self._open.wait()
        again: float | None = 0.0
        while again is not None or state.wake.is_set():
            try:
                async with asyncio.timeout(again):
                    await state.wake.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            async with self._running:
                state.high_priority.clear()
                state.wake.clear()  # before the run reads the store, so that a change during it is not lost
                again = await self._attempt(key, state)
            if state.failures:
                await asyncio.sleep(again or 0)
                again = 0.0
            elif state.pause_after_no_op:
                again = await self._rest(state, again)
        if self._keys.get(key) is state:  # nothing was awaited since the look at it: no change is lost
            del self._keys[key]

    async def _rest(self, state: _Key, again: float | None) -> float | None:
        """After a no-op: until a change of high priority, or the next run is due; ``again``, less what that took."""
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(
                state.pause_after_no_op if again is None else min(state.pause_after_no_op, again)
            ):
                await state.high_priority.wait()
        except TimeoutError:
            pass
        return None if again is None else max(0.0, again - (asyncio.get_running_loop().time() - begun))

    async def _attempt(self, key: str, state: _Key) -> float | None:
        clock = asyncio.get_running_loop().time
        begun, before = clock(), self._writes(key)
        try:
            again = await self._reconcile(key)
        except Exception:
            self.outcomes.add("failed")
            state.failures += 1
            pause = min(LONGEST_BACKOFF, 2.0 ** min(state.failures - 1, 10)) * random.uniform(0.7, 1.0)  # noqa: S311 - spread
            log.exception("reconciling %s failed (%d in a row), next try in %.1f s", key, state.failures, pause)
            return pause
        finally:
            self.seconds.observe(clock() - begun)
        self.outcomes.add("done")
        state.failures = 0
        state.no_ops = state.no_ops + 1 if self._writes(key) == before else 0
        state.pause_after_no_op = min(LONGEST_WAIT, (clock() - begun) * (1 / NO_OP_SHARE - 1)) if state.no_ops else 0.0
        return again if again is None or state.no_ops < 3 else max(again, LEAST_PAUSE)
