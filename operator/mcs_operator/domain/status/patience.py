"""What is missing may still come: a certificate of the same commit, users by another tool. For two minutes it is waited
for, because a pipeline fails at the first Stalled; then a person is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.api.annotations import moment
from mcs_operator.api.conditions import Condition, Kind, Reason, Type
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.status.shared import T, stalled_by

PATIENCE = timedelta(minutes=2)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
"""Of what patience can be added to, in any time zone."""
MAY_STILL_COME = (
    Reason.CERTIFICATE_NOT_FOUND,
    Reason.CA_NOT_FOUND,
    Reason.PULL_SECRET_NOT_FOUND,
    Reason.USERS_NOT_FOUND,
)


def patient(
    world: World, kind: Kind, object: MCSInstance | Community | TVoxLink, reconciling: Condition, stalled: Condition
) -> tuple[Condition, Condition]:
    """Reconciling and Stalled, as long as there is patience with what is missing."""
    if stalled.reason in MAY_STILL_COME and _has_patience(world, kind, object.name, object.generation):
        return Condition(Type.RECONCILING, T, stalled.reason, stalled.message), stalled_by(None)
    return reconciling, stalled


def _has_patience(world: World, kind: Kind, name: str, generation: int) -> bool:
    """Counted from when it began to reconcile. Where patience is over, or something else has stalled it, it does not
    begin anew before the object itself changes, or every two minutes would cost two writes."""
    live = {condition.get("type"): condition for condition in world.conditions.get((kind, name), [])}
    stalled, reconciling = (live.get(type.value, {}) for type in (Type.STALLED, Type.RECONCILING))
    if stalled.get("status") == T and stalled.get("observedGeneration") == generation:
        return False
    text = reconciling.get("lastTransitionTime") if reconciling.get("status") == T else None
    if not text:
        return True  # it begins now
    began = moment(str(text))  # somebody's edit may say the year 9999, or what no calendar has
    return began is not None and abs(world.now - began) < PATIENCE


def patience_ends(statuses: Iterable[Mapping[str, Any]]) -> datetime | None:
    """When somebody has to look again, as nothing happens then that would bring us back; None where nothing is
    missing."""
    began = (
        moment(str(condition["lastTransitionTime"]))
        for status in statuses
        for condition in status["conditions"]
        if condition["type"] == Type.RECONCILING and condition["reason"] in MAY_STILL_COME
    )
    return min((since + PATIENCE for since in began if since and since < LAST_MOMENT), default=None)
