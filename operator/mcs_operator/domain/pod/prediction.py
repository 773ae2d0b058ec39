"""What a change of an instance will do to its pod, told before it is made: for admission and for `plan`. Pure.

What a field declares holds for every instance and every cluster. Here is what becomes of it with this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mcs_operator.api import Impact, MCSInstance
from mcs_operator.api.changes import Change, changes
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.domain.facts.world import Size
from mcs_operator.domain.pod.sizing import size

_SUSPEND = "spec.suspend"
_OF_THE_POD = (Impact.IN_PLACE, Impact.MEDIA_RESTART, Impact.RESTART)


@dataclass(frozen=True, slots=True)
class Resizing:
    """Which sizes the cluster gives a container that runs: any at all, and one with a lower limit of memory."""

    in_place: bool = True
    lowers_memory: bool = True


ANY_SIZE, NO_SIZE = Resizing(), Resizing(in_place=False, lowers_memory=False)


def predicted(before: MCSInstance, after: MCSInstance, resizing: Resizing, status: object) -> tuple[Change, ...]:
    """The fields that differ, each with the impact that it has here. ``status``: the stored one, which may be anybody's
    writing."""
    stopped = before.spec.suspend and not has_pod(status)
    resized = _impact_of_size(before, after, resizing)

    def here(change: Change) -> Impact:
        if change.impact not in _OF_THE_POD:
            return change.impact
        if stopped:  # there is nobody who could be interrupted
            return Impact.HOT
        if change.impact is Impact.IN_PLACE:
            return resized
        if after.spec.suspend:  # the pod goes, whatever else is asked of it
            return Impact.RESTART
        return Impact.HOT if change.path == _SUSPEND else change.impact  # the pod that waited to be stopped goes on

    return tuple(replace(change, impact=here(change)) for change in changes(before, after))


def has_pod(status: object) -> bool:
    """A suspended instance has one, and serves, as long as it drains or waits for its window."""
    return isinstance(status, Mapping) and bool(status.get("podUID"))


def _impact_of_size(before: MCSInstance, after: MCSInstance, resizing: Resizing) -> Impact:
    old, new = (Size(sizing.requests, sizing.limits) for sizing in map(size, (before, after)))
    if new.is_same(old):
        return Impact.HOT
    is_lowered = parse_quantity(new.limits["memory"]) < parse_quantity(old.limits["memory"])
    can = resizing.in_place and (resizing.lowers_memory or not is_lowered)
    return Impact.IN_PLACE if can else Impact.RESTART
