"""What the operator found good and the appliance does not take, in the appliance's words: told where it comes from."""

from __future__ import annotations

from mcs_operator.api.conditions import ConditionStatus, Kind, Reason, Type
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.verdict import Verdict


def certificates(world: World, plan: Plan) -> dict[tuple[Kind, str], Verdict]:
    """Whose certificate the appliance does not take, in its own words.

    What is wrong with the instance's certificate is told there, and not at 250 links that it stands in for.
    """
    instance, found = plan.instance, {}
    if instance is None:
        return {}
    if own := _of_certificate(world, Kind.INSTANCE, instance.name, instance.spec.domain):
        found[Kind.INSTANCE, instance.name] = own
    links = [(Kind.LINK, p.link.name, p.link.spec.domain, p.link.spec.tls) for p in plan.served]
    portals = [(Kind.COMMUNITY, n, d, plan.portals[n].community.spec.tls) for n, d in plan.portals_served.items()]
    for kind, name, domain, tls in (*links, *portals):
        told = _of_certificate(world, kind, name, domain) if tls.secret_ref or not own else None
        if told:
            found[kind, name] = told
    return found


def _of_certificate(world: World, kind: Kind, name: str, domain: str) -> Verdict | None:
    """What is said of the certificate of this object's domain; None if it is taken.

    While the appliance does not answer, what it said last stands: else each of its pauses would cost two statuses.
    """
    opening = f"tls.secretRef: the appliance does not take the certificate for {domain}: "
    media = world.report.media if world.report else None
    if media is not None:
        problem = next((told.problem for told in media.refused if told.domain == domain), None)
        if problem is None:
            return None
        return Verdict(Reason.CERTIFICATE_INVALID, f"{opening}{problem}; replace it")
    for standing in world.conditions.get((kind, name), []):
        message = str(standing.get("message", ""))
        if (standing.get("type"), standing.get("status")) == (
            Type.STALLED,
            ConditionStatus.TRUE,
        ) and message.startswith(opening):
            return Verdict(Reason.CERTIFICATE_INVALID, message)
    return None


def whole_set(world: World, checksums: str) -> str:
    """Why the appliance goes on with files older than these checksums, once that has lasted; empty if it does not."""
    media = world.report.media if world.report else None
    if media is None or not media.notTaken or media.config == checksums:
        return ""
    return f"the appliance has not taken the newest configuration, and goes on with the one before: {media.notTaken}"
