"""The operator's own health, for the kubelet: `/healthz` and `/readyz`, in the clear, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from mcs_operator.listening import Limits, Listener

Check = Callable[[], str]
"""What is wrong, in words; empty where nothing is."""

LIMITS = Limits(connections=64, per_peer=16)


class Probes:
    """An HTTP server on ``port``, on all addresses; none where the port is 0."""

    def __init__(self, port: int, healthy: Check, ready: Check) -> None:
        app = web.Application()
        app.router.add_get("/healthz", _answer(healthy))
        app.router.add_get("/readyz", _answer(ready))
        self._listener = Listener(app, port, LIMITS) if port else None

    async def start(self) -> None:
        """Begin to answer."""
        if self._listener:
            await self._listener.start()

    async def stop(self) -> None:
        """End."""
        if self._listener:
            await self._listener.stop()


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(status=503 if problem else 200, text=problem or "ok")

    return answer
