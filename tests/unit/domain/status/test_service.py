"""Out of service: what an instance and a link say while new connections are refused and open ones go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import LinkReport, MediaState, SlotState
from mcs_operator.domain.decide import decide
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.status.service import drain_ends
from support.worlds import NOW, community, conditions, given, identity, instance, link, message, pod, report, state

INSTANCE, LINK = (Kind.INSTANCE, "mcs"), (Kind.LINK, "a")
WANTED = Wanted(revisions={17: "r17"})
OUT = {"serviceState": "OutOfService"}
UNREADY = {"media_ready": False, "media_problem": "its readiness probe has not succeeded", "media_runs": True}


def says(**media: Any) -> LinkReport:
    """The agent, of whose appliance this is known."""
    return report(state(17, "r17"), media=MediaState(**media))


class Place:
    """A namespace whose statuses are written and looked at again. ``out`` is what is out of service."""

    def __init__(self, out: tuple[Kind, str], **other: Any) -> None:
        self.key = out
        self.of_instance = {"drainSeconds": 60} | (OUT if out == INSTANCE else {}) | other
        self.of_link = OUT if out == LINK else {}
        self.live: dict[Any, Any] = {}
        self.told: dict[Any, Any] = {}

    def at(self, seconds: float, said: LinkReport | None, **of_pod: Any) -> dict[str, Any]:
        things = instance(**self.of_instance), community(), link("a", **self.of_link), identity("a", 17)
        self.world = given(*things, pod(**of_pod), *([said] if said else []), now=NOW + timedelta(seconds=seconds))
        self.world = replace(self.world, conditions=self.live)
        self.plan = decide(self.world)
        self.told = all_statuses(self.world, self.plan, WANTED)
        self.live = {key: status["conditions"] for key, status in self.told.items()}
        status: dict[str, Any] = self.told[self.key]
        return status

    def ends(self) -> datetime | None:
        return drain_ends(self.told.values(), self.plan.instance, self.world.now)


def seen(status: dict[str, Any]) -> tuple[str | None, tuple[str, str]]:
    return status.get("serviceState"), conditions(status)["InService"]


# --- as it is declared ---


@pytest.mark.parametrize("key", [INSTANCE, LINK])
@pytest.mark.parametrize("said", [None, report(), says(), says(outOfService={})])
def test_what_is_in_service_says_so_whoever_answers(key: tuple[Kind, str], said: LinkReport | None) -> None:
    """Nothing is written for a link when the agent comes, goes, or is of another version."""
    place = Place((Kind.COMMUNITY, "acme"))
    place.at(0, said)
    assert seen(place.told[key]) == ("InService", ("True", "InService"))


@pytest.mark.parametrize(
    ("key", "said"),
    [(INSTANCE, says(connections=2)), (LINK, says(connections=2, outOfService={}))],
)
def test_until_the_appliance_refuses_new_connections_it_is_in_service(key: Any, said: LinkReport) -> None:
    status = Place(key).at(0, said)
    assert seen(status) == ("InService", ("True", "Pending"))
    assert message(status, "InService") == "the appliance still takes new connections"


def drains(key: tuple[Kind, str], connections: int) -> LinkReport:
    if key == INSTANCE:
        return says(draining=True, connections=connections)
    return says(connections=5, outOfService={17: connections})


@pytest.mark.parametrize("key", [INSTANCE, LINK])
def test_it_drains_until_the_last_connection_ends(key: tuple[Kind, str]) -> None:
    place = Place(key)
    status = place.at(0, drains(key, 2))
    assert seen(status) == ("Draining", ("False", "Draining"))
    assert message(status, "InService") == (
        "new connections are refused, and open ones go on; drainSeconds are over at 2026-03-01T12:01:00Z"
    )
    assert place.at(30.5, drains(key, 1)) == status, "how many there are is a metric, and costs no write"
    status = place.at(31, drains(key, 0))
    assert seen(status) == ("OutOfService", ("False", "OutOfService"))
    assert message(status, "InService") == "new connections are refused, and none is open"


@pytest.mark.parametrize("key", [INSTANCE, LINK])
def test_after_drain_seconds_it_is_out_of_service_and_says_how_many_go_on(key: tuple[Kind, str]) -> None:
    place = Place(key)
    place.at(0, drains(key, 3))
    assert place.ends() == NOW + timedelta(seconds=60)
    assert seen(place.at(59, drains(key, 3)))[0] == "Draining"
    assert place.ends() == NOW + timedelta(seconds=60)
    status = place.at(60, drains(key, 3))
    assert seen(status) == ("OutOfService", ("False", "OutOfService"))
    assert message(status, "InService") == "new connections are refused; drainSeconds are over, and 3 are still open"
    assert place.ends() is None


@pytest.mark.parametrize(
    ("left", "said"),
    [(1, "1 is"), (2, "2 are"), (10, "10 are"), (11, "more than 10 are"), (100, "more than 10 are"),
     (101, "more than 100 are"), (2083, "more than 1000 are")],
)  # fmt: skip
def test_many_connections_are_told_so_that_not_each_one_that_ends_costs_a_write(left: int, said: str) -> None:
    status = Place(LINK, drainSeconds=0).at(0, drains(LINK, left))
    assert message(status, "InService").endswith(f"and {said} still open")


@pytest.mark.parametrize("key", [INSTANCE, LINK])
def test_who_is_out_of_service_as_declared_is_ready_and_nobody_waits(key: tuple[Kind, str]) -> None:
    for status in (Place(key).at(0, drains(key, connections)) for connections in (2, 0)):
        told = conditions(status)
        assert told["Ready"] == ("True", "OutOfService")
        assert told["Reconciling"] == ("False", "Reconciled")
        assert message(status, "Ready") == message(status, "InService")


def test_a_link_that_is_out_of_service_keeps_its_tunnel_and_its_neighbours_notice_nothing() -> None:
    place = Place(LINK)
    told = conditions(place.at(0, drains(LINK, 0)))
    assert (told["Programmed"], told["Connected"]) == (("True", "Programmed"), ("True", "Established"))
    assert seen(place.told[INSTANCE]) == ("InService", ("True", "InService"))
    assert conditions(place.told[INSTANCE])["Ready"] == ("True", "Serving")


def test_an_instance_that_is_out_of_service_says_so_itself_and_not_at_each_link() -> None:
    place = Place(INSTANCE)
    place.at(0, drains(INSTANCE, 0))
    assert seen(place.told[LINK]) == ("InService", ("True", "InService"))


def test_back_in_service_a_link_says_so_when_the_appliance_does() -> None:
    place = Place((Kind.COMMUNITY, "acme"))
    place.at(0, drains(LINK, 1))
    assert seen(place.told[LINK]) == ("OutOfService", ("False", "Pending"))
    assert conditions(place.told[LINK])["Ready"] == ("True", "Programmed")
    place.at(1, says(outOfService={}))
    assert seen(place.told[LINK]) == ("InService", ("True", "InService"))


def test_a_disabled_link_has_no_sessions_whatever_else_is_declared() -> None:
    for more in ({}, OUT):
        idle = report(state(17, "r17", state=SlotState.IDLE), media=MediaState())
        world = given(instance(), community(), link("a", enabled=False, **more), identity("a", 17), pod(), idle)
        status = all_statuses(world, decide(world), WANTED)[LINK]
        assert seen(status) == ("OutOfService", ("False", "Disabled"))
        assert conditions(status)["Ready"] == ("True", "Disabled")


def test_a_link_without_a_place_has_no_service_state() -> None:
    world = given(instance(), community(), link("a", vpnAddress="10.0.0.9", **OUT), pod(), says(outOfService={}))
    assert seen(all_statuses(world, decide(world), WANTED)[LINK]) == (None, ("Unknown", "NotAccepted"))


# --- what nobody confirms ---


def test_an_image_that_knows_no_service_state_is_named_and_nothing_waits_for_it() -> None:
    status = Place(LINK).at(0, says(connections=1))
    assert seen(status) == (None, ("Unknown", "NotConfirmed"))
    assert "media image localhost/mcs/appliance:dev" in message(status, "InService")
    told = conditions(status)
    assert (told["Ready"], told["Reconciling"]) == (("True", "Programmed"), ("False", "Reconciled"))


@pytest.mark.parametrize("key", [INSTANCE, LINK])
@pytest.mark.parametrize(("said", "reason"), [(None, "AgentUnreachable"), (report(), "MediaNotReady")])
def test_where_nobody_answers_it_is_not_known(key: Any, said: LinkReport | None, reason: str) -> None:
    assert seen(Place(key).at(0, said)) == (None, ("Unknown", reason))


# --- Ready of the instance ---


def ready(said: LinkReport | None, **of_pod: Any) -> tuple[str, str]:
    return conditions(Place(INSTANCE).at(0, said, **UNREADY | of_pod))["Ready"]


def test_that_it_is_unready_by_its_contract_is_no_fault_of_an_instance_out_of_service() -> None:
    assert ready(drains(INSTANCE, 1)) == ("True", "OutOfService")


def test_an_instance_out_of_service_that_nobody_hears_of_is_unknown_and_not_broken() -> None:
    assert ready(None) == ("Unknown", "AgentUnreachable")


@pytest.mark.parametrize(
    ("said", "of_pod"),
    [
        pytest.param(report(), {}, id="its appliance does not answer"),
        pytest.param(says(), {}, id="its appliance is unready for another reason"),
        pytest.param(None, {"media_runs": False}, id="its container does not run"),
        pytest.param(None, {"agent_ready": False}, id="its agent is unready too"),
    ],
)
def test_what_is_unready_for_another_reason_is_not_ready(said: LinkReport | None, of_pod: dict[str, Any]) -> None:
    assert ready(said, **of_pod) == ("False", "MediaNotReady")


def test_an_instance_that_drains_before_a_restart_is_not_ready_and_draining() -> None:
    place = Place(LINK)
    place.at(0, drains(INSTANCE, 1), **UNREADY)
    status = place.told[INSTANCE]
    assert seen(status) == ("Draining", ("False", "Draining"))
    assert conditions(status)["Ready"] == ("False", "MediaNotReady")


# --- a restart of the operator, and times that somebody wrote ---


@pytest.mark.parametrize("key", [INSTANCE, LINK])
@pytest.mark.parametrize("after", [30, 90])
def test_a_restart_of_the_operator_begins_no_drain_anew(key: tuple[Kind, str], after: float) -> None:
    place = Place(key)
    place.at(0, drains(key, 3))
    before = place.at(after, drains(key, 3))
    again = Place(key)
    again.live = {key: status["conditions"] for key, status in place.told.items()}
    assert again.at(after + 1, drains(key, 3)) == before


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59Z", "yesterday", "", None])
def test_a_time_that_somebody_wrote_into_a_status_neither_raises_nor_ends_a_drain_early(written: Any) -> None:
    place = Place(LINK)
    place.at(0, drains(LINK, 3))
    for condition in place.told[LINK]["conditions"]:
        condition["lastTransitionTime"] = written
    assert place.ends() == NOW + timedelta(seconds=60)
    assert seen(place.at(1, drains(LINK, 3)))[0] == "Draining"


@pytest.mark.parametrize("key", [INSTANCE, LINK])
@pytest.mark.parametrize("written", ["9999-12-31T23:59:59Z", "2026-03-01T13:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_a_time_to_come_or_none_costs_no_write_as_time_goes_by(key: tuple[Kind, str], written: str) -> None:
    """Also of a clock that was set back: a message that has another time in it each second is a write each second."""
    place = Place(key)
    place.at(0, drains(key, 3))
    for condition in place.told[key]["conditions"]:
        condition["lastTransitionTime"] = written
    status = place.at(1, drains(key, 3))
    assert place.at(2, drains(key, 3)) == status
    assert place.at(100, drains(key, 3)) == status
    assert message(status, "InService") == "new connections are refused, and open ones go on"


def test_a_drain_that_began_in_the_time_to_come_ends_when_that_has_come() -> None:
    place = Place(LINK)
    place.at(0, drains(LINK, 3))
    place.at(-10, drains(LINK, 3))
    assert place.ends() == NOW + timedelta(seconds=50), "it is looked at again"
    place.at(50, drains(LINK, 3))
    assert place.ends() == NOW + timedelta(seconds=60)
    assert seen(place.at(60, drains(LINK, 3)))[0] == "OutOfService"


def test_without_an_instance_no_drain_is_waited_for() -> None:
    assert drain_ends([{"serviceState": "Draining", "conditions": []}], None, NOW) is None
