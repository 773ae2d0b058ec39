"""A way to the API server on which requests are counted, held up and refused: what a slow or broken one does.

Plain HTTP on loopback; it has the rights of the kubeconfig that it was made from.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from kubernetes import config

from support.api import Object

_NOT_PASSED_ON = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding"}


@dataclass
class Seen:
    """One request. ``agent`` is who says to have sent it. Times are of `time.monotonic`; ``answered`` is 0 before the
    answer begins."""

    method: str
    path: str
    query: dict[str, str]
    begun: float
    agent: str = ""
    answered: float = 0.0

    @property
    def writes(self) -> bool:
        """Whether it changes something, or tries to."""
        return self.method != "GET"

    @property
    def lists(self) -> bool:
        """Whether it is a LIST of objects in all namespaces."""
        return self.method == "GET" and "watch" not in self.query and "namespaces" not in self.path

    @property
    def plural(self) -> str:
        """Of a LIST: the kind's name in the path."""
        return self.path.rpartition("/")[2]


Rule = Callable[[Seen], Awaitable[Object | None]]
"""Called before a request is passed on; may wait. What it returns is the answer, with its ``code``; None: go on."""


async def pass_on(_: Seen) -> Object | None:
    """The rule that does nothing."""
    return None


def failure(code: int, reason: str, retry_after: int = 0) -> Object:
    """An answer of the API server that something is wrong, and after how many seconds to ask again."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": "test",
    } | ({"details": {"retryAfterSeconds": retry_after}} if retry_after else {})


NOTHING: Object = {"code": 200, "body": ""}
"""An answer that ends as it begins: of a load balancer that does not like long ones."""


@dataclass
class Proxy:
    """Runs in a thread of its own between ``start`` and ``stop``; ``rule`` may be changed at any time."""

    target: Path
    folder: Path
    rule: Rule = pass_on
    seen: list[Seen] = field(default_factory=list)
    _watches: set[asyncio.Transport] = field(default_factory=set)

    def start(self) -> Path:
        """Begin; a kubeconfig that leads here."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}
        content = {"clusters": [cluster], "contexts": [context], "users": [{"name": "proxy", "user": {}}]}
        kubeconfig = self.folder / "proxied.kubeconfig"
        whole = {"apiVersion": "v1", "kind": "Config", "current-context": "proxy"} | content
        kubeconfig.write_text(json.dumps(whole))
        return kubeconfig

    def stop(self) -> None:
        """End, with all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def watches(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    def cut(self) -> None:
        """Drop the connection of every watch, in the midst of it."""
        cut, self._watches = self._watches, set()
        for transport in cut:
            self._loop.call_soon_threadsafe(transport.abort)

    @property
    def writes(self) -> list[Seen]:
        """Requests that change something, or try to."""
        return [seen for seen in self.seen if seen.writes]

    async def _open(self) -> int:
        known = config.new_client_from_config(config_file=str(self.target)).configuration
        self._host = known.host
        context: ssl.SSLContext | bool = True
        if known.host.startswith("https"):
            context = ssl.create_default_context(cafile=known.ssl_ca_cert)
            if known.cert_file:
                context.load_cert_chain(known.cert_file, known.key_file)
        token = known.get_api_key_with_prefix("BearerToken") or known.get_api_key_with_prefix("authorization")
        self._headers = {"Authorization": token} if token else {}
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # of clients that went away, or were cut off
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            request.method, request.path, dict(request.query), time.monotonic(), request.headers.get("User-Agent", "")
        )
        self.seen.append(seen)
        if refusal := await self.rule(seen):
            seen.answered = time.monotonic()
            if refusal is NOTHING:
                return web.Response(content_type="application/json")
            later = refusal.get("details", {}).get("retryAfterSeconds")
            headers = {"Retry-After": str(later)} if later else {}
            return web.json_response(refusal, status=int(refusal["code"]), headers=headers)
        transport = request.transport
        if "watch" in seen.query and isinstance(transport, asyncio.Transport):
            self._watches.add(transport)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        url = self._host + request.path_qs
        body = await request.read() or None  # with bytes, even none, aiohttp adds a type of its own
        async with self._session.request(request.method, url, headers=headers | self._headers, data=body) as answer:
            seen.answered = time.monotonic()
            passed = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
            response = web.StreamResponse(status=answer.status, headers=passed)
            with contextlib.suppress(ConnectionError):  # the client went away, or was cut off
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            if isinstance(transport, asyncio.Transport):
                self._watches.discard(transport)
            return response
