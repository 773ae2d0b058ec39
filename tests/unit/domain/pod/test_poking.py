"""The kubelet is woken once for each change, then again with back-off, and never without need."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mcs_operator.domain.pod.poking import Poker
from support.worlds import NOW


class Pod:
    """A pod with the annotation of the last poke, and a kubelet that may be deaf."""

    def __init__(self, annotation: str = "") -> None:
        self.poker, self.annotation, self.now, self.pokes = Poker(), annotation, NOW, list[tuple[datetime, str]]()

    def look(self, behind: bool, target: str) -> float | None:
        value, again = self.poker.next(behind, target, self.annotation, self.now)
        if value:
            assert value != self.annotation, "the same annotation again wakes nobody"
            self.annotation = value
            self.pokes.append((self.now, value))
        return again

    def after(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def test_a_pod_that_has_taken_everything_is_left_alone() -> None:
    pod = Pod()
    assert pod.look(False, "x") is None
    assert pod.pokes == []


def test_a_change_is_poked_for_at_once() -> None:
    pod = Pod()
    assert pod.look(True, "x") == 2.0
    assert [value for _, value in pod.pokes] == ["x"]


def test_the_first_pause_is_the_shortest_whatever_is_mounted() -> None:
    assert Pod().look(True, "") == 2.0


def test_many_looks_at_the_same_change_poke_once() -> None:
    pod = Pod()
    for _ in range(250):
        pod.look(True, "x")
    assert len(pod.pokes) == 1


def test_the_next_look_is_asked_for_when_it_is_due() -> None:
    pod = Pod()
    pod.look(True, "x")
    pod.after(0.5)
    assert pod.look(True, "x") == pytest.approx(1.5)


def test_a_kubelet_that_does_not_hear_is_poked_with_growing_pauses() -> None:
    pod = Pod()
    pauses = []
    for _ in range(8):
        again = pod.look(True, "x")
        assert again is not None
        pauses.append(again)
        pod.after(again)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert len({value for _, value in pod.pokes}) == 8


def test_another_change_is_poked_for_at_once_also_during_a_pause() -> None:
    pod = Pod()
    for _ in range(5):
        pod.after(pod.look(True, "x") or 0)
    pod.look(True, "y")
    assert pod.pokes[-1] == (pod.now, "y")


def test_when_it_has_arrived_the_back_off_begins_anew() -> None:
    pod = Pod()
    for _ in range(5):
        pod.after(pod.look(True, "x") or 0)
    pod.look(False, "x")
    assert pod.look(True, "y") == 2.0


def test_a_pod_that_lost_again_what_it_had_taken_is_poked_as_for_the_first_time() -> None:
    pod = Pod()
    pod.look(False, "x")
    assert pod.look(True, "x") == 2.0
    assert pod.annotation == "x"


def test_a_change_back_and_forth_is_poked_for_each_time() -> None:
    pod = Pod()
    for target in ("x", "y", "x", "y"):
        pod.look(True, target)
        pod.after(0.1)
    assert len(pod.pokes) == 4


def test_an_operator_that_has_just_started_pokes_for_what_the_pod_was_poked_for_before() -> None:
    """The annotation says that it was asked; that it is behind says that nobody heard."""
    pod = Pod(annotation="x")
    pod.look(True, "x")
    assert len(pod.pokes) == 1


def test_a_kubelet_that_hears_nothing_for_days_is_poked_once_a_minute_for_as_long() -> None:
    """2 to the power of 1,024 is no number any more, and ended the namespace's reconciliation for good."""
    pod = Pod()
    for _ in range(3000):
        pod.after(pod.look(True, "x") or 0)
    assert pod.look(True, "x") == 60
    assert pod.now - NOW > timedelta(days=2)
