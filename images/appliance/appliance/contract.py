"""WHAT WE ANSWER: the HTTP contract with the operator.

Small on purpose: no bodies in requests, one request per connection. Neighbours in the cluster can reach the contract
port: they learn nothing of a customer there, and cannot keep the kubelet from its answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Protocol

REQUEST_TIMEOUT = 5.0
"""Seconds a client has for its request line and headers; a client that says nothing must not keep a task for ever."""
EXCHANGE_TIMEOUT = 20.0
"""Seconds for all of it: a client that does not read must not, either."""
LONGEST_HEAD = 8 * 1024
MOST_WAITING = 500
"""Connections that have not asked yet. One more, and the oldest goes: who means it asks within milliseconds. A hundred
come in at one look of the event loop; a process may have 1,024 files as a rule."""
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Request:
    """`client` is the peer's address, `until` what the order to drain says of its end."""

    method: str
    path: str
    client: str
    until: str = ""


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

    async def usage(self) -> dict[str, Any]:
        """The body of GET /usage."""

    async def drain(self, wanted: bool, until: str = "") -> None:
        """Stops (or resumes) taking new connections; open ones stay, until then at the latest where that is known."""


def contract(appliance: Appliance) -> Handler:
    """The handler of the contract port: /healthz, /readyz and, from loopback only, the rest."""

    async def handle(request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/healthz":
                return answer(HTTPStatus.OK, {"status": "ok"})
            case "GET", "/readyz":
                reason = appliance.unready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
                error = {"error": appliance.error()} if is_loopback(request.client) else {}
                return answer(status, {"reason": reason} | error)
            case ("GET", "/connections" | "/usage") | ("POST" | "DELETE", "/drain") if not is_loopback(request.client):
                return answer(HTTPStatus.FORBIDDEN, {"error": "only from within the pod"})
            case "GET", "/connections":
                return answer(HTTPStatus.OK, await appliance.report())
            case "GET", "/usage":
                return answer(HTTPStatus.OK, await appliance.usage())
            case "POST" | "DELETE", "/drain":
                await appliance.drain(request.method == "POST", request.until)
                return answer(HTTPStatus.OK, await appliance.report())
        known = request.path in {"/healthz", "/readyz", "/connections", "/usage", "/drain"}
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        return answer(status, {"error": status.phrase})

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
    """One HTTP/1.1 exchange per connection, for asyncio.start_server (limit=LONGEST_HEAD)."""
    waiting: dict[asyncio.StreamWriter, None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(waiting) >= MOST_WAITING:
            oldest = next(iter(waiting))
            del waiting[oldest]
            oldest.transport.abort()
        waiting[writer] = None
        try:
            async with asyncio.timeout(EXCHANGE_TIMEOUT):
                request = await _request(reader, writer)
                waiting.pop(writer, None)
                response = await _respond(request, handler)
                writer.write(_encode(response, request is not None and request.method == "HEAD"))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            waiting.pop(writer, None)
            writer.transport.abort()

    return serve


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """What is asked, None for what is no request. Raises IncompleteReadError for who goes without asking."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        method, target, _ = first.decode("ascii").split(" ")
    except (TimeoutError, asyncio.LimitOverrunError, ValueError):
        return None
    peer = writer.get_extra_info("peername")
    client = peer[0] if isinstance(peer, tuple) else ""
    return Request(method, target.partition("?")[0], client, _until(fields))


def _until(fields: Iterable[bytes]) -> str:
    """What the order to drain says of its end, where that is a time of UTC; empty else."""
    for name, _, value in (field.partition(b":") for field in fields):
        if name.lower() == b"drain-until" and _TIME.fullmatch(value.strip()):
            return value.strip().decode()
    return ""


async def _respond(request: Request | None, handler: Handler) -> Response:
    if request is None:
        return answer(HTTPStatus.BAD_REQUEST, {"error": "bad request"})
    try:
        return await handler(request)
    except Exception as error:  # the caller gets an answer in any case; the supervisor decides what is fatal
        return answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)[:300]})


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
