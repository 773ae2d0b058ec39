"""Kubernetes Events: what a person must know, as a pure difference between the status before and after.

A condition that turns to a reason worth telling is told once, at the write of the status that says so. As statuses
outlive the operator, its restart tells nothing again; a healthy link tells nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcs_operator.api.conditions import REFUSALS, Kind, Reason, Type
from mcs_operator.domain.pod.disruptions import Cause

NOTE_LIMIT = 1000
"""Characters; the API allows 1024."""


@dataclass(frozen=True, slots=True)
class Note:
    """One Event about one of our objects. ``action`` is what the operator did about it."""

    warning: bool
    reason: str
    action: str
    note: str


_TOLD: Mapping[tuple[Type, Reason], str] = {
    **{(Type.ACCEPTED, reason): "Refuse" for reason in REFUSALS if reason is not Reason.NO_FREE_SLOT},
    (Type.ACCEPTED, Reason.NAMESPACE_OCCUPIED): "Refuse",
    (Type.ACCEPTED, Reason.INVALID_SPEC): "Refuse",
    (Type.PROGRAMMED, Reason.QUARANTINED): "KeepLastGood",
    (Type.STALLED, Reason.NO_FREE_SLOT): "Wait",
    (Type.STALLED, Reason.PROFILE_LOST): "KeepLastGood",
    (Type.STALLED, Reason.IDENTITY_LOST): "Wait",
    (Type.STALLED, Reason.ROLLED_BACK): "RollBack",
    (Type.STALLED, Reason.OBJECT_DAMAGED): "Wait",
    (Type.STALLED, Reason.SLOTS_NOT_RUNNING): "Wait",
    (Type.STALLED, Reason.OBJECTS_IGNORED): "Ignore",
    (Type.STALLED, Reason.CERTIFICATE_INVALID): "KeepLastGood",
    (Type.STALLED, Reason.CA_NOT_FOUND): "Wait",
    (Type.STALLED, Reason.CA_INVALID): "Wait",
    (Type.ROTATION_PENDING, Reason.NEW_NOT_SEEN): "Rotate",
    (Type.ROTATION_PENDING, Reason.OLD_REFUSED): "Refuse",
    (Type.ROTATION_PENDING, Reason.REVOKED): "Stop",
    (Type.READY, Reason.USERS_INVALID): "KeepLastGood",
    (Type.READY, Reason.TIER_EXCEEDED): "Refuse",
    (Type.LOGIN_READY, Reason.PASSWORDS_INVALID): "KeepLastGood",
    (Type.LOGIN_READY, Reason.DOMAIN_TAKEN): "Refuse",
    (Type.CERTIFICATE_READY, Reason.ORDER_FAILED): "Wait",
    (Type.CERTIFICATE_READY, Reason.RENEWAL_FAILED): "KeepLastGood",
    (Type.CERTIFICATE_READY, Reason.ISSUER_NOT_READY): "Wait",
    (Type.RESTART_PENDING, Reason.POD_OUTDATED): "Wait",
    (Type.RESTART_PENDING, Reason.WAITING): "Wait",
    (Type.RESTART_PENDING, Reason.IMAGE_NOT_PULLED): "Wait",
    (Type.RESTART_PENDING, Reason.DRAINING): "Drain",
    (Type.CAPACITY_PRESSURE, Reason.NEARLY_FULL): "Count",
    (Type.CAPACITY_PRESSURE, Reason.ALMOST_FULL): "Count",
}
"""Condition and reason that are told, and the action. Everything else is for whoever looks at the status."""


def notes_for(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Note]:
    """Events for one object whose status changes from ``before`` to ``after``."""
    known = {condition.get("type"): condition.get("reason") for condition in before.get("conditions", [])}
    notes = []
    for condition in after.get("conditions", []):
        type, reason = Type(condition["type"]), Reason(condition["reason"])
        action = _TOLD.get((type, reason))
        if action and known.get(type.value) != reason.value:
            warning = type is not Type.RESTART_PENDING and reason is not Reason.NEW_NOT_SEEN
            warning |= reason is Reason.IMAGE_NOT_PULLED
            notes.append(Note(warning, reason.value, action, condition["message"][:NOTE_LIMIT]))
    return [*notes, *_over(before, after)]


def _over(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Note]:
    """That the newest interruption is over. It may have begun and ended between two statuses."""
    known = {(one.get("number"), one.get("over")) for one in before.get("interruptions", [])}
    for one in after.get("interruptions", [])[:1]:
        if "over" in one and (one["number"], one["over"]) not in known:
            yield Note(False, "InterruptionOver", "Replace", _cost(one))


def _cost(one: Mapping[str, Any]) -> str:
    if one["cause"] == Cause.SLOT_IMAGES:
        return (
            f"{one['cause']}: since {one['over']} no slot with a tunnel is left to be replaced; from {one['begun']} on "
            f"{one['links']} customers reconnected, one after the other"
        )
    return (
        f"{one['cause']}: the media serves again since {one['over']}; no new connection was taken from "
        f"{one['begun']} on, {one['connections']} were cut, and {one['links']} tunnels went down"
    )
