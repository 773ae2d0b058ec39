"""WHAT WE ANSWER: the HTTP contract with the operator, and the instance's own page.

Small on purpose: no bodies in requests, one request per connection.
"""

from __future__ import annotations

import asyncio
import html
import json
import string
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

REQUEST_TIMEOUT = 5.0
"""Seconds a client has for its request line and headers; a client that says nothing must not keep a task for ever."""


@dataclass(frozen=True)
class Request:
    """`client` is the peer's address, empty on a Unix socket."""

    method: str
    path: str
    client: str


@dataclass(frozen=True)
class Response:
    status: HTTPStatus
    body: str
    content_type: str = "application/json"


Handler = Callable[[Request], Awaitable[Response]]


class Appliance(Protocol):
    """What the contract asks of the appliance."""

    def unready(self) -> str | None:
        """Why no new connection should come here, None when it may."""

    def error(self) -> str | None:
        """What is wrong with the newest configuration, None when nothing is."""

    async def report(self) -> dict[str, Any]:
        """The body of GET /connections."""

    async def drain(self, wanted: bool) -> None:
        """Stops (or resumes) taking new connections; open ones stay."""


def contract(appliance: Appliance) -> Handler:
    """The handler of the contract port: /healthz, /readyz, /connections and, from loopback only, /drain."""

    async def handle(request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/healthz":
                return answer(HTTPStatus.OK, {"status": "ok"})
            case "GET", "/readyz":
                reason = appliance.unready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
                return answer(status, {"reason": reason, "error": appliance.error()})
            case "GET", "/connections":
                return answer(HTTPStatus.OK, await appliance.report())
            case "POST" | "DELETE", "/drain" if is_loopback(request.client):
                await appliance.drain(request.method == "POST")
                return answer(HTTPStatus.OK, await appliance.report())
            case "POST" | "DELETE", "/drain":
                return answer(HTTPStatus.FORBIDDEN, {"error": "only from within the pod"})
        known = request.path in {"/healthz", "/readyz", "/connections", "/drain"}
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        return answer(status, {"error": status.phrase})

    return handle


def own_page(page: Path, who: Callable[[], tuple[str, str]]) -> Handler:
    """The handler of the instance's own domain: one page that says what this is. `who` gives name and domain."""
    template = string.Template(page.read_text())

    async def handle(request: Request) -> Response:
        if request.method not in {"GET", "HEAD"} or request.path != "/":
            return Response(HTTPStatus.NOT_FOUND, "Not found\n", "text/plain")
        name, domain = who()
        text = template.substitute(name=html.escape(name), domain=html.escape(domain))
        return Response(HTTPStatus.OK, text, "text/html; charset=utf-8")

    return handle


def answer(status: HTTPStatus, body: dict[str, Any]) -> Response:
    return Response(status, json.dumps(body) + "\n")


def is_loopback(client: str) -> bool:
    """Whether the address is this pod's own; a peer without an address is not."""
    try:
        address = ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def connection(handler: Handler) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """One HTTP/1.1 exchange per connection, for asyncio.start_server and start_unix_server."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            try:
                response, head_only = await _exchange(reader, writer, handler)
                writer.write(_encode(response, head_only))
                await writer.drain()
            finally:
                writer.close()
                await writer.wait_closed()

    return serve


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler
) -> tuple[Response, bool]:
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    except (TimeoutError, asyncio.LimitOverrunError, ValueError):
        return answer(HTTPStatus.BAD_REQUEST, {"error": "bad request"}), False
    peer = writer.get_extra_info("peername")
    request = Request(method, target.partition("?")[0], peer[0] if isinstance(peer, tuple) else "")
    try:
        return await handler(request), method == "HEAD"
    except Exception as error:  # the caller gets an answer in any case; the supervisor decides what is fatal
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)[:300]}), False


def _encode(response: Response, head_only: bool) -> bytes:
    body = response.body.encode()
    lines = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    head = "".join(f"{line}\r\n" for line in lines) + "\r\n"
    return head.encode() + (b"" if head_only else body)
