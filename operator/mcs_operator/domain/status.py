"""Status: what every object of a namespace is told, as pure data.

Conditions come from the closed table; `Ready` of a link is Accepted and Programmed, never Connected, because a GitOps
pipeline must not hang on a TVox that is not installed yet; `Ready` of an instance is the media container's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcs_operator.api import Community, MCSInstance, NetworkMode
from mcs_operator.domain import preflight, rules
from mcs_operator.domain.addressing import address_of
from mcs_operator.domain.conditions import OWNED, REFUSALS, Condition, Kind, Reason, Status, Type, as_objects, is_known
from mcs_operator.domain.faults import GOES_ON
from mcs_operator.domain.ledger import Ledger, ledger, pressure
from mcs_operator.domain.linkstate import LinkState, SlotState, TunnelReason, TunnelStatus
from mcs_operator.domain.lookup import Lookup
from mcs_operator.domain.networks import Network, met_by
from mcs_operator.domain.pins import Stage, accepted, stage
from mcs_operator.domain.plan import LinkPlan, Plan
from mcs_operator.domain.restart import Restart, Step
from mcs_operator.domain.sizing import Sizing
from mcs_operator.domain.users import CommunityUsers
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import Fingerprint, Unreadable, World
from mcs_operator.settings import ANNOTATION_RESTART, ANNOTATION_ROTATE

_NOTHING_SIGNED = "the instance has lost its CA: nothing can be signed"
_NO_POD = "the pod does not exist yet; if that lasts, `kubectl describe statefulset {}` says why"
_REVOKED = f"the TVox's certificate is revoked; ask for a new profile by annotation {ANNOTATION_ROTATE}"
_UNREACHABLE = "the link agent in the media pod does not answer"

T, F, U = Status.TRUE, Status.FALSE, Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class Wanted:
    """What rendering, sizing and applying add to the plan, as far as statuses tell of it.

    ``revisions`` are the slot revisions wanted, by number; ``restart`` what becomes of the pod; ``problems`` what kept
    a link's objects from being written, ``failures`` other objects that could not be, ``defects`` what could not even
    be made; ``certificates`` whose certificate cannot be served, and why; ``authority`` why the instance's CA cannot
    sign. ``fingerprints``: the certificates of each link's TVox, by link; a link without any could not be given keys.
    ``unwritten``: why some of a Community's users could not be written, by Community.
    """

    revisions: Mapping[int, str]
    untaken: str = ""
    """Why the appliance goes on with an older configuration, if it does."""
    sizing: Sizing | None = None
    restart: Restart = field(default_factory=lambda: Restart(Step.NOTHING))
    problems: Mapping[str, Verdict] = field(default_factory=dict)
    certificates: Mapping[tuple[Kind, str], Verdict] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Why objects that the instance needs, and that are there, are not taken for the operator's."""
    rendered: frozenset[str] = frozenset()
    """What is written, by kind and name: damage of it is mended in this very pass."""
    defects: tuple[str, ...] = ()
    authority: Verdict | None = None
    fingerprints: Mapping[str, tuple[Fingerprint, ...]] = field(default_factory=dict)
    unwritten: Mapping[str, str] = field(default_factory=dict)

    def runs(self, link_plan: LinkPlan) -> bool:
        """Whether this link's process should run."""
        return link_plan.link.spec.enabled and not self.is_revoked(link_plan)

    def is_revoked(self, link_plan: LinkPlan) -> bool:
        """Whether no certificate of this link's TVox is accepted any more."""
        return stage(self.fingerprints.get(link_plan.link.name, ())) is Stage.REVOKED


def instance_status(world: World, plan: Plan, instance: MCSInstance, wanted: Wanted) -> dict[str, Any]:
    """Status of one MCSInstance, the served one or one that came second."""
    if plan.instance is None or instance.name != plan.instance.name:
        occupied = rules.namespace_occupied(world.namespace, plan.instance.name if plan.instance else "")
        conditions = _refused(world, Kind.INSTANCE, instance, occupied.reason, occupied.message)
        return {"observedGeneration": instance.generation, "conditions": conditions}
    links = {state.slot: state for state in world.report.links} if world.report else {}
    served = [p for p in plan.links if p.accepted]
    pod, known = world.pod, ledger(instance, len(served), len(plan.users.users))
    status: dict[str, Any] = {
        "observedGeneration": instance.generation,
        "conditions": _conditions(
            world,
            Kind.INSTANCE,
            instance.name,
            instance.generation,
            [*_instance_conditions(world, plan, wanted, known), _instance_domain(world, instance)],
        ),
        "links": {
            "accepted": len(served),
            "up": sum(1 for state in links.values() if state.tunnel.status is TunnelStatus.TRUE),
            "rejected": sum(1 for p in plan.links if not p.accepted),
            "capacity": known.links.capacity,
            "left": known.links.left,
        },
        "users": {"served": known.users.used, "capacity": known.users.capacity, "left": known.users.left},
        "bandwidth": {"total": f"{known.megabits}M", "connections": known.connections},
    }
    if pod:
        status |= {"node": pod.node, "podUID": pod.uid, "image": pod.image}
    return status


def _instance_conditions(world: World, plan: Plan, wanted: Wanted, known: Ledger) -> list[Condition]:
    pod, sizing = world.pod, wanted.sizing
    problem = _NO_POD.format(plan.instance.name if plan.instance else "") if pod is None else pod.media_problem
    ready = pod is not None and pod.media_ready
    pending = [p.link.name for p in plan.served if not _is_programmed(world, p, wanted)]
    if wanted.failures:
        progress = Condition(Type.RECONCILING, T, Reason.PROGRESSING, f"not written: {'; '.join(wanted.failures)}")
    elif not ready:
        progress = Condition(Type.RECONCILING, T, Reason.PROGRESSING, f"waiting for the media container: {problem}")
    elif pending:
        progress = Condition(Type.RECONCILING, T, Reason.PROGRESSING, f"{len(pending)} slots are not programmed yet")
    elif wanted.untaken:
        progress = Condition(Type.RECONCILING, T, Reason.PROGRESSING, wanted.untaken)
    else:
        progress = Condition(Type.RECONCILING, F, Reason.RECONCILED)
    name = plan.instance.name if plan.instance else ""
    below = sizing.below if sizing else ""
    return [
        Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
        Condition(Type.READY, T, Reason.SERVING)
        if ready
        else Condition(Type.READY, F, Reason.MEDIA_NOT_READY, problem),
        progress,
        _instance_stalled(world, plan, name, wanted),
        Condition(Type.SIZED, F, Reason.BELOW_TIER, below) if below else Condition(Type.SIZED, T, Reason.AS_TIER),
        _restart_pending(wanted.restart),
        _capacity_pressure(known),
    ]


def _instance_stalled(world: World, plan: Plan, name: str, wanted: Wanted) -> Condition:
    """What waits for a person, the gravest first; what is ignored is told as well, and is no reason to stall."""
    if plan.identity_lost:
        return Condition(Type.STALLED, T, Reason.IDENTITY_LOST, _ca_lost(world, f"{name}-ca"))
    if wanted.foreign:
        return Condition(Type.STALLED, T, Reason.NAME_TAKEN, _first_of(wanted.foreign))
    for told in (
        _defect(wanted.defects),
        wanted.authority,
        _differs(plan),
        _network(world, plan),
        _domain_elsewhere(world, plan),
        wanted.certificates.get((Kind.INSTANCE, name)),
    ):
        if told:
            return _stalled_by(told)
    if damaged := [str(d) for d in world.damaged_objects if f"{d.kind} {d.name}" not in wanted.rendered]:
        text = f"{_first_of(damaged)}; restore it from the backup, or delete it"
        return Condition(Type.STALLED, T, Reason.OBJECT_DAMAGED, text)
    if world.ignored:
        text = f"not taken for the operator's, and without effect: {_first_of([str(i) for i in world.ignored])}"
        return Condition(Type.STALLED, F, Reason.OBJECTS_IGNORED, text)
    return _not_stalled()


def _defect(defects: tuple[str, ...]) -> Verdict | None:
    if not defects:
        return None
    return Verdict(Reason.RECONCILE_FAILED, f"{'; '.join(defects)}. {GOES_ON}")


def _ca_lost(world: World, secret: str) -> str:
    """What has become of the CA, and what to do."""
    wrong = [d.why for d in (*world.damaged_objects, *world.ignored) if (d.kind, d.name) == ("Secret", secret)]
    if lacks := world.unlabelled.get(secret):
        why = rules.not_ours(f"Secret {secret}", f"label {lacks}")
    elif wrong:
        why = f"Secret {secret} {wrong[0]}; put it right, or restore it from the backup"
    else:
        why = f"Secret {secret} with the CA is gone while identities signed by it exist; restore it from the backup"
    return f"{why}. Nothing is minted anew because every TVox would need a new profile"


def _first_of(texts: Sequence[str]) -> str:
    """The first three, and how many more there are; in an order that a restart does not change, or it would write."""
    more = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(sorted(texts)[:3]) + more


def _instance_domain(world: World, instance: MCSInstance) -> Condition:
    domain, address = instance.spec.domain, instance.spec.public_address
    remedy = f"publish an A record {domain} {address}, and no other address"
    return _domain_resolved(world, Kind.INSTANCE, instance.name, domain, address, remedy)


def _link_domain(world: World, instance: MCSInstance | None, link_plan: LinkPlan) -> Condition:
    if instance is None or link_plan.refusal:
        return _IDLE[Type.DOMAIN_RESOLVED]
    name, domain = link_plan.link.name, link_plan.link.spec.domain
    remedy = f"publish {domain} as a CNAME of {instance.spec.domain}"
    return _domain_resolved(world, Kind.LINK, name, domain, instance.spec.public_address, remedy)


def _domain_resolved(world: World, kind: Kind, name: str, domain: str, address: str, remedy: str) -> Condition:
    if world.report is None:
        return Condition(Type.DOMAIN_RESOLVED, U, Reason.AGENT_UNREACHABLE, _UNREACHABLE)
    live = world.conditions.get((kind, name), [])
    standing = next((c for c in live if c.get("type") == Type.DOMAIN_RESOLVED), {})
    known = world.lookups.get(domain, Lookup())
    return preflight.domain_resolved(kind, domain, address, remedy, known, standing)


def _capacity_pressure(known: Ledger) -> Condition:
    verdict = pressure(known)
    if verdict is None:
        return Condition(Type.CAPACITY_PRESSURE, F, Reason.SUFFICIENT)
    return Condition(Type.CAPACITY_PRESSURE, T, verdict.reason, verdict.message)


def _differs(plan: Plan) -> Verdict | None:
    return Verdict(Reason.PROFILES_DIFFER, ". ".join(plan.dialled.found)) if plan.dialled.found else None


def _network(world: World, plan: Plan) -> Verdict | None:
    if plan.instance is None:
        return None
    cidr, known = plan.instance.spec.vpn.cidr, list(world.networks)
    if world.pod and plan.instance.spec.network.mode is not NetworkMode.HOST_NETWORK:
        known.append(Network(world.pod.ip, "Pods of this cluster"))  # not every network plugin tells them in podCIDRs
    taken = met_by(cidr, known)
    return rules.network_taken(cidr, taken.cidr, taken.what) if taken else None


def _domain_elsewhere(world: World, plan: Plan) -> Verdict | None:
    domain = plan.instance.spec.domain if plan.instance else ""
    return rules.domain_taken(domain) if domain in world.elsewhere else None


def _restart_pending(restart: Restart) -> Condition:
    if restart.cause:
        return Condition(Type.RESTART_PENDING, T, Reason.DRAINING, f"{restart.cause}; the pod is replaced when idle")
    if restart.parts:
        message = (
            f"the pod runs an older template, which differs in: {', '.join(restart.parts)}. It goes on as it is until "
            f"you ask for a restart by annotation {ANNOTATION_RESTART} with the present time"
        )
        return Condition(Type.RESTART_PENDING, T, Reason.POD_OUTDATED, message)
    return Condition(Type.RESTART_PENDING, F, Reason.UP_TO_DATE)


def community_status(world: World, plan: Plan, community: Community, wanted: Wanted) -> dict[str, Any]:
    """Status of one Community."""
    verdict = plan.communities[community.name]
    if verdict:
        return {
            "observedGeneration": community.generation,
            "conditions": _waiting(world, Kind.COMMUNITY, community, verdict),
        }
    users = plan.users.by_community.get(community.name, CommunityUsers())
    problem = users.verdict
    if problem is None and (unwritten := wanted.unwritten.get(community.name)):
        problem = Verdict(Reason.PENDING, f"not written: {unwritten}; what was served before still is")
    return {
        "observedGeneration": community.generation,
        "conditions": _conditions(
            world, Kind.COMMUNITY, community.name, community.generation, _community_conditions(community, problem)
        ),
        "users": {"served": users.served, "notServed": users.beyond}
        | {function.value[0].lower() + function.value[1:]: n for function, n in sorted(users.functions.items())},
    }


def _community_conditions(community: Community, problem: Verdict | None) -> list[Condition]:
    accepted = Condition(Type.ACCEPTED, T, Reason.ACCEPTED)
    if problem is None:
        served = Reason.SERVED if community.spec.enabled else Reason.DISABLED
        return [accepted, Condition(Type.READY, T, served), _reconciling(False, ""), _not_stalled()]
    waits = problem.reason in (Reason.USERS_NOT_FOUND, Reason.PENDING)
    return [
        accepted,
        Condition(Type.READY, F, problem.reason, problem.message),
        _reconciling(waits, problem.message),
        _not_stalled() if waits else Condition(Type.STALLED, T, problem.reason, problem.message),
    ]


def link_status(world: World, plan: Plan, link_plan: LinkPlan, wanted: Wanted) -> dict[str, Any]:
    """Status of one TVoxLink."""
    problem = wanted.problems.get(link_plan.link.name)
    if problem and problem.reason in REFUSALS:
        link_plan = replace(link_plan, refusal=problem, number=None)
    link, number = link_plan.link, link_plan.number
    state = _state(world, number)
    programmed = _programmed(world, plan, link_plan, wanted)
    connected = _connected(world, link_plan, state, programmed)
    status: dict[str, Any] = {
        "observedGeneration": link.generation,
        "conditions": _conditions(
            world,
            Kind.LINK,
            link.name,
            link.generation,
            [
                *_link_conditions(world, link_plan, programmed, connected, wanted),
                _link_domain(world, plan.instance, link_plan),
            ],
        ),
    }
    if number is None or plan.instance is None:
        return status
    vpn = plan.instance.spec.vpn
    status |= {
        "slot": number,
        "vpnAddress": address_of(number, vpn.cidr),
        "port": vpn.base_port + number,
        "profileSecret": f"{link.name}-profile",
    }
    if state and state.tunnel.since:
        tunnel = state.tunnel
        parts = {
            "since": tunnel.model_dump(mode="json")["since"],
            "peer": tunnel.peer,
            "flaps": tunnel.flaps,
            "clientVersion": tunnel.clientVersion,
        }
        status["tunnel"] = {key: value for key, value in parts.items() if value is not None}
    return status


def _state(world: World, number: int | None) -> LinkState | None:
    if world.report is None or number is None:
        return None
    return next((state for state in world.report.links if state.slot == number), None)


def _is_programmed(world: World, link_plan: LinkPlan, wanted: Wanted) -> bool:
    """Whether the agent reports that the slot has taken the wanted revision, running or stopped as declared."""
    number = link_plan.number
    state = _state(world, number)
    if state is None or number is None or state.revision != wanted.revisions.get(number):
        return False
    return state.state is (SlotState.RUNNING if wanted.runs(link_plan) else SlotState.IDLE)


def _programmed(world: World, plan: Plan, link_plan: LinkPlan, wanted: Wanted) -> Condition:
    number, state = link_plan.number, _state(world, link_plan.number)
    if number is None:
        return Condition(Type.PROGRAMMED, F, Reason.NOT_ACCEPTED)
    if plan.identity_lost and number not in wanted.revisions:
        return Condition(Type.PROGRAMMED, F, Reason.IDENTITY_LOST, _NOTHING_SIGNED)
    if wanted.authority and link_plan.link.name not in wanted.fingerprints:
        return Condition(Type.PROGRAMMED, F, wanted.authority.reason, wanted.authority.message)
    if problem := wanted.problems.get(link_plan.link.name):
        return Condition(Type.PROGRAMMED, F, problem.reason, problem.message)
    last = 1 + (plan.instance.spec.vpn.slots if plan.instance else 0)
    if number > last:
        return Condition(
            Type.PROGRAMMED,
            F,
            Reason.NO_FREE_SLOT,
            f"the pod has slots 2 to {last}, and this link has {number}; raise spec.vpn.slots of the instance "
            "(this restarts the pod), or delete a link",
        )
    if world.report is None:
        return Condition(
            Type.PROGRAMMED, U, Reason.AGENT_UNREACHABLE, "the link agent in the media pod does not answer"
        )
    if state and state.state is SlotState.QUARANTINED:
        message = f"the slot keeps its last good state: {state.error or 'its Secret is damaged'}"
        return Condition(Type.PROGRAMMED, F, Reason.QUARANTINED, message)
    if not _is_programmed(world, link_plan, wanted):
        return Condition(Type.PROGRAMMED, F, Reason.PENDING, (state and state.error) or "the slot has not taken it yet")
    if wanted.is_revoked(link_plan):
        return Condition(Type.PROGRAMMED, T, Reason.REVOKED, _REVOKED)
    return Condition(Type.PROGRAMMED, T, Reason.PROGRAMMED if link_plan.link.spec.enabled else Reason.DISABLED)


_TUNNEL = {
    TunnelReason.ESTABLISHED: Reason.ESTABLISHED,
    TunnelReason.FLAPPING: Reason.FLAPPING,
    TunnelReason.NEVER_CONNECTED: Reason.NEVER_CONNECTED,
    TunnelReason.LOST: Reason.LOST,
    TunnelReason.CERTIFICATE_EXPIRED: Reason.CERTIFICATE_EXPIRED,
    TunnelReason.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    TunnelReason.WRONG_PEER: Reason.WRONG_PEER,
}


def _connected(world: World, link_plan: LinkPlan, state: LinkState | None, programmed: Condition) -> Condition:
    if link_plan.number is None:
        return Condition(Type.CONNECTED, F, Reason.PENDING, "the link is not accepted")
    if world.report is None and programmed.reason is Reason.AGENT_UNREACHABLE:
        return Condition(Type.CONNECTED, U, Reason.AGENT_UNREACHABLE, programmed.message)
    if programmed.status is T and programmed.reason in (Reason.DISABLED, Reason.REVOKED):
        return Condition(Type.CONNECTED, F, programmed.reason, programmed.message)
    if state is None or state.tunnel.reason is TunnelReason.PENDING:
        return Condition(Type.CONNECTED, F, Reason.PENDING, "the slot does not run yet")
    tunnel = state.tunnel
    told = Condition(Type.CONNECTED, Status(tunnel.status.value), _TUNNEL[tunnel.reason], tunnel.message)
    if not is_known(Kind.LINK, told):  # said by an agent of another version, which must not end everybody's statuses
        return Condition(Type.CONNECTED, F, Reason.PENDING, f"the agent says {told.status}, {told.reason}")
    return told


def _link_conditions(
    world: World, link_plan: LinkPlan, programmed: Condition, connected: Condition, wanted: Wanted
) -> list[Condition]:
    refusal = link_plan.refusal
    if refusal:
        final = refusal.reason in REFUSALS
        return [
            Condition(Type.ACCEPTED, F, refusal.reason, refusal.message),
            programmed,
            connected,
            Condition(Type.READY, F, refusal.reason, refusal.message),
            _reconciling(not final, refusal.message),
            Condition(Type.STALLED, T, refusal.reason, refusal.message) if final else _not_stalled(),
            _rotation_pending(link_plan, wanted),
        ]
    waiting = programmed.reason in _WAITS
    return [
        Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
        programmed,
        connected,
        Condition(Type.READY, programmed.status, programmed.reason, programmed.message),
        _reconciling(waiting, programmed.message),
        _link_stalled(world, link_plan, programmed, wanted),
        _rotation_pending(link_plan, wanted),
    ]


_WAITS = (
    Reason.PENDING,
    Reason.AGENT_UNREACHABLE,
    Reason.IDENTITY_LOST,
    Reason.CA_NOT_FOUND,
    Reason.CA_INVALID,
)


def _rotation_pending(link_plan: LinkPlan, wanted: Wanted) -> Condition:
    """Who has not moved to his new profile. Not in Ready, Reconciling or Stalled: a pipeline would wait for a visit."""
    known, secret = wanted.fingerprints.get(link_plan.link.name, ()), f"{link_plan.link.name}-profile"
    reached = stage(known)
    if reached is Stage.UP_TO_DATE:
        return Condition(Type.ROTATION_PENDING, F, Reason.UP_TO_DATE)
    if reached is Stage.REVOKED:
        return Condition(Type.ROTATION_PENDING, F, Reason.REVOKED, _REVOKED)
    newest = accepted(known)[-1]
    made = f"the profile of {newest.created:%Y-%m-%dT%H:%M:%SZ} (Secret {secret})"
    if reached is Stage.OLD_REFUSED:
        message = f"only {made} is accepted, and its certificate has not been seen yet; upload it to the TVox"
        return Condition(Type.ROTATION_PENDING, T, Reason.OLD_REFUSED, message)
    message = (
        f"upload {made} to the TVox: its certificate has not been seen yet. "
        f"The old one is accepted until {newest.deadline:%Y-%m-%dT%H:%M:%SZ}"
    )
    return Condition(Type.ROTATION_PENDING, T, Reason.NEW_NOT_SEEN, message)


def _link_stalled(world: World, link_plan: LinkPlan, programmed: Condition, wanted: Wanted) -> Condition:
    if programmed.reason in (Reason.QUARANTINED, Reason.NO_FREE_SLOT, Reason.RECONCILE_FAILED):
        return Condition(Type.STALLED, T, programmed.reason, programmed.message)
    if link_plan.profile_lost:
        return Condition(Type.STALLED, T, Reason.PROFILE_LOST, _profile_lost(world, link_plan.link.name))
    return _stalled_by(wanted.certificates.get((Kind.LINK, link_plan.link.name)))


def _profile_lost(world: World, link: str) -> str:
    """What has become of a profile whose slot is still there, and what to do."""
    secret = f"{link}-profile"
    stays = "the tunnel stays up with the certificate that the TVox has"
    anew = f"ask for a new profile by annotation {ANNOTATION_ROTATE} with the present time"
    if lacks := world.unlabelled.get(secret):
        return f"{rules.not_ours(f'Secret {secret}', f'label {lacks}')}; {stays}"
    if why := next((damaged.why for damaged in world.damaged if damaged.link == link), ""):
        return f"Secret {secret} {why}; {stays}. Put it right, restore it from the newest backup, or {anew}"
    return (
        f"Secret {secret} is gone, or older than the certificate that the slot accepts; {stays}. "
        f"Restore the Secret from the newest backup, or {anew}"
    )


def _stalled_by(verdict: Verdict | None) -> Condition:
    return Condition(Type.STALLED, T, verdict.reason, verdict.message) if verdict else _not_stalled()


def _not_stalled() -> Condition:
    return Condition(Type.STALLED, F, Reason.NOT_STALLED)


def _reconciling(active: bool, message: str) -> Condition:
    if active:
        return Condition(Type.RECONCILING, T, Reason.PROGRESSING, message)
    return Condition(Type.RECONCILING, F, Reason.RECONCILED)


def _waiting(world: World, kind: Kind, subject: Community, verdict: Verdict) -> list[dict[str, Any]]:
    return _conditions(
        world,
        kind,
        subject.name,
        subject.generation,
        [
            Condition(Type.ACCEPTED, F, verdict.reason, verdict.message),
            Condition(Type.READY, F, verdict.reason, verdict.message),
            _reconciling(True, verdict.message),
            _not_stalled(),
        ],
    )


def _refused(world: World, kind: Kind, subject: MCSInstance, reason: Reason, message: str) -> list[dict[str, Any]]:
    return _conditions(
        world,
        kind,
        subject.name,
        subject.generation,
        [
            Condition(Type.ACCEPTED, F, reason, message),
            Condition(Type.READY, F, reason, message),
            _reconciling(False, ""),
            Condition(Type.STALLED, T, reason, message),
            Condition(Type.SIZED, T, Reason.AS_TIER),
            Condition(Type.RESTART_PENDING, F, Reason.UP_TO_DATE),
            Condition(Type.CAPACITY_PRESSURE, F, Reason.SUFFICIENT),
            _IDLE[Type.DOMAIN_RESOLVED],
        ],
    )


def _conditions(world: World, kind: Kind, name: str, generation: int, decided: list[Condition]) -> list[dict[str, Any]]:
    previous = world.conditions.get((kind, name), [])
    return as_objects(kind, decided, generation=generation, now=world.now, previous=previous)


def all_statuses(world: World, plan: Plan, wanted: Wanted) -> dict[tuple[Kind, str], dict[str, Any]]:
    """The status of every object of ours in the namespace, by kind and name."""
    instances = (*([plan.instance] if plan.instance else []), *plan.occupants)
    return (
        {(Kind.INSTANCE, i.name): instance_status(world, plan, i, wanted) for i in instances}
        | {(Kind.COMMUNITY, c.name): community_status(world, plan, c, wanted) for c in world.communities}
        | {(Kind.LINK, p.link.name): link_status(world, plan, p, wanted) for p in plan.links}
        | {(u.kind, u.name): _unreadable_status(world, u) for u in world.unreadable}
    )


def _unreadable_status(world: World, unreadable: Unreadable) -> dict[str, Any]:
    """Every condition that the kind owns, about an object that cannot be parsed."""
    said = {Type.ACCEPTED: F, Type.READY: F, Type.STALLED: T}
    decided = [
        Condition(type, said[type], Reason.INVALID_SPEC, unreadable.problem) if type in said else _IDLE[type]
        for type in OWNED[unreadable.kind]
    ]
    generation = unreadable.generation
    return {
        "observedGeneration": generation,
        "conditions": _conditions(world, unreadable.kind, unreadable.name, generation, decided),
    }


_IDLE = {
    Type.RECONCILING: Condition(Type.RECONCILING, F, Reason.RECONCILED),
    Type.SIZED: Condition(Type.SIZED, T, Reason.AS_TIER),
    Type.RESTART_PENDING: Condition(Type.RESTART_PENDING, F, Reason.UP_TO_DATE),
    Type.CAPACITY_PRESSURE: Condition(Type.CAPACITY_PRESSURE, F, Reason.SUFFICIENT),
    Type.PROGRAMMED: Condition(Type.PROGRAMMED, F, Reason.NOT_ACCEPTED),
    Type.CONNECTED: Condition(Type.CONNECTED, F, Reason.PENDING, "the link is not accepted"),
    Type.ROTATION_PENDING: Condition(Type.ROTATION_PENDING, F, Reason.UP_TO_DATE),
    Type.DOMAIN_RESOLVED: Condition(Type.DOMAIN_RESOLVED, U, Reason.NOT_ACCEPTED, "nobody asks: it is not accepted"),
}
"""What a condition says about an object that is not served."""
