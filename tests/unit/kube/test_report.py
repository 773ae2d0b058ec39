"""Statuses are written side by side: what goes wrong with one is its own matter, and nothing is lost of it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter, Told
from mcs_operator.kube.resources import INSTANCES, LINKS
from support.memory import MemoryApi
from support.objects import a_link, an_instance
from support.worlds import NOW

STATUS = {"observedGeneration": 1, "conditions": []}


def written(api: MemoryApi, count: int = 20) -> Told:
    """What came of telling so many links the same."""
    store, server = Store(wake=lambda _: None), api
    for number in range(count):
        body = a_link(f"link-{number:02d}")
        body["metadata"]["namespace"] = "demo"
        api.add(store, LINKS, body)
    client: Any = server
    reporter = Reporter(client, store, Recorder(client, "test"))
    statuses = {(Kind.LINK, f"link-{number:02d}"): STATUS for number in range(count)}
    return asyncio.run(reporter.write("demo", statuses, NOW))


@pytest.mark.parametrize(
    ("error", "is_expected"),
    [
        (NoAnswerError(aiohttp.ServerDisconnectedError()), True),
        (ApiError(500, "InternalError", "etcd"), True),
        (aiohttp.ServerDisconnectedError(), False),
        (KeyError("a defect"), False),
    ],
    ids=["no answer", "server error", "a transport error that nobody translated", "a defect"],
)
def test_one_that_fails_keeps_no_other_from_being_written(error: Exception, is_expected: bool) -> None:
    api = MemoryApi()
    api.trouble = lambda verb, kind, name: error if (verb, name) == ("status", "link-07") else None
    told = written(api)
    assert (told.writes, told.unwritten) == (19, ["TVoxLink link-07"])
    assert told.errors == ([] if is_expected else [error])


def test_two_that_fail_are_both_told() -> None:
    api = MemoryApi()
    errors = {"link-03": KeyError("x"), "link-09": RuntimeError("y")}
    api.trouble = lambda verb, kind, name: errors.get(name) if verb == "status" else None
    told = written(api)
    assert (told.writes, told.errors) == (18, list(errors.values()))


def test_an_event_that_cannot_be_posted_costs_no_status() -> None:
    api = MemoryApi()
    api.trouble = lambda verb, kind, name: ApiError(0, "NoAnswer", "reset") if kind == "Event" else None
    assert written(api).writes == 20


def a_status(reason: str, connected: str, ready: str = "True") -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": ready, "reason": "Programmed", "message": ""},
        {"type": "Connected", "status": connected, "reason": reason, "message": "why"},
    ]
    return {"observedGeneration": 1, "conditions": conditions}


UP, LOST = a_status("Established", "True"), a_status("Lost", "False")


class Links:
    """Links of one instance, whose tunnels come and go."""

    def __init__(self, count: int) -> None:
        self.api, self.store, self.now = MemoryApi(), Store(wake=lambda _: None), NOW
        client: Any = self.api
        self.reporter = Reporter(client, self.store, Recorder(client, "test"))
        for resource, body in [(INSTANCES, an_instance()), *((LINKS, a_link(f"c{n:03d}")) for n in range(count))]:
            body["metadata"]["namespace"] = "demo"
            self.api.add(self.store, resource, body)

    def are(self, status: dict[str, Any], *numbers: int) -> None:
        self.now += timedelta(seconds=5)
        statuses = {(Kind.LINK, f"c{number:03d}"): status for number in numbers}
        asyncio.run(self.reporter.write("demo", statuses, self.now))

    def events(self) -> list[tuple[str, str]]:
        """Name and reason of each, as they came."""
        found = [body for (resource, _, _), body in self.api.objects.items() if resource.kind == "Event"]
        return [(event["regarding"]["name"], event["reason"]) for event in found]


def test_a_tunnel_that_goes_and_comes_back_is_two_events() -> None:
    links = Links(1)
    for status in (UP, LOST, LOST, UP):
        links.are(status, 0)
    assert links.events() == [("c000", "Lost"), ("c000", "Established")]


def test_two_hundred_and_fifty_tunnels_that_go_together_are_one_event() -> None:
    links = Links(250)
    links.are(UP, *range(250))
    links.are(LOST, *range(250))
    assert links.events() == [("mcs", "Lost")]


def test_two_hundred_and_fifty_tunnels_that_flap_for_an_hour_are_less_than_a_hundred_events() -> None:
    links = Links(250)
    links.are(UP, *range(250))
    for number in range(360):
        links.are(LOST, number % 250)
        links.are(UP, number % 250)
    assert 20 < len(links.events()) < 100


def test_each_change_of_what_is_served_is_a_line_of_the_log_and_a_tunnel_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mcs_operator.kube.report")
    links = Links(1)
    for status in (UP, LOST, a_status("Lost", "False", ready="False")):
        links.are(status, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "TVoxLink demo/c000: Ready True, Programmed; was Unknown, Pending",
        "TVoxLink demo/c000: Ready False, Programmed; was True, Programmed",
    ]
