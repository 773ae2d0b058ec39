"""What the status of an MCSInstance tells of disruptions: those to come, and the last ones."""

from __future__ import annotations

from typing import Any

from mcs_operator.domain.facts.world import World
from mcs_operator.domain.pod.disruptions import Disruption
from mcs_operator.domain.pod.ledger import Interruption, read_ledger
from mcs_operator.domain.pod.rollout import Rollout
from mcs_operator.timestamps import rfc3339

_MOST = 8


def disruptions_status(world: World, rollout: Rollout) -> dict[str, Any]:
    """`disruptions` and `interruptions`, each only where there is one: an empty list would be one write for each
    instance of an operator that knows them as the first."""
    told: dict[str, Any] = {
        "disruptions": [_waiting(rollout, one) for one in rollout.disruptions[:_MOST]],
        "interruptions": [_made(one) for one in read_ledger(world.noted)],
    }
    return {name: entries for name, entries in told.items() if entries}


def _waiting(rollout: Rollout, one: Disruption) -> dict[str, Any]:
    planned = rollout.since if one is rollout.current else one.planned
    return {
        "cause": str(one.cause),
        "impact": str(one.impact),
        "message": one.text,
        "since": rfc3339(one.since),
        **({"plannedFor": rfc3339(planned)} if planned else {}),
        **({"links": one.links} if one.links else {}),
    }


def _made(one: Interruption) -> dict[str, Any]:
    said: dict[str, Any] = {"number": one.number, "cause": one.cause, "begun": rfc3339(one.begun)}
    if one.over:
        said["over"] = rfc3339(one.over)
    said |= {"connections": one.connections, "links": one.links}
    return said | {name: image for name, image in (("before", one.before), ("after", one.after)) if image}
