"""The appliance as the agent sees it: busy, gone, and with answers that lead elsewhere or never end."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from mcs_operator.agent import board, media
from mcs_operator.agent.media import Media
from mcs_operator.contract.linkstate import MediaState
from support.ports import free_port
from support.virtual_time import VirtualTime

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def appliance(answer: Answer) -> AsyncIterator[str]:
    app, port = web.Application(), free_port()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_one_that_is_too_busy_to_answer_is_not_taken_for_dead_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    busy = False

    async def answer(_: web.Request) -> web.Response:
        if busy:
            await asyncio.sleep(5)
        return web.json_response({"connections": 5})

    async with appliance(answer) as url, Media(url) as client:
        assert await client.state() == MediaState(connections=5)
        busy = True
        assert await client.state() == MediaState(connections=5), "its calls go on"
        monkeypatch.setattr(media, "SILENCE", 0.0)
        assert await client.state() is None


async def test_one_that_is_gone_is_told_as_gone_at_once() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"connections": 5})

    async with appliance(answer) as url:
        client = await Media(url).__aenter__()
        assert await client.state() == MediaState(connections=5)
    assert await client.state() is None
    await client.__aexit__()


async def leads_elsewhere(request: web.Request) -> web.Response:
    if request.path == "/elsewhere":
        return web.json_response({"connections": 7})
    raise web.HTTPFound("/elsewhere")


async def never_ends(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(b" " * 4096)
    return response


async def is_packed(_: web.Request) -> web.Response:
    bomb = gzip.compress(b"[" * 50_000_000)
    return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})


async def is_packed_and_small(_: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b'{"connections": 7}'), headers={"Content-Encoding": "gzip"})


async def fails(_: web.Request) -> web.Response:
    return web.json_response({"connections": 7}, status=500)


@pytest.mark.parametrize("answer", [leads_elsewhere, never_ends, is_packed, is_packed_and_small, fails])
async def test_an_answer_that_is_none_is_not_believed_and_not_followed(answer: Answer) -> None:
    async with appliance(answer) as url, Media(url) as client:
        assert await client.state() is None


@pytest.mark.parametrize(("answer", "status"), [(leads_elsewhere, 302), (never_ends, 502), (fails, 500)])
async def test_an_order_to_drain_comes_back_with_an_answer_whatever_the_appliance_does(
    answer: Answer, status: int
) -> None:
    async with appliance(answer) as url, Media(url) as client:
        said, body = await client.drain("POST")
        assert said == status
        assert len(body) < 1024


async def test_an_order_to_nobody_is_a_bad_gateway() -> None:
    async with Media(f"http://127.0.0.1:{free_port()}") as client:
        status, body = await client.drain("DELETE")
    assert status == 502
    assert b"does not answer" in body


@pytest.mark.parametrize(("size", "taken"), [(64 * 1024, True), (64 * 1024 + 1, False)])
async def test_an_answer_may_have_64_kib(size: int, taken: bool) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b'{"connections": 5}'.ljust(size))

    async with appliance(answer) as url, Media(url) as client:
        assert await client.state() == (MediaState(connections=5) if taken else None)
        status, body = await client.drain("POST")
    assert (status, len(body)) == ((200, size) if taken else (502, len(body)))


async def test_it_is_asked_directly_and_as_a_stranger_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would get the answer of every customer's calls, and a cookie is for browsers."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, request.headers.get("Accept-Encoding"), dict(request.cookies)))
        response = web.json_response({"connections": 5})
        response.set_cookie("who", "you")
        return response

    async with appliance(answer) as url, Media(url + "/X/") as client:
        named = url.replace("127.0.0.1", "localhost")  # aiohttp keeps no cookies of an address
        async with Media(named + "/X/") as by_name:
            for one in (client, by_name):
                assert await one.state() == MediaState(connections=5)
                await one.drain("DELETE")
    assert asked == [("GET", "/X/connections", "identity", {}), ("DELETE", "/X/drain", "identity", {})] * 2


async def test_after_its_use_no_connection_is_left() -> None:
    client = Media("http://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="use `async with`"):
        await client.state()
    async with client:
        session = client._open()
    assert session.closed


@pytest.mark.parametrize(("after", "known"), [(9.9, True), (10.0, False)])
async def test_its_last_word_stands_for_ten_seconds_of_silence(
    after: float, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(media, "time", SimpleNamespace(monotonic=lambda: now))

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"connections": 5})

    async def stuck(_: object) -> bytes:
        raise TimeoutError

    async with appliance(answer) as url, Media(url) as client:
        await client.state()
        monkeypatch.setattr(media, "_body", stuck)
        now += after
        assert await client.state() == (MediaState(connections=5) if known else None)


async def test_it_has_three_seconds_to_answer() -> None:
    async with Media("http://127.0.0.1:1") as client:
        assert client._open().timeout == aiohttp.ClientTimeout(total=3)


def test_all_that_the_appliance_says_of_itself_is_taken_over() -> None:
    said = {
        "connections": 3,
        "draining": True,
        "config": "ab" * 32,
        "users": 7,
        "links": 2,
        "error": "x",
        "notTaken": "why",
        "acmeThumbprint": "x" * 43,
        "http01Solver": "acme-solver.mcs-demo.svc:8089",
        "outOfService": {"17": 2},
        "size": {"memoryBytes": 8_000_000_000},
        "contract": 2,
        "portals": {"acme": {"logins": 12}},
    }
    told = media.parse(json.dumps(said).encode())
    assert told == MediaState.model_validate(said)
    assert told is not None
    assert {name: getattr(told, name) for name in said} == said | {"outOfService": {17: 2}, "portals": {"acme": 12}}
    assert media.parse(b"{}") == MediaState(connections=0)


def test_it_is_asked_every_second() -> None:
    class Appliance:
        async def state(self) -> None:
            return None

    class Board:
        def media_says(self, _: None) -> None:
            said.append(asyncio.get_running_loop().time())

    async def story() -> None:
        async with asyncio.timeout(2.5):
            await media.watch(cast(Media, Appliance()), cast(board.Board, Board()))

    said: list[float] = []
    with asyncio.Runner(loop_factory=VirtualTime) as runner, pytest.raises(TimeoutError):
        runner.run(story())
    assert said == [0, 1, 2]


@pytest.mark.parametrize(("status", "told"), [(200, (200, b"x")), (599, (599, b"x")), (600, (502, b""))])
async def test_an_order_is_answered_by_the_appliances_own_status_if_it_is_one(
    status: int, told: tuple[int, bytes]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=b"x")

    async with appliance(answer) as url, Media(url) as client:
        assert await client.drain("POST") == told
