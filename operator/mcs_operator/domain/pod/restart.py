"""When the media pod is replaced, and what has to happen before: the one decision that costs every customer a call.

The user asks for a restart by changing a field of impact Restart, or by the restart annotation. A template that
differs in anything else (a newer operator's images) waits until asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from mcs_operator.api import MCSInstance
from mcs_operator.api.annotations import moment
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.facts.world import Pod
from mcs_operator.settings import (
    ANNOTATION_DRAINING,
    ANNOTATION_PARTS,
    ANNOTATION_RESTART,
    ANNOTATION_RESTART_HASH,
)

LOOK_AGAIN = 1.0
"""Seconds between looks at a pod that drains."""


class Step(Enum):
    """What to do about the pod now."""

    NOTHING = auto()
    WAIT_TO_BE_ASKED = auto()
    START_DRAINING = auto()
    KEEP_DRAINING = auto()
    DRAIN_AGAIN = auto()
    STOP_DRAINING = auto()
    REPLACE = auto()


@dataclass(frozen=True, slots=True)
class Restart:
    """The decision. ``parts`` are those of the pod's template that differ; ``cause`` says who asked for what.

    ``since`` is when the drain began, ``due`` when a restart that was asked for in advance is to be looked at.
    """

    step: Step
    parts: tuple[str, ...] = ()
    cause: str = ""
    since: datetime | None = None
    due: datetime | None = None


def decide_restart(
    instance: MCSInstance, pod: Pod, template: Mapping[str, str], report: LinkReport | None, now: datetime
) -> Restart:
    """Compare the running pod with the annotations of the wanted template.

    ``report`` is what the agent says at present. That nobody talks is believed of an appliance that drains, and of a
    container that does not run, and of nobody else: an appliance that is unready, or does not answer for a moment, may
    carry two hundred calls, and a number of connections from before the drain may be hours old.
    """
    if pod.terminating:
        return Restart(Step.NOTHING)
    parts = differing_parts(pod.annotations.get(ANNOTATION_PARTS, ""), template[ANNOTATION_PARTS])
    asked = moment(instance.annotations.get(ANNOTATION_RESTART, ""))
    cause = _cause(instance, pod, template, parts, asked, now)
    since = moment(pod.annotations.get(ANNOTATION_DRAINING, ""))
    media = report.media if report else None
    if not cause:
        due = asked if asked is not None and asked > now else None
        if since is not None or (media is not None and media.draining):
            return Restart(Step.STOP_DRAINING, parts, due=due)
        return Restart(Step.WAIT_TO_BE_ASKED if parts else Step.NOTHING, parts, due=due)
    if since is None:
        if media is None and _media_is_dead(pod):  # nobody talks who could be spared
            return Restart(Step.REPLACE, parts, cause)
        return Restart(Step.START_DRAINING, parts, cause, now)
    over = (now - since).total_seconds() >= instance.spec.drain_seconds
    if over or _nobody_talks(pod, report):
        return Restart(Step.REPLACE, parts, cause, since)
    forgotten = media is not None and not media.draining
    return Restart(Step.DRAIN_AGAIN if forgotten else Step.KEEP_DRAINING, parts, cause, since)


def _nobody_talks(pod: Pod, report: LinkReport | None) -> bool:
    """Whether a pod that drains may go. Its media is not ready then by its contract, which says nothing here, and an
    appliance that does not answer the agent is dead only if the kubelet says so too."""
    if report is None:
        return False
    if report.media is None:
        return _media_is_dead(pod)
    return report.media.draining and report.media.connections == 0


def _media_is_dead(pod: Pod) -> bool:
    return not (pod.media_ready or pod.media_runs)


def differing_parts(running: str, wanted: str) -> tuple[str, ...]:
    """Names of the parts of the template that differ, from the two annotations with a hash for each part."""
    try:
        now, then = json.loads(wanted), json.loads(running or "{}")
        return tuple(sorted(name for name in {*now, *then} if now.get(name) != then.get(name)))
    except (ValueError, AttributeError, TypeError):  # somebody edited the annotation of the pod
        return ("template",)


def _cause(
    instance: MCSInstance,
    pod: Pod,
    template: Mapping[str, str],
    parts: tuple[str, ...],
    asked: datetime | None,
    now: datetime,
) -> str:
    if pod.annotations.get(ANNOTATION_RESTART_HASH) != template[ANNOTATION_RESTART_HASH]:
        return f"spec of MCSInstance {instance.name} changed in a field that restarts the pod ({', '.join(parts)})"
    # Not before its time: a wrong year would restart every pod that there ever is, one after the other.
    if asked is not None and pod.created < asked <= now:
        return f"annotation {ANNOTATION_RESTART} of MCSInstance {instance.name} asks for it"
    return ""
