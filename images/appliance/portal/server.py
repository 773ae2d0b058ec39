"""The process: two Unix sockets, the portal behind them, and an end when told."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from portal import inner
from portal.portal import Portal, discreetly
from portal.settings import Settings
from portal.web import routes
from portal.web.pages import Pages

log = logging.getLogger("portal")

_LAST_WORDS = 1.0
"""Seconds for what is running when we are told to end."""


async def run(settings: Settings) -> int:
    """Until SIGTERM or SIGINT, then 0. What lies on the data volume is the group's as well: with HostNetwork the
    container is a root that has no rights of others."""
    os.umask(0o007)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(_discreet)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        portal = Portal(settings)
        await portal.open()
        stack.push_async_callback(portal.close)
        pages = await asyncio.to_thread(Pages, settings.web_dir)
        for app, name in (
            (inner.application(portal), "portal-inner.sock"),
            (routes.application(portal, pages), "portal.sock"),
        ):
            stack.push_async_callback(await _serve(app, settings.run_dir / name))
        working, told = asyncio.create_task(portal.run()), asyncio.create_task(stop.wait())
        log.info("listening")
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        portal.close_sockets()
        for task in (working, told):
            task.cancel()
        await asyncio.wait({working, told})
    return 0


async def runner_of(app: web.Application) -> web.AppRunner:
    """No access log: paths have names of users in them."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_WORDS, keepalive_timeout=60)
    await runner.setup()
    return runner


async def _serve(app: web.Application, path: Path) -> Any:
    """Listens at the path; gives what ends that. Who may not be there is kept out by the mode from the first moment."""
    runner = await runner_of(app)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)
    return runner.cleanup


def _discreet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would print has values in it."""
    why = context.get("exception")
    log.error("in the background: %s", discreetly(why) if why else "unknown")


class Discreet(logging.Formatter):
    """Tracebacks end with the words of an exception, which may quote a name or a text: place and kind are enough."""

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return discreetly(ei[1]) if ei[1] else ""
