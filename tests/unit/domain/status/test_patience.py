"""A Secret that is missing may still come, from the same commit: for two minutes nobody is told to act.

Flux gives a whole commit up at the first Stalled, and waits for its next interval.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.domain.decide import decide
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.status.patience import PATIENCE, patience_ends
from support.worlds import NOW, community, conditions, given, identity, instance, link, message, pod, report, state

A_SECOND = timedelta(seconds=1)
LINK = (Kind.LINK, "a")
SUBJECTS = [
    pytest.param((Kind.INSTANCE, "mcs"), Reason.CERTIFICATE_NOT_FOUND, id="an instance's certificate"),
    pytest.param((Kind.INSTANCE, "mcs"), Reason.CA_NOT_FOUND, id="an instance's CA"),
    pytest.param((Kind.INSTANCE, "mcs"), Reason.PULL_SECRET_NOT_FOUND, id="what an instance's images are pulled with"),
    pytest.param(LINK, Reason.CERTIFICATE_NOT_FOUND, id="a link's certificate"),
    pytest.param((Kind.COMMUNITY, "acme"), Reason.USERS_NOT_FOUND, id="a community's users"),
    pytest.param((Kind.COMMUNITY, "acme"), Reason.CERTIFICATE_NOT_FOUND, id="a portal's certificate"),
]


class Place:
    """A namespace over time: what was told last is what stands in the objects."""

    def __init__(self, subject: tuple[Kind, str], reason: Reason | None) -> None:
        self.subject, self.reason, self.generation = subject, reason, 1
        self.told: dict[tuple[Kind, str], dict[str, Any]] = {}
        self.writes = 0
        self.agent_answers = True

    def at(self, seconds: float) -> dict[str, Any]:
        """What the subject is told so many seconds later."""
        verdict = Verdict(self.reason, "there is no Secret 'x'") if self.reason else None
        users = {"usersFrom": [{"secretRef": {"name": "x"}}]} if self.reason is Reason.USERS_NOT_FOUND else {}
        certificates = {self.subject: verdict} if verdict and self.reason is Reason.CERTIFICATE_NOT_FOUND else {}
        authority = verdict if self.reason is Reason.CA_NOT_FOUND else None
        absent = {"mcs": ("'x'",)} if self.reason is Reason.PULL_SECRET_NOT_FOUND else {}
        world = given(
            instance(generation=self.generation),
            community(generation=self.generation, portalDomain="meet.acme.test", **users),
            link("a", generation=self.generation),
            identity("a", 17),
            pod(),
            [report(state(17, "r17"))] if self.agent_answers else [],
            now=NOW + timedelta(seconds=seconds),
            conditions={key: status["conditions"] for key, status in self.told.items()},
            missing_pull_secrets=absent,
        )
        wanted = Wanted({17: "r17"}, certificates=certificates, authority=authority, fingerprints={"a": ()})
        statuses = all_statuses(world, decide(world), wanted)
        self.writes += sum(self.told.get(key) != status for key, status in statuses.items())
        self.told = statuses
        return statuses[self.subject]

    def due(self) -> float | None:
        """Seconds from the beginning until it has to be looked at again."""
        ends = patience_ends(self.told.values())
        return (ends - NOW).total_seconds() if ends else None


def progress(status: dict[str, Any]) -> list[tuple[str, str]]:
    found = conditions(status)
    return [found["Reconciling"], found["Stalled"]]


def waits(reason: Reason | None) -> list[tuple[str, str]]:
    return [("True", str(reason)), ("False", "NotStalled")]


def stalled(reason: Reason | None) -> list[tuple[str, str]]:
    return [("False", "Reconciled"), ("True", str(reason))]


CALM = [("False", "Reconciled"), ("False", "NotStalled")]


@pytest.mark.parametrize(("subject", "reason"), SUBJECTS)
def test_what_is_missing_is_waited_for_and_then_a_person_is(subject: tuple[Kind, str], reason: Reason) -> None:
    place = Place(subject, reason)
    assert progress(place.at(0)) == waits(reason)
    assert "'x'" in message(place.told[subject], "Reconciling")
    assert place.due() == PATIENCE.total_seconds()
    assert progress(place.at(119)) == waits(reason)
    assert progress(place.at(120)) == stalled(reason)
    assert place.due() is None


@pytest.mark.parametrize(("subject", "reason"), SUBJECTS)
def test_the_end_of_patience_costs_one_write_and_nothing_after_it(subject: tuple[Kind, str], reason: Reason) -> None:
    place = Place(subject, reason)
    place.at(0)
    place.writes = 0
    for seconds in (1, 60, 119):
        place.at(seconds)
    assert place.writes == 0
    for seconds in (120, 121, 240, 400, 4000):
        place.at(seconds)
    assert place.writes == 1


@pytest.mark.parametrize(("subject", "reason"), SUBJECTS)
def test_what_comes_in_time_was_never_said_to_be_missing(subject: tuple[Kind, str], reason: Reason) -> None:
    place = Place(subject, reason)
    place.at(0)
    place.reason = None
    assert progress(place.at(30)) == CALM
    assert place.due() is None


@pytest.mark.parametrize(("subject", "reason"), SUBJECTS)
def test_of_an_old_object_patience_begins_when_it_goes_missing(subject: tuple[Kind, str], reason: Reason) -> None:
    place = Place(subject, None)
    place.at(0)
    place.reason = reason
    assert progress(place.at(5000)) == waits(reason)
    assert progress(place.at(5119)) == waits(reason)
    assert progress(place.at(5120)) == stalled(reason)


def test_a_changed_object_has_patience_anew_and_an_unchanged_one_has_not() -> None:
    place = Place(LINK, Reason.CERTIFICATE_NOT_FOUND)
    for seconds in (0, 120):
        place.at(seconds)
    place.generation = 2
    assert progress(place.at(500)) == waits(place.reason)
    assert progress(place.at(620)) == stalled(place.reason)


def test_an_agent_that_falls_silent_gives_nobody_new_patience() -> None:
    """Else Stalled would come and go with each of its pauses."""
    place = Place(LINK, Reason.CERTIFICATE_NOT_FOUND)
    for seconds in (0, 120):
        place.at(seconds)
    place.agent_answers = False
    assert progress(place.at(500)) == [("True", "Progressing"), ("True", "CertificateNotFound")]
    place.agent_answers = True
    assert progress(place.at(510)) == stalled(place.reason)


def test_what_has_stalled_for_another_reason_does_not_come_and_go() -> None:
    place = Place((Kind.INSTANCE, "mcs"), Reason.CERTIFICATE_INVALID)
    world = given(instance(), pod(), report())
    for seconds in range(0, 700, 100):
        problem = {(Kind.INSTANCE, "mcs"): Verdict(Reason.CERTIFICATE_NOT_FOUND, "gone")}
        wanted = Wanted({}, certificates=problem, authority=Verdict(Reason.CA_INVALID, "why"))
        world = given(
            instance(),
            pod(),
            report(),
            now=NOW + timedelta(seconds=seconds),
            conditions={key: status["conditions"] for key, status in place.told.items()},
        )
        place.told = all_statuses(world, decide(world), wanted)
        assert progress(place.told[Kind.INSTANCE, "mcs"]) == stalled(Reason.CA_INVALID)


@pytest.mark.parametrize("nonsense", [None, ""])
def test_a_time_that_somebody_took_out_of_a_status_ends_nothing(nonsense: str | None) -> None:
    place = Place(LINK, Reason.CERTIFICATE_NOT_FOUND)
    place.at(0)
    for condition in place.told[LINK]["conditions"]:
        condition["lastTransitionTime"] = nonsense
    assert place.due() is None
    assert progress(place.at(1)) == waits(place.reason)


@pytest.mark.parametrize(
    "written",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "2999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "yesterday",
    ],
)
def test_a_time_in_a_status_that_somebody_edited_neither_raises_nor_makes_patience_endless(written: str) -> None:
    place = Place(LINK, Reason.CERTIFICATE_NOT_FOUND)
    place.at(0)
    for condition in place.told[LINK]["conditions"]:
        condition["lastTransitionTime"] = written
    place.due()
    assert progress(place.at(1))[1] == ("True", "CertificateNotFound")
