"""Domain preflight: do the public names lead to where the instance is? Asked in the media pod, as the requirement
says, and by the operator. Pure: which names, and what the answers mean.

It is only ever told: whatever the DNS says, nothing that works is stopped by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcs_operator.api.conditions import Condition, ConditionStatus, Kind, Reason, Type, as_decided
from mcs_operator.contract.lookup import Answer, Failure, Lookup
from mcs_operator.domain.plan import Plan


def names_to_ask(plan: Plan) -> dict[str, str]:
    """The public names of what is served, and the address that each should lead to."""
    if plan.instance is None:
        return {}
    spec = plan.instance.spec
    links = (p.link.spec.domain for p in plan.links if p.accepted)
    return dict.fromkeys((spec.domain, *links, *plan.portals_served.values()), spec.public_address)


def domain_resolved(
    kind: Kind, domain: str, address: str, remedy: str, known: Lookup, standing: Mapping[str, Any]
) -> Condition:
    """The condition of one object whose name should lead to ``address``.

    ``standing`` is its live condition: until both have answered it stays, if it is about the same name and address,
    so that an operator that has just started has nothing to write.
    """
    asked = f"{domain} should lead to {address}"
    if known.pod is None or known.operator is None:
        still = as_decided(kind, Type.DOMAIN_RESOLVED, standing, f"{asked}:")
        return still or _resolved(ConditionStatus.UNKNOWN, Reason.PENDING, f"{asked}: not asked yet")
    said = f"{asked}: the media pod is told {_words(known.pod)}, the operator {_words(known.operator)}"
    answers = (known.pod, known.operator)
    if any(answer.failure is Failure.NOT_FOUND for answer in answers):
        return _resolved(ConditionStatus.FALSE, Reason.NOT_RESOLVED, f"{said}; {remedy}")
    if any(answer.failure is None and not answer.is_only(address) for answer in answers):
        return _resolved(ConditionStatus.FALSE, Reason.WRONG_ADDRESS, f"{said}; {remedy}")
    if known.pod.failure is Failure.NOT_SUPPORTED:
        outdated = f"{said}; the pod's link agent is older than this question, a restart of the pod brings the new one"
        return _resolved(ConditionStatus.UNKNOWN, Reason.AGENT_OUTDATED, outdated)
    if any(answer.failure for answer in answers):
        return _resolved(ConditionStatus.UNKNOWN, Reason.RESOLVER_UNAVAILABLE, said)
    return _resolved(ConditionStatus.TRUE, Reason.RESOLVED, said)


def _resolved(status: ConditionStatus, reason: Reason, message: str) -> Condition:
    return Condition(Type.DOMAIN_RESOLVED, status, reason, message)


def _words(answer: Answer) -> str:
    if answer.failure is Failure.NOT_FOUND:
        return "that there is no such name or no address of it"
    if answer.failure is Failure.NOT_SUPPORTED:
        return "nothing, as it cannot be asked"
    if answer.failure is not None:
        return "nothing, as its resolver does not answer"
    return " and ".join(map(str, answer.addresses))
