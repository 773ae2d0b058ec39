"""The operator's own health, for the kubelet: `/healthz` and `/readyz`; and `/metrics`, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

EXPOSITION_FORMAT = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], str]
"""What is wrong, in words; empty where nothing is."""


class Probes:
    """An HTTP server on ``port``, on all addresses; none where the port is 0."""

    def __init__(self, port: int, healthy: Check, ready: Check, metrics: Callable[[], Iterable[str]]) -> None:
        self._port, self._healthy, self._ready, self._metrics = port, healthy, ready, metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to answer."""
        if not self._port:
            return
        app = web.Application()
        app.router.add_get("/healthz", _answer(self._healthy))
        app.router.add_get("/readyz", _answer(self._ready))
        app.router.add_get("/metrics", self._expose)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port).start()

    async def _expose(self, _: web.Request) -> web.StreamResponse:
        parts = []
        for part in self._metrics():
            parts.append(part)
            await asyncio.sleep(0)  # whatever waits goes before the rest
        return web.Response(body="".join(parts).encode(), headers={"Content-Type": EXPOSITION_FORMAT})

    async def stop(self) -> None:
        """End."""
        if self._runner:
            await self._runner.cleanup()


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    return answer
