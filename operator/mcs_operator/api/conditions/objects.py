"""Conditions as status objects: what is decided gets its times, and what is not in the table is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcs_operator.api.conditions.reasons import ConditionStatus, Kind, Reason, Type
from mcs_operator.api.conditions.table import OWNED, TABLE
from mcs_operator.timestamps import rfc3339

MESSAGE_LIMIT = 1024
"""Characters; a message may quote a user's value, and a value may be long."""


_KNOWN = {(row.kind, row.type, row.status, row.reason) for row in TABLE}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as decided, before it has times."""

    type: Type
    status: ConditionStatus
    reason: Reason
    message: str = ""


NOT_SERVED: Mapping[Type, Condition] = {
    condition.type: condition
    for condition in (
        Condition(Type.RECONCILING, ConditionStatus.FALSE, Reason.RECONCILED),
        Condition(Type.SIZED, ConditionStatus.TRUE, Reason.AS_TIER),
        Condition(Type.RESTART_PENDING, ConditionStatus.FALSE, Reason.UP_TO_DATE),
        Condition(Type.CAPACITY_PRESSURE, ConditionStatus.FALSE, Reason.SUFFICIENT),
        Condition(Type.PROGRAMMED, ConditionStatus.FALSE, Reason.NOT_ACCEPTED),
        Condition(Type.CONNECTED, ConditionStatus.FALSE, Reason.PENDING, "the link is not accepted"),
        Condition(Type.ROTATION_PENDING, ConditionStatus.FALSE, Reason.UP_TO_DATE),
        Condition(
            Type.DOMAIN_RESOLVED, ConditionStatus.UNKNOWN, Reason.NOT_ACCEPTED, "nobody asks: it is not accepted"
        ),
        Condition(Type.IN_SERVICE, ConditionStatus.UNKNOWN, Reason.NOT_ACCEPTED, "it is not accepted"),
        Condition(Type.LOGIN_READY, ConditionStatus.FALSE, Reason.NOT_ACCEPTED, "it is not accepted"),
        Condition(Type.CERTIFICATE_READY, ConditionStatus.UNKNOWN, Reason.NOT_ACCEPTED, "it is not accepted"),
    )
}
"""What a condition says about an object that is not served, beside why it is not."""


def is_known(kind: Kind, condition: Condition) -> bool:
    """Whether the table has this condition with this status and reason."""
    return (kind, condition.type, condition.status, condition.reason) in _KNOWN


def find_condition(conditions: Iterable[Mapping[str, Any]] | None, type: str) -> Mapping[str, Any]:
    """The one of this type among status objects; empty where there is none."""
    return next((condition for condition in conditions or () if condition.get("type") == type), {})


def as_decided(kind: Kind, type: Type, live: Mapping[str, Any], about: str) -> Condition | None:
    """A live condition as it was decided, if it is one of ours whose message begins with what it is about: so an
    operator that starts anew says the same, and writes nothing."""
    message = str(live.get("message", ""))
    if not message.startswith(about):
        return None
    try:
        found = Condition(type, ConditionStatus(live.get("status", "")), Reason(live.get("reason", "")), message)
    except ValueError:
        return None
    return found if is_known(kind, found) else None


def as_objects(
    kind: Kind,
    decided: Sequence[Condition],
    *,
    generation: int,
    now: datetime,
    previous: Iterable[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The conditions as status objects, in the order of the table.

    ``previous`` are those of the live object: a condition that keeps its status keeps its lastTransitionTime.
    Raises ValueError for a condition outside of the table, or where one that the kind owns is missing: a reader
    who waits for a condition that nobody writes waits for ever.
    """
    by_type = {condition.type: condition for condition in decided}
    if missing := [str(type) for type in OWNED[kind] if type not in by_type]:
        raise ValueError(f"{kind}: conditions {missing} are owned but not decided")
    before = {str(old.get("type")): old for old in previous}
    objects = []
    for type in OWNED[kind]:
        condition = by_type[type]
        if not is_known(kind, condition):
            raise ValueError(f"{kind}: {type}={condition.status}, {condition.reason} is not in the table")
        old = before.get(str(type), {})
        since = old.get("lastTransitionTime") if old.get("status") == condition.status else None
        objects.append(
            {
                "type": str(type),
                "status": str(condition.status),
                "reason": str(condition.reason),
                "message": _shortened(condition.message),
                "observedGeneration": generation,
                "lastTransitionTime": since or rfc3339(now),
            }
        )
    return objects


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
