"""What the appliance says of each customer's use: taken over within bounds, and told to Prometheus alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from mcs_operator.agent import media, usage
from mcs_operator.agent.board import Board
from mcs_operator.agent.media import Media
from mcs_operator.agent.metrics import OF_PORTALS, exposition
from mcs_operator.agent.usage import Usage
from unit.agent.test_media import appliance

ACME = {"calls": 1, "participants": 2, "callSeconds": 7260, "chatBytes": 205, "fileBytes": 2**40}
SAID: dict[str, Any] = {
    "communities": {"acme": ACME},
    "refused": {"Draining": 1, "NoBandwidth": 2, "NotAllowed": 3, "TooMany": 4, "CommunityLimitExceeded": 5},
    "quota": {"chatBytes": 5, "fileBytes": 6},
    "retention": {"chatSeconds": 7, "fileSeconds": 8},
}


def parsed(said: object) -> Usage | None:
    return usage.parse(json.dumps(said).encode())


def test_what_is_as_agreed_is_taken() -> None:
    assert parsed(SAID) == Usage(SAID["communities"], SAID["refused"], SAID["quota"], SAID["retention"])


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b"[" * 100_000, b"\xff"])
def test_what_is_none_is_none(raw: bytes) -> None:
    assert usage.parse(raw) is None


@pytest.mark.parametrize("junk", [None, 7, "x", [], {"acme": 7}, {"acme": []}, {"acme": {"calls": "1", "files": {}}}])
def test_one_part_that_is_none_is_left_out_alone(junk: object) -> None:
    for part in SAID:
        found = parsed(SAID | {part: junk})
        assert found is not None
        left = getattr(found, part)
        assert left in ({}, {"acme": {}})


@pytest.mark.parametrize("name", ["", "Acme", "a" * 41, 'a"} 1', "a\nb", "..", "à"])
def test_what_can_be_no_object_s_name_becomes_no_label(name: str) -> None:
    found = parsed(SAID | {"communities": {name: ACME, "globex": ACME}, "refused": {name: 1}})
    assert found is not None and set(found.communities) == {"globex"} and found.refused == {}


def test_a_count_is_a_whole_number_within_bounds() -> None:
    found = parsed({"communities": {"acme": {"calls": True, "callSeconds": -1, "chatBytes": 10**30, "fileBytes": 1.5}}})
    assert found is not None and found.communities == {"acme": {"chatBytes": 2**53}}


def test_of_1000_communities_250_are_told() -> None:
    found = parsed({"communities": {f"c{number:04d}": ACME for number in range(1000)}})
    assert found is not None and sorted(found.communities) == [f"c{number:04d}" for number in range(250)]
    board = Board()
    board.usage = found
    lines = exposition(board, "ns", "demo").splitlines()
    for metric in OF_PORTALS:
        told = [line for line in lines if line.startswith(f"{metric.name}{{")]
        assert len(told) <= (500 if "kind" in metric.labels else 250), metric.name


async def test_numbers_that_change_are_news_for_nobody() -> None:
    asked: list[str] = []
    enough = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if len(asked) > 3:
            enough.set()
        return web.json_response(SAID | {"communities": {"acme": ACME | {"callSeconds": len(asked)}}})

    board = Board()
    board.complete_now()
    before = board.report
    async with appliance(answer) as url, Media(url) as client:
        watching = asyncio.create_task(media.watch_usage(client, board, every=0.01))
        await asyncio.wait_for(enough.wait(), 5)
        watching.cancel()
        await asyncio.wait({watching})
    assert board.usage and board.usage.communities["acme"]["callSeconds"] >= 3
    assert board.report is before
    assert set(asked) == {"/usage"}


@pytest.mark.parametrize("status", [404, 403, 500, 302])
async def test_an_image_that_knows_no_such_thing_has_no_such_metrics(status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(SAID, status=status, headers={"Location": "/elsewhere"})

    async with appliance(answer) as url, Media(url) as client:
        assert await client.usage() is None
    text = exposition(Board(), "ns", "demo")
    assert not [metric.name for metric in OF_PORTALS if metric.name in text]
