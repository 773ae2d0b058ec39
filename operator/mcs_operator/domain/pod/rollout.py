"""What is done about the running pod: causes -> gate -> one step. The decision that costs every customer a call. Pure.

The user asks for a disruption by changing a field that is in the pod's template, or by the restart annotation. What
differs otherwise (a newer operator's template) waits until asked. A size is changed in place, which disrupts nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from mcs_operator.api import Impact, MCSInstance, ServiceState
from mcs_operator.api.annotations import moment
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.facts.world import Pod, Pull, World
from mcs_operator.domain.pod.disruptions import Cause, Disruption, disruptions, resizes_in_place, tunnels_up
from mcs_operator.domain.pod.fallback import asked_again, restarts_when_changed
from mcs_operator.domain.pod.gate import Passage, allowed_at, is_allowed, passage
from mcs_operator.domain.pod.node import is_forced, stays
from mcs_operator.domain.pod.template import (
    Template,
    can_be_changed_in_place,
    has_another_image,
    has_another_size,
    other_parts,
)
from mcs_operator.domain.pod.updates import Hold, Update, hold, next_update
from mcs_operator.settings import (
    ANNOTATION_DRAINING,
    ANNOTATION_DRAINING_FOR,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_RESTART,
)

LOOK_AGAIN = 1.0
"""Seconds between looks at a pod that drains."""
_LEAVES = (Cause.NODE_CORDONED, Cause.SUSPENDED)
_WHERE = "pod"
"""The part of a template that says on which node the pod may run."""


class Step(Enum):
    """What to do about the pod now."""

    NOTHING = auto()
    WAIT_TO_BE_ASKED = auto()
    WAIT_FOR_GATE = auto()
    WAIT_FOR_IMAGE = auto()
    CANNOT_PULL = auto()
    START_DRAINING = auto()
    KEEP_DRAINING = auto()
    DRAIN_AGAIN = auto()
    STOP_DRAINING = auto()
    REPLACE = auto()
    SET_IMAGE = auto()
    RESIZE = auto()
    UPDATE = auto()


@dataclass(frozen=True, slots=True)
class Rollout:
    """The decision. ``parts`` are those of the pod's template that only another pod can have.

    ``current`` is the one of the ``disruptions`` that the step is about; None where none may begin. ``waits``: half a
    sentence for what it, or the first of them, waits. ``since`` is when the drain began, ``due`` when it is to be
    looked at again. ``update``: agent or slots that get other images now.
    """

    step: Step
    parts: tuple[str, ...] = ()
    disruptions: tuple[Disruption, ...] = ()
    current: Disruption | None = None
    waits: str = ""
    since: datetime | None = None
    due: datetime | None = None
    update: Update | None = None

    @property
    def cause(self) -> str:
        """Why somebody is to be disrupted, in words; empty where nobody is."""
        first = self.current or next(iter(self.disruptions), None)
        return first.text if first else ""

    @property
    def told(self) -> str:
        """Why somebody is to be disrupted, and for what it waits; an update that nobody notices has no cause."""
        return "; ".join(filter(None, (self.cause, self.waits)))

    @property
    def becomes(self) -> str:
        """What becomes of the pod, or of its media container."""
        return "stopped" if self.current and self.current.cause is Cause.SUSPENDED else "replaced"


def decide_rollout(
    world: World, instance: MCSInstance, pod: Pod, template: Template, report: LinkReport | None
) -> Rollout:
    """Compare the running pod with the wanted template, and ask the gate about each difference.

    ``report`` is what the agent says at present. That nobody talks is believed of an appliance that drains, and of a
    container that does not run, and of nobody else: an appliance that is unready, or does not answer for a moment, may
    carry two hundred calls, and a number of connections from before the drain may be hours old.
    """
    if pod.terminating:
        return Rollout(Step.NOTHING)
    found = disruptions(world, instance, pod, template)
    gates = [_passage(world, instance, pod, template, one) for one in found]
    rollout = Rollout(
        Step.WAIT_FOR_GATE,
        other_parts(pod, template),
        # Of one that may begin no time is told: it would be another one at each look.
        tuple(replace(o, planned=None if g.open else g.planned) for o, g in zip(found, gates, strict=True)),
        since=moment(pod.annotations.get(ANNOTATION_DRAINING, "")),
        due=_due(instance, world.now, gates),
    )
    in_place = can_be_changed_in_place(pod, template)
    again = asked_again(pod, world.now)
    differs = has_another_size(pod, template) or (again is not None and again <= world.now)
    resize = in_place and differs and resizes_in_place(world, pod)
    begins = [
        gate.open or _spares_nobody(one, pod, report) or _goes_on(rollout, pod, one, gate)
        for one, gate in zip(found, gates, strict=True)
    ]
    current = _current(rollout, begins, in_place=in_place)
    if current is None:
        rollout = replace(rollout, waits=next((gate.why for gate in gates), ""))
        stop = rollout.since is not None or _drains_for_nothing(instance, pod, report)
        may_reconnect = any(gate.open for one, gate in zip(found, gates, strict=True) if one.cause is Cause.SLOT_IMAGES)
        about_update = pod, template, world.pulls, report, world.now
        update = next_update(*about_update, gate=may_reconnect)
        held = Hold() if update else hold(*about_update, gate=may_reconnect)
        rollout = replace(rollout, waits="one after the other") if may_reconnect else rollout
        return _held(_undisturbed(rollout, stop=stop, resize=resize, update=update), held, world.now)
    rollout = _carried_out(world, instance, pod, template, report, replace(rollout, current=current))
    return replace(rollout, step=Step.RESIZE) if resize and _may_be_resized_first(rollout) else rollout


def _may_be_resized_first(rollout: Rollout) -> bool:
    """Whether the pod gets its size although something else is under way. One that is to be replaced does, where the
    next one runs on the same node: what the cluster refuses to this pod it would refuse to the next, and there would be
    none."""
    if rollout.step in (Step.WAIT_FOR_IMAGE, Step.CANNOT_PULL):
        return True
    leaves = _WHERE in rollout.parts or (rollout.current is not None and rollout.current.cause in _LEAVES)
    return rollout.step in (Step.START_DRAINING, Step.KEEP_DRAINING, Step.DRAIN_AGAIN) and not leaves


def _passage(world: World, instance: MCSInstance, pod: Pod, template: Template, disruption: Disruption) -> Passage:
    """Of one disruption. A restart of whatever cause waits where the next pod could not run. For nothing else
    waits what somebody lets pass by hand; for nothing at all who forces a node's drain, and who goes back to the image
    before, which mends what is broken."""
    goes_back = bool(template.refused) and disruption.cause is Cause.MEDIA_IMAGE
    if goes_back or (disruption.cause is Cause.NODE_CORDONED and is_forced(instance, pod)):
        return Passage(open=True)
    needs_a_node = disruption.impact is Impact.RESTART and disruption.cause is not Cause.SUSPENDED
    if needs_a_node and (stuck := stays(world, instance, pod)):
        return Passage(open=False, why=stuck.message, never=True)
    if is_allowed(instance, world.now):
        return Passage(open=True, planned=world.now)
    spec = instance.spec
    return passage(spec.disruptions, disruption.since, world.now, world.idle_since, spec.drain_seconds)


def _due(instance: MCSInstance, now: datetime, gates: Iterable[Passage]) -> datetime | None:
    """When something may begin that may not yet."""
    to_come = moment(instance.annotations.get(ANNOTATION_RESTART, "")), allowed_at(instance)
    times = [*(time for time in to_come if time is not None and time > now), *(gate.look_again for gate in gates)]
    return min((time for time in times if time is not None), default=None)


def _spares_nobody(one: Disruption, pod: Pod, report: LinkReport | None) -> bool:
    """Whether nobody is left whom the gate could spare: an image that was mended must not wait for Sunday. While
    tunnels are up, only the media is replaced for that: it may come back by itself in a second."""
    dead = (report is None or report.media is None) and media_is_dead(pod)
    nobody = not tunnels_up(report) if report else not pod.slots_run
    return dead and (one.impact is not Impact.RESTART or nobody)


def _goes_on(rollout: Rollout, pod: Pod, one: Disruption, gate: Passage) -> bool:
    """Whether a drain has begun for it: that goes on to its end, whatever the gate says by now. Only a pod that has no
    node to go to stays. A drain that an earlier operator began does not say for what."""
    drains_for = pod.annotations.get(ANNOTATION_DRAINING_FOR, "")
    return rollout.since is not None and drains_for in ("", one.cause) and not gate.never


def _drains_for_nothing(instance: MCSInstance, pod: Pod, report: LinkReport | None) -> bool:
    """Whether the appliance refuses calls, and nobody wants it to. By the kubelet's word as well: one that is ready
    takes calls, whatever it says. The container that was replaced a moment ago may still be the one that answers."""
    says = report is not None and report.media is not None and report.media.draining and not pod.media_ready
    is_new = pod.media_restarts > restarts_when_changed(pod)
    return says and is_new and instance.spec.service_state is ServiceState.IN_SERVICE


def _current(rollout: Rollout, may_begin: Sequence[bool], *, in_place: bool) -> Disruption | None:
    """The first that may begin, or has begun."""
    for one, may in zip(rollout.disruptions, may_begin, strict=True):
        if one.cause is Cause.SLOT_IMAGES:  # nothing drains for it: see _undisturbed
            continue
        if may and (in_place or one.impact is Impact.RESTART):
            return one
    return None


def _undisturbed(rollout: Rollout, *, stop: bool, resize: bool, update: Update | None) -> Rollout:
    """No call is to be ended now. What drains takes calls again (``stop``); what ends no call is done."""
    if stop:
        return replace(rollout, step=Step.STOP_DRAINING, since=None)
    if resize:
        return replace(rollout, step=Step.RESIZE)
    if update:
        return replace(rollout, step=Step.UPDATE, update=update)
    if rollout.disruptions:
        return rollout
    return replace(rollout, step=Step.WAIT_TO_BE_ASKED if rollout.parts else Step.NOTHING)


def _held(rollout: Rollout, held: Hold, now: datetime) -> Rollout:
    """What keeps agent or slots from their images is told, unless something graver waits, and looked at again."""
    if held.again is not None:
        again = now + timedelta(seconds=held.again)
        rollout = replace(rollout, due=min(again, rollout.due) if rollout.due else again)
    if not held.why or any(one.cause is not Cause.SLOT_IMAGES for one in rollout.disruptions):
        return rollout
    waits = rollout.step in (Step.NOTHING, Step.WAIT_TO_BE_ASKED, Step.WAIT_FOR_GATE)
    return replace(rollout, waits=held.why, step=Step.CANNOT_PULL if held.cannot_pull and waits else rollout.step)


def _carried_out(
    world: World, instance: MCSInstance, pod: Pod, template: Template, report: LinkReport | None, rollout: Rollout
) -> Rollout:
    """The next step of the current disruption: pull, drain, replace."""
    media, since = report.media if report else None, rollout.since
    assert rollout.current is not None  # noqa: S101 - it is why we are here
    replaced = Step.REPLACE if rollout.current.impact is Impact.RESTART else Step.SET_IMAGE
    if since is None and media is None and media_is_dead(pod):  # nobody talks who could be spared
        return replace(rollout, step=replaced)
    leaves = rollout.current.cause in _LEAVES  # no image helps it on this node
    # A pod that is replaced gets the image that runs, where the wanted one cannot be pulled.
    keeps = replaced is Step.REPLACE and template.annotations.get(ANNOTATION_MEDIA_IMAGE) != template.media_image
    pulled = None if leaves else _waits_for_image(world.pulls, pod, template)
    if pulled and not (keeps and pulled[0] is Step.CANNOT_PULL):
        step, waits = pulled
        return replace(rollout, step=step if since is None else Step.STOP_DRAINING, waits=waits)
    if since is None:
        return replace(rollout, step=Step.START_DRAINING, since=world.now)
    over = (world.now - since).total_seconds() >= instance.spec.drain_seconds
    if over or _nobody_talks(pod, report):
        return replace(rollout, step=replaced)
    forgotten = media is not None and not media.draining
    return replace(rollout, step=Step.DRAIN_AGAIN if forgotten else Step.KEEP_DRAINING)


def _waits_for_image(pulls: Iterable[Pull], pod: Pod, template: Template) -> tuple[Step, str] | None:
    """For what the media's next image waits; None where it is on the node, or none is needed. The kubelet stops the
    old container before it pulls for the new one: what cannot be pulled must not have stopped anything by then."""
    if not pod.node or not has_another_image(pod, template):
        return None
    found = [pull for pull in pulls if (pull.image, pull.node) == (template.media_image, pod.node)]
    if any(pull.done for pull in found):
        return None
    if problem := next((pull.problem for pull in found if pull.problem), ""):
        return Step.CANNOT_PULL, f"node {pod.node} cannot pull it: {problem}"
    return Step.WAIT_FOR_IMAGE, f"node {pod.node} pulls {template.media_image} first"


def _nobody_talks(pod: Pod, report: LinkReport | None) -> bool:
    """Whether a pod that drains may go. Its media is not ready then by its contract, which says nothing here, and an
    appliance that does not answer the agent is dead only if the kubelet says so too."""
    if report is None:
        return False
    if report.media is None:
        return media_is_dead(pod)
    return report.media.draining and report.media.connections == 0


def media_is_dead(pod: Pod) -> bool:
    """Whether the media has no process."""
    return not (pod.media_ready or pod.media_runs)
