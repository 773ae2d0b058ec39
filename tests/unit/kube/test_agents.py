"""The operator's end of a link agent: what comes over the wire is taken whole, or not at all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession, web

from mcs_operator.kube import agents
from mcs_operator.kube.agents import Agents, Endpoint, _whole
from mcs_operator.pki import mint_ca


async def answer_in(pieces: list[bytes]) -> bytes:
    """What `_whole` makes of an answer that comes in these pieces, a moment apart."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = sum(map(len, pieces))
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.02)
        return response

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            return await _whole(response)
    finally:
        await runner.cleanup()


async def test_an_answer_in_two_pieces_is_taken_whole() -> None:
    assert await answer_in([b"a" * 30_000, b"b" * 30_000]) == b"a" * 30_000 + b"b" * 30_000


async def test_an_endless_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        await answer_in([b"x" * 2**20] * 5)


async def test_a_silent_agent_is_unreachable_only_after_a_while(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(agents, "UNREACHABLE_AFTER", 0.5)
    woken = asyncio.Event()
    poll = Agents(wake=lambda _: woken.set())
    assert not poll.may_answer("demo"), "nobody was asked"
    ca = mint_ca("mcs", datetime.now(UTC)).cert_pem
    poll.follow("demo", Endpoint("uid", "127.0.0.1", unused_tcp_port, "agent", ca, "token"))
    try:
        assert poll.may_answer("demo") and poll.report("demo") is None
        await asyncio.wait_for(woken.wait(), 5)
        assert not poll.may_answer("demo")
    finally:
        await poll.close()
