"""The pod of an instance that is out of service drains, whatever else becomes of it."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.contract.linkstate import LinkReport, MediaState
from mcs_operator.domain.changes import PodStep, Replace, StartDraining, StopDraining
from mcs_operator.domain.status.events import Note
from mcs_operator.render.outofservice import kept_out_of_service
from support.worlds import NOW, instance, pod, report

REPLACE = Replace("uid", "mcs", Note(True, "Restarting", "Replace", "why"))
TAKES, DRAINS = (report(media=MediaState(draining=draining)) for draining in (False, True))


def kept(step: PodStep | None, said: LinkReport | None, state: str = "OutOfService", **of_pod: Any) -> PodStep | None:
    return kept_out_of_service(step, instance(serviceState=state), pod(**of_pod), said)


def test_an_appliance_that_takes_new_connections_is_told_to_drain() -> None:
    assert kept(None, TAKES) == StartDraining()


@pytest.mark.parametrize("said", [DRAINS, report(media=None), None])
def test_one_that_drains_or_does_not_answer_is_told_nothing(said: LinkReport | None) -> None:
    assert kept(None, said) is None


@pytest.mark.parametrize("said", [TAKES, DRAINS, None])
@pytest.mark.parametrize("step", [StartDraining(NOW), StartDraining(), REPLACE])
def test_a_restart_goes_its_way(step: PodStep, said: LinkReport | None) -> None:
    assert kept(step, said) == step


def test_of_a_restart_that_is_called_off_only_the_note_is_taken_away() -> None:
    assert kept(StopDraining(noted=True), DRAINS) == StopDraining(noted=True, out_of_service=True)
    assert kept(StopDraining(noted=False), DRAINS) is None


def test_a_pod_that_goes_is_told_nothing() -> None:
    assert kept(None, TAKES, terminating=True) is None


@pytest.mark.parametrize("step", [None, StartDraining(NOW), StopDraining(noted=True), StopDraining(noted=False)])
def test_an_instance_in_service_is_not_touched(step: PodStep | None) -> None:
    assert kept(step, TAKES, "InService") is step
