"""`mcs-operator run --dry-run`: what the operator would do now, told, and none of it done.

The story is told once for each namespace, with a client that writes nothing. What it would have written is printed.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mcs_operator.domain.changes import Changes, PodChanges, told_step
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod.rollout import Step
from mcs_operator.domain.status.faults import told
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.cache.watch import Watcher
from mcs_operator.kube.client import Api
from mcs_operator.kube.dryrun import DryRunApi
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.executor import Executor
from mcs_operator.kube.networks import Networks
from mcs_operator.kube.nodes import Nodes
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.together import together
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.resolver import Resolver
from mcs_operator.settings import Settings

log = logging.getLogger(__name__)

LIST_SECONDS = 300.0
"""After so many seconds a cluster that cannot be listed is given up."""


class _QuietAgents(Agents):
    """Asks the agents, and has no appliance drain."""

    async def drain(self, namespace: str, begin: bool, until: datetime | None = None) -> None:
        """Only told."""


class _Idle(Executor):
    """Does nothing where nothing can be decided: that is told in its turn."""

    async def revoke(self, changes: Changes, running: str) -> int:
        """Nothing."""
        return 0


@dataclass(slots=True)
class _Teller(Executor):
    """Carries out with a client that writes nothing, and remembers what that was about."""

    changes: Changes | None = None
    outcome: Outcome = field(default_factory=Outcome)
    pod: PodChanges = field(default_factory=PodChanges)

    async def carry_out(self, changes: Changes) -> Outcome:
        """Remembered."""
        self.changes, self.outcome = changes, await Executor.carry_out(self, changes)
        return self.outcome

    async def take_step(self, namespace: str, changes: PodChanges, now: datetime) -> float | None:
        """Remembered."""
        self.pod = changes
        return await Executor.take_step(self, namespace, changes, now)


@dataclass(slots=True)
class DryRun:
    """Of the namespaces that ``settings`` names, or all. The ``api`` writes nothing."""

    api: DryRunApi
    settings: Settings
    store: Store = field(default_factory=lambda: Store(wake=lambda _: None))

    async def lines(self) -> tuple[list[str], bool]:
        """What would be done, a line each; and whether all of it could be told."""
        async with AsyncExitStack() as opened:
            news = asyncio.Event()
            agents = _QuietAgents(wake=lambda _: news.set())
            opened.push_async_callback(agents.close)
            lookups = Lookups(agents.resolve, Resolver().resolve, wake=lambda _: None)
            opened.push_async_callback(lookups.close)
            reporter = Reporter(self.api, self.store, Recorder(self.api, self.settings.identity))
            reconciler = Reconciler(self.api, self.store, agents, lookups, reporter, self.settings, clock=_now)
            networks = Networks(self.api, on_change=lambda: None)
            await asyncio.wait_for(self._listed(networks, reconciler.nodes), LIST_SECONDS)
            reconciler.networks = lambda: networks.known
            namespaces = sorted(self.store.namespaces())
            await self._agents_have_answered(reconciler, namespaces, news)
            told_all = [await self.tell(reconciler, namespace) for namespace in namespaces]
        return [line for lines, _ in told_all for line in lines], all(is_whole for _, is_whole in told_all)

    async def _listed(self, networks: Networks, nodes: Nodes) -> None:
        """Everything that the operator lists at its start."""
        watcher = Watcher(self.api, self.store, self.settings.namespaces)
        await together(networks.read(), nodes.read_if_allowed(), watcher.list_once())

    async def _agents_have_answered(self, reconciler: Reconciler, namespaces: list[str], news: asyncio.Event) -> None:
        """What they say decides about the pod; one that is silent is waited for as long as the operator waits."""
        agents, asked = reconciler.agents, []
        reconciler.executor = _Idle(self.api, self.store, agents, reconciler.reporter)
        for namespace in namespaces:
            try:
                observed = await reconciler.observe(namespace)
                if observed.pod:
                    decision = await reconciler.decide(observed)
                    reconciler.following.follow(decision.world, decision.plan, decision.keys, decision.queue)
                    asked.append(namespace)
            except Exception as error:
                log.debug("%s", namespace, exc_info=error)
        while any(agents.may_answer(namespace) and agents.report(namespace) is None for namespace in asked):
            news.clear()
            await news.wait()

    async def tell(self, reconciler: Reconciler, namespace: str) -> tuple[list[str], bool]:
        """One namespace's lines; and whether it can be reconciled at all."""
        self.api.writes.clear()
        teller = reconciler.executor = _Teller(self.api, self.store, reconciler.agents, reconciler.reporter)
        failure = ""
        try:
            await reconciler(namespace)
        except Exception as error:
            log.debug("%s", namespace, exc_info=error)
            failure = told(error)
        lines = [*self._writes(teller), *_about_the_pod(teller.pod), *(f"open: {e}" for e in teller.outcome.open_ends)]
        if failure:
            lines.append(f"fails: {failure}")
        return [f"{namespace}: {line}" for line in lines or ["nothing to do"]], not failure

    def _writes(self, teller: _Teller) -> Iterator[str]:
        why = {removal.secret: removal.why for removal in teller.changes.removals} if teller.changes else {}
        for write in self.api.writes:
            is_removal = write.action == "remove" and write.kind == "Secret"
            yield f"{write}: {why[write.name]}" if is_removal and write.name in why else str(write)


def _about_the_pod(changes: PodChanges) -> Iterator[str]:
    rollout = changes.rollout
    if changes.step:
        cause = f": {rollout.cause}" if rollout.current else ""
        yield f"pod {changes.pod}: {told_step(changes.step)}{cause}"
    elif rollout.step in (Step.WAIT_FOR_GATE, Step.WAIT_FOR_IMAGE, Step.CANNOT_PULL):
        yield f"pod {changes.pod}: waits: {rollout.told}"
    elif rollout.step is Step.WAIT_TO_BE_ASKED:
        yield f"pod {changes.pod}: waits to be asked for a restart, differs in {', '.join(rollout.parts)}"


async def dry_run(settings: Settings) -> int:
    """Print what would be done; the exit code."""
    api: Api | None = None
    try:
        api = await DryRunApi.connect()
        assert isinstance(api, DryRunApi)  # noqa: S101 - connect makes one of its own class
        lines, is_whole = await DryRun(api, settings).lines()
    except Exception as error:
        log.error("nothing can be told: %s", str(error) or type(error).__name__)
        return 1
    finally:
        if api:
            await api.close()
    sys.stdout.write("\n".join(lines or ["nothing to do: no namespace has an object of the operator's"]) + "\n")
    return 0 if is_whole else 1


def _now() -> datetime:
    return datetime.now(UTC)
