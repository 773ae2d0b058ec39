"""The media pod, as the kubelet and the scheduler tell of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from mcs_operator.api import NetworkMode
from mcs_operator.api.annotations import moment as moment_or_none
from mcs_operator.api.instance import Network
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.domain.facts.words import shortened
from mcs_operator.domain.facts.world import Damaged, Pod, Pull, Resize, ResizeReason, Size
from mcs_operator.kube.parse.bounds import UnreadableError, mapping, mappings, moment, text, texts
from mcs_operator.kube.parse.metadata import LONGEST_NOTE, kept_annotations
from mcs_operator.kube.parse.names import is_pull
from mcs_operator.kube.resources import Object
from mcs_operator.settings import AGENT_CONTAINER, MAX_LINKS, MEDIA_CONTAINER

_LONGEST_SAYING = 512
_LONGEST_IMAGE = 512
_MOST_IMAGES = MAX_LINKS + 2
"""Of the slots, of media and agent."""
_SLOT = re.compile(r"link-(\d{3})")
_SIZED = ("cpu", "memory")
_RESIZES = {
    "PodResizePending": (ResizeReason.DEFERRED, ResizeReason.INFEASIBLE),
    "PodResizeInProgress": (ResizeReason.ERROR,),
}
"""Conditions that say that a size is not in force, and for which reasons; without one it is just about to be."""
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
"""What the kubelet says by turns while it tries, with a text that changes."""
_HAS_IMAGE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_BACK_OFF = re.compile(r'^(Back-off pulling image "[^"]*"(: )?)?(ErrImagePull: )?')
"""What the kubelet says before its reason, at every other try."""


def read_pod(body: Object) -> Pod | Pull | Damaged:
    """The pod, or that it has no creation time: all else that is missing is not there yet."""
    if is_pull(text(mapping(body.get("metadata")).get("name"))):  # a label is what anybody can put on a pod
        return read_pull(body)
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    containers = {text(c.get("name")): c for c in mappings(spec.get("containers"))}
    told = {text(s.get("name")): s for s in reversed(mappings(status.get("containerStatuses")))}
    media, slots = told.get(MEDIA_CONTAINER, {}), {name: s for name, s in told.items() if _SLOT.fullmatch(name)}
    terminating = bool(metadata.get("deletionTimestamp"))
    try:
        created = moment(metadata.get("creationTimestamp"))
    except UnreadableError as error:
        return Damaged("Pod", text(metadata.get("name")), str(error))
    return Pod(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        ip=text(status.get("podIP")),
        node=text(spec.get("nodeName")),
        image=_image(containers.get(MEDIA_CONTAINER, {})),
        media_ready=media.get("ready") is True and not terminating,
        media_problem=shortened(_media_problem(terminating, status, media), _LONGEST_SAYING),
        terminating=terminating,
        created=created,
        media_runs=_runs(media),
        media_restarts=_restarts(media),
        agent_ready=told.get(AGENT_CONTAINER, {}).get("ready") is True and not terminating,
        slots_lack=_lacking(slots, containers)[:_LONGEST_SAYING],
        slots_run=any(map(_runs, slots.values())),
        slots_down=frozenset(_down(containers, slots)),
        restarts=sum(_restarts(one) for name, one in told.items() if name == AGENT_CONTAINER or name in slots),
        images=_images(containers),
        size=_size(containers.get(MEDIA_CONTAINER, {})),
        size_in_force=_size(media),
        resize=_resize(status),
        network=_network(spec, containers.get(MEDIA_CONTAINER, {})),
        annotations=kept_annotations(texts(metadata.get("annotations")), LONGEST_NOTE),
    )


@lru_cache(64)
def _shared(images: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One table for all pods that have the same: each has 250 lines."""
    return MappingProxyType(dict(images))


def _images(containers: Mapping[str, Object]) -> Mapping[str, str]:
    ours = (name for name in containers if name in (MEDIA_CONTAINER, AGENT_CONTAINER) or _SLOT.fullmatch(name))
    kept = islice(ours, _MOST_IMAGES)
    return _shared(tuple((sys.intern(name), sys.intern(_image(containers[name]))) for name in kept))


def _image(container: Object) -> str:
    return text(container.get("image"), _LONGEST_IMAGE)


def _size(container: Object) -> Size | None:
    """None where it is not told, or is no amount."""
    sides = (texts(mapping(container.get("resources")).get(side)) for side in ("requests", "limits"))
    requests, limits = ({name: text for name, text in side.items() if name in _SIZED} for side in sides)
    try:
        for amount in (*requests.values(), *limits.values()):
            parse_quantity(amount)
    except (ValueError, ArithmeticError):
        return None
    return Size(requests, limits) if requests or limits else None


def _network(spec: Object, media: Object) -> Network | None:
    """By its ports: those of a pod behind a load balancer are none of the node."""
    port = next((port for port in mappings(media.get("ports")) if port.get("name") == "media"), None)
    number = port and port.get("containerPort")
    if port is None or not isinstance(number, int) or not 10_000 <= number <= 20_000:
        return None
    if spec.get("hostNetwork") is True:
        mode = NetworkMode.HOST_NETWORK
    else:
        mode = NetworkMode.HOST_PORT if port.get("hostPort") else NetworkMode.LOAD_BALANCER
    return _networks(mode, number)


@lru_cache(64)
def _networks(mode: NetworkMode, media_port: int) -> Network:
    """One for all pods that have the same."""
    return Network(mode=mode, media_port=media_port)


def _resize(status: Object) -> Resize | None:
    for condition in mappings(status.get("conditions")):
        if condition.get("status") == "True":
            reason = text(condition.get("reason"))
            if reason in _RESIZES.get(text(condition.get("type")), ()):
                return Resize(ResizeReason(reason), text(condition.get("message"))[:_LONGEST_SAYING])
    return None


def read_pull(body: Object) -> Pull:
    """A pod that only pulls an image. Whatever becomes of its container proves that the image is there, but what says
    that it is not: that it cannot run there is no matter. Nothing is believed of a pod with a second container, or with
    another image since it was made."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    containers = mappings(spec.get("containers"))
    container = containers[0] if containers else {}
    is_as_made = len(containers) == 1 and metadata.get("generation") in (None, 0, 1)
    statuses = mappings(status.get("containerStatuses")) if is_as_made else []
    told = next((one for one in statuses if one.get("name") == container.get("name")), {})
    waiting = mapping(mapping(told.get("state")).get("waiting"))
    reason = text(waiting.get("reason"))
    done = bool(told.get("imageID")) or reason in _HAS_IMAGE
    failed = text(status.get("phase")) == "Failed" and not done
    problem = f"{text(status.get('reason'))}: {text(status.get('message'))}" if failed else ""
    if not is_as_made and not metadata.get("deletionTimestamp"):
        problem = f"pod {text(metadata.get('name'))} was changed by somebody"
    useless = failed or not is_as_made
    if reason in _NO_IMAGE:
        problem = _BACK_OFF.sub("", text(waiting.get("message"))) or reason
    return Pull(
        name=text(metadata.get("name")),
        image=_image(container),
        node=text(spec.get("nodeName")),
        done=done,
        problem=shortened(problem, _LONGEST_SAYING),
        useless_since=moment_or_none(text(metadata.get("creationTimestamp"))) if useless else None,
    )


def _runs(container: Object) -> bool:
    return "running" in mapping(container.get("state"))


def _down(containers: Iterable[str], slots: Mapping[str, Object]) -> Iterator[int]:
    """Numbers of the slots that have no process."""
    for name in containers:
        if (slot := _SLOT.fullmatch(name)) and not _runs(slots.get(name, {})):
            yield int(slot[1])


def _restarts(container: Object) -> int:
    count = container.get("restartCount")
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31 else 0


def _lacking(slots: Mapping[str, Object], containers: Mapping[str, Object]) -> str:
    """The image that keeps a slot from running."""
    for name, slot in slots.items():
        if mapping(mapping(slot.get("state")).get("waiting")).get("reason") in _NO_IMAGE:
            return text(containers.get(name, {}).get("image")) or "their image"
    return ""


def _media_problem(terminating: bool, status: Object, media: Object) -> str:
    """Why the media container is not ready, in the kubelet's or the scheduler's words."""
    if terminating:
        return "the pod is being stopped"
    if media.get("ready") is True:
        return ""
    for condition in mappings(status.get("conditions")):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{text(condition.get('reason')) or 'Unschedulable'}: {text(condition.get('message'))}"
    for init in mappings(status.get("initContainerStatuses")):
        said = "" if init.get("ready") else _kept_by(init)
        if said and said != "PodInitializing":  # which says of any container that another one comes first
            return f"init container {text(init.get('name'))}: {said}"
    if said := _kept_by(media):
        return said
    if media.get("state"):
        return "the container runs, its readiness probe has not succeeded yet"
    return "the pod is starting"


def _kept_by(container: Object) -> str:
    """Why a container does not run, in the kubelet's words; empty where it does, or where nothing is said."""
    state = mapping(container.get("state"))
    phase = next((phase for phase in ("waiting", "terminated") if phase in state), "")
    said = mapping(state.get(phase))
    reason, message = text(said.get("reason")) or phase, text(said.get("message"))
    if reason == "ErrImagePull":  # the same at each try, and between two: or the status would be written each time
        reason = "ImagePullBackOff"
    return f"{reason}: {_BACK_OFF.sub('', message) or message}".rstrip(": ")
