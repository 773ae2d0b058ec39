"""The validating webhook: an HTTPS server of our own that asks `domain.admission` and passes on what it says.

Not Kopf's: its own answers "allowed" for an address that it does not know, keeps something in memory for every object
that it ever reviewed, and shows an exception's text to whoever sent the object.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from mcs_operator.domain.admission import Answer, Operation, Request
from mcs_operator.domain.conditions import Kind
from mcs_operator.settings import GROUP

log = logging.getLogger(__name__)

Review = Callable[[Request], Answer]

BODY_LIMIT = 8 * 1024**2
"""Bytes: an object of 1.5 MiB, the largest that etcd takes, old and new, and JSON's overhead."""
RELOAD_EVERY = 5.0
REFUSED = 422
_JSON = "application/json"


class NoReviewError(ValueError):
    """A body that is no AdmissionReview of one of our kinds; the text says what is wrong, and quotes nothing."""


class Webhook:
    """Serves on ``port`` with the certificate in ``folder`` (tls.crt, tls.key), once it is there; 0: not at all.

    ``ready`` says whether the store is complete; until then every review is answered by 503, which the API server
    takes as no answer.
    """

    def __init__(self, port: int, folder: Path, review: Review, ready: Callable[[], bool]) -> None:
        self._port, self._folder, self._review, self._ready = port, folder, review, ready
        self._seen: list[tuple[int, int]] = []
        self._runner: web.AppRunner | None = None

    async def run(self) -> None:
        """Serve for ever, and follow the certificate's files: connections that are open stay."""
        if not self._port:
            await asyncio.Event().wait()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            while True:
                if self._reload(context) and self._runner is None:
                    await self._serve(context)
                await asyncio.sleep(RELOAD_EVERY if self._runner else 1.0)
        finally:
            if self._runner:
                await self._runner.cleanup()

    async def _serve(self, context: ssl.SSLContext) -> None:
        self._runner = web.AppRunner(build_app(self._review, self._ready), handle_signals=False, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port, ssl_context=context).start()
        log.info("the webhook serves on port %d", self._port)

    def _reload(self, context: ssl.SSLContext) -> bool:
        """Take up new files; a pair that does not fit must not replace the one in use."""
        certificate, key = self._folder / "tls.crt", self._folder / "tls.key"
        try:
            marks = [(file.stat().st_mtime_ns, file.stat().st_ino) for file in (certificate, key)]
            if marks == self._seen:
                return True
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
            context.load_cert_chain(certificate, key)
        except FileNotFoundError:
            return False
        except OSError as error:  # ssl.SSLError is one
            log.warning("the webhook's certificate is not usable, what is there stays: %s", type(error).__name__)
            return False
        self._seen = marks
        return True


def build_app(review: Review, ready: Callable[[], bool]) -> web.Application:
    """POST /validate, and nothing else."""

    async def validate(request: web.Request) -> web.Response:
        if not ready():
            return web.Response(status=503, text="the world is not listed yet\n")
        try:
            asked = json.loads(await request.read())
            answer = _answer(asked, review)
        except (NoReviewError, ValueError) as error:
            reason = error if isinstance(error, NoReviewError) else "the body is no JSON"
            return web.Response(status=400, text=f"{reason}\n")
        except web.HTTPException:
            raise  # too large
        except Exception as error:  # the schema and the quota still hold; a stranger learns nothing of our insides
            log.error("a review failed: %s", type(error).__name__, exc_info=error)
            return web.Response(status=500, text="the review failed\n")
        return web.Response(body=json.dumps(answer).encode(), content_type=_JSON)

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_post("/validate", validate)
    return app


def _answer(asked: Any, review: Review) -> dict[str, Any]:
    request = _request(asked)
    answer = review(request)
    response: dict[str, Any] = {"uid": asked["request"]["uid"], "allowed": not answer.refusals}
    if answer.refusals:
        response["status"] = {"code": REFUSED, "reason": "Invalid", "message": "; ".join(answer.refusals)}
    if answer.warnings:
        response["warnings"] = list(answer.warnings)
    return {"apiVersion": asked["apiVersion"], "kind": asked["kind"], "response": response}


def _request(asked: Any) -> Request:
    inner = asked.get("request") if isinstance(asked, dict) else None
    if not isinstance(inner, dict) or asked.get("kind") != "AdmissionReview" or "apiVersion" not in asked:
        raise NoReviewError("the body is no AdmissionReview")
    kind, new, old = inner.get("kind"), inner.get("object"), inner.get("oldObject")
    if not isinstance(inner.get("uid"), str) or not isinstance(kind, dict) or kind.get("group") != GROUP:
        raise NoReviewError("the review is not about one of our kinds")
    try:
        which, operation = Kind(str(kind.get("kind"))), Operation(str(inner.get("operation")))
    except ValueError:
        raise NoReviewError("the review is not about one of our kinds, created or changed") from None
    if not isinstance(new, dict) or not isinstance(old, dict | None):
        raise NoReviewError("the review has no object")
    return Request(which, operation, str(inner.get("namespace", "")), str(inner.get("name", "")), new, old)
