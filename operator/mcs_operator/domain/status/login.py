"""Whether the users of a Community can log in to its portal: condition LoginReady, and the public name that it is at.

Nothing waits for it: users are served, and links have their tunnels, with a portal or without.
"""

from __future__ import annotations

from mcs_operator.api import Community
from mcs_operator.api.conditions import NOT_SERVED, Condition, Kind, Reason, Type
from mcs_operator.contract.linkstate import MAX_PORTALS
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.logins import CommunityLogins
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status.certificate import certificate_ready
from mcs_operator.domain.status.shared import SUSPENDED, UNREACHABLE, F, T, U, domain_resolved
from mcs_operator.domain.status.wanted import Wanted

PORTALS_SINCE = 2
"""The version of the contract from which on an appliance has portals."""
_NO_PORTAL = "spec.portalDomain is not set"


def portal_resolved(world: World, plan: Plan, community: Community) -> Condition:
    """Whether the portal's public name leads to the instance."""
    portal, instance = plan.portals.get(community.name), plan.instance
    if portal is None or instance is None:
        return Condition(Type.DOMAIN_RESOLVED, U, Reason.NOT_CONFIGURED, _NO_PORTAL)
    if portal.refusal:
        return NOT_SERVED[Type.DOMAIN_RESOLVED]
    remedy = f"publish {portal.domain} as a CNAME of {instance.spec.domain}"
    return domain_resolved(world, Kind.COMMUNITY, community.name, portal.domain, instance.spec.public_address, remedy)


def portal_certified(world: World, plan: Plan, community: Community, wanted: Wanted) -> Condition:
    """Whether the portal's name has a certificate."""
    portal = plan.portals.get(community.name)
    if portal is None:
        return Condition(Type.CERTIFICATE_READY, U, Reason.NOT_CONFIGURED, _NO_PORTAL)
    if portal.refusal:
        return NOT_SERVED[Type.CERTIFICATE_READY]
    return certificate_ready(world, plan, wanted, Kind.COMMUNITY, community.name, portal.domain)


def login_ready(world: World, plan: Plan, community: Community, wanted: Wanted) -> Condition:
    """First what keeps people from logging in that somebody can mend, then what the appliance says."""
    if told := _not_ready(world, plan, community, wanted):
        return Condition(Type.LOGIN_READY, F, told.reason, told.message)
    return _by_the_appliance(world, plan, community)


def _not_ready(world: World, plan: Plan, community: Community, wanted: Wanted) -> Verdict | None:
    name, portal = community.name, plan.portals.get(community.name)
    logins = plan.logins.by_community.get(name, CommunityLogins())
    if portal is None:
        return Verdict(Reason.NOT_CONFIGURED, _NO_PORTAL)
    if portal.refusal:
        return portal.refusal
    if not community.spec.enabled:
        return Verdict(Reason.DISABLED, "spec.enabled is false")
    if logins.verdict:
        return Verdict(logins.verdict.reason, f"{logins.verdict.message} ({_can(logins.count, plan, name)} log in)")
    if not logins.count:
        how = f"`kubectl mcs password {name}/<user>` makes one"
        without = "" if community.spec.authentication.passwords_from else ", and spec.authentication names no Secret"
        return Verdict(Reason.NO_PASSWORDS, f"no user that is served has a password{without}; {how}")
    if portal.domain not in wanted.certified:
        text = f"spec.tls: there is no certificate for {portal.domain}, and nobody logs in over plain HTTP; name one"
        return Verdict(Reason.CERTIFICATE_NOT_FOUND, text)
    if unwritten := wanted.unwritten_logins.get(name):
        return Verdict(Reason.PENDING, f"not written: {unwritten}; the passwords of before still hold")
    if plan.instance and world.suspends(plan.instance):
        return Verdict(Reason.SUSPENDED, SUSPENDED)
    return None


def _by_the_appliance(world: World, plan: Plan, community: Community) -> Condition:
    """What it serves, by its own word. Whether it has taken the newest files is not asked: with each change of any
    customer it would be told anew at all others."""
    name, domain = community.name, plan.portals[community.name].domain
    if world.report is None:
        return Condition(Type.LOGIN_READY, U, Reason.AGENT_UNREACHABLE, UNREACHABLE)
    media = world.report.media
    if media is None:
        text = "the appliance does not answer the link agent"
        return Condition(Type.LOGIN_READY, U, Reason.MEDIA_NOT_READY, text)
    if media.contract < PORTALS_SINCE:
        image = f"media image {world.pod.image}" if world.pod else "the media image"
        text = f"{image}, or the link agent of this pod, is too old for portals"
        return Condition(Type.LOGIN_READY, U, Reason.NOT_SUPPORTED, text)
    if name not in media.portals and len(media.portals) >= MAX_PORTALS:
        text = f"the appliance tells of no more than {MAX_PORTALS} portals"
        return Condition(Type.LOGIN_READY, U, Reason.NOT_SUPPORTED, text)
    if not (logins := media.portals.get(name, 0)):
        return Condition(Type.LOGIN_READY, F, Reason.PENDING, f"the appliance does not let anybody in at {domain} yet")
    return Condition(Type.LOGIN_READY, T, Reason.SERVED, f"at https://{domain} {_can(logins, plan, name)} log in")


def _can(count: int, plan: Plan, community: str) -> str:
    users = plan.users.by_community.get(community)
    return f"{count} of {users.served if users else 0} users can"
