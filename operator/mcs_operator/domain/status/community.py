"""The status of a Community."""

from __future__ import annotations

from typing import Any

from mcs_operator.api import Community
from mcs_operator.api.conditions import Condition, Kind, Reason, Type
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.users import CommunityUsers
from mcs_operator.domain.rules.verdict import Verdict
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
    return {
        **status_of(world, Kind.COMMUNITY, name, generation, _conditions(world, community, problem)),
        "users": {"served": users.served, "notServed": users.beyond}
        | {function.value[0].lower() + function.value[1:]: n for function, n in sorted(users.functions.items())},
    }


def _conditions(world: World, community: Community, problem: Verdict | None) -> list[Condition]:
    accepted = Condition(Type.ACCEPTED, T, Reason.ACCEPTED)
    if problem is None:
        served = Reason.SERVED if community.spec.enabled else Reason.DISABLED
        return [accepted, Condition(Type.READY, T, served), reconciling(None), stalled_by(None)]
    waits = problem.reason is Reason.PENDING
    progress = reconciling(problem.message if waits else None), stalled_by(None if waits else problem)
    return [
        accepted,
        Condition(Type.READY, F, problem.reason, problem.message),
        *patient(world, Kind.COMMUNITY, community, *progress),
    ]
