"""The story of one namespace, level-triggered: whatever happened, the same steps lead to the declared world.

observe -> believe -> decide -> complete -> render -> changes -> carry out -> report
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcs_operator.domain.changes import PodChanges, Poke
from mcs_operator.domain.decide import decide, without_leftovers
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import SlotSecret, World
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod.rollout import Rollout
from mcs_operator.domain.rules.restored import with_newest_identities
from mcs_operator.domain.status import all_statuses
from mcs_operator.domain.status.faults import told
from mcs_operator.domain.status.queue import queue
from mcs_operator.domain.status.service import drain_ends
from mcs_operator.following import Following, names_of
from mcs_operator.issuing.orders import Orders
from mcs_operator.kube.beside import beside
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.discovery import Discovery
from mcs_operator.kube.executor import Executor
from mcs_operator.kube.failures import Backoff, Failures, tried
from mcs_operator.kube.nodes import LOOK_SECONDS, Nodes
from mcs_operator.kube.observe import MISSED_SECONDS, observe
from mcs_operator.kube.report import Reporter, Told
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.pki import Expiries, believed, complete
from mcs_operator.render.changes import Decision, changes, pod_changes, revoking
from mcs_operator.render.render import render
from mcs_operator.render.wanted import wanted
from mcs_operator.settings import Settings

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """What every reconciliation needs. ``clock`` gives the present, aware, UTC."""

    api: Api
    store: Store
    agents: Agents
    lookups: Lookups
    reporter: Reporter
    settings: Settings
    clock: Callable[[], datetime]
    networks: Callable[[], Iterable[Network]] = tuple
    """The cluster's own."""
    unsettled: Backoff = field(default_factory=Backoff)
    expiries: dict[str, Expiries] = field(default_factory=dict)
    orders: Orders | None = None
    """Of certificates; without them nothing is ordered."""
    writes: Counter[str] = field(default_factory=Counter)
    """Objects and statuses written, by namespace."""
    executor: Executor = field(init=False)
    discovery: Discovery = field(init=False)
    failures: Failures = field(init=False)
    following: Following = field(init=False)
    nodes: Nodes = field(init=False)

    def __post_init__(self) -> None:
        self.executor = Executor(self.api, self.store, self.agents, self.reporter)
        self.discovery = Discovery(self.api)
        self.failures = Failures(self.reporter)
        self.nodes = Nodes(self.api, self.store)
        names = names_of(self.store, self.clock)
        self.following = Following(self.agents, self.lookups, names, self.expiries, self.orders)

    async def __call__(self, namespace: str) -> float | None:
        """Reconcile one namespace; seconds after which it wants to be called again, or None.

        What fails is raised, after all that does not depend on it is done, and told in the namespace's own conditions.
        """
        errors: list[Exception] = []
        try:
            again = await self._bring_to(await self.decide(await self.observe(namespace)), errors)
        except Exception as error:
            errors.insert(0, error)
        if not errors:
            return again
        for other in errors[1:]:
            errors[0].add_note(f"and beside it: {told(other)}")
        self.writes[namespace] += await self.failures.tell(namespace, errors[0], self.clock())
        raise errors[0]

    async def observe(self, namespace: str) -> World:
        """Everything that decisions may look at."""
        world = await observe(
            self.api,
            self.store,
            namespace,
            self.clock(),
            self.agents.report(namespace),
            self.settings.image_pull_secrets,
        )
        world = await self.following.known(await self.nodes.known(world), self.networks)
        return await self.discovery.known(world)

    async def decide(self, observed: World) -> Decision:
        """Believe, decide, complete, render. Where that fails, who is revoked or disabled is stopped all the same."""
        leftovers: tuple[SlotSecret, ...] = ()
        try:
            # Beside the event loop: 250 certificates that were never looked at take it 50 ms.
            world = with_newest_identities(await asyncio.to_thread(believed, observed))
            world, leftovers = without_leftovers(world)
            plan = await beside(world.has_many_users, decide, world)
            keys = await asyncio.to_thread(complete, world, plan)  # 250 new certificates, or trials, take seconds
            desired = await beside(world.has_many_users, render, world, plan, keys, self.settings)
            return Decision(world, plan, keys, desired, changes(world, plan, desired, leftovers))
        except Exception:
            await self._revoke(observed, leftovers)
            raise

    async def _bring_to(self, decision: Decision, errors: list[Exception]) -> float | None:
        """Carry it out, and report. Steps that fail are in ``errors``, and those after them are taken all the same."""
        world, namespace = decision.world, decision.world.namespace
        outcome = await self.executor.carry_out(decision.changes)
        errors += outcome.raised
        decision = replace(decision.vouched(outcome.checksums), queue=queue(world, decision.plan, decision.keys))
        self.following.follow(world, decision.plan, decision.keys, decision.queue)
        pod = self._pod_changes(decision, outcome, errors)
        told_now = await tried(self._report(decision, outcome, pod.rollout), errors) or Told(unwritten=["statuses"])
        errors += told_now.errors
        self.writes[namespace] += outcome.writes + told_now.writes
        dues = decision.keys.due, decision.plan.due, told_now.due
        pauses = [
            await tried(self.executor.poke(namespace, pod, world.now), errors),
            await tried(self.executor.take_step(namespace, pod, world.now), errors),
            await tried(self.executor.keep_count(decision.changes), errors),
            MISSED_SECONDS if world.missing_pull_secrets else None,
            LOOK_SECONDS if world.cordoned else None,
            *(max(0.0, (due - world.now).total_seconds()) for due in dues if due),
        ]
        defects = decision.desired.all_defects
        self.failures.count(namespace, has_defects=bool(defects), is_well=not errors)
        pauses.append(self.unsettled.pause(namespace, [*defects, *outcome.open_ends, *told_now.unwritten]))
        return min((pause for pause in pauses if pause is not None), default=None)

    def _pod_changes(self, decision: Decision, outcome: Outcome, errors: list[Exception]) -> PodChanges:
        """Where that fails the pod is poked all the same: without it who is revoked stays connected for a minute."""
        try:
            return pod_changes(decision, self.agents.confirmed(decision.world.namespace), outcome)
        except Exception as error:
            errors.append(error)
            pod = decision.world.pod
            poke = Poke(decision.desired.poke, "", behind=outcome.writes > 0)
            return PodChanges(pod.name, poke) if pod else PodChanges()

    async def _report(self, decision: Decision, outcome: Outcome, rollout: Rollout) -> Told:
        world = decision.world
        if world.report is None and self.agents.may_answer(world.namespace):
            return Told()  # the answer, or ten seconds of silence, brings us back here
        statuses = all_statuses(world, decision.plan, wanted(decision, outcome, rollout))
        written = await self.reporter.write(world.namespace, statuses, world.now)
        dues = written.due, drain_ends(statuses.values(), decision.plan.instance, world.now)
        written.due = min((due for due in dues if due), default=None)
        return written

    async def _revoke(self, world: World, leftovers: Iterable[SlotSecret]) -> None:
        """Stop who is revoked or disabled, whatever it is that cannot be decided, signed or rendered."""
        try:
            pod = world.pod.name if world.pod else ""
            self.writes[world.namespace] += await self.executor.revoke(revoking(world, leftovers), pod)
        except Exception:
            log.exception("%s: what is revoked could not be stopped", world.namespace)
