"""The validating webhook: an HTTPS server of our own that asks `domain.admission` and passes on what it says.

Not Kopf's: its own answers "allowed" for an address that it does not know, keeps something in memory for every object
that it ever reviewed, and shows an exception's text to whoever sent the object.

Whoever does not know the path gets a 404 before anything of his body is read (see `route`); of the others' bodies,
size and number of values are bounded before they are parsed, for that holds Python's lock and so the event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic_core import from_json

from mcs_operator.api.conditions import Kind
from mcs_operator.certwatcher import RELOAD_EVERY, Followed, FollowingContext, server_context
from mcs_operator.domain.admission import Answer, Operation, Request
from mcs_operator.listening import Handler, Limits, Listener, vouch
from mcs_operator.settings import GROUP

log = logging.getLogger(__name__)

Review = Callable[[Request, bool], Awaitable[Answer]]
"""And whether it may ask the API server about it."""

BODY_LIMIT = 8 * 1024**2
"""Bytes: an object of 1.5 MiB, the largest that etcd takes, old and new, and JSON's overhead."""
MOST_VALUES = 60_000
"""In one review: 20 ms of the event loop. A Community of 1,000 users, old and new, has 42,000. What has more is judged
by the reconciler alone."""
LIMITS = Limits(connections=320, per_peer=256)
"""An API server has a connection for each review in flight, of which it has 200 by default (for requests that change
something), and keeps some that are idle. Each costs 256 KiB once it has shaken hands."""
_LARGE = 256 * 1024
_LARGE_AT_ONCE = 2
"""Bodies above _LARGE that are in memory at the same time."""
_LONGEST_UID = 128
_LONGEST_NAME = 253
_LONGEST_MESSAGE = 8192
REFUSED = 422
_JSON = "application/json"
_API_VERSION = "admission.k8s.io/v1"


class NoReviewError(ValueError):
    """A body that is no AdmissionReview of one of our kinds; the text says what is wrong, and quotes nothing."""


class Webhook:
    """Serves on ``port`` with the certificate in ``folder`` (tls.crt, tls.key), once it is there; 0: not at all.

    ``ready`` says whether the store is complete; until then every review is answered by 503, which the API server
    takes as no answer. ``path`` is where it is asked; ``client_ca`` a file with the CA of those who may ask, if any.
    """

    def __init__(
        self,
        port: int,
        folder: Path,
        review: Review,
        ready: Callable[[], bool],
        path: Callable[[], str],
        client_ca: Path | None = None,
    ) -> None:
        self._port = port
        self._certificate, self._key, self._client_ca = folder / "tls.crt", folder / "tls.key", client_ca
        self._context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)
        self._app = build_app(review, ready, path)

    async def run(self) -> None:
        """Serve for ever, and follow the certificate's files: connections that are open stay."""
        if not self._port:
            await asyncio.Event().wait()
        files = [self._certificate, self._key, *([self._client_ca] if self._client_ca else [])]
        followed = Followed(files, self._take, "the webhook's certificate")
        while not followed.reload():  # noqa: ASYNC110 - no event: the kubelet brings the files
            await asyncio.sleep(1.0)
        listener = Listener(self._app, self._port, LIMITS, self._context)
        await listener.start()
        log.info("the webhook serves on port %d", self._port)
        try:
            while True:
                await asyncio.sleep(RELOAD_EVERY)
                followed.reload()
        finally:
            await listener.stop()

    def _take(self) -> None:
        self._context.newest = server_context(self._certificate, self._key, self._client_ca)


def build_app(review: Review, ready: Callable[[], bool], path: Callable[[], str]) -> web.Application:
    """POST at the path, and nothing else."""
    turns, alone = asyncio.Semaphore(_LARGE_AT_ONCE), asyncio.Lock()

    async def validate(request: web.Request) -> web.Response:
        if not ready():
            return web.Response(status=503, text="the world is not listed yet\n")
        length = request.content_length
        if length is None or length > BODY_LIMIT:
            return web.Response(status=413 if length else 411, text=f"at most {BODY_LIMIT} bytes, and say how many\n")
        if length <= _LARGE:
            return await judge(await request.read())
        async with turns:
            body = await request.read()
            async with alone:  # those that are ready at the same moment would be one long pause of the event loop
                await asyncio.sleep(0)
                return await judge(body, may_ask=False)  # the others wait for this one

    async def judge(body: bytes, *, may_ask: bool = True) -> web.Response:
        try:
            asked = _parsed(body)
            answer = _told(asked, await review(_request(asked), may_ask))
        except NoReviewError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(body=json.dumps(answer).encode(), content_type=_JSON)

    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_only_at(path)])
    app.router.add_post("/{any:.*}", validate)
    return app


def _only_at(path: Callable[[], str]) -> Any:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted, asked = path().encode(), request.path.encode(errors="surrogateescape")
        if request.method != "POST" or not wanted or not compare_digest(wanted, asked):
            return web.Response(status=404)
        vouch(request)
        return await handler(request)

    return middleware


def _parsed(body: bytes) -> Any:
    """The JSON, if it is of a size that is parsed in a moment. A value follows a comma, or begins a list or object."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise NoReviewError(f"the body has more than {MOST_VALUES} values")
    try:
        return from_json(body, allow_inf_nan=False)  # not json.loads, which takes twice as long
    except ValueError:
        raise NoReviewError("the body is no JSON, or is nested too deeply") from None


def _told(asked: Any, answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"uid": asked["request"]["uid"], "allowed": not answer.refusals}
    if answer.refusals:
        message = "; ".join(answer.refusals)[:_LONGEST_MESSAGE]
        response["status"] = {"code": REFUSED, "reason": "Invalid", "message": message}
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    return {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "response": response}


def _request(asked: Any) -> Request:
    inner = asked.get("request") if isinstance(asked, dict) else None
    if not isinstance(inner, dict) or (asked.get("apiVersion"), asked.get("kind")) != (_API_VERSION, "AdmissionReview"):
        raise NoReviewError(f"the body is no AdmissionReview of {_API_VERSION}")
    kind, new, old = inner.get("kind"), inner.get("object"), inner.get("oldObject")
    if not _is_text(inner.get("uid"), _LONGEST_UID) or not isinstance(kind, dict) or kind.get("group") != GROUP:
        raise NoReviewError("the review is not about one of our kinds")
    try:
        which, operation = Kind(str(kind.get("kind"))), Operation(str(inner.get("operation")))
    except ValueError:
        raise NoReviewError("the review is not about one of our kinds, created or changed") from None
    if not isinstance(new, dict) or not isinstance(old, dict | None):
        raise NoReviewError("the review has no object")
    namespace, name = inner.get("namespace", ""), inner.get("name", "")
    if not _is_text(namespace, _LONGEST_NAME) or not _is_text(name, _LONGEST_NAME):
        raise NoReviewError("the review names no object")
    return Request(which, operation, namespace, name, new, old)


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest
