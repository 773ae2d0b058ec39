"""The status of an MCSInstance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcs_operator.api import Impact, MCSInstance, NetworkMode, ServiceState
from mcs_operator.api.conditions import Condition, Kind, Reason, Type
from mcs_operator.contract.linkstate import TunnelStatus
from mcs_operator.domain.facts.networks import Network, met_by
from mcs_operator.domain.facts.world import Pod, ResizeReason, World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.pod.node import stays
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.addressing import last_number
from mcs_operator.domain.rules.capacity import Capacity, capacity_of, pressure
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.rules.windows import problems
from mcs_operator.domain.status.certificate import instance_certificate_ready
from mcs_operator.domain.status.disruptions import disruptions_status
from mcs_operator.domain.status.faults import GOES_ON
from mcs_operator.domain.status.link import is_programmed, programmed_of
from mcs_operator.domain.status.patience import patient
from mcs_operator.domain.status.service import instance_in_service, observed
from mcs_operator.domain.status.shared import (
    SUSPENDED,
    UNREACHABLE,
    F,
    T,
    U,
    domain_resolved,
    reconciling,
    stalled_by,
    status_of,
    status_of_refused,
)
from mcs_operator.domain.status.wanted import Wanted
from mcs_operator.settings import ANNOTATION_RESTART

_NO_POD = "the pod does not exist yet; if that lasts, `kubectl describe statefulset {}` says why"


def instance_status(world: World, plan: Plan, instance: MCSInstance, wanted: Wanted) -> dict[str, Any]:
    """Status of one MCSInstance, the served one or one that came second."""
    if plan.instance is None or instance.name != plan.instance.name:
        occupied = messages.namespace_occupied(world.namespace, plan.instance.name if plan.instance else "")
        return status_of_refused(world, Kind.INSTANCE, instance.name, instance.generation, occupied, final=True)
    served = [p for p in plan.links if p.accepted]
    last = last_number(instance.spec.vpn.slots)
    with_slot = sum(p.number is not None and p.number <= last for p in plan.links)
    pod, known = world.pod, capacity_of(instance, with_slot, len(plan.users.users))
    in_service = instance_in_service(world, instance)
    told = _conditions(world, plan, instance, wanted, known, in_service)
    certificate = instance_certificate_ready(world, plan, wanted, instance)
    conditions = [*told, in_service, _domain_resolved(world, instance), certificate]
    status = {
        **status_of(world, Kind.INSTANCE, instance.name, instance.generation, conditions),
        "links": {
            "accepted": len(served),
            **_up(world),
            "rejected": sum(1 for p in plan.links if not p.accepted),
            "capacity": known.links.capacity,
            "left": known.links.left,
        },
        "users": {"served": known.users.used, "capacity": known.users.capacity, "left": known.users.left},
        "bandwidth": {"total": f"{known.megabits}M", "connections": known.connections},
        **observed(in_service),
        **disruptions_status(world, wanted.rollout),
    }
    if pod:
        status |= {"node": pod.node, "podUID": pod.uid, "image": pod.image}
    return status


def _up(world: World) -> dict[str, int]:
    """Unknown is not none: tunnels go on while the agent is silent, and a 0 would let the instance be deleted."""
    if world.report is None and world.pod and world.pod.slots_run:
        return {}
    states = world.report.links if world.report else ()
    return {"up": sum(state.tunnel.status is TunnelStatus.TRUE for state in states)}


def _conditions(
    world: World, plan: Plan, instance: MCSInstance, wanted: Wanted, known: Capacity, in_service: Condition
) -> list[Condition]:
    ready, below = _ready(world, instance, in_service), wanted.sizing.below if wanted.sizing else ""
    progress = _reconciling(world, plan, wanted, ready), _stalled(world, plan, instance.name, wanted)
    return [
        Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
        ready,
        *patient(world, Kind.INSTANCE, instance, *progress),
        _sized(world, below),
        _restart_pending(world, instance, wanted.rollout),
        _capacity_pressure(known),
    ]


_NOT_RESIZED = {
    ResizeReason.DEFERRED: "its node has no room for it now, and gives it when it has",
    ResizeReason.INFEASIBLE: "its node will never have room for it",
    ResizeReason.ERROR: "its node fails to give it, and goes on trying",
    ResizeReason.FORBIDDEN: "the cluster does not allow it, and is asked again every ten minutes",
}
_NOT_SIZED = {
    ResizeReason.DEFERRED: Reason.RESIZE_DEFERRED,
    ResizeReason.INFEASIBLE: Reason.RESIZE_INFEASIBLE,
    ResizeReason.ERROR: Reason.RESIZE_DEFERRED,
    ResizeReason.FORBIDDEN: Reason.RESIZE_FORBIDDEN,
}


def _sized(world: World, below: str) -> Condition:
    if resize := world.pod.resize if world.pod else None:
        message = f"the media goes on with the size that it has; {_NOT_RESIZED[resize.reason]}: {resize.said}"
        return Condition(Type.SIZED, F, _NOT_SIZED[resize.reason], message)
    laid_out = _laid_out(world)
    if below:
        return Condition(Type.SIZED, F, Reason.BELOW_TIER, ". ".join(filter(None, (below, laid_out))))
    return Condition(Type.SIZED, T, Reason.AS_TIER, laid_out)


_UNITS = {"cpuMillicores": "millicores", "memoryBytes": "bytes of memory"}


def _laid_out(world: World) -> str:
    """What the appliance makes of its size, where that is another one, or not known; empty where it fits."""
    pod, media = world.pod, world.report.media if world.report else None
    has = (pod.size_in_force or pod.size) if pod else None
    if pod is None or media is None or has is None:
        return ""
    if media.size is None:
        return f"media image {pod.image}, or the link agent of this pod, does not say for which size it is laid out"
    given = has.as_numbers()
    differs = [f"{told} {_UNITS[name]} of {given[name]}" for name, told in media.size.items() if told != given[name]]
    return f"the appliance is laid out for {' and '.join(differs)} until its container starts anew" if differs else ""


def _ready(world: World, instance: MCSInstance, in_service: Condition) -> Condition:
    """By the kubelet's word as long as somebody confirms it: when its node is cut off, its last one stands for ever."""
    pod = world.pod
    if pod is None and world.suspends(instance):
        return Condition(Type.READY, T, Reason.SUSPENDED, SUSPENDED)
    if pod is None:
        return Condition(Type.READY, F, Reason.MEDIA_NOT_READY, _NO_POD.format(instance.name))
    if not (pod.media_ready or _is_unready_as_declared(world, pod, instance, in_service)):
        return Condition(Type.READY, F, Reason.MEDIA_NOT_READY, pod.media_problem)
    if (lacking := _slots(world)) and not pod.slots_run:
        return Condition(Type.READY, F, lacking.reason, lacking.message)
    if world.report is None and pod.agent_ready:
        return Condition(
            Type.READY, U, Reason.AGENT_UNREACHABLE, f"{UNREACHABLE}: nobody confirms that the media serves"
        )
    if instance.spec.service_state is ServiceState.OUT_OF_SERVICE and in_service.status is F:
        return Condition(Type.READY, T, Reason.OUT_OF_SERVICE, in_service.message)
    return Condition(Type.READY, T, Reason.SERVING)


def _is_unready_as_declared(world: World, pod: Pod, instance: MCSInstance, in_service: Condition) -> bool:
    """Whether the kubelet's word says nothing: an appliance that was told to refuse new sessions is unready by its
    contract. A pipeline would wait for it for ever. Where nobody confirms it, it is not known, and not broken."""
    if instance.spec.service_state is ServiceState.IN_SERVICE:
        return False
    return in_service.status is F or (world.report is None and pod.agent_ready and pod.media_runs)


def _reconciling(world: World, plan: Plan, wanted: Wanted, ready: Condition) -> Condition:
    """Links that wait for a person are counted, and not waited for: one broken customer would otherwise hold up every
    pipeline that waits for the instance, for ever."""
    open_ends = [programmed_of(world, plan, p, wanted) for p in plan.served if not is_programmed(world, p, wanted)]
    open_ends = [condition for condition in open_ends if condition.reason is not Reason.SUSPENDED]
    pending = sum(condition.reason in (Reason.PENDING, Reason.AGENT_UNREACHABLE) for condition in open_ends)
    waits_for = _waits_for(world, wanted, ready, pending)
    stuck = len(open_ends) - pending
    if waits_for is not None or not stuck:
        return reconciling(waits_for)
    message = f"{stuck} of {len(plan.served)} TVoxLinks cannot be programmed; condition Programmed of each says why"
    return replace(reconciling(None), message=message)


def _waits_for(world: World, wanted: Wanted, ready: Condition, pending: int) -> str | None:
    if wanted.failures:
        return f"not written: {'; '.join(wanted.failures)}"
    if ready.reason is Reason.MEDIA_NOT_READY:
        return f"waiting for the media container: {ready.message}"
    if ready.status is U:
        return ready.message
    if pending and not (world.pod and world.pod.slots_lack):
        return f"{pending} slots are not programmed yet"
    return wanted.untaken or None


def _stalled(world: World, plan: Plan, name: str, wanted: Wanted) -> Condition:
    """What waits for a person, the gravest first; what is ignored is told as well, and is no reason to stall."""
    if plan.identity_lost:
        return Condition(Type.STALLED, T, Reason.IDENTITY_LOST, _ca_lost(world, f"{name}-ca"))
    if wanted.foreign:
        return Condition(Type.STALLED, T, Reason.NAME_TAKEN, _first_of(wanted.foreign))
    no_secret = _pull_secrets(world, plan)
    for told in (
        no_secret if world.pod and world.pod.slots_lack else None,  # the cause, before what comes of it
        _slots(world),
        wanted.rolled_back,
        _defect(wanted.defects),
        wanted.authority,
        _differs(plan),
        _network(world, plan),
        _domain_elsewhere(world, plan),
        no_secret,
        _windows(plan),
        wanted.certificates.get((Kind.INSTANCE, name)),
    ):
        if told:
            return stalled_by(told)
    if damaged := [str(d) for d in world.damaged_objects if f"{d.kind} {d.name}" not in wanted.rendered]:
        text = f"{_first_of(damaged)}; restore it from the backup, or delete it"
        return Condition(Type.STALLED, T, Reason.OBJECT_DAMAGED, text)
    if world.ignored:
        text = f"not taken for the operator's, and without effect: {_first_of([str(i) for i in world.ignored])}"
        return Condition(Type.STALLED, F, Reason.OBJECTS_IGNORED, text)
    return stalled_by(None)


def _slots(world: World) -> Verdict | None:
    if world.pod is None or not world.pod.slots_lack:
        return None
    message = (
        f"the kubelet cannot pull {world.pod.slots_lack}, without which a slot has no tunnel; put the registry, its "
        "credentials or the name right"
    )
    return Verdict(Reason.SLOTS_NOT_RUNNING, message)


def _defect(defects: tuple[str, ...]) -> Verdict | None:
    if not defects:
        return None
    return Verdict(Reason.RECONCILE_FAILED, f"{'; '.join(defects)}. {GOES_ON}")


def _ca_lost(world: World, secret: str) -> str:
    """What has become of the CA, and what to do."""
    wrong = [d.why for d in (*world.damaged_objects, *world.ignored) if (d.kind, d.name) == ("Secret", secret)]
    if lacks := world.unlabelled.get(secret):
        why = messages.not_ours(f"Secret {secret}", f"label {lacks}")
    elif wrong:
        why = f"Secret {secret} {wrong[0]}; put it right, or restore it from the backup"
    else:
        why = f"Secret {secret} with the CA is gone while identities signed by it exist; restore it from the backup"
    return f"{why}. Nothing is minted anew because every TVox would need a new profile"


def _first_of(texts: Sequence[str]) -> str:
    """The first three, and how many more there are; in an order that a restart does not change, or it would write."""
    more = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(sorted(texts)[:3]) + more


def _domain_resolved(world: World, instance: MCSInstance) -> Condition:
    domain, address = instance.spec.domain, instance.spec.public_address
    remedy = f"publish an A record {domain} {address}, and no other address"
    return domain_resolved(world, Kind.INSTANCE, instance.name, domain, address, remedy)


def _capacity_pressure(known: Capacity) -> Condition:
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
    return messages.network_taken(cidr, taken.cidr, taken.what) if taken else None


def _domain_elsewhere(world: World, plan: Plan) -> Verdict | None:
    domain = plan.instance.spec.domain if plan.instance else ""
    return messages.domain_taken(domain) if domain in world.elsewhere else None


def _pull_secrets(world: World, plan: Plan) -> Verdict | None:
    """Told while the pod runs, which needs them only at its next start."""
    if plan.instance is None or not (absent := world.missing_pull_secrets.get(plan.instance.name)):
        return None
    declared = {secret.name for secret in plan.instance.spec.image_pull_secrets}
    own, others = (tuple(n for n in absent if (n in declared) is mine) for mine in (True, False))
    fields = ("spec.imagePullSecrets", own), ("mediaPod.imagePullSecrets of the operator's chart", others)
    text = ". ".join(messages.no_pull_secret(field, names) for field, names in fields if names)
    return Verdict(Reason.PULL_SECRET_NOT_FOUND, text)


def _windows(plan: Plan) -> Verdict | None:
    """Of windows that were stored before admission knew them to be wrong, or past it: they never open."""
    found = problems(plan.instance.spec.disruptions.windows) if plan.instance else []
    if not found:
        return None
    return Verdict(Reason.WINDOW_INVALID, f"{'; '.join(found)}. It never opens; whatever is to restart waits")


_WAITS = {Step.WAIT_FOR_IMAGE: Reason.PULLING, Step.CANNOT_PULL: Reason.IMAGE_NOT_PULLED}


def _restart_pending(world: World, instance: MCSInstance, rollout: Rollout) -> Condition:
    stuck = stays(world, instance, world.pod) if world.pod else None
    if stuck and not rollout.current:  # a person drains the node, and waits
        return Condition(Type.RESTART_PENDING, T, stuck.reason, stuck.message)
    if reason := _WAITS.get(rollout.step):
        return Condition(Type.RESTART_PENDING, T, reason, rollout.told)
    if rollout.current:
        what = "pod" if rollout.current.impact is Impact.RESTART else "media container"
        message = f"{rollout.cause}; the {what} is {rollout.becomes} when idle"
        return Condition(Type.RESTART_PENDING, T, Reason.DRAINING, message)
    if rollout.told:
        return Condition(Type.RESTART_PENDING, T, Reason.WAITING, rollout.told)
    if rollout.parts:
        message = (
            f"the pod runs an older template, which differs in: {', '.join(rollout.parts)}. It goes on as it is until "
            f"you ask for a restart by annotation {ANNOTATION_RESTART} with the present time"
        )
        return Condition(Type.RESTART_PENDING, T, Reason.POD_OUTDATED, message)
    return Condition(Type.RESTART_PENDING, F, Reason.UP_TO_DATE)
