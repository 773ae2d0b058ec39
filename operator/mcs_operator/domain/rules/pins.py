"""Which client certificates a link's server accepts: rotation with overlap, and revocation. Pure.

::

    one pin ──rotate──► old + new ──new one seen, or deadline──► new    (two restarts of that link's process, not more)
       │            ├──revoke──► new                            (the old one is refused at once)
       │            └──undo────► old                            (the new one, which nobody used, is void)
       └──revoke──► none: the process is stopped ──rotate──► new

A revoked certificate stays on the list, marked, for two reasons: the mark says that this request was carried out, and
a server's configuration must never be without a fingerprint (it would accept every certificate of its CA), not even
that of a process that is stopped. One that was withdrawn stays on it, too, so that the request that made it, which may
stand in Git for ever, makes no other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from mcs_operator.api.annotations import asked_at
from mcs_operator.domain.facts.world import Fingerprint
from mcs_operator.settings import ANNOTATION_REVOKE, ANNOTATION_ROTATE, ANNOTATION_UNDO_ROTATE

OVERLAP = timedelta(days=30)
"""How long a rotation waits for the TVox to show its new certificate: a visit to the customer fits into a month."""

_LONG_AGO = datetime.fromtimestamp(0, UTC)
"""Stands for the unknown creation of a certificate whose profile is lost: whoever asks for something asks later."""


@dataclass(frozen=True, slots=True)
class Pins:
    """The decision about one link. ``known``: its certificates, oldest first, with the marks that they have now.

    ``rotate``: a new one is to be made and added. ``due``: when time alone will change the decision.
    """

    known: tuple[Fingerprint, ...] = ()
    rotate: bool = False
    due: datetime | None = None


class Stage(Enum):
    """How far a link is with its certificates."""

    UP_TO_DATE = auto()
    OVERLAP = auto()
    """Two are accepted: the TVox has yet to show the newer one."""
    OLD_REFUSED = auto()
    """Only the newer one is accepted, and the TVox has yet to show it."""
    REVOKED = auto()
    """None is accepted, the process is stopped."""


def decide_pins(
    known: Sequence[Fingerprint],
    annotations: Mapping[str, str],
    shown: str | None,
    now: datetime,
    has_previous: bool = False,
) -> Pins:
    """What becomes of a link's certificates.

    ``annotations`` are the TVoxLink's. ``shown`` is the SHA-256 of the certificate that its TVox showed last, lower
    hex, as the link agent tells. ``has_previous``: whether the profile that the TVox has is still known.
    """
    rotate, revoke = asked_at(annotations, ANNOTATION_ROTATE), asked_at(annotations, ANNOTATION_REVOKE)
    undo = asked_at(annotations, ANNOTATION_UNDO_ROTATE)
    pins = _retired(_seen(known, shown, now), now)
    pins = _revoked(pins, revoke, now)
    pins = _withdrawn(pins, rotate, undo, now) if has_previous else pins
    newest = max((_created(pin) for pin in pins), default=_LONG_AGO)
    taken_back = rotate is not None and undo is not None and rotate <= undo <= now
    if rotate is not None and newest < rotate <= now and not taken_back:
        return Pins(pins, rotate=True)
    moments = [m for m in (rotate, revoke, undo) if m and m > now]
    if len(accepted(pins)) > 1 and (deadline := accepted(pins)[-1].deadline):
        moments.append(deadline)
    return Pins(pins, due=min(moments, default=None))


def rotated(known: Sequence[Fingerprint], new: Fingerprint) -> tuple[Fingerprint, ...]:
    """With a new one beside the one in use. Where a rotation is under way, its profile, which nobody used, is void."""
    in_use = accepted(known)[:1]
    return (*(pin for pin in known if pin.revoked or pin in in_use), new)


def accepted(known: Sequence[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Those that are neither revoked nor withdrawn, oldest first."""
    return tuple(pin for pin in known if pin.revoked is None and pin.withdrawn is None)


def stage(known: Sequence[Fingerprint]) -> Stage:
    """How far a link with these certificates is. One that was never rotated is not asked whether it was seen."""
    pins = accepted(known)
    if not pins:
        return Stage.REVOKED if known else Stage.UP_TO_DATE
    if pins[-1].deadline is None or pins[-1].seen is not None:
        return Stage.UP_TO_DATE
    return Stage.OVERLAP if len(pins) > 1 else Stage.OLD_REFUSED


def rotation_deadline(known: Sequence[Fingerprint]) -> datetime | None:
    """When the old certificate is refused although the new one was not seen; None where none is waited for."""
    return accepted(known)[-1].deadline if stage(known) is Stage.OVERLAP else None


def _created(pin: Fingerprint) -> datetime:
    return pin.created or _LONG_AGO


def _seen(known: Sequence[Fingerprint], shown: str | None, now: datetime) -> tuple[Fingerprint, ...]:
    """Noted only for what a rotation made, as nothing else depends on it: 250 new links cost no write for it."""
    return tuple(
        replace(pin, seen=now)
        if pin.deadline and pin.seen is None and pin.sha256.replace(":", "").lower() == shown
        else pin
        for pin in known
    )


def _retired(known: tuple[Fingerprint, ...], now: datetime) -> tuple[Fingerprint, ...]:
    """Without those that the newest one has taken the place of."""
    pins = accepted(known)
    if len(pins) < 2 or pins[-1].deadline is None:
        return known
    over = pins[-1].seen is not None or pins[-1].deadline <= now
    return tuple(pin for pin in known if pin.revoked or pin == pins[-1]) if over else known


def _revoked(known: tuple[Fingerprint, ...], asked: datetime | None, now: datetime) -> tuple[Fingerprint, ...]:
    """With the oldest one revoked, if that was asked for and is not done yet. Only the last revoked one is kept."""
    pins, withdrawn = accepted(known), [pin for pin in known if pin.withdrawn]
    done = any(pin.revoked and asked and pin.revoked >= asked for pin in known)
    if asked is None or done or not pins or not _created(pins[0]) <= asked <= now:
        return known
    return (replace(pins[0], revoked=asked), *pins[1:], *withdrawn)


def _withdrawn(
    known: tuple[Fingerprint, ...], rotate: datetime | None, asked: datetime | None, now: datetime
) -> tuple[Fingerprint, ...]:
    """With the newest one withdrawn, if that was asked for after the request that made it, and before it was seen.

    Not after it was made: it may have been asked for meanwhile, or by a clock that is behind.
    """
    pins = accepted(known)
    if asked is None or stage(known) is not Stage.OVERLAP:
        return known
    made = _created(pins[-1])
    since = rotate if rotate is not None and _created(pins[0]) < rotate <= made else made
    if not since <= asked <= now:
        return known
    return tuple(replace(pin, withdrawn=asked) if pin == pins[-1] else pin for pin in known)
