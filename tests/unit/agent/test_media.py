"""The appliance as the agent sees it: busy, gone, and with answers that lead elsewhere or never end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from mcs_operator.agent import media
from mcs_operator.agent.media import Media
from mcs_operator.domain.linkstate import MediaState
from support.ports import free_port

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


async def fails(_: web.Request) -> web.Response:
    return web.json_response({"connections": 7}, status=500)


@pytest.mark.parametrize("answer", [leads_elsewhere, never_ends, is_packed, fails])
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
