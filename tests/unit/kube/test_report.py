"""Statuses are written side by side: what goes wrong with one is its own matter, and nothing is lost of it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter, Told
from mcs_operator.kube.resources import LINKS
from support.memory import MemoryApi
from support.objects import a_link
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
