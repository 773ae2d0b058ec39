"""The agent's HTTPS endpoints, for the operator and for Prometheus.

GET  /healthz                                 no token: for the kubelet's probe, says nothing
GET  /metrics                                 Prometheus' text format; the one path of the token for metrics, too
GET  /v1/links?epoch=E&version=N&wait=SECONDS LinkReport; at once if E and N are not the present ones, else when
                                              something changes, at the latest after so many seconds
POST /v1/resolve                              Question -> Resolution: what this pod's resolver says about names
POST /v1/exit-at-once                         ExitAtOnce: slots whose containers alone are about to be replaced
POST, DELETE /v1/drain                        passed on to the appliance
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import ValidationError

from mcs_operator.agent.board import Board
from mcs_operator.agent.exits import Exits
from mcs_operator.agent.media import Media
from mcs_operator.agent.metrics import exposition
from mcs_operator.certwatcher import RELOAD_EVERY, Followed, FollowingContext, server_context
from mcs_operator.contract.exits import ExitAtOnce
from mcs_operator.contract.linkstate import DRAIN_UNTIL, METRICS_PATH, metrics_token
from mcs_operator.contract.lookup import Question, Resolution
from mcs_operator.listening import Limits, vouch
from mcs_operator.resolver import Resolver

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
LONGEST_BODY = 128 * 1024
"""Bytes; 251 names of 253 characters are half of it."""
LIMITS = Limits(connections=64, per_peer=16, answer=LONGEST_WAIT + 15)
"""The operator's replicas and Prometheus have two connections each; the kubelet's probe one now and then."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Credentials:
    """Certificate, key and token of a mounted Secret, followed when the Secret changes."""

    def __init__(self, folder: Path) -> None:
        self._certificate, self._key, self._token = folder / "tls.crt", folder / "tls.key", folder / "token"
        self.context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)
        self._expected = self._for_metrics = b""
        self._followed = Followed([self._certificate, self._key, self._token], self._take, "credentials")
        self._followed.first()  # its errors name the file that is missing

    def _take(self) -> None:
        token = self._token.read_bytes().decode().strip()
        if not token:
            raise ValueError("the token is empty")  # else an empty one would open the door
        self.context.newest = server_context(self._certificate, self._key)
        self._expected, self._for_metrics = token.encode(), metrics_token(token).encode()

    def allows(self, header: str, path: str) -> bool:
        """Whether this Authorization header carries the token, or one that opens this path."""
        kind, _, token = header.partition(" ")
        given = token.strip().encode(errors="surrogateescape")  # bytes that are no UTF-8 come as surrogates
        full = compare_digest(given, self._expected)
        metrics = compare_digest(given, self._for_metrics)
        return kind.lower() == "bearer" and (full or (metrics and path == METRICS_PATH))

    def reload(self) -> bool:
        """Take up changed files; keep the present ones (and say why, once per change) where the new ones are bad."""
        reloaded = self._followed.reload()
        if reloaded:
            log.info("credentials reloaded")
        return reloaded


async def follow(credentials: Credentials, every: float = RELOAD_EVERY) -> None:
    """Reload the credentials whenever their files change."""
    while True:
        await asyncio.sleep(every)
        credentials.reload()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What is answered. ``place``: namespace and instance, labels of every metric."""

    board: Board
    media: Media
    resolver: Resolver
    exits: Exits
    place: tuple[str, str]

    async def healthz(self, _: web.Request) -> web.Response:
        """That the agent answers, and nothing else."""
        return web.Response(text="ok\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        text = exposition(self.board, *self.place)
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def links(self, request: web.Request) -> web.Response:
        """What is known of the links, now or when it has changed."""
        try:
            version = int(request.query["version"]) if "version" in request.query else None
            seconds = min(max(0.0, float(request.query.get("wait", "0"))), LONGEST_WAIT)  # 0 for "nan", too
        except ValueError:
            return _wrong("version and wait are numbers")
        report = await self.board.wait(request.query.get("epoch"), version, seconds)
        return web.Response(body=report.model_dump_json().encode(), content_type="application/json")

    async def resolve(self, request: web.Request) -> web.Response:
        """What this pod's resolver says."""
        try:
            names = Question.model_validate_json(await request.read()).names
        except ValidationError:
            return _wrong("the body is no list of names")
        resolution = Resolution(answers=await self.resolver.resolve(names))
        return web.Response(body=resolution.model_dump_json().encode(), content_type="application/json")

    async def exit_at_once(self, request: web.Request) -> web.Response:
        """Tell slots that theirs is the only container that ends."""
        try:
            asked = ExitAtOnce.model_validate_json(await request.read())
        except ValidationError:
            return _wrong("the body names no slots and seconds")
        try:
            self.exits.allow(asked.slots, asked.seconds)
        except OSError as error:
            log.error("slots cannot be told to exit at once: %s", error.strerror)
            return web.json_response({"error": "the slots cannot be told"}, status=503)
        return web.Response(status=204)

    async def drain(self, request: web.Request) -> web.Response:
        """Passed on; what the appliance then says of itself is told at once."""
        order: Literal["POST", "DELETE"] = "POST" if request.method == "POST" else "DELETE"
        status, body = await self.media.drain(order, request.headers.get(DRAIN_UNTIL, ""))
        self.board.media_says(await self.media.state())
        return web.Response(status=status, body=body, content_type="application/json")


def _wrong(why: str) -> web.Response:
    return web.json_response({"error": why}, status=400)


def build_app(endpoints: Endpoints, credentials: Credentials) -> web.Application:
    """The endpoints, for whoever has the token."""
    app = web.Application(middlewares=[_authenticated(credentials)], client_max_size=LONGEST_BODY)
    app.router.add_get("/healthz", endpoints.healthz)
    app.router.add_get(METRICS_PATH, endpoints.metrics)
    app.router.add_get("/v1/links", endpoints.links)
    app.router.add_post("/v1/resolve", endpoints.resolve)
    app.router.add_post("/v1/exit-at-once", endpoints.exit_at_once)
    app.router.add_post("/v1/drain", endpoints.drain)
    app.router.add_delete("/v1/drain", endpoints.drain)
    return app


def _authenticated(credentials: Credentials) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        # By the path, not by the handler found for it: a stranger shall not even learn which paths there are.
        if credentials.allows(request.headers.get("Authorization", ""), request.path):
            vouch(request)
        elif request.path != "/healthz":
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return middleware
