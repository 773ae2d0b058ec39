"""What came of carrying out changes: what has to be tried again, and whether an object is there as it should be."""

from __future__ import annotations

import pytest

from mcs_operator.domain.outcome import Outcome


def test_an_outcome_of_which_nothing_was_said_is_settled() -> None:
    outcome = Outcome()
    assert (outcome.taken, outcome.foreign, outcome.waiting, outcome.errors, outcome.failures) == ({}, {}, [], {}, {})
    assert (outcome.writes, outcome.unwritten, outcome.checksums, outcome.raised) == (0, [], "", [])
    assert outcome.settled is True and outcome.is_written("StatefulSet mcs") is True


@pytest.mark.parametrize(
    "outcome",
    [Outcome(waiting=["Service mcs: goes"]), Outcome(errors={"a": "Forbidden"}), Outcome(failures={"x": "Conflict"})],
)
def test_what_waits_or_failed_has_to_be_tried_again(outcome: Outcome) -> None:
    assert outcome.settled is False
    assert len(outcome.open_ends) == 1


def test_all_that_has_to_be_tried_again_is_told() -> None:
    outcome = Outcome(waiting=["w"], errors={"a": "e"}, failures={"x": "f"}, taken={"b": "t"}, foreign={"y": "g"})
    assert outcome.open_ends == ["w", "e", "f"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(failures={"Secret mcs-ca": "Forbidden"}),
        Outcome(waiting=["Service mcs: goes", "Secret mcs-ca: goes first"]),
        Outcome(raised=[KeyError()]),
    ],
)
def test_what_failed_or_waits_is_not_written_and_after_a_defect_nothing_is(outcome: Outcome) -> None:
    assert outcome.is_written("Secret mcs-ca") is False
    assert outcome.is_written("Secret mcs-c") is (not outcome.raised), "another one, whose name begins alike"
