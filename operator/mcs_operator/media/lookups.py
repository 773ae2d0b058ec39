"""Looking up public names, beside the reconciliation: a task per namespace, which wakes it only for another answer.

Asks by the agent, in the media pod, and by the operator's own resolver, and only while the agent answers. Each name
has its own time: soon again, then ever later while something is wrong with it; seldom while all is well. Names that
are due together are asked together.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from mcs_operator.contract.lookup import UNAVAILABLE, Answer, Failure, Lookup
from mcs_operator.tasks import end_all

log = logging.getLogger(__name__)

FIRST_PAUSE = 30.0
LONGEST_PAUSE = 600.0
"""Seconds between two questions about a name that is not as it should be: doubled from the first to the longest."""
WELL_PAUSE = 1800.0
"""Seconds until the next question about a name that leads where it should."""
SETTLE_SECONDS = 1.0
"""New names come in bursts, link by link; also the least time between two questions of a namespace."""
PATIENCE = 3
"""So many times in a row a resolver may fail before its last answer is no longer believed."""

AskPod = Callable[[str, Collection[str]], Awaitable[Mapping[str, Answer]]]
AskHere = Callable[[Collection[str]], Awaitable[Mapping[str, Answer]]]


def _jitter() -> float:
    return random.uniform(0.9, 1.1)  # noqa: S311 - that a hundred namespaces do not keep step


@dataclass(slots=True)
class _Name:
    address: str
    due: float
    tries: int = 0
    known: Lookup = field(default_factory=Lookup)
    silences: dict[str, int] = field(default_factory=lambda: {"pod": 0, "operator": 0})

    def again(self, now: float) -> None:
        """Ask at once: it is another question now."""
        self.due, self.tries = now, 0

    def take(self, pod: Answer | None, operator: Answer | None) -> bool:
        """Take what both said; whether anything is known now that was not before."""
        before = self.known
        self.known = replace(
            before,
            pod=self._believed("pod", before.pod, pod),
            operator=self._believed("operator", before.operator, operator),
        )
        return self.known != before

    def _believed(self, who: str, before: Answer | None, answer: Answer | None) -> Answer | None:
        """A resolver that fails for a moment takes nothing back of what it has said."""
        if answer is not None and (answer.is_certain or answer.failure is Failure.NOT_SUPPORTED):
            self.silences[who] = 0
            return answer
        self.silences[who] += 1
        return before if self.silences[who] < PATIENCE else UNAVAILABLE


@dataclass(slots=True)
class _Namespace:
    pod: str = ""
    names: dict[str, _Name] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Lookups:
    """All names by namespace. ``wake`` is called with a namespace about whose names something else is known now."""

    def __init__(self, ask_pod: AskPod, ask_here: AskHere, wake: Callable[[str], None], parallel: int = 4) -> None:
        self._ask_pod, self._ask_here, self._wake = ask_pod, ask_here, wake
        self._namespaces: dict[str, _Namespace] = {}
        self._asking = asyncio.Semaphore(parallel)

    def known(self, namespace: str) -> dict[str, Lookup]:
        """What is known by now, by name."""
        found = self._namespaces.get(namespace)
        return {name: entry.known for name, entry in found.names.items()} if found else {}

    def follow(self, namespace: str, pod: str, names: Mapping[str, str]) -> None:
        """Ask from now on for these names, each with the address that it should have, in the pod of this UID; where
        that is empty, as no agent answers, nothing is asked and nothing forgotten. No names: all is forgotten."""
        if not names:
            self._end(self._namespaces.pop(namespace, None))
            return
        here = self._namespaces.setdefault(namespace, _Namespace())
        self._take_names(here, names)
        if not pod:
            self._end(here)
            return
        if pod != here.pod:  # another pod may have another resolver
            here.pod = pod
            for entry in here.names.values():
                entry.again(_now())
            here.changed.set()
        if here.task is None:
            here.task = asyncio.create_task(self._run(namespace, here), name=f"names of {namespace}")

    async def close(self) -> None:
        """End all tasks."""
        tasks = [here.task for here in self._namespaces.values()]
        self._namespaces.clear()
        await end_all(tasks)

    @staticmethod
    def _end(here: _Namespace | None) -> None:
        if here is not None and here.task is not None:
            here.task.cancel()
            here.task = None

    @staticmethod
    def _take_names(here: _Namespace, names: Mapping[str, str]) -> None:
        if {name: entry.address for name, entry in here.names.items()} == names:
            return
        before, here.names = here.names, {}
        for name, address in names.items():
            entry = here.names[name] = before.get(name) or _Name(address, _now())
            if entry.address != address:
                entry.address = address
                entry.again(_now())
        here.changed.set()

    async def _run(self, namespace: str, here: _Namespace) -> None:
        while True:
            try:
                async with asyncio.timeout_at(min(entry.due for entry in here.names.values())):
                    await here.changed.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(SETTLE_SECONDS)
            here.changed.clear()
            due = [name for name, entry in here.names.items() if entry.due <= _now()]
            if due:
                async with self._asking:
                    await self._ask(namespace, here, due)

    async def _ask(self, namespace: str, here: _Namespace, due: Collection[str]) -> None:
        async with asyncio.TaskGroup() as both:  # neither fails, and whoever is cancelled ends both
            asked_pod = both.create_task(_answers(self._ask_pod(namespace, due)))
            asked_here = both.create_task(_answers(self._ask_here(due)))
        in_pod, own = asked_pod.result(), asked_here.result()
        jitter, news = _jitter(), False
        for name in due:
            if (entry := here.names.get(name)) is None:
                continue
            news |= entry.take(in_pod.get(name), own.get(name))
            if entry.known.leads_to(entry.address) and not any(entry.silences.values()):
                entry.tries, pause = 0, WELL_PAUSE
            else:
                entry.tries, pause = entry.tries + 1, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(entry.tries, 10))
            entry.due = _now() + pause * jitter
        if news:
            self._wake(namespace)


async def _answers(question: Awaitable[Mapping[str, Answer]]) -> Mapping[str, Answer]:
    """The answers. A resolver that fails as nobody expected has said nothing: it is asked again in its time, like one
    that is silent, where an error would end the questions of this namespace for good."""
    try:
        return await question
    except Exception:
        log.exception("looking up names failed")
        return {}


def _now() -> float:
    return asyncio.get_running_loop().time()
