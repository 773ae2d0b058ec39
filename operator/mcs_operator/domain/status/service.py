"""The service state of an instance and of its links: what is declared, and what the appliance says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mcs_operator.api import MCSInstance, ObservedServiceState, ServiceState
from mcs_operator.api.annotations import moment
from mcs_operator.api.conditions import NOT_SERVED, Condition, Kind, Reason, Type
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import LinkPlan
from mcs_operator.domain.status.shared import UNREACHABLE, F, T, U
from mcs_operator.timestamps import rfc3339

_EXACTLY = 10
"""Connections that are counted one by one. Of more only the power of ten is told: a number that falls every second
would be a write every second."""

_TAKES = Condition(Type.IN_SERVICE, T, Reason.IN_SERVICE)


def instance_in_service(world: World, instance: MCSInstance) -> Condition:
    """The condition InService of the instance that is served."""
    is_out = instance.spec.service_state is ServiceState.OUT_OF_SERVICE
    media = world.report.media if world.report else None
    if media and media.draining and not is_out:
        return Condition(Type.IN_SERVICE, F, Reason.DRAINING, "new connections are refused: RestartPending says why")
    if media and media.draining:
        return _refuses(world, Kind.INSTANCE, instance.name, media.connections, instance.spec.drain_seconds)
    return _asked_for(world) if is_out else _TAKES


def link_in_service(world: World, instance: MCSInstance | None, link_plan: LinkPlan) -> Condition:
    """The condition InService of a TVoxLink. That the whole instance is out of service is told there alone."""
    link, number = link_plan.link, link_plan.number
    if instance is None or number is None:
        return NOT_SERVED[Type.IN_SERVICE]
    if not link.spec.enabled:
        return Condition(Type.IN_SERVICE, F, Reason.DISABLED, "spec.enabled is false")
    is_out = link.spec.service_state is ServiceState.OUT_OF_SERVICE
    media = world.report.media if world.report else None
    refused = media.outOfService if media else None
    if refused and number in refused:
        if is_out:
            return _refuses(world, Kind.LINK, link.name, refused[number], instance.spec.drain_seconds)
        return Condition(Type.IN_SERVICE, F, Reason.PENDING, "the appliance still refuses new connections")
    if is_out and media and refused is None:
        image = f"media image {world.pod.image}" if world.pod else "the media image"
        text = f"{image}, or the link agent of this pod, is too old to confirm it: new connections may still be taken"
        return Condition(Type.IN_SERVICE, U, Reason.NOT_CONFIRMED, text)
    return _asked_for(world) if is_out else _TAKES


def observed(in_service: Condition) -> dict[str, str]:
    """`status.serviceState`, left out where it is not known."""
    if in_service.status is U:
        return {}
    state = ObservedServiceState.IN_SERVICE
    if in_service.status is F:
        is_draining = in_service.reason is Reason.DRAINING
        state = ObservedServiceState.DRAINING if is_draining else ObservedServiceState.OUT_OF_SERVICE
    return {"serviceState": state.value}


def drain_ends(statuses: Iterable[Mapping[str, Any]], instance: MCSInstance | None, now: datetime) -> datetime | None:
    """When the time of a drain is over: nothing happens then that would bring us back."""
    if instance is None:
        return None
    drain = timedelta(seconds=instance.spec.drain_seconds)
    draining = (status for status in statuses if status.get("serviceState") == ObservedServiceState.DRAINING)
    ends = ((_since(status["conditions"], now) or now) + drain for status in draining)
    return min((end for end in ends if end > now), default=None)


def _asked_for(world: World) -> Condition:
    """OutOfService is declared, and nobody says that it is so."""
    if world.report is None:
        return Condition(Type.IN_SERVICE, U, Reason.AGENT_UNREACHABLE, UNREACHABLE)
    if world.report.media is None:
        return Condition(Type.IN_SERVICE, U, Reason.MEDIA_NOT_READY, "the appliance does not answer the link agent")
    return Condition(Type.IN_SERVICE, T, Reason.PENDING, "the appliance still takes new connections")


def _refuses(world: World, kind: Kind, name: str, left: int, drain_seconds: int) -> Condition:
    if not left:
        return Condition(Type.IN_SERVICE, F, Reason.OUT_OF_SERVICE, "new connections are refused, and none is open")
    open_ones_go_on = "new connections are refused, and open ones go on"
    since = _since(world.conditions.get((kind, name), ()), world.now)
    if since is None:  # any time that were told would be another one at each look, and cost a write
        return Condition(Type.IN_SERVICE, F, Reason.DRAINING, open_ones_go_on)
    end = since + timedelta(seconds=drain_seconds)
    if end <= world.now:
        text = f"new connections are refused; drainSeconds are over, and {_told(left)} still open"
        return Condition(Type.IN_SERVICE, F, Reason.OUT_OF_SERVICE, text)
    text = f"{open_ones_go_on}; drainSeconds are over at {rfc3339(end)}"
    return Condition(Type.IN_SERVICE, F, Reason.DRAINING, text)


def _since(conditions: Iterable[Mapping[str, Any]], now: datetime) -> datetime | None:
    """Since when new connections are refused, by the live condition; now where they were not before. None where that
    is a time to come, or none: somebody's edit may say the year 9999, and a clock may be set back."""
    live = next((condition for condition in conditions if condition.get("type") == Type.IN_SERVICE), {})
    if live.get("status") != F:
        return now
    since = moment(str(live.get("lastTransitionTime")))
    return since if since is not None and since <= now else None


def _told(connections: int) -> str:
    if connections <= _EXACTLY:
        return f"{connections} {'is' if connections == 1 else 'are'}"
    return f"more than {10 ** (len(str(connections - 1)) - 1)} are"
