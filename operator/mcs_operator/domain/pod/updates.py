"""Agent and slots of the running pod get the images of a newer operator, in place. Pure.

The agent first, and by itself: it costs no tunnel. Then slots that carry none, a few at a time, those that are down
before the others. Then the rest, one at a time, when the gate lets them: each costs its customer a reconnect.

No slot is replaced before those that got the same image are back, so an image that does not run stops a few slots and
no more. What got another image than the one that is wanted now is not waited for: it may never be back otherwise.

What was changed is noted at the pod, in the same request. The pod itself may have the name of a mirror, which the
cluster puts there each time; compared with that, all of them would be replaced for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
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
"""Seconds that a customer has to come back before the next one is sent away: a TVox may be switched off just then. And
a container, before it is told that it does not run. So often we look where it is not a customer who is waited for."""
LOOK_FOR_CUSTOMER = 1.0
"""Seconds between looks for a customer who was sent away: nothing may tell that he is late."""


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
class Hold:
    """What keeps the next container from its image. ``why``: half a sentence, empty where it only takes its time.
    ``again``: in how many seconds to look again, None where an event tells. ``cannot_pull``: an image is the reason."""

    why: str = ""
    again: float | None = None
    cannot_pull: bool = False


@dataclass(frozen=True, slots=True)
class _Noted:
    """What was changed: ``slots`` that were given an image, by image; all others have the pod's link-image. ``image``
    was wanted for the slots at the last step, which began ``at`` that time, and is done once containers have been
    restarted so often. Who was sent away ``last``, from the tunnel that was up ``since`` then."""

    image: str = ""
    slots: Mapping[str, frozenset[int]] = field(default_factory=dict)
    restarts: int = 0
    last: int | None = None
    since: str = ""
    at: datetime | None = None


def images_of(pod: Pod, template: Template) -> tuple[str, ...]:
    """Images that the pod is to get in place, besides the media's; they have to be on the node before."""
    if not _is_updated_in_place(pod, template):
        return ()
    agent = [] if pod.annotations[ANNOTATION_AGENT_IMAGE] == template.agent_image else [template.agent_image]
    slots = [template.link_image] if slots_left(pod, template) else []
    return tuple(dict.fromkeys(agent + slots))


def slots_left(pod: Pod, template: Template) -> tuple[int, ...]:
    """Slots that are to get another image in place and have not got it yet."""
    if not _is_updated_in_place(pod, template):
        return ()
    has_it = _have(pod, _noted(pod), template.link_image)
    return tuple(number for number in _numbers(pod) if number not in has_it)


def customers_left(pod: Pod, template: Template, report: LinkReport | None) -> tuple[int, ...]:
    """Those of them that carry a tunnel, or may carry one."""
    used = _used(pod, report)
    return tuple(number for number in slots_left(pod, template) if used is None or number in used)


def next_update(
    pod: Pod, template: Template, pulls: tuple[Pull, ...], report: LinkReport | None, now: datetime, *, gate: bool
) -> Update | None:
    """What is to be replaced now; None where there is nothing, or it has to wait. ``report`` is what the agent says at
    present: who carries a tunnel is not decided by an old one. ``gate``: whether customers may be sent away."""
    noted = _noted(pod)
    needed = images_of(pod, template)
    on_node = {pull.image for pull in pulls if pull.done and pull.node == pod.node}
    if not needed or not on_node.issuperset(needed):
        return None
    if pod.annotations[ANNOTATION_AGENT_IMAGE] != template.agent_image:
        return _agent(pod, template, noted, now)
    used = _used(pod, report)
    if report is None or used is None or not _is_settled(pod, template, noted):
        return None
    left = slots_left(pod, template)
    if idle := [number for number in left if number not in used]:
        idle.sort(key=lambda number: number not in pod.slots_down)
        return _slots(pod, template, noted, idle[:IDLE_AT_ONCE], now)
    if not gate or not _is_back(report, noted, now):
        return None
    return _slots(pod, template, noted, [left[0]], now, sent_away=report)


def hold(
    pod: Pod, template: Template, pulls: tuple[Pull, ...], report: LinkReport | None, now: datetime, *, gate: bool
) -> Hold:
    """Why ``next_update`` has none, but for the gate itself."""
    needed = images_of(pod, template)
    for pull in pulls:
        if pull.problem and not pull.done and pull.node == pod.node and pull.image in needed:
            return Hold(f"node {pod.node} cannot pull {pull.image}: {pull.problem}", cannot_pull=True)
    noted = _noted(pod)
    if ANNOTATION_UPDATE not in pod.annotations or not needed:
        return Hold()
    if not _is_settled(pod, template, noted):
        return Hold(_what_is_down(pod, template, noted) if _has_had_time(noted, now) else "", PATIENCE)
    if not gate:
        return Hold()
    return Hold(again=LOOK_FOR_CUSTOMER if report and not _is_back(report, noted, now) else PATIENCE)


def _is_updated_in_place(pod: Pod, template: Template) -> bool:
    """Not one of before, whose hooks stop all slots with the agent, nor one that differs in more than images."""
    known = {ANNOTATION_AGENT_IMAGE, ANNOTATION_LINK_IMAGE} <= pod.annotations.keys()
    return known and not {"agent", "slots", "template"} & set(other_parts(pod, template))


def _is_settled(pod: Pod, template: Template, noted: _Noted) -> bool:
    """Whether what was changed last is back. By the number of restarts: the kubelet's word that a container is ready
    may be older than the change. With an image that is not wanted any more it need not come back."""
    restarted = noted.image != template.link_image or pod.restarts >= noted.restarts
    return pod.agent_ready and restarted and not _down(pod, template, noted)


def _down(pod: Pod, template: Template, noted: _Noted) -> frozenset[int]:
    """Slots that got the wanted image and do not run."""
    return pod.slots_down & noted.slots.get(template.link_image, frozenset())


def _what_is_down(pod: Pod, template: Template, noted: _Noted) -> str:
    """Without numbers: slots that crash again and again run by turns, and each change would be a status write."""
    if not pod.agent_ready:
        return "the link agent is not ready"
    if _down(pod, template, noted):
        return f"a slot that got image {template.link_image} does not run, and no other gets it before"
    return ""


def _has_had_time(noted: _Noted, now: datetime) -> bool:
    """Also where it was begun in the future: a clock was set back, and would be waited for."""
    return noted.at is None or not 0 <= (now - noted.at).total_seconds() < PATIENCE


def _is_back(report: LinkReport, noted: _Noted, now: datetime) -> bool:
    """Whether the customer who was sent away last has another tunnel, or had time enough for one."""
    state = next((state for state in report.links if state.slot == noted.last), None)
    if state is None or _has_had_time(noted, now):
        return True
    return state.tunnel.status is TunnelStatus.TRUE and _since(state) != noted.since


def _agent(pod: Pod, template: Template, noted: _Noted, now: datetime) -> Update:
    # One that is not ready needs no proof that it was replaced, and may be its first: that counts as no restart.
    note = _note(template.link_image, noted.slots, pod.restarts + pod.agent_ready, now)
    left = canonical(note) if slots_left(pod, template) else None
    annotations = {ANNOTATION_AGENT_IMAGE: template.agent_image, ANNOTATION_UPDATE: left}
    return Update({AGENT_CONTAINER: template.agent_image}, annotations)


def _slots(
    pod: Pod,
    template: Template,
    noted: _Noted,
    numbers: list[int],
    now: datetime,
    sent_away: LinkReport | None = None,
) -> Update:
    """``sent_away``: what the agent says, where the slot carries a tunnel."""
    image, changed = template.link_image, frozenset(numbers)
    slots = {other: having - changed for other, having in noted.slots.items()}
    slots[image] = slots.get(image, frozenset()) | changed
    note = _note(image, slots, pod.restarts + len(changed - pod.slots_down), now)
    if sent_away:
        since = next((_since(state) for state in sent_away.links if state.slot == numbers[0]), "")
        note |= {"last": numbers[0], "since": since}
    annotations: dict[str, str | None] = {ANNOTATION_UPDATE: canonical(note)}
    if changed.issuperset(slots_left(pod, template)):
        annotations = {ANNOTATION_LINK_IMAGE: image, ANNOTATION_UPDATE: None}
    return Update(
        {link_name(number): image for number in numbers},
        annotations,
        exits=tuple(numbers),
        reconnects=numbers[0] if sent_away else None,
        begins=slots[image] == changed,
    )


def _numbers(pod: Pod) -> tuple[int, ...]:
    """Those of the pod's slots: all its containers but two."""
    return tuple(range(FIRST_NUMBER, FIRST_NUMBER + len(pod.images) - 2))


def _have(pod: Pod, noted: _Noted, image: str) -> frozenset[int]:
    """Slots that have this image, whatever name the pod itself has for it."""
    given = noted.slots.get(image, frozenset())
    if pod.annotations[ANNOTATION_LINK_IMAGE] != image:
        return given
    return given | frozenset(_numbers(pod)).difference(*noted.slots.values())


def _used(pod: Pod, report: LinkReport | None) -> frozenset[int] | None:
    """Slots that carry a tunnel, or of which that is not known; None where nobody says. An agent that has just started
    knows nothing of a slot that does not run, and nobody would ever ask it."""
    if report is None:
        return None
    return frozenset(
        state.slot
        for state in report.links
        if state.tunnel.status is TunnelStatus.TRUE
        or (state.tunnel.status is TunnelStatus.UNKNOWN and state.slot not in pod.slots_down)
    )


def _since(state: LinkState) -> str:
    return rfc3339(state.tunnel.since) if state.tunnel.since else ""


def _note(image: str, slots: Mapping[str, frozenset[int]], restarts: int, now: datetime) -> dict[str, object]:
    changed = {image: sorted(having) for image, having in slots.items() if having}
    return {"image": image, "slots": changed, "restarts": restarts, "at": rfc3339(now)}


def _noted(pod: Pod) -> _Noted:
    """What the pod's annotation says. Somebody may have edited it: what makes no sense is not there."""
    try:
        said = json.loads(pod.annotations.get(ANNOTATION_UPDATE, "") or "{}")
        slots = said.get("slots", {})
        return _Noted(
            image=str(said.get("image", "")),
            slots={image: frozenset(int(number) for number in having) for image, having in slots.items()},
            restarts=int(said.get("restarts", 0)),
            last=said.get("last"),
            since=str(said.get("since", "")),
            at=moment(str(said.get("at", ""))),
        )
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError):
        return _Noted()
