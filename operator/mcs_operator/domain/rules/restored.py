"""What a backup did not know: identities that were restored from a time before the last rotation or revocation. Pure.

A link's certificates are on record twice: in its profile Secret, which is written first, and in its slot Secret. So a
slot that knows of a later rotation than the profile tells that the profile was put back. The TVox has the newer
certificate, and the older was retired, perhaps because somebody had seen it: neither may the one be locked out nor the
other let in. Not so a link's first certificate: where everything was lost, it is only what was made until the backup
came, and the TVox has that of the backup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mcs_operator.domain.facts.world import Fingerprint, Profile, SlotSecret, World

_NEVER = datetime.fromtimestamp(0, UTC)


def with_newest_identities(world: World) -> World:
    """The world without the profiles that their slots have outlived, which then are lost ones, and with every mark
    (seen, revoked, withdrawn) that a slot remembers and the restored profile does not."""
    profiles = {name: _remembered(profile, _slot_of(world, profile)) for name, profile in world.profiles.items()}
    return replace(world, profiles={name: profile for name, profile in profiles.items() if profile})


def _slot_of(world: World, profile: Profile) -> SlotSecret | None:
    """The slot of an identity: at its number, or else any of its link's (backups of two moments)."""
    at_its_number = world.slots.get((profile.instance, profile.number))
    if at_its_number is not None and at_its_number.link == profile.link:
        return at_its_number
    slots = (slot for slot in world.slots.values() if slot.instance == profile.instance)
    return next((slot for slot in slots if slot.link == profile.link), None)


def _remembered(profile: Profile, slot: SlotSecret | None) -> Profile | None:
    if slot is None:
        return profile
    rotations = [pin for pin in slot.fingerprints if pin.deadline]
    if _newest(rotations) > _newest(profile.fingerprints):
        return None
    marks = {pin.sha256: pin for pin in slot.fingerprints}
    return replace(profile, fingerprints=tuple(_marked(pin, marks.get(pin.sha256)) for pin in profile.fingerprints))


def _newest(pins: Sequence[Fingerprint]) -> datetime:
    return max((pin.created or _NEVER for pin in pins), default=_NEVER)


def _marked(pin: Fingerprint, known: Fingerprint | None) -> Fingerprint:
    if known is None:
        return pin
    return replace(
        pin,
        seen=pin.seen or known.seen,
        revoked=pin.revoked or known.revoked,
        withdrawn=pin.withdrawn or known.withdrawn,
    )
