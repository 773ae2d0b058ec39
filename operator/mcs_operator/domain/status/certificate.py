"""Whether a public name has a certificate: condition CertificateReady. Nothing waits for it: a name without one is
served by plain HTTP, and an instance is Ready all the same.
"""

from __future__ import annotations

from datetime import timedelta

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Condition, ConditionStatus, Kind, Reason, Type, as_decided
from mcs_operator.domain.facts.orders import Issuable
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules import issuance
from mcs_operator.domain.status.queue import NOT_ASKED, certificate_standing, media_of
from mcs_operator.domain.status.wanted import Wanted

T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
SOON = timedelta(hours=1)
"""A date that is nearer is not told: it would be another one at each look."""


def certificate_ready(world: World, plan: Plan, wanted: Wanted, kind: Kind, name: str, domain: str) -> Condition:
    """The condition of an object that is served under this name."""
    if problem := wanted.certificates.get((kind, name)):
        return _condition(F, problem.reason, problem.message + _not_passed_on(world, plan))
    if one := wanted.queue.names.get(domain):
        return _ordered(world, wanted, one)
    if domain in wanted.certified:
        return _condition(T, Reason.PROVIDED, f"a certificate covers {domain}")
    if plan.instance and plan.instance.spec.tls.secret_ref:
        text = f"the MCSInstance's certificate is not for {domain}, or cannot be served; name another Secret"
        return _condition(F, Reason.CERTIFICATE_NOT_FOUND, text)
    return _condition(U, Reason.NOT_CONFIGURED, f"neither a Secret nor an ACME server is named for {domain}: HTTP only")


def instance_certificate_ready(world: World, plan: Plan, wanted: Wanted, instance: MCSInstance) -> Condition:
    """That of the instance's own name; and first of all whether the server can be used, which is told nowhere else."""
    if instance.spec.tls.acme and wanted.queue.names:
        problem, standing = world.orders.issuer, certificate_standing(world, Kind.INSTANCE, instance.name)
        if problem is None and standing.get("reason") == Reason.ISSUER_NOT_READY:
            problem = str(standing.get("message", ""))  # as the process of before has found it
        if problem:
            return _condition(F, Reason.ISSUER_NOT_READY, problem)
    return certificate_ready(world, plan, wanted, Kind.INSTANCE, instance.name, instance.spec.domain)


def _ordered(world: World, wanted: Wanted, one: Issuable) -> Condition:
    domain, held = one.domain, wanted.queue.held.get(one.domain)
    due, attempt = wanted.queue.dates[domain], wanted.queue.attempts.get(domain)
    is_good = one.begins is not None and one.expires is not None and one.expires > world.now
    if attempt:
        text = issuance.told(domain, attempt)
        return _condition(T, Reason.RENEWAL_FAILED, text) if is_good else _condition(F, Reason.ORDER_FAILED, text)
    if is_good and one.begins and one.expires:
        renewed = issuance.renewal(domain, one.begins, one.expires)
        text = f"{domain}: issued until {one.expires:%Y-%m-%d}, renewed by {renewed:%Y-%m-%d}"
        return _condition(T, Reason.ISSUED, f"{text}; {held.message}" if held and due <= world.now else text)
    if held is NOT_ASKED and (standing := _standing(world, one)):
        return standing
    if held:
        unknown = held.reason in (Reason.NOT_SUPPORTED, Reason.AGENT_UNREACHABLE)
        return _condition(U if unknown else F, held.reason, held.message)
    if due <= world.now + SOON:
        return _condition(F, Reason.PENDING, f"{domain}: an order is under way, or next in the queue")
    if issuance.renamed_until(one, world.orders.begun, world.now):
        many = f"{issuance.NAMES_A_WEEK} new names of this object were ordered for within a week"
        return _condition(F, Reason.PENDING, f"{domain}: {many}; its turn comes on {due:%Y-%m-%d}")
    limit = f"the server's weekly limit for {issuance.registered(domain)} is reached"
    return _condition(F, Reason.PENDING, f"{domain}: {limit}; its turn comes on {due:%Y-%m-%d}")


def _not_passed_on(world: World, plan: Plan) -> str:
    """Why who orders the certificate may wait for ever: the media does not pass challenges on."""
    media, wanted = world.report.media if world.report else None, plan.instance and plan.instance.spec.tls.http01
    return f"; {media_of(world)} passes no challenge on" if wanted and media and media.http01Solver is None else ""


def _standing(world: World, one: Issuable) -> Condition | None:
    """The live condition, if it is one of ours about this name."""
    live = certificate_standing(world, one.kind, one.name)
    return as_decided(one.kind, Type.CERTIFICATE_READY, live, f"{one.domain}: ")


def _condition(status: ConditionStatus, reason: Reason, message: str) -> Condition:
    return Condition(Type.CERTIFICATE_READY, status, reason, message)
