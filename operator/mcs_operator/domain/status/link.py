"""The status of a TVoxLink."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcs_operator.api import MCSInstance, ServiceState
from mcs_operator.api.conditions import NOT_SERVED, REFUSALS, Condition, ConditionStatus, Kind, Reason, Type, is_known
from mcs_operator.contract.linkstate import LinkState, SlotState, TunnelReason
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import LinkPlan, Plan
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.addressing import address_of, last_number
from mcs_operator.domain.rules.pins import Stage, accepted, stage
from mcs_operator.domain.status.certificate import certificate_ready
from mcs_operator.domain.status.patience import patient
from mcs_operator.domain.status.service import link_in_service, observed
from mcs_operator.domain.status.shared import (
    SUSPENDED,
    UNREACHABLE,
    F,
    T,
    U,
    domain_resolved,
    reconciling,
    refused,
    stalled_by,
    status_of,
)
from mcs_operator.domain.status.wanted import Wanted
from mcs_operator.settings import ANNOTATION_ROTATE

_NOTHING_SIGNED = "the instance has lost its CA: nothing can be signed"
_REVOKED = f"the TVox's certificate is revoked; ask for a new profile by annotation {ANNOTATION_ROTATE}"


def link_status(world: World, plan: Plan, link_plan: LinkPlan, wanted: Wanted) -> dict[str, Any]:
    """Status of one TVoxLink."""
    problem = wanted.problems.get(link_plan.link.name)
    if problem and problem.reason in REFUSALS:
        link_plan = replace(link_plan, refusal=problem, number=None)
    link, number = link_plan.link, link_plan.number
    state = _state(world, number)
    programmed = programmed_of(world, plan, link_plan, wanted)
    in_service = link_in_service(world, plan.instance, link_plan)
    always = [programmed, in_service, _connected(world, link_plan, state, programmed)]
    conditions = [
        *always,
        *_conditions(world, link_plan, programmed, in_service, wanted),
        _domain_resolved(world, plan.instance, link_plan),
        _certificate_ready(world, plan, link_plan, wanted),
    ]
    status = status_of(world, Kind.LINK, link.name, link.generation, conditions)
    if number is None or plan.instance is None:
        return status
    vpn = plan.instance.spec.vpn
    status |= {
        "slot": number,
        "vpnAddress": address_of(number, vpn.cidr),
        "port": vpn.base_port + number,
        "profileSecret": f"{link.name}-profile",
        **observed(in_service),
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


def is_programmed(world: World, link_plan: LinkPlan, wanted: Wanted) -> bool:
    """Whether the agent reports that the slot has taken the wanted revision, running or stopped as declared."""
    number = link_plan.number
    state = _state(world, number)
    if state is None or number is None or state.revision != wanted.revisions.get(number):
        return False
    return state.state is (SlotState.RUNNING if wanted.runs(link_plan) else SlotState.IDLE)


def programmed_of(world: World, plan: Plan, link_plan: LinkPlan, wanted: Wanted) -> Condition:
    """The condition Programmed of one TVoxLink."""
    number, state = link_plan.number, _state(world, link_plan.number)
    if number is None:
        return NOT_SERVED[Type.PROGRAMMED]
    if plan.identity_lost and number not in wanted.revisions:
        return Condition(Type.PROGRAMMED, F, Reason.IDENTITY_LOST, _NOTHING_SIGNED)
    if wanted.authority and link_plan.link.name not in wanted.fingerprints:
        return Condition(Type.PROGRAMMED, F, wanted.authority.reason, wanted.authority.message)
    if problem := wanted.problems.get(link_plan.link.name):
        return Condition(Type.PROGRAMMED, F, problem.reason, problem.message)
    last = last_number(plan.instance.spec.vpn.slots if plan.instance else 0)
    if number > last:
        return Condition(
            Type.PROGRAMMED,
            F,
            Reason.NO_FREE_SLOT,
            f"the pod has slots 2 to {last}, and this link has {number}; raise spec.vpn.slots of the instance "
            "(this restarts the pod), or delete a link",
        )
    if plan.instance and world.suspends(plan.instance):
        return Condition(Type.PROGRAMMED, F, Reason.SUSPENDED, SUSPENDED)
    if world.report is None:
        return Condition(Type.PROGRAMMED, U, Reason.AGENT_UNREACHABLE, UNREACHABLE)
    if state and state.state is SlotState.QUARANTINED:
        message = f"the slot keeps its last good state: {state.error or 'its Secret is damaged'}"
        return Condition(Type.PROGRAMMED, F, Reason.QUARANTINED, message)
    if not is_programmed(world, link_plan, wanted):
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
        return NOT_SERVED[Type.CONNECTED]
    if programmed.reason is Reason.SUSPENDED:
        return Condition(Type.CONNECTED, F, Reason.SUSPENDED, SUSPENDED)
    if world.report is None:  # whatever keeps its slot from being written, its tunnel may be up
        return Condition(Type.CONNECTED, U, Reason.AGENT_UNREACHABLE, UNREACHABLE)
    if programmed.status is T and programmed.reason in (Reason.DISABLED, Reason.REVOKED):
        return Condition(Type.CONNECTED, F, programmed.reason, programmed.message)
    if state is None or state.tunnel.reason is TunnelReason.PENDING:
        return Condition(Type.CONNECTED, F, Reason.PENDING, "the slot does not run yet")
    tunnel = state.tunnel
    told = Condition(Type.CONNECTED, ConditionStatus(tunnel.status.value), _TUNNEL[tunnel.reason], tunnel.message)
    if not is_known(Kind.LINK, told):  # said by an agent of another version, which must not end everybody's statuses
        return Condition(Type.CONNECTED, F, Reason.PENDING, f"the agent says {told.status}, {told.reason}")
    return told


def _conditions(
    world: World, link_plan: LinkPlan, programmed: Condition, in_service: Condition, wanted: Wanted
) -> list[Condition]:
    rotation = _rotation_pending(link_plan, wanted)
    if refusal := link_plan.refusal:
        return [*refused(refusal, final=refusal.reason in REFUSALS), rotation]
    progress = reconciling(programmed.message if programmed.reason in _WAITS else None)
    return [
        rotation,
        Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
        _ready(link_plan, programmed, in_service),
        *patient(world, Kind.LINK, link_plan.link, progress, _stalled(world, link_plan, programmed, wanted)),
    ]


def _ready(link_plan: LinkPlan, programmed: Condition, in_service: Condition) -> Condition:
    """Of a link that is out of service as declared still True: a pipeline would wait for it for ever."""
    is_out = link_plan.link.spec.service_state is ServiceState.OUT_OF_SERVICE and in_service.status is F
    if is_out and programmed.reason is Reason.PROGRAMMED:
        return Condition(Type.READY, T, Reason.OUT_OF_SERVICE, in_service.message)
    # One that is stopped with its instance is as declared, as one is that is disabled.
    status = T if programmed.reason is Reason.SUSPENDED else programmed.status
    return Condition(Type.READY, status, programmed.reason, programmed.message)


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


def _stalled(world: World, link_plan: LinkPlan, programmed: Condition, wanted: Wanted) -> Condition:
    if programmed.reason in (Reason.QUARANTINED, Reason.NO_FREE_SLOT, Reason.RECONCILE_FAILED):
        return Condition(Type.STALLED, T, programmed.reason, programmed.message)
    if link_plan.profile_lost:
        return Condition(Type.STALLED, T, Reason.PROFILE_LOST, _profile_lost(world, link_plan.link.name))
    return stalled_by(wanted.certificates.get((Kind.LINK, link_plan.link.name)))


def _profile_lost(world: World, link: str) -> str:
    """What has become of a profile whose slot is still there, and what to do."""
    secret = f"{link}-profile"
    stays = "the tunnel stays up with the certificate that the TVox has"
    anew = f"ask for a new profile by annotation {ANNOTATION_ROTATE} with the present time"
    if lacks := world.unlabelled.get(secret):
        return f"{messages.not_ours(f'Secret {secret}', f'label {lacks}')}; {stays}"
    if why := next((damaged.why for damaged in world.damaged if damaged.link == link), ""):
        return f"Secret {secret} {why}; {stays}. Put it right, restore it from the newest backup, or {anew}"
    return (
        f"Secret {secret} is gone, or older than the certificate that the slot accepts; {stays}. "
        f"Restore the Secret from the newest backup, or {anew}"
    )


def _domain_resolved(world: World, instance: MCSInstance | None, link_plan: LinkPlan) -> Condition:
    if instance is None or link_plan.refusal:
        return NOT_SERVED[Type.DOMAIN_RESOLVED]
    name, domain = link_plan.link.name, link_plan.link.spec.domain
    remedy = f"publish {domain} as a CNAME of {instance.spec.domain}"
    return domain_resolved(world, Kind.LINK, name, domain, instance.spec.public_address, remedy)


def _certificate_ready(world: World, plan: Plan, link_plan: LinkPlan, wanted: Wanted) -> Condition:
    """Also of one that is refused for a lost reference and goes on in its slot; nobody has another's name."""
    taken = link_plan.refusal is not None and link_plan.refusal.reason is Reason.DOMAIN_TAKEN
    if link_plan.number is None or taken:
        return NOT_SERVED[Type.CERTIFICATE_READY]
    name, domain = link_plan.link.name, link_plan.link.spec.domain
    return certificate_ready(world, plan, wanted, Kind.LINK, name, domain)
