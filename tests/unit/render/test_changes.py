"""What is to be done, as data: from a world to the changes, without any cluster."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.domain.changes import Changes
from mcs_operator.domain.decide import decide
from mcs_operator.render import changes as module
from mcs_operator.render.changes import changes
from mcs_operator.render.render import Desired, render
from mcs_operator.settings import Settings
from support.worlds import NOW, community, given, identity, instance, keys_for, link, profile, slot


def changed(*things: Any, **desired: Any) -> Changes:
    world = given(instance(), community(), *things)
    plan = decide(world)
    return changes(world, plan, Desired(**desired) if desired else render(world, plan, keys_for(plan), Settings()))


def test_a_served_link_is_written_and_nothing_is_taken_away() -> None:
    found = changed(link("acme"), identity("acme", 2))
    assert {"acme-profile", "mcs-link-002"} <= {manifest.name for manifest in found.manifests}
    assert (found.removals, found.marks, found.prune) == ((), (), True)


def test_the_identity_of_a_deleted_link_is_marked_and_its_slot_goes() -> None:
    found = changed(profile("acme", 2), slot(2, "acme"))
    assert [(mark.secret, mark.entry) for mark in found.marks] == [("acme-profile", "identity.json")]
    assert [removal.secret for removal in found.displaced] == ["mcs-link-002"]
    assert "acme-profile" in found.unmanaged


def test_an_identity_goes_when_its_retention_is_over() -> None:
    found = changed(profile("acme", 2, released=NOW - timedelta(days=365)))
    assert [forgotten.removal.secret for forgotten in found.forgotten] == ["acme-profile"]
    assert found.marks == () and found.forgotten[0].note is None


def test_with_a_defect_nothing_is_pruned() -> None:
    assert not changed(defects=("the quota: KeyError",)).prune


@pytest.mark.parametrize("part", ["identity_owners", "identity_json"])
def test_a_part_that_cannot_be_worked_out_keeps_no_other_from_being_done(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    error = KeyError("x")

    def breaks(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(module, part, breaks)
    found = changed(link("bolt"), identity("bolt", 3), profile("acme", 2), slot(2, "acme"))
    assert found.errors == (error,) and not found.prune
    assert found.manifests and found.displaced
