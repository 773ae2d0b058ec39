"""`/metrics`, for Prometheus: over TLS, for whoever has a token of the cluster and may `get` the path `/metrics`.

The certificate is the webhook's, so that Prometheus can check whom it shows its token to. Without a webhook, and as
long as there is no certificate yet, it is one of our own making, which nobody can check.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from mcs_operator.certwatcher import RELOAD_EVERY, Followed, FollowingContext, server_context
from mcs_operator.contract.linkstate import METRICS_PATH
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.reviews import AT_ONCE, Reviews
from mcs_operator.listening import Limits, Listener, vouch
from mcs_operator.pki.webhook import issue

log = logging.getLogger(__name__)

EXPOSITION_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
LIMITS = Limits(connections=32, per_peer=8, answer=60.0)
_UNVERIFIED = "mcs-operator-metrics"

Allows = Callable[[str], Awaitable[bool | None]]
"""Of a token: whether its owner may; None where it has none."""


class Scraping:
    """An HTTPS server on ``port``, on all addresses; none where the port is 0. ``folder``: tls.crt and tls.key."""

    def __init__(self, port: int, folder: Path, metrics: Callable[[], Iterable[str]]) -> None:
        self._port, self._metrics = port, metrics
        self._certificate, self._key = folder / "tls.crt", folder / "tls.key"
        self._context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)

    async def run(self) -> None:
        """Serve for ever. The reviews have connections of their own: nothing that waits for a slow server is before
        them, and a replica that does not lead may ask as well."""
        if not self._port:
            await asyncio.Event().wait()
        api = await Api.connect(in_flight=AT_ONCE)
        try:
            await self._serve(Reviews(api, METRICS_PATH).allows)
        finally:
            await api.close()

    async def _serve(self, allows: Allows) -> None:
        followed = Followed([self._certificate, self._key], self._take, "the metrics' certificate")
        if not followed.reload():
            self._context.newest = await asyncio.to_thread(_of_our_own_making)
        listener = Listener(build_app(self._metrics, allows), self._port, LIMITS, self._context)
        await listener.start()
        try:
            while True:
                await asyncio.sleep(RELOAD_EVERY)
                followed.reload()
        finally:
            await listener.stop()

    def _take(self) -> None:
        self._context.newest = server_context(self._certificate, self._key)


def build_app(metrics: Callable[[], Iterable[str]], allows: Allows) -> web.Application:
    """GET /metrics, and nothing else."""

    async def expose(request: web.Request) -> web.StreamResponse:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            allowed = await allows(token.strip()) if kind.lower() == "bearer" else None
        except (ApiError, aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("a reader of the metrics could not be judged: %s", error or type(error).__name__)
            return web.Response(status=503, text="the API server does not say who this is\n")
        if allowed is None:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        if not allowed:
            return web.Response(status=403, text=f"this account may not get {METRICS_PATH}\n")
        vouch(request)
        parts = []
        for part in metrics():
            parts.append(part)
            await asyncio.sleep(0)  # whatever waits goes before the rest
        return web.Response(body="".join(parts).encode(), headers={"Content-Type": EXPOSITION_FORMAT})

    app = web.Application()
    app.router.add_get(METRICS_PATH, expose)
    return app


def _of_our_own_making() -> ssl.SSLContext:
    """With a certificate that lives as long as this process, and whose issuer nobody knows."""
    pair = issue([_UNVERIFIED], datetime.now(UTC)).serving
    with tempfile.TemporaryDirectory() as name:  # the library reads files alone
        certificate, key = Path(name) / "tls.crt", Path(name) / "tls.key"
        certificate.write_text(pair.cert_pem, encoding="utf-8")
        key.write_text(pair.key_pem, encoding="utf-8")
        return server_context(certificate, key)
