"""The status of a Community."""

from __future__ import annotations

from typing import Any

from mcs_operator.api import Community
from mcs_operator.api.conditions import Condition, Kind, Reason, Type
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.logins import CommunityLogins
from mcs_operator.domain.rules.users import CommunityUsers
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status.login import login_ready, portal_certified, portal_resolved
from mcs_operator.domain.status.patience import patient
from mcs_operator.domain.status.shared import F, T, reconciling, stalled_by, status_of, status_of_refused
from mcs_operator.domain.status.wanted import Wanted


def community_status(world: World, plan: Plan, community: Community, wanted: Wanted) -> dict[str, Any]:
    """Status of one Community."""
    name, generation = community.name, community.generation
    if verdict := plan.communities[name]:
        return status_of_refused(world, Kind.COMMUNITY, name, generation, verdict, final=False)
    users = plan.users.by_community.get(name, CommunityUsers())
    problem = users.verdict
    if problem is None and (unwritten := wanted.unwritten.get(name)):
        problem = Verdict(Reason.PENDING, f"not written: {unwritten}; what was served before still is")
    portal = portal_resolved(world, plan, community), login_ready(world, plan, community, wanted)
    conditions = [
        *portal,
        portal_certified(world, plan, community, wanted),
        *_conditions(world, community, problem, _stalled(plan, community, wanted)),
    ]
    return {
        **status_of(world, Kind.COMMUNITY, name, generation, conditions),
        "users": {"served": users.served, "notServed": users.beyond}
        | {function.value[0].lower() + function.value[1:]: n for function, n in sorted(users.functions.items())},
        **_erased(world, plan, name),
    }


def _erased(world: World, plan: Plan, community: str) -> dict[str, list[str]]:
    """Of what is asked for, what the appliance says that it has done. Absent where that is nothing: an upgrade writes
    no status for it."""
    media = world.report.media if world.report else None
    done = plan.logins.erasures_of(community) & set(media.erased if media else ())
    return {"erased": sorted(done)} if done else {}


def _conditions(
    world: World, community: Community, problem: Verdict | None, portals: Verdict | None
) -> list[Condition]:
    """``portals``: what is wrong with its portal, and for a person to mend. Its users are served all the same."""
    served = Reason.SERVED if community.spec.enabled else Reason.DISABLED
    ready = Condition(Type.READY, F, problem.reason, problem.message) if problem else Condition(Type.READY, T, served)
    waits = problem is not None and problem.reason is Reason.PENDING
    progress = reconciling(problem.message if problem and waits else None)
    return [
        Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
        ready,
        *patient(world, Kind.COMMUNITY, community, progress, stalled_by(portals if waits else problem or portals)),
    ]


def _stalled(plan: Plan, community: Community, wanted: Wanted) -> Verdict | None:
    """Not a Secret that is missing: passwords are made by hand, and a pipeline must not fail before somebody has."""
    portal = plan.portals.get(community.name)
    if portal is None or portal.refusal:
        return portal.refusal if portal else None
    passwords = plan.logins.by_community.get(community.name, CommunityLogins()).verdict
    if passwords and passwords.reason is Reason.PASSWORDS_INVALID:
        return passwords
    return wanted.certificates.get((Kind.COMMUNITY, community.name))
