"""Disruptions: why the media pod, or a container of it, is to be replaced. Pure.

Each has a cause, and is known since a moment that is noted at the pod: an operator that starts anew must not let
somebody wait from the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mcs_operator.api import Impact, MCSInstance
from mcs_operator.api.annotations import moment, noted_object
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.linkstate import LinkReport, TunnelStatus
from mcs_operator.domain.facts.world import Pod, World
from mcs_operator.domain.pod.node import leaves_its_node
from mcs_operator.domain.pod.template import (
    Template,
    has_another_image,
    has_another_size,
    is_of_another_spec,
    other_parts,
)
from mcs_operator.domain.pod.updates import customers_left
from mcs_operator.settings import ANNOTATION_DISRUPTIONS, ANNOTATION_RESTART
from mcs_operator.timestamps import rfc3339

_COUNT = re.compile(r"[0-9]{1,3}", re.ASCII)


class Cause(StrEnum):
    """Why somebody is disrupted, in the order in which it is done: who is restarted needs no other change."""

    SUSPENDED = "Suspended"
    NODE_CORDONED = "NodeCordoned"
    SPEC_CHANGED = "SpecChanged"
    RESTART_REQUESTED = "RestartRequested"
    MEDIA_IMAGE = "MediaImage"
    RESIZE = "Resize"
    SLOT_IMAGES = "SlotImages"


@dataclass(frozen=True, slots=True)
class Disruption:
    """One of them. ``text`` is half a sentence; ``since`` when it became known, ``planned`` when it is to begin.

    ``links``: tunnels that were up when it became known. Those of now are a metric: a status that told them would be
    written each time that one comes or goes.
    """

    cause: Cause
    impact: Impact
    text: str
    since: datetime
    planned: datetime | None = None
    links: int = 0


def disruptions(world: World, instance: MCSInstance, pod: Pod, template: Template) -> tuple[Disruption, ...]:
    """All that there are, in the order in which they are done."""
    noted, new = noted_causes(pod), (world.now, len(tunnels_up(world.report)))
    found = sorted(_causes(world, instance, pod, template), key=lambda found: list(Cause).index(found[0]))
    return tuple(_disruption(cause, impact, text, *noted.get(cause, new)) for cause, impact, text in found)


def _disruption(cause: Cause, impact: Impact, text: str, since: datetime, links: int) -> Disruption:
    return Disruption(cause, impact, text, since, links=links)


def tunnels_up(report: LinkReport | None) -> tuple[int, ...]:
    """Slots whose tunnel is up, as the agent says."""
    states = report.links if report else ()
    return tuple(state.slot for state in states if state.tunnel.status is TunnelStatus.TRUE)


def _causes(world: World, instance: MCSInstance, pod: Pod, template: Template) -> Iterator[tuple[Cause, Impact, str]]:
    spec = f"spec of MCSInstance {instance.name}"
    if is_of_another_spec(pod, template):
        parts = ", ".join(other_parts(pod, template))
        yield Cause.SPEC_CHANGED, Impact.RESTART, f"{spec} changed in a field that restarts the pod ({parts})"
    asked = moment(instance.annotations.get(ANNOTATION_RESTART, ""))
    # Not before its time: a wrong year would restart every pod that there ever is, one after the other.
    if asked is not None and pod.created < asked <= world.now:
        text = f"annotation {ANNOTATION_RESTART} of MCSInstance {instance.name} asks for it"
        yield Cause.RESTART_REQUESTED, Impact.RESTART, text
    if why := leaves_its_node(world, instance, pod):
        yield Cause.NODE_CORDONED, Impact.RESTART, why
    if instance.spec.suspend:
        yield Cause.SUSPENDED, Impact.RESTART, f"spec.suspend of MCSInstance {instance.name} is true"
    if has_another_image(pod, template):
        why = f", because {template.refused.image} did not become ready" if template.refused else ""
        yield Cause.MEDIA_IMAGE, Impact.MEDIA_RESTART, f"the media is to run image {template.media_image}{why}"
    if has_another_size(pod, template) and not resizes_in_place(world, pod):
        yield Cause.RESIZE, Impact.RESTART, f"{spec} changed the media's size, which this pod cannot take in place"
    if customers_left(pod, template, world.report):
        text = f"slots that carry tunnels are to run image {template.link_image}, and each of them reconnects once"
        yield Cause.SLOT_IMAGES, Impact.THIS_LINK, text


def resizes_in_place(world: World, pod: Pod) -> bool:
    """Whether this pod can be given another size. One that is on no node yet is only made anew."""
    return world.resizes_in_place and bool(pod.node)


def noted_causes(pod: Pod) -> Mapping[str, tuple[datetime, int]]:
    """Since when each cause is known, and how many tunnels were up then, as the pod says. What is no time, or no cause,
    is not there."""
    found = noted_object(pod.annotations.get(ANNOTATION_DISRUPTIONS, ""))
    texts = {cause: str(text).partition(" ") for cause, text in found.items()}
    times = {cause: (moment(time), links) for cause, (time, _, links) in texts.items()}
    return {c: (since, int(n) if _COUNT.fullmatch(n) else 0) for c, (since, n) in times.items() if since is not None}


def note_of(found: Iterable[Disruption]) -> str | None:
    """The pod's annotation about these; None where there is nothing to note."""
    known = {str(one.cause): f"{rfc3339(one.since)} {one.links or ''}".rstrip() for one in found}
    return canonical(known) if known else None
