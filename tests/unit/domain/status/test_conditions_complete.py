"""The table of conditions is closed from both sides: every row of it is brought about by a world that exists.

A reason that nothing produces would be documented, waited for and never seen.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mcs_operator.api.conditions import TABLE
from support.stories import STORIES, Told, said
from support.worlds import NOW, community, instance, link, profile

Row = tuple[str, str, str, str]


def rows(told: Iterable[Told]) -> set[Row]:
    """Every condition that any of these objects gets."""
    return {(kind.value, c["type"], c["status"], c["reason"]) for kind, status in told for c in status["conditions"]}


@pytest.fixture(scope="module")
def produced() -> set[Row]:
    return {row for story in STORIES for row in rows(story())}


def test_every_row_of_the_table_is_produced_by_a_world(produced: set[Row]) -> None:
    table = [(row.kind.value, row.type.value, row.status.value, row.reason.value) for row in TABLE]
    missing = [" ".join(row) for row in table if row not in produced]
    assert not missing, "nothing brings these about:\n  " + "\n  ".join(missing)


def test_nothing_but_the_table_is_produced(produced: set[Row]) -> None:
    table = {(row.kind.value, row.type.value, row.status.value, row.reason.value) for row in TABLE}
    assert produced <= table


def test_no_row_is_there_twice() -> None:
    table = [(row.kind, row.type, row.status, row.reason) for row in TABLE]
    assert len(table) == len(set(table))


def test_a_profile_kept_for_another_link_takes_an_address() -> None:
    kept = profile("gone", 17, released=NOW)
    told = said(instance(), community(), link("a", vpnAddress="198.18.254.17"), kept)
    assert ("TVoxLink", "Accepted", "False", "AddressTaken") in rows(told)
