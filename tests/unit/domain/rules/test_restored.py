"""Whose slot remembers a restored profile's marks: its own, also at another number, and nobody else's."""

from __future__ import annotations

from dataclasses import replace

from mcs_operator.domain.facts.world import SlotSecret
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
