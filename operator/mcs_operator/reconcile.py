"""The story of one namespace, level-triggered: whatever happened, the same steps lead to the declared world.

observe -> World -> decide -> mint -> render -> apply + prune -> report
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from mcs_operator.domain import refused, sizing
from mcs_operator.domain.conditions import Kind, Reason
from mcs_operator.domain.decide import decide, without_leftovers
from mcs_operator.domain.events import Note
from mcs_operator.domain.faults import told
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.networks import Network
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.poking import Poker
from mcs_operator.domain.preflight import names_to_ask
from mcs_operator.domain.quota import quota_name
from mcs_operator.domain.restart import LOOK_AGAIN, Restart, Step, decide_restart
from mcs_operator.domain.restored import with_newest_identities
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.users import communities_of
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import DamagedProfile, Pod, Profile, SlotSecret, World
from mcs_operator.kube import apply, pod, quota
from mcs_operator.kube.agents import Agents, Endpoint
from mcs_operator.kube.apply import Outcome
from mcs_operator.kube.beside import beside
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.failures import Failures
from mcs_operator.kube.lookups import Lookups
from mcs_operator.kube.names import Names
from mcs_operator.kube.observe import known_world, observe
from mcs_operator.kube.report import Reporter, Told
from mcs_operator.pki import Ends, agent_name, believed, complete, ends
from mcs_operator.render.objects import identity_owners
from mcs_operator.render.render import Desired, render, revocations
from mcs_operator.render.secrets import identity_json
from mcs_operator.settings import (
    AGENT_PORT_OFFSET,
    ANNOTATION_DRAINING,
    ANNOTATION_POKE,
    LONGEST_RETRY_SECONDS,
    RETRY_SECONDS,
    Settings,
    link_name,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


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
    pokers: dict[str, Poker] = field(default_factory=dict)
    unsettled: dict[str, int] = field(default_factory=dict)
    ends: dict[str, Ends] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    """Objects and statuses written, by namespace."""
    counter: quota.Counter = field(init=False)
    failures: Failures = field(init=False)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.failures = Failures(self.reporter)
        self.counter = quota.Counter(self.api, self.store)
        self.names = names_of(self.store, self.clock)

    async def __call__(self, namespace: str) -> float | None:
        """Reconcile one namespace; seconds after which it wants to be called again, or None.

        What fails is raised, after all that does not depend on it is done, and told in the namespace's own conditions.
        """
        errors: list[Exception] = []
        try:
            world = await observe(self.api, self.store, namespace, self.clock(), self.agents.report(namespace))
            lookups, elsewhere = self.lookups.known(namespace), await self.names.elsewhere(namespace)
            world = replace(world, lookups=lookups, elsewhere=elsewhere, networks=tuple(self.networks()))
            again = await self._bring_to(world, errors)
        except Exception as error:
            errors.insert(0, error)
        if not errors:
            return again
        for other in errors[1:]:
            errors[0].add_note(f"and beside it: {told(other)}")
        self.writes[namespace] += await self.failures.tell(namespace, errors[0], self.clock())
        raise errors[0]

    async def _bring_to(self, observed: World, errors: list[Exception]) -> float | None:
        """The story; steps that fail are in ``errors``, and those after them are taken all the same."""
        namespace, outcome = observed.namespace, Outcome()
        try:
            # Beside the event loop: 250 certificates that were never looked at take it 50 ms.
            world = with_newest_identities(await asyncio.to_thread(believed, observed))
            world, leftovers = without_leftovers(world)
            await apply.drop_slots(self.api, self.store, namespace, map(_secret_of, leftovers), outcome)
            plan = await beside(world.has_many_users, decide, world)
            keys = await asyncio.to_thread(complete, world, plan)  # 250 new certificates, or trials, take seconds
            desired = await beside(world.has_many_users, render, world, plan, keys, self.settings)
        except Exception:
            await self._revoke(observed)
            raise
        written = await _tried(self._bring_about(world, plan, desired, outcome), errors)
        desired = replace(desired, voucher=outcome.voucher or desired.voucher)
        self._note_ends(namespace, plan, keys)
        self.names.tell(namespace)
        self._follow_agent(world, plan, keys)
        self.lookups.follow(namespace, world.pod.uid if world.pod and world.report else "", names_to_ask(plan))
        restart = _restart_of(self._confirmed(world), plan, desired, outcome) if written else Restart(Step.NOTHING)
        reported = await _tried(self._report(world, plan, keys, desired, outcome, restart), errors)
        told_now = reported or Told(unwritten=["statuses"])
        errors += told_now.errors
        self.writes[namespace] += outcome.writes + told_now.writes
        pauses = [
            await _tried(self._poke(world, plan, desired, outcome), errors),
            await _tried(self._restart(world, restart), errors),
            await _tried(self._keep_count(world, plan), errors),
            *(max(0.0, (due - world.now).total_seconds()) for due in (keys.due, plan.due) if due),
            self._retry(namespace, desired, outcome, told_now, errors),
        ]
        return min((pause for pause in pauses if pause is not None), default=None)

    def _retry(
        self, namespace: str, desired: Desired, outcome: Outcome, told_now: Told, errors: list[Exception]
    ) -> float | None:
        """Seconds until what is not settled is tried again."""
        defects = [*desired.defects, *desired.link_defects.values()]
        if defects:
            self.failures.add(namespace)
        elif not errors:
            self.failures.clear(namespace)
        if not defects and not told_now.unwritten and outcome.settled:
            self.unsettled.pop(namespace, None)
            return None
        open_ends = [*outcome.waiting, *outcome.errors.values(), *outcome.failures.values(), *told_now.unwritten]
        log.info("%s: not settled: %s", namespace, [*defects, *open_ends])
        return self._patience(namespace)

    async def _revoke(self, world: World) -> None:
        """Stop who is revoked or disabled, whatever it is that cannot be decided, signed or rendered."""
        try:
            outcome = await apply.apply_all(self.api, self.store, revocations(world))
            self.writes[world.namespace] += outcome.writes
            if outcome.writes and world.pod:
                value = f"revoked-{world.now.timestamp():.0f}"
                await pod.annotate(self.api, self.store, world.namespace, world.pod.name, {ANNOTATION_POKE: value})
        except Exception:
            log.exception("%s: what is revoked could not be stopped", world.namespace)

    def _patience(self, namespace: str) -> float:
        """Seconds until the next try of what failed: longer each time, for most of it waits for a person."""
        self.unsettled[namespace] = tries = self.unsettled.get(namespace, 0) + 1
        return min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * 2.0 ** min(tries - 1, 10))

    def _note_ends(self, namespace: str, plan: Plan, keys: Keys) -> None:
        """For the metrics, by namespace. A certificate of which no date can be read is no reason to leave a link
        without its revocation."""
        try:
            found = ends(plan, keys)
        except Exception as error:
            log.warning("%s: the ends of its certificates are not known: %s", namespace, told(error))
            found = None
        if found:
            self.ends[namespace] = found
        else:
            self.ends.pop(namespace, None)

    def _confirmed(self, world: World) -> World:
        """With what the agent says now, or nothing: by what it said before it fell silent nobody's call is ended."""
        return replace(world, report=self.agents.confirmed(world.namespace))

    def _follow_agent(self, world: World, plan: Plan, keys: Keys) -> None:
        running, instance = world.pod, plan.instance
        if running is None or instance is None or not running.ip or keys.agent is None or keys.ca is None:
            self.agents.follow(world.namespace, None)
            return
        port = instance.spec.vpn.base_port + AGENT_PORT_OFFSET
        name = agent_name(instance.name, world.namespace)
        endpoint = Endpoint(running.uid, running.ip, port, name, keys.ca, keys.agent.token)
        self.agents.follow(world.namespace, endpoint)

    async def _bring_about(self, world: World, plan: Plan, desired: Desired, outcome: Outcome) -> bool:
        """Write what differs, then take away what is left over; in this order, so that nobody is without."""
        instance, namespace = plan.instance, world.namespace
        if instance is None:
            return True
        held = await self._keep_identities(world, plan, outcome)
        await apply.apply_all(self.api, self.store, desired.manifests, held, outcome)
        placed = {p.link.name: p.number for p in plan.served}
        displaced = [
            _secret_of(slot)
            for slot in world.slots.values()
            if slot.instance == instance.name
            and slot.link not in plan.untouched
            and placed.get(slot.link) != slot.number
        ]
        outcome.writes += await apply.drop_slots(self.api, self.store, namespace, displaced, outcome)
        # Those that no manifest is about: their link is gone, or their CA is not to be used.
        owners, rendered = identity_owners(instance), {manifest.name for manifest in desired.manifests}
        damaged = [identity for identity in world.damaged if identity.instance]  # the others are copies
        identities: tuple[Profile | DamagedProfile, ...] = (*world.profiles.values(), *damaged)
        kept = [f"{instance.name}-ca", *(f"{identity.link}-profile" for identity in identities)]
        for name in kept:
            if name not in rendered:
                with outcome.guarding(f"Secret {name}"):
                    await apply.set_owners(self.api, self.store, namespace, instance.name, name, owners)
        if not desired.defects:  # else it is not known what nobody wants any more
            outcome.writes += await apply.prune(
                self.api, self.store, namespace, instance.name, instance.uid, desired.manifests, outcome
            )
        return True

    async def _keep_identities(self, world: World, plan: Plan, outcome: Outcome) -> list[str]:
        """The retention clock of identities whose link is gone: start it, and end it; the links that have to wait.

        An identity whose number is given to somebody else has to go before that one's comes, or both would have it for
        good.
        """
        names = {f"{profile.link}-profile": profile for profile in plan.forgotten}
        await apply.drop_slots(self.api, self.store, world.namespace, names, outcome)
        left = {name for _, name in self.store.cache(world.namespace).children if name in names}
        for profile in plan.given_up:
            if f"{profile.link}-profile" not in left:
                await self._tell_given_up(world, profile)
        for profile in plan.released:
            if profile not in plan.forgotten:
                text = identity_json(profile.released_at(world.now))
                name = f"{profile.link}-profile"
                with outcome.guarding(f"Secret {name}"):
                    await apply.set_secret_entry(self.api, self.store, world.namespace, name, "identity.json", text)
        outcome.waiting += [f"Secret {name}: has to go, and is still there" for name in sorted(left)]
        taken = {names[name].number for name in left}
        return [p.link.name for p in plan.served if p.number in taken]

    async def _tell_given_up(self, world: World, profile: Profile) -> None:
        """Whoever creates that link again will wonder why its TVox needs a new profile."""
        text = (
            f"the identity of the deleted TVoxLink {profile.link} is given up before spec.retain.links is over: its "
            f"number {profile.number} is needed, as no unused one has a slot; created again, it gets a new profile"
        )
        note = Note(True, "IdentityGivenUp", "Replace", text)
        await self.reporter.tell(world.namespace, Kind.INSTANCE, profile.instance, note, world.now)

    async def _poke(self, world: World, plan: Plan, desired: Desired, outcome: Outcome) -> float | None:
        """Wake the kubelet while the pod has not taken what is wanted; seconds until it is worth another look."""
        running = world.pod
        if plan.instance is None or running is None or running.terminating:
            self.pokers.pop(world.namespace, None)
            return None
        poker = self.pokers.setdefault(world.namespace, Poker())
        # Unknown is not behind: an operator that has just started must not write before it has asked.
        behind = desired.behind(world.report) if world.report else outcome.writes > 0
        value, again = poker.next(behind, desired.poke, running.annotations.get(ANNOTATION_POKE, ""), world.now)
        if value:
            await pod.annotate(self.api, self.store, world.namespace, running.name, {ANNOTATION_POKE: value})
        return again

    async def _keep_count(self, world: World, plan: Plan) -> float | None:
        """See that the API server counts the links rightly; seconds until it is worth another look."""
        if plan.instance is None:
            self.counter.forget(world.namespace)
            return None
        return await self.counter.check(world.namespace, quota_name(plan.instance.name), world.now)

    async def _restart(self, world: World, restart: Restart) -> float | None:
        """Take the next step towards a new pod, if one was asked for; seconds until the step after it."""
        running, namespace = world.pod, world.namespace
        if running is None or restart.step in (Step.NOTHING, Step.WAIT_TO_BE_ASKED):
            return (restart.due - world.now).total_seconds() if restart.due else None
        name = running.name
        if restart.step is Step.STOP_DRAINING:
            await self.agents.drain(namespace, False)
            if ANNOTATION_DRAINING in running.annotations:
                await pod.annotate(self.api, self.store, namespace, name, {ANNOTATION_DRAINING: None})
        elif restart.step is Step.START_DRAINING:
            await pod.annotate(
                self.api, self.store, namespace, name, {ANNOTATION_DRAINING: world.now.isoformat(timespec="seconds")}
            )
            await self.agents.drain(namespace, True)
        elif restart.step is Step.DRAIN_AGAIN:
            await self.agents.drain(namespace, True)
        elif restart.step is Step.REPLACE:
            await self._replace(world, running, restart)
        return LOOK_AGAIN

    async def _replace(self, world: World, running: Pod, restart: Restart) -> None:
        """After an Event that names the cause: what ended everybody's calls must never be a riddle."""
        instance, namespace = running.name.removesuffix("-0"), world.namespace
        if not await pod.next_one_is_current(self.api, namespace, instance):
            return
        text = f"pod {running.name} (UID {running.uid}) is replaced: {restart.cause}"
        log.warning("%s: %s", namespace, text)
        note = Note(True, "Restarting", "Replace", text)
        await self.reporter.tell(namespace, Kind.INSTANCE, instance, note, world.now)
        await pod.delete(self.api, namespace, running.name, running.uid)

    async def _report(
        self, world: World, plan: Plan, keys: Keys, desired: Desired, outcome: Outcome, restart: Restart
    ) -> Told:
        if world.report is None and self.agents.may_answer(world.namespace):
            return Told()  # the answer, or ten seconds of silence, brings us back here
        wanted = Wanted(
            revisions=desired.revisions,
            sizing=sizing.size(plan.instance) if plan.instance else None,
            restart=restart,
            problems=_problems(keys, desired, outcome),
            failures=tuple(outcome.failures.values()),
            foreign=_foreign(desired, outcome),
            rendered=frozenset(f"{manifest.kind} {manifest.name}" for manifest in desired.manifests),
            defects=desired.defects,
            certificates={**refused.certificates(world, plan), **keys.serving.problems},
            untaken=refused.whole_set(world, desired.voucher),
            authority=keys.problem,
            fingerprints={name: link_keys.fingerprints for name, link_keys in keys.links.items()},
            unwritten=unwritten_users(world, outcome),
        )
        return await self.reporter.write(world.namespace, all_statuses(world, plan, wanted), world.now)


async def _tried(step: Awaitable[T], errors: list[Exception]) -> T | None:
    """What came of a step; one that fails keeps those after it from nothing."""
    try:
        return await step
    except Exception as error:
        errors.append(error)
        return None


def names_of(store: Store, clock: Callable[[], datetime]) -> Names:
    """The public names of all namespaces, as the reconciler judges who is served."""
    return Names(store, lambda namespace: with_newest_identities(believed(known_world(store, namespace, clock()))))


def _secret_of(slot: SlotSecret) -> str:
    return f"{slot.instance}-{link_name(slot.number)}"


def _restart_of(world: World, plan: Plan, desired: Desired, outcome: Outcome) -> Restart:
    """Nothing is done before the new template is written: the next pod would be made from the old one."""
    if plan.instance is None or world.pod is None or not desired.template:
        return Restart(Step.NOTHING)
    restart = decide_restart(plan.instance, world.pod, desired.template, world.report, world.now)
    written = outcome.is_written(f"StatefulSet {plan.instance.name}")
    return restart if written else replace(restart, step=Step.NOTHING)


def unwritten_users(world: World, outcome: Outcome) -> dict[str, str]:
    """What kept users from being written, by Community."""
    found: dict[str, str] = {}
    for shard in outcome.unwritten:
        what = f"{shard.kind} {shard.name}"
        text = outcome.failures.get(what, f"{what} has to settle first")
        for file, encoded in shard.body["data"].items() if shard.kind == "Secret" else ():
            wanted = base64.b64decode(encoded).decode()
            found |= dict.fromkeys(communities_of(file, world.shards, wanted), text)
    return found


def _problems(keys: Keys, desired: Desired, outcome: Outcome) -> dict[str, Verdict]:
    """What kept a link's objects from being rendered or written, in the words of the conditions table."""
    problems = {
        name: Verdict(Reason.PENDING, text) for name, text in (*keys.damaged.items(), *desired.failures.items())
    }
    problems |= {name: Verdict(Reason.PENDING, text) for name, text in outcome.errors.items()}
    problems |= {name: Verdict(Reason.RECONCILE_FAILED, text) for name, text in desired.link_defects.items()}
    for name, secret in outcome.taken.items():
        what = f"Secret {secret}"
        message = outcome.foreign.get(what, f"{what} exists and is not the operator's; delete or rename it")
        problems[name] = Verdict(Reason.NAME_TAKEN, f"{message}, or rename the link")
    return problems


def _foreign(desired: Desired, outcome: Outcome) -> tuple[str, ...]:
    """Why objects of the instance itself are not taken for the operator's."""
    links = {f"{manifest.kind} {manifest.name}" for manifest in desired.manifests if manifest.link}
    return tuple(why for what, why in outcome.foreign.items() if what not in links)
