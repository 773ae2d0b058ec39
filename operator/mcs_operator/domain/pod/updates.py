"""Agent and slots of the running pod get the images of a newer operator, in place. Pure.

The agent first, and by itself: it costs no tunnel. Then slots that carry none, a few at a time. Then the others, one at
a time, when the gate lets them: each costs its customer a reconnect. Nothing is begun before what was changed last is
back, so an image that does not run stops one container and no more.

What was changed is noted at the pod, in the same request. The pod itself may have the name of a mirror, which the
cluster puts there each time; compared with that, all of them would be replaced for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mcs_operator.api.annotations import moment
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.linkstate import LinkReport, LinkState, TunnelStatus
from mcs_operator.domain.facts.world import Pod, Pull
from mcs_operator.domain.pod.template import Template, other_parts
from mcs_operator.settings import (
    AGENT_CONTAINER,
    ANNOTATION_AGENT_IMAGE,
    ANNOTATION_LINK_IMAGE,
    ANNOTATION_UPDATE,
    FIRST_NUMBER,
    link_name,
)
from mcs_operator.timestamps import rfc3339

IDLE_AT_ONCE = 4
"""The kubelet replaces one after the other, and nothing else of the pod meanwhile: so long a new customer waits."""
PATIENCE = 30.0
"""Seconds that a customer has to come back before the next one is sent away. A TVox may be switched off just then."""


@dataclass(frozen=True, slots=True)
class Update:
    """Containers that get other images now, with what is noted at the pod. ``exits``: slots that have to be told before
    that they exit at once. ``reconnects``: the slot whose customer notices. ``begins``: no slot was changed before."""

    images: Mapping[str, str]
    annotations: Mapping[str, str | None]
    exits: tuple[int, ...] = ()
    reconnects: int | None = None
    begins: bool = False


@dataclass(frozen=True, slots=True)
class _Noted:
    """What was changed: slots that have ``image`` already, how often containers have been restarted once all of it is
    done, and who was sent away last, from which tunnel, and when."""

    image: str = ""
    slots: frozenset[int] = frozenset()
    restarts: int = 0
    last: int | None = None
    since: str = ""
    at: datetime | None = None


def images_of(pod: Pod, template: Template) -> tuple[str, ...]:
    """Images that the pod is to get in place, besides the media's; they have to be on the node before."""
    wanted = (ANNOTATION_AGENT_IMAGE, template.agent_image), (ANNOTATION_LINK_IMAGE, template.link_image)
    if not _is_updated_in_place(pod, template):
        return ()
    return tuple(dict.fromkeys(image for key, image in wanted if pod.annotations[key] != image))


def slots_left(pod: Pod, template: Template) -> tuple[int, ...]:
    """Slots that are to get another image in place and have not got it yet."""
    if not _is_updated_in_place(pod, template) or pod.annotations[ANNOTATION_LINK_IMAGE] == template.link_image:
        return ()
    done = _done(_noted(pod), template)
    return tuple(number for number in _numbers(pod) if number not in done)


def customers_left(pod: Pod, template: Template, report: LinkReport | None) -> tuple[int, ...]:
    """Those of them that carry a tunnel, or may carry one."""
    used = _used(report)
    return tuple(number for number in slots_left(pod, template) if used is None or number in used)


def next_update(
    pod: Pod, template: Template, pulls: tuple[Pull, ...], report: LinkReport | None, now: datetime, *, gate: bool
) -> Update | None:
    """What is to be replaced now; None where there is nothing, or it has to wait. ``report`` is what the agent says at
    present: who carries a tunnel is not decided by an old one. ``gate``: whether customers may be sent away."""
    noted = _noted(pod)
    needed = images_of(pod, template)
    on_node = {pull.image for pull in pulls if pull.done and pull.node == pod.node}
    if not needed or not on_node.issuperset(needed) or not _is_settled(pod, noted):
        return None
    if pod.annotations[ANNOTATION_AGENT_IMAGE] != template.agent_image:
        return _agent(pod, template, noted)
    used = _used(report)
    if report is None or used is None:
        return None
    left = slots_left(pod, template)
    if idle := [number for number in left if number not in used]:
        return _slots(pod, template, noted, idle[:IDLE_AT_ONCE])
    if not gate or not _is_back(report, noted, now):
        return None
    first = left[0]
    since = next((_since(state) for state in report.links if state.slot == first), "")
    return _slots(pod, template, noted, [first], since=since, now=now)


def _is_updated_in_place(pod: Pod, template: Template) -> bool:
    """Not one of before, whose hooks stop all slots with the agent, nor one that differs in more than images."""
    known = {ANNOTATION_AGENT_IMAGE, ANNOTATION_LINK_IMAGE} <= pod.annotations.keys()
    return known and not {"agent", "slots", "template"} & set(other_parts(pod, template))


def _is_settled(pod: Pod, noted: _Noted) -> bool:
    """Whether what was changed last is back. By the number of restarts: the kubelet's word that a container is ready
    may be older than the change."""
    return pod.agent_ready and pod.slots_down == 0 and pod.restarts >= noted.restarts


def _is_back(report: LinkReport, noted: _Noted, now: datetime) -> bool:
    """Whether the customer who was sent away last has another tunnel, or had time enough for one."""
    state = next((state for state in report.links if state.slot == noted.last), None)
    if state is None or noted.at is None or (now - noted.at).total_seconds() >= PATIENCE:
        return True
    return state.tunnel.status is TunnelStatus.TRUE and _since(state) != noted.since


def _agent(pod: Pod, template: Template, noted: _Noted) -> Update:
    restarts = canonical(_note(noted.image, noted.slots, pod.restarts + 1))
    left = restarts if pod.annotations[ANNOTATION_LINK_IMAGE] != template.link_image else None
    annotations = {ANNOTATION_AGENT_IMAGE: template.agent_image, ANNOTATION_UPDATE: left}
    return Update({AGENT_CONTAINER: template.agent_image}, annotations)


def _slots(
    pod: Pod, template: Template, noted: _Noted, numbers: list[int], since: str = "", now: datetime | None = None
) -> Update:
    done = _done(noted, template) | set(numbers)
    more: dict[str, object] = {"last": numbers[0], "since": since, "at": rfc3339(now)} if now else {}
    annotations: dict[str, str | None] = {
        ANNOTATION_UPDATE: canonical(_note(template.link_image, done, pod.restarts + len(numbers)) | more)
    }
    if done.issuperset(_numbers(pod)):
        annotations = {ANNOTATION_LINK_IMAGE: template.link_image, ANNOTATION_UPDATE: None}
    images = {link_name(number): template.link_image for number in numbers}
    return Update(
        images, annotations, exits=tuple(numbers), reconnects=numbers[0] if now else None, begins=done == set(numbers)
    )


def _numbers(pod: Pod) -> tuple[int, ...]:
    """Those of the pod's slots: all its containers but two."""
    return tuple(range(FIRST_NUMBER, FIRST_NUMBER + len(pod.images) - 2))


def _done(noted: _Noted, template: Template) -> frozenset[int]:
    return noted.slots if noted.image == template.link_image else frozenset()


def _used(report: LinkReport | None) -> frozenset[int] | None:
    """Slots that carry a tunnel, or of which that is not known; None where nobody says."""
    if report is None:
        return None
    return frozenset(state.slot for state in report.links if state.tunnel.status is not TunnelStatus.FALSE)


def _since(state: LinkState) -> str:
    return rfc3339(state.tunnel.since) if state.tunnel.since else ""


def _note(image: str, slots: frozenset[int], restarts: int) -> dict[str, object]:
    return {"image": image, "slots": sorted(slots), "restarts": restarts}


def _noted(pod: Pod) -> _Noted:
    """What the pod's annotation says. Somebody may have edited it: what makes no sense is not there."""
    try:
        said = json.loads(pod.annotations.get(ANNOTATION_UPDATE, "") or "{}")
        return _Noted(
            image=str(said.get("image", "")),
            slots=frozenset(int(number) for number in said.get("slots", ())),
            restarts=int(said.get("restarts", 0)),
            last=said.get("last"),
            since=str(said.get("since", "")),
            at=moment(str(said.get("at", ""))),
        )
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return _Noted()
