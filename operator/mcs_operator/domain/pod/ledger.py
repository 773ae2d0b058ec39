"""The ledger: the last interruptions that the operator made, noted at the StatefulSet, which outlives its pods. Pure.

Each has an annotation of its own, `mcs.tvox.io/interruption-0` to `-9`; the oldest one gives up its place. It is
written when the interruption begins and when it is over, and never in between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mcs_operator.api.annotations import moment
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.facts.world import Pod
from mcs_operator.domain.pod.disruptions import Cause, tunnels_up
from mcs_operator.settings import ANNOTATION_INTERRUPTION
from mcs_operator.timestamps import rfc3339

PLACES = 10
_LONGEST_IMAGE = 200
"""Characters; an annotation is dropped by the cache beyond a thousand."""
_LONGEST_CAUSE = 63


@dataclass(frozen=True, slots=True)
class Interruption:
    """``number`` counts up from the first; its last digit is the place. ``begun``: since when nobody new was served;
    ``over``: when the media was ready again, None until then.

    ``connections`` are those that were cut, ``links`` the tunnels that went down with the pod. ``pod`` and ``restarts``
    of its media tell what came before from what came after. ``before`` and ``after`` are images, where they differ.
    """

    number: int
    cause: str
    begun: datetime
    over: datetime | None = None
    connections: int = 0
    links: int = 0
    before: str = ""
    after: str = ""
    pod: str = ""
    restarts: int = 0

    @property
    def annotation(self) -> tuple[str, str]:
        """Key and value at the StatefulSet."""
        texts = {"cause": self.cause, "pod": self.pod, "before": self.before, "after": self.after}
        numbers = {
            "number": self.number,
            "connections": self.connections,
            "links": self.links,
            "restarts": self.restarts,
        }
        times = {"begun": rfc3339(self.begun)} | ({"over": rfc3339(self.over)} if self.over else {})
        said = {name: value for name, value in {**texts, **numbers}.items() if value}
        return f"{ANNOTATION_INTERRUPTION}{self.number % PLACES}", canonical(said | times)


def read_ledger(annotations: Mapping[str, str]) -> tuple[Interruption, ...]:
    """The newest first. What somebody has edited to something else is not there."""
    found = ((place, _read(annotations.get(f"{ANNOTATION_INTERRUPTION}{place}", ""))) for place in range(PLACES))
    known = [one for place, one in found if one is not None and one.number % PLACES == place]
    return tuple(sorted(known, key=lambda one: one.number, reverse=True))


def _read(text: str) -> Interruption | None:
    try:
        said = json.loads(text)
        begun, cause = moment(str(said["begun"])), str(said["cause"])
        if begun is None or not cause.isalpha() or len(cause) > _LONGEST_CAUSE:
            return None
        return Interruption(
            number=_count(said, "number"),
            cause=cause,
            begun=begun,
            over=moment(str(said.get("over", ""))),
            connections=_count(said, "connections"),
            links=_count(said, "links"),
            before=_text(said, "before"),
            after=_text(said, "after"),
            pod=_text(said, "pod"),
            restarts=_count(said, "restarts"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _text(said: Mapping[str, object], name: str) -> str:
    return str(said.get(name, ""))[:_LONGEST_IMAGE]


def _count(said: Mapping[str, object], name: str) -> int:
    value = said.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError
    return value


def interrupted(
    known: Sequence[Interruption],
    pod: Pod,
    cause: str,
    begun: datetime,
    report: LinkReport | None,
    *,
    tunnels: bool,
    images: tuple[str, str],
) -> Interruption | None:
    """The entry of what ends calls now; None where it is noted, and only is tried again. ``tunnels``: they go down,
    too. ``images`` of the media, before and after."""
    newest = next((one for one in known if one.cause != Cause.SLOT_IMAGES), None)
    if newest and newest.over is None and (newest.pod, newest.restarts) == _what_serves(pod):
        return None
    before, after = images if images[0] != images[1] else ("", "")
    return Interruption(
        number=_next(known),
        cause=cause,
        begun=begun,
        connections=report.media.connections if report and report.media else 0,
        links=len(tunnels_up(report)) if tunnels else 0,
        before=before[:_LONGEST_IMAGE],
        after=after[:_LONGEST_IMAGE],
        pod=_what_serves(pod)[0],
        restarts=_what_serves(pod)[1],
    )


def sent_away(
    known: Sequence[Interruption], pod: Pod, now: datetime, links: int, images: tuple[str, str]
) -> Interruption | None:
    """The entry of an update of the slots, which costs so many customers a reconnect, one after the other; None where
    it is noted. ``images`` of the slots, before and after."""
    if any(one.cause == Cause.SLOT_IMAGES and one.over is None and one.pod == pod.uid for one in known):
        return None
    before, after = (image[:_LONGEST_IMAGE] for image in images)
    return Interruption(_next(known), Cause.SLOT_IMAGES, now, links=links, before=before, after=after, pod=pod.uid)


def _next(known: Sequence[Interruption]) -> int:
    return known[0].number + 1 if known else 1


def _what_serves(pod: Pod) -> tuple[str, int]:
    """What tells this media from the next one; of one that does not run nothing, as it is not restarted to be
    replaced."""
    return (pod.uid, pod.media_restarts) if pod.media_runs or pod.media_ready else ("", 0)


def over_now(
    known: Sequence[Interruption], pod: Pod, now: datetime, *, out_of_service: bool = False, sends_away: bool = False
) -> tuple[Interruption, ...]:
    """Those that end now, as the media serves again. One that was replaced before it ever did ends with the next.
    ``out_of_service``: the media does what is declared, and is unready by its contract. ``sends_away``: customers are
    left whose slots get another image."""
    serves, same = pod.media_ready or out_of_service, _what_serves(pod)

    def is_over(one: Interruption) -> bool:
        if one.cause == Cause.SLOT_IMAGES:
            return one.pod != pod.uid or not sends_away
        return serves and (one.pod, one.restarts) != same

    return tuple(replace(one, over=now) for one in known if one.over is None and is_over(one))
