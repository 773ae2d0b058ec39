"""What the statuses of all three kinds have in common."""

from __future__ import annotations

from typing import Any

from mcs_operator.api.conditions import (
    NOT_SERVED,
    OWNED,
    Condition,
    ConditionStatus,
    Kind,
    Reason,
    Type,
    as_objects,
    find_condition,
)
from mcs_operator.contract.lookup import Lookup
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import preflight

T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

SUSPENDED = "spec.suspend of the MCSInstance is true: the appliance is stopped, and all else is kept"
UNREACHABLE = "the link agent in the media pod does not answer"


def status_of(world: World, kind: Kind, name: str, generation: int, decided: list[Condition]) -> dict[str, Any]:
    """The part of a status that each kind has."""
    previous = world.conditions.get((kind, name), [])
    conditions = as_objects(kind, decided, generation=generation, now=world.now, previous=previous)
    return {"observedGeneration": generation, "conditions": conditions}


def status_of_refused(
    world: World, kind: Kind, name: str, generation: int, verdict: Verdict, *, final: bool
) -> dict[str, Any]:
    """The status of an object that is not served: of what the verdict is not about, the table knows what it says."""
    said = {condition.type: condition for condition in refused(verdict, final=final)}
    return status_of(world, kind, name, generation, [said.get(type) or NOT_SERVED[type] for type in OWNED[kind]])


def refused(verdict: Verdict, *, final: bool) -> list[Condition]:
    """``final``: only the user can change it. Else another object may still come, and a pipeline is to wait for it."""
    return [
        Condition(Type.ACCEPTED, F, verdict.reason, verdict.message),
        Condition(Type.READY, F, verdict.reason, verdict.message),
        reconciling(None if final else verdict.message),
        stalled_by(verdict if final else None),
    ]


def reconciling(waits_for: str | None) -> Condition:
    """Whether there is still something to do, and what; None: nothing."""
    if waits_for is not None:
        return Condition(Type.RECONCILING, T, Reason.PROGRESSING, waits_for)
    return Condition(Type.RECONCILING, F, Reason.RECONCILED)


def stalled_by(verdict: Verdict | None) -> Condition:
    """Whether something waits for the user."""
    if verdict is None:
        return Condition(Type.STALLED, F, Reason.NOT_STALLED)
    return Condition(Type.STALLED, T, verdict.reason, verdict.message)


def domain_resolved(world: World, kind: Kind, name: str, domain: str, address: str, remedy: str) -> Condition:
    """Whether the public name of an object that is served leads to the instance."""
    if world.report is None:
        return Condition(Type.DOMAIN_RESOLVED, U, Reason.AGENT_UNREACHABLE, UNREACHABLE)
    standing = find_condition(world.conditions.get((kind, name)), Type.DOMAIN_RESOLVED)
    known = world.lookups.get(domain, Lookup())
    return preflight.domain_resolved(kind, domain, address, remedy, known, standing)
