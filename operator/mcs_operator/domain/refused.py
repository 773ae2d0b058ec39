"""What the operator found good and the appliance does not take, in the appliance's words: told where it comes from."""

from __future__ import annotations

from mcs_operator.api import MCSInstance, TVoxLink
from mcs_operator.domain.conditions import Kind, Reason, Status, Type
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import World


def by_appliance(world: World, subject: MCSInstance | TVoxLink | None) -> Verdict | None:
    """What the appliance says, in its own words, of the certificate of this object's domain; None if it takes it.

    While the appliance does not answer, what it said last stands: else each of its pauses would cost two statuses.
    """
    if subject is None:
        return None
    domain = subject.spec.domain
    opening = f"tls.secretRef: the appliance does not take the certificate for {domain}: "
    media = world.report.media if world.report else None
    if media is not None:
        problem = next((told.problem for told in media.refused if told.domain == domain), None)
        if problem is None:
            return None
        return Verdict(Reason.CERTIFICATE_INVALID, f"{opening}{problem}; replace it")
    kind = Kind.INSTANCE if isinstance(subject, MCSInstance) else Kind.LINK
    for standing in world.conditions.get((kind, subject.name), []):
        message = str(standing.get("message", ""))
        if (standing.get("type"), standing.get("status")) == (Type.STALLED, Status.TRUE) and message.startswith(
            opening
        ):
            return Verdict(Reason.CERTIFICATE_INVALID, message)
    return None


def at_link(world: World, plan: Plan, link: TVoxLink) -> Verdict | None:
    """As above; what is wrong with the instance's certificate is told there, not at 250 links that it stands in for."""
    if link.spec.tls.secret_ref is None and by_appliance(world, plan.instance):
        return None
    return by_appliance(world, link)


def whole_set(world: World, voucher: str) -> str | None:
    """Why the appliance goes on with older files than this voucher's, once that has lasted; None if it does not."""
    media = world.report.media if world.report else None
    if media is None or not media.notTaken or media.config == voucher:
        return None
    return f"the appliance has not taken the newest configuration, and goes on with the one before: {media.notTaken}"
