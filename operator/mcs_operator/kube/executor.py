"""The executor: carries out what was decided, in order, and says what came of it. It decides nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.changes import (
    Changes,
    KeepDraining,
    PodChanges,
    Poke,
    Removal,
    Replace,
    Resize,
    SetImages,
    StartDraining,
    StopDraining,
)
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod.poking import Poker
from mcs_operator.domain.pod.rollout import LOOK_AGAIN
from mcs_operator.domain.rules.quota import quota_name
from mcs_operator.kube import apply, pod, quota
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.outcome import guarding
from mcs_operator.kube.report import Reporter
from mcs_operator.media.agents import Agents
from mcs_operator.settings import (
    ANNOTATION_DRAINING,
    ANNOTATION_DRAINING_FOR,
    ANNOTATION_POKE,
    ANNOTATION_REFUSED_RESIZE,
)

log = logging.getLogger(__name__)

NOT_DRAINING: dict[str, str | None] = {ANNOTATION_DRAINING: None, ANNOTATION_DRAINING_FOR: None}

EXIT_SECONDS = 60.0
"""For which slots are told that they exit at once. The kubelet asks them a second after their image is changed."""
REFUSED_AGAIN = 30.0
"""Until an agent that refused that is asked again."""


@dataclass(slots=True)
class Executor:
    """Of all namespaces."""

    api: Api
    store: Store
    agents: Agents
    reporter: Reporter
    pokers: dict[str, Poker] = field(default_factory=dict)
    counter: quota.QuotaCounter = field(init=False)

    def __post_init__(self) -> None:
        self.counter = quota.QuotaCounter(self.api, self.store)

    async def carry_out(self, changes: Changes) -> Outcome:
        """Write what differs, then take away what is left over; in this order, so that nobody is without."""
        outcome = Outcome(raised=list(changes.errors))
        try:
            await self._carry_out(changes, outcome)
        except Exception as error:
            outcome.raised.append(error)
        return outcome

    async def _carry_out(self, changes: Changes, outcome: Outcome) -> None:
        namespace, instance = changes.namespace, changes.instance
        await self._remove(namespace, changes.leftovers, outcome)
        held = await self._forget(changes, outcome)
        for mark in changes.marks:
            with guarding(outcome, f"Secret {mark.secret}"):
                await apply.set_secret_entry(self.api, self.store, namespace, mark.secret, mark.entry, mark.text)
        await apply.apply_all(self.api, self.store, changes.manifests, held, outcome)
        outcome.writes += await self._remove(namespace, changes.displaced, outcome)
        for name in changes.unmanaged:
            with guarding(outcome, f"Secret {name}"):
                await apply.set_owners(self.api, self.store, namespace, instance, name, list(changes.owners))
        if changes.prune:
            outcome.writes += await apply.prune(
                self.api, self.store, namespace, instance, changes.uid, changes.manifests, outcome
            )

    async def _remove(self, namespace: str, removals: Iterable[Removal], outcome: Outcome) -> int:
        names = [removal.secret for removal in removals]
        return await apply.drop_slots(self.api, self.store, namespace, names, outcome)

    async def _forget(self, changes: Changes, outcome: Outcome) -> list[str]:
        """Take identities away; the links that have to wait, because the one before them is still there."""
        namespace = changes.namespace
        await self._remove(namespace, (forgotten.removal for forgotten in changes.forgotten), outcome)
        children = {name for _, name in self.store.cache(namespace).children}
        left = [forgotten for forgotten in changes.forgotten if forgotten.removal.secret in children]
        for forgotten in changes.forgotten:
            if forgotten.note and forgotten not in left:
                await self.reporter.tell(namespace, Kind.INSTANCE, changes.instance, forgotten.note, changes.now)
        names = sorted(forgotten.removal.secret for forgotten in left)
        outcome.waiting += [f"Secret {name}: has to go, and is still there" for name in names]
        return [link for forgotten in left for link in forgotten.links]

    async def revoke(self, changes: Changes, running: str) -> int:
        """Write what stops somebody, and have the ``running`` pod take it at once; the number of writes."""
        outcome = await self.carry_out(changes)
        if outcome.writes and running:
            await self._wake(changes.namespace, running, f"revoked-{changes.now.timestamp():.0f}")
        for error in outcome.raised:
            raise error
        return outcome.writes

    async def _wake(self, namespace: str, name: str, value: str) -> None:
        """Have the kubelet look at what the pod has mounted, now."""
        await pod.annotate(self.api, self.store, namespace, name, {ANNOTATION_POKE: value})

    async def poke(self, namespace: str, changes: PodChanges, now: datetime) -> float | None:
        """Wake the kubelet while the pod has not taken what is wanted; seconds until it is worth another look."""
        poke: Poke | None = changes.poke
        if poke is None:
            self.pokers.pop(namespace, None)
            return None
        poker = self.pokers.setdefault(namespace, Poker())
        value, again = poker.next(poke.behind, poke.target, poke.annotated, now)
        if value:
            await self._wake(namespace, changes.pod, value)
        return again

    async def take_step(self, namespace: str, changes: PodChanges, now: datetime) -> float | None:
        """Do what is to be done to the pod; seconds until it is to be looked at again."""
        step, name, notes = changes.step, changes.pod, dict(changes.notes)
        if changes.ledger and not isinstance(step, Replace):
            await pod.note_interruptions(self.api, self.store, namespace, name, changes.ledger)
        match step:
            case None:
                await self._note(namespace, name, notes)
            case StartDraining():
                if step.since:
                    notes[ANNOTATION_DRAINING] = step.since.isoformat(timespec="seconds")
                    notes[ANNOTATION_DRAINING_FOR] = step.cause
                await self._note(namespace, name, notes)
                await self.agents.drain(namespace, True, step.until)
            case KeepDraining():
                await self._note(namespace, name, notes)
                await self.agents.drains_until(namespace, step.until)
            case StopDraining():
                # Out of service it drains on, without the end that it was told.
                await self.agents.drain(namespace, step.out_of_service)
                await self._note(namespace, name, notes | (NOT_DRAINING if step.noted else {}))
            case Replace():
                await self._replace(namespace, changes, step, now)
            case SetImages():
                if not await self._set_images(namespace, name, step, now):
                    return REFUSED_AGAIN
            case Resize():
                await self._note(namespace, name, notes | dict(step.annotations))
                if refused := await pod.resize(self.api, namespace, name, step, now):
                    await self._note(namespace, name, {ANNOTATION_REFUSED_RESIZE: refused})
                    return LOOK_AGAIN
            case _:
                assert_never(step)
        return changes.again

    async def _note(self, namespace: str, name: str, notes: dict[str, str | None]) -> None:
        if notes:
            await pod.annotate(self.api, self.store, namespace, name, notes)

    async def _set_images(self, namespace: str, name: str, step: SetImages, now: datetime) -> bool:
        """Whether the agent let it: without that the slots would wait for their turns."""
        if step.exits and not await self.agents.exit_at_once(namespace, step.exits, EXIT_SECONDS):
            return False
        if step.note:
            log.warning("%s: %s", namespace, step.note.note)
            await self.reporter.tell(namespace, Kind.INSTANCE, step.instance, step.note, now)
        await pod.set_images(self.api, self.store, namespace, name, step)
        return True

    async def _replace(self, namespace: str, changes: PodChanges, step: Replace, now: datetime) -> None:
        if not await pod.next_one_is_current(self.api, namespace, step.instance):
            return
        log.warning("%s: %s", namespace, step.note.note)
        await self.reporter.tell(namespace, Kind.INSTANCE, step.instance, step.note, now)
        await pod.note_interruptions(self.api, self.store, namespace, changes.pod, changes.ledger)
        await pod.delete(self.api, namespace, changes.pod, step.uid)

    async def keep_count(self, changes: Changes) -> float | None:
        """See that the API server counts the links rightly; seconds until it is worth another look."""
        if not changes.instance:
            self.counter.forget(changes.namespace)
            return None
        return await self.counter.check(changes.namespace, quota_name(changes.instance), changes.now)
