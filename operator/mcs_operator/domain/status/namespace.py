"""The statuses of all objects of a namespace."""

from __future__ import annotations

from typing import Any

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.domain.facts.world import Unreadable, World
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status.community import community_status
from mcs_operator.domain.status.instance import instance_status
from mcs_operator.domain.status.link import link_status
from mcs_operator.domain.status.shared import status_of_refused
from mcs_operator.domain.status.wanted import Wanted


def all_statuses(world: World, plan: Plan, wanted: Wanted) -> dict[tuple[Kind, str], dict[str, Any]]:
    """The status of every object of ours in the namespace, by kind and name."""
    instances = (*([plan.instance] if plan.instance else []), *plan.occupants)
    return (
        {(Kind.INSTANCE, i.name): instance_status(world, plan, i, wanted) for i in instances}
        | {(Kind.COMMUNITY, c.name): community_status(world, plan, c, wanted) for c in world.communities}
        | {(Kind.LINK, p.link.name): link_status(world, plan, p, wanted) for p in plan.links}
        | {(u.kind, u.name): _unreadable_status(world, u) for u in world.unreadable}
    )


def _unreadable_status(world: World, unreadable: Unreadable) -> dict[str, Any]:
    verdict = Verdict(Reason.INVALID_SPEC, unreadable.problem)
    return status_of_refused(world, unreadable.kind, unreadable.name, unreadable.generation, verdict, final=True)
