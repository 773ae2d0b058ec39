"""What the media is made from: what is declared, or what ran before where that has failed. Pure.

What was refused, and what ran well before, is noted at the StatefulSet, which outlives its pods. At rest nothing of it
changes.

    declared ──► in the pod ──► ready: it is the last good image
                      └──────► not ready for rollbackAfter: refused; the last good one again, until another is declared
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mcs_operator.api import MCSInstance
from mcs_operator.api.annotations import moment, noted_object
from mcs_operator.contract.digest import canonical
from mcs_operator.domain.facts.words import shortened
from mcs_operator.domain.facts.world import Pod, Resize, ResizeReason, Size, World
from mcs_operator.domain.pod import sizing
from mcs_operator.settings import (
    ANNOTATION_KEPT_IMAGE,
    ANNOTATION_LAST_GOOD_IMAGE,
    ANNOTATION_MEDIA_CHANGED,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_REFUSED_IMAGE,
    ANNOTATION_REFUSED_RESIZE,
    ANNOTATION_REFUSED_SIZE,
)
from mcs_operator.timestamps import rfc3339

_LONGEST_WORDS = 300
"""Characters of the failure's words that are noted."""
ASKED_AGAIN = timedelta(minutes=10)
"""After which a size that the cluster forbids is asked for once more: nobody says when a quota was raised."""


_NOT_IN_THE_NEXT_POD = (ResizeReason.INFEASIBLE, ResizeReason.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Refused:
    """An image that did not become ready, and why not, in the kubelet's words."""

    image: str
    why: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """Image and size of the next pod's media; ``wanted_image`` and ``wanted`` are what the one that runs is to have.
    ``refused``: the declared image, where the wanted one is another. ``notes`` are annotations of the StatefulSet;
    ``due``: when an image that is not ready yet has had its time."""

    image: str
    wanted_image: str
    size: Size
    wanted: Size
    refused: Refused | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    due: datetime | None = None


def fallback(world: World, instance: MCSInstance) -> Fallback:
    """Of the served instance."""
    pod = world.pod if world.pod and not world.pod.terminating else None
    last_good = _last_good(world, instance, pod)
    due = _due(world, instance, pod, last_good)
    refused = _refused_image(world, instance)
    if refused is None and pod and due is not None and due <= world.now:
        refused = Refused(instance.spec.image, shortened(pod.media_problem, _LONGEST_WORDS))
    if not last_good:
        refused = None  # there is nothing to go back to
    asked = sizing.size(instance)
    wanted = Size(asked.requests, asked.limits)
    runs = _size_that_runs(world, pod, wanted)
    wanted_image = last_good if refused else instance.spec.image
    # The last good one ran on this node.
    image = wanted_image if refused else _next_image(world, wanted_image)
    kept = canonical({"image": image, "until": wanted_image}) if image != wanted_image else ""
    notes = {
        ANNOTATION_KEPT_IMAGE: kept,
        ANNOTATION_LAST_GOOD_IMAGE: last_good,
        ANNOTATION_REFUSED_IMAGE: canonical({"image": refused.image, "why": refused.why}) if refused else "",
        ANNOTATION_REFUSED_SIZE: canonical({"wanted": _json(wanted), "runs": _json(runs)}) if runs else "",
    }
    return Fallback(
        image=image,
        wanted_image=wanted_image,
        size=runs or wanted,
        wanted=wanted,
        refused=refused,
        notes={key: text for key, text in notes.items() if text},
        due=due if refused is None else None,
    )


def _next_image(world: World, wanted: str) -> str:
    """What the next pod's media is made from: what runs, until the wanted image is on the node. A name with a typing
    error would else be in the template when the pod has to leave its node, and nobody would be served any more."""
    pod = world.pod
    if pod is None or pod.terminating or not (pod.media_ready or pod.media_runs):
        noted = noted_object(world.noted.get(ANNOTATION_KEPT_IMAGE, ""))
        kept = str(noted.get("image", "")) if noted.get("until") == wanted else ""
        return kept if kept and (pod is None or pod.terminating) else wanted
    # Of a pod of an earlier release it is not known from which name it was made.
    runs = pod.annotations.get(ANNOTATION_MEDIA_IMAGE, wanted)
    there = any(pull.done and (pull.image, pull.node) == (wanted, pod.node) for pull in world.pulls)
    return wanted if there else runs


def note_of_change(pod: Pod, now: datetime) -> str:
    """What is noted at the pod with another image. The container that ran until then is ready for a moment yet, and
    says nothing about the next one: that has been restarted more often. One that does not run is not taken for it."""
    return canonical({"at": rfc3339(now), "restarts": pod.media_restarts if pod.media_runs else -1})


def restarts_when_changed(pod: Pod) -> int:
    """How often the media had been restarted when it got its image in this pod; -1: it was made with it."""
    return _changed(pod)[1]


def noted_size(size: Size, said: Resize | None, now: datetime) -> str:
    """As it is noted at the pod. ``said``: why the API server does not write it; None where this pod cannot be given
    another one while it runs."""
    words = shortened(said.said, _LONGEST_WORDS) if said else ""
    match said.reason if said else None:
        case None:
            return canonical(_json(size))
        case ResizeReason.FORBIDDEN:
            return canonical(_json(size) | {"forbidden": words, "at": rfc3339(now)})
        case _:
            return canonical(_json(size) | {"never": words})


def refused_resize(pod: Pod) -> Size | None:
    """The size that this pod could not be given while it runs."""
    size, said = _refused_resize(pod)
    return None if said else size


def asked_again(pod: Pod, now: datetime) -> datetime | None:
    """When the size that the cluster forbids this pod is to be asked for once more; it may be now, or long ago. None
    where none is."""
    noted = noted_object(pod.annotations.get(ANNOTATION_REFUSED_RESIZE, ""))
    _, said = _refused_resize(pod)
    if said is None or said.reason is not ResizeReason.FORBIDDEN:
        return None
    at = moment(str(noted.get("at", "")))
    return at + ASKED_AGAIN if at and at <= now else now  # somebody may have written the year 9999


def as_its_kubelet_would_say(pod: Pod) -> Pod:
    """The pod, with what the API server would not even write into it, as its kubelet would tell it.

    Up to Kubernetes 1.36 it is the kubelet that says of a size that its node will never have it. From 1.37 on the
    API server refuses the write, as it always did where a quota is against it. All that follows from it is the same.
    """
    size, said = _refused_resize(pod)
    if size is None or said is None:
        return pod
    return replace(pod, size=size, size_in_force=pod.size_in_force or pod.size, resize=said)


def _refused_resize(pod: Pod) -> tuple[Size | None, Resize | None]:
    noted = noted_object(pod.annotations.get(ANNOTATION_REFUSED_RESIZE, ""))
    for key, reason in (("never", ResizeReason.INFEASIBLE), ("forbidden", ResizeReason.FORBIDDEN)):
        if said := noted.get(key):
            return _size(noted), Resize(reason, shortened(str(said), _LONGEST_WORDS))
    return _size(noted), None


def _changed(pod: Pod) -> tuple[datetime | None, int]:
    """When the media got its image in this pod, and how often it had been restarted by then; None, -1: it did not."""
    said = noted_object(pod.annotations.get(ANNOTATION_MEDIA_CHANGED, ""))
    at, restarts = moment(str(said.get("at", ""))), said.get("restarts")
    return (at, restarts) if at and isinstance(restarts, int) else (None, -1)


def _is_ready(pod: Pod) -> bool:
    """Whether it is the present image that is ready."""
    return pod.media_ready and pod.media_restarts > _changed(pod)[1]


def _last_good(world: World, instance: MCSInstance, pod: Pod | None) -> str:
    """The image that ran well last; not noted before there is another one that may not."""
    noted = world.noted.get(ANNOTATION_LAST_GOOD_IMAGE, "")
    if pod is None:
        return noted
    runs = _image_of(pod)
    # One that is out of service is unready by its contract. What it says is believed of the image before: the answer
    # that is at hand right after a change may be the old one's.
    drains = world.report is not None and world.report.media is not None and world.report.media.draining
    serves = _is_ready(pod) or (drains and pod.media_runs and runs != instance.spec.image)
    if not serves:
        return noted
    return runs if noted or runs != instance.spec.image else ""


def _due(world: World, instance: MCSInstance, pod: Pod | None, last_good: str) -> datetime | None:
    """Until when the declared image has to be ready; None where it is, or need not be. Not of an appliance that says
    that it drains, as one that is out of service does for weeks: it is well, and unready by its contract."""
    if world.report and world.report.media and world.report.media.draining:
        return None
    if pod is None or _is_ready(pod) or not last_good or not _image_of(pod) == instance.spec.image != last_good:
        return None
    changed = _changed(pod)[0] if ANNOTATION_MEDIA_CHANGED in pod.annotations else _begun_with_it(pod)
    try:
        return changed + timedelta(seconds=instance.spec.disruptions.rollback_after_seconds) if changed else None
    except OverflowError:  # somebody wrote the year 9999
        return None


def _begun_with_it(pod: Pod) -> datetime | None:
    """Since when a pod that was made with its image is there; None as long as the media has not started in it: its node
    may be pulling it, or have no room."""
    return pod.created if pod.media_runs or pod.media_restarts else None


def _image_of(pod: Pod) -> str:
    return pod.annotations.get(ANNOTATION_MEDIA_IMAGE) or pod.image


def _refused_image(world: World, instance: MCSInstance) -> Refused | None:
    """As noted, unless another image is declared since."""
    said = noted_object(world.noted.get(ANNOTATION_REFUSED_IMAGE, ""))
    if said.get("image") != instance.spec.image:
        return None
    return Refused(instance.spec.image, shortened(str(said.get("why", "")), _LONGEST_WORDS))


def _size_that_runs(world: World, pod: Pod | None, wanted: Size) -> Size | None:
    """The size that the next pod is to keep, because its node will never have room for the wanted one, or the cluster
    forbids it: there would be none. None where the wanted size is in force, or was not refused."""
    if pod and pod.size_in_force and pod.size_in_force.is_same(wanted):
        return None
    if pod and pod.size and pod.size.is_same(wanted) and pod.resize and pod.resize.reason in _NOT_IN_THE_NEXT_POD:
        return pod.size_in_force
    said = noted_object(world.noted.get(ANNOTATION_REFUSED_SIZE, ""))
    refused, runs = _size(said.get("wanted")), _size(said.get("runs"))
    return runs if refused and refused.is_same(wanted) else None


def _json(size: Size) -> dict[str, dict[str, str]]:
    return {"requests": dict(size.requests), "limits": dict(size.limits)}


def _size(said: Any) -> Size | None:
    """What somebody has edited to something else is not there."""
    try:
        size = Size(*({name: str(said[side][name]) for name in ("cpu", "memory")} for side in ("requests", "limits")))
        return size if size.is_same(size) else None
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
