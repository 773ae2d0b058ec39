"""The agent passes on which certificates the appliance does not take."""

from __future__ import annotations

from aiohttp import web

from mcs_operator.agent import media
from mcs_operator.contract.linkstate import MediaState
from support.ports import free_port


async def test_what_the_appliance_refuses_is_passed_on_and_what_is_nonsense_in_it_is_left_out() -> None:
    refused = {"domain": "a.mcs.test", "problem": "its key is too short"}

    async def connections(_: web.Request) -> web.Response:
        return web.json_response({"connections": 3, "refused": [refused, None, {"domain": 7}], "clients": {"open": 1}})

    app = web.Application()
    app.router.add_get("/connections", connections)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with media.Media(f"http://127.0.0.1:{port}") as client:
            assert await client.state() == MediaState.model_validate({"connections": 3, "refused": [refused]})
    finally:
        await runner.cleanup()
