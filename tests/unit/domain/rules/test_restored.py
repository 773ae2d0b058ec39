"""Whose slot remembers a restored profile's marks: its own, also at another number, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mcs_operator.domain.facts.world import Fingerprint, SlotSecret
from mcs_operator.domain.rules.restored import with_newest_identities
from support.worlds import NOW, fingerprint, given, profile, slot

SEEN = (replace(fingerprint("a"), seen=NOW),)


def remembered(*slots: SlotSecret) -> bool:
    world = with_newest_identities(given(profile("a", 17), *slots))
    return world.profiles["a"].fingerprints[0].seen == NOW


def test_a_links_slot_is_at_its_number_or_else_anywhere_in_its_instance() -> None:
    assert remembered(slot(17, "a", fingerprints=SEEN))
    assert remembered(slot(18, "a", fingerprints=SEEN))
    assert remembered(slot(17, "b"), slot(18, "a", fingerprints=SEEN))


def test_a_slot_of_another_instance_or_link_remembers_nothing_of_it() -> None:
    assert not remembered(slot(18, "a", owner="former", fingerprints=SEEN))
    assert not remembered(slot(17, "b", fingerprints=SEEN))
    assert not remembered()


FIRST, DAY = fingerprint("first"), timedelta(days=1)
ROTATED = fingerprint("rotated", created=NOW, deadline=NOW + 30 * DAY)


def kept(profiles: tuple[Fingerprint, ...], slots: tuple[Fingerprint, ...]) -> bool:
    """Whether a profile with these certificates stands beside a slot with those."""
    known = replace(profile("a", 17), fingerprints=profiles)
    return "a" in with_newest_identities(given(known, slot(17, "a", fingerprints=slots))).profiles


def test_a_profile_from_before_the_last_rotation_is_a_lost_one() -> None:
    assert not kept((FIRST,), (FIRST, ROTATED))
    assert not kept((replace(FIRST, created=None),), (ROTATED,)), "nor does one of unknown age stand"


def test_a_profile_as_new_as_its_slot_or_newer_stands() -> None:
    assert kept((FIRST, ROTATED), (FIRST, ROTATED))
    assert kept((FIRST, ROTATED), (FIRST,))
    later = replace(ROTATED, created=NOW + DAY)
    assert kept((FIRST, later), (FIRST, ROTATED))
    assert kept((ROTATED,), (replace(ROTATED, created=None),))


def test_a_links_first_certificate_is_no_rotation() -> None:
    """Where everything was lost, it is only what was made until the backup came."""
    assert kept((FIRST,), (replace(FIRST, sha256="other", created=NOW),))


def test_every_mark_is_remembered_that_either_of_the_two_has() -> None:
    def marked(mine: Fingerprint, its: Fingerprint) -> Fingerprint:
        known = replace(profile("a", 17), fingerprints=(mine,))
        world = with_newest_identities(given(known, slot(17, "a", fingerprints=(its, fingerprint("other")))))
        (found,) = world.profiles["a"].fingerprints
        return found

    one, two = {"seen": NOW}, {"revoked": NOW}
    assert marked(replace(FIRST, **one), replace(FIRST, **two)) == replace(FIRST, **one, **two)
    assert marked(replace(FIRST, **two), replace(FIRST, **one)) == replace(FIRST, **one, **two)
    earlier = replace(FIRST, seen=NOW - DAY, revoked=NOW - DAY)
    assert marked(earlier, replace(FIRST, seen=NOW, revoked=NOW)) == earlier
