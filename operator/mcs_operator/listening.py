"""Ports that strangers reach: how many may be connected, for how long, and what is read of them.

All of it holds before anybody has said who he is. A connection is a stranger's until a handler vouches for it;
strangers have a few seconds, carry one request each, and make room for newcomers, their own peer's first. So neither
silent nor half-open connections keep out whoever can show that he belongs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from aiohttp import web

from mcs_operator.tasks import end_all

log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
_QUEUE = 256
_ACCEPTED_AT_ONCE = 8
"""Of which each may cost a handshake of a millisecond or two."""
_HEADERS = 32
"""Of at most 8 KiB each; Prometheus, the API server and the operator send fewer than twenty."""

_SILENT = logging.getLogger("mcs_operator.listening.http")
_SILENT.setLevel(logging.CRITICAL)
"""Else every line that is no HTTP is a traceback in the log, at the pace of whoever sends it. What a handler raises is
logged here."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Limits:
    """``connections`` in all and ``per_peer`` (address); the rest are seconds: for the TLS ``handshake``; until a
    ``stranger`` is vouched for or closed; ``idle`` between two requests of others; for an ``answer``, body included."""

    connections: int
    per_peer: int
    handshake: float = 5.0
    stranger: float = 10.0
    idle: float = 75.0
    answer: float = 20.0


# ------------------------------------------------------------------------------------------------------------ visitors


@dataclass(slots=True, eq=False)
class Visitor:
    """One connection. ``end`` closes it whatever it is in the midst of."""

    address: tuple[Any, ...]
    since: float
    end: Callable[[], None]
    known: bool = False

    @property
    def peer(self) -> str:
        """Whose share it takes."""
        return str(self.address[0])


@dataclass(slots=True)
class Visitors:
    """Who is connected. Address and port tell connections apart."""

    limits: Limits
    _present: dict[tuple[Any, ...], Visitor] = field(default_factory=dict)
    _shares: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._present)

    def admit(self, visitor: Visitor) -> bool:
        """Take it in, where need be in the place of the stranger who is here longest; False where there is none."""
        if visitor.address in self._present:  # the kernel gave its port away, so that one is gone
            self.leave(self._present[visitor.address])
        full = len(self._present) >= self.limits.connections
        if self._shares[visitor.peer] >= self.limits.per_peer:
            longest = self._longest_of(visitor.peer)
        elif full:
            longest = self._longest_of(self._greediest())
        else:
            longest = None
        if longest:
            self.leave(longest)
            longest.end()
        elif full or self._shares[visitor.peer] >= self.limits.per_peer:
            return False
        self._present[visitor.address] = visitor
        self._shares[visitor.peer] += 1
        return True

    def leave(self, visitor: Visitor) -> None:
        """It is gone, or as good as gone; once or several times."""
        if self._present.get(visitor.address) is visitor:
            del self._present[visitor.address]
            self._shares[visitor.peer] -= 1
            if not self._shares[visitor.peer]:
                del self._shares[visitor.peer]

    def vouch(self, address: tuple[Any, ...] | None) -> None:
        """This connection is no stranger's any more."""
        if address in self._present:
            self._present[address].known = True

    def end_overdue(self, now: float) -> None:
        """Close strangers who are here for too long."""
        for visitor in list(self._present.values()):
            if not visitor.known and now - visitor.since > self.limits.stranger:
                self.leave(visitor)
                visitor.end()

    def _longest_of(self, peer: str | None) -> Visitor | None:
        """In order of arrival, as a dictionary is."""
        return next((one for one in self._present.values() if one.peer == peer and not one.known), None)

    def _greediest(self) -> str | None:
        strangers = Counter(one.peer for one in self._present.values() if not one.known)
        return max(strangers, key=strangers.__getitem__, default=None)


class _Connection(socket.socket):
    """Tells when it is closed, which is the one thing that happens to every connection however it ends."""

    closed: Callable[[], None] | None = None

    def close(self) -> None:
        """Close, and tell."""
        super().close()
        if self.closed:
            told, self.closed = self.closed, None  # and nothing of it is left for the collector of cycles
            told()

    def end(self) -> None:
        """Let the event loop find it ended: it has the descriptor, so it must close it."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """At once, and without a trace of it in the kernel's tables."""
        with contextlib.suppress(OSError):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


def _bound(host: str | None, port: int) -> socket.socket:
    if host is not None:
        return socket.create_server((host, port), backlog=_QUEUE)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_QUEUE)
    return socket.create_server(("", port), backlog=_QUEUE)


# ------------------------------------------------------------------------------------------------------------ requests

_VISITORS = web.AppKey("visitors", Visitors)
_KNOWN = web.RequestKey("known", bool)


def vouch(request: web.Request) -> None:
    """Whoever sent this has shown that he belongs here: his connection stays, and no stranger displaces it."""
    request[_KNOWN] = True
    visitors = request.config_dict.get(_VISITORS)
    if visitors is not None and request.transport is not None:
        visitors.vouch(request.transport.get_extra_info("peername"))


@dataclass(slots=True)
class Listener:
    """Serves an application on a port, within limits; over TLS where there is a ``context``."""

    app: web.Application
    port: int
    limits: Limits
    context: ssl.SSLContext | None = None
    host: str | None = None
    shutdown: float = 2.0
    _runner: web.AppRunner | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Begin. OSError where the port cannot be had."""
        visitors = self.app[_VISITORS] = Visitors(self.limits)
        self.app.middlewares.insert(0, self._watched())
        self._runner = web.AppRunner(
            self.app,
            handle_signals=False,
            access_log=None,
            logger=_SILENT,
            keepalive_timeout=self.limits.idle,
            lingering_time=1.0,
            max_headers=_HEADERS,
            auto_decompress=False,  # a body of a few kilobytes may become gigabytes
            shutdown_timeout=self.shutdown,
        )
        await self._runner.setup()
        served = cast(web.Server, self._runner.server)  # there is one after setup
        self._begin(self._admit(_bound(self.host, self.port), visitors, served))
        self._begin(_sweep(visitors))

    async def stop(self) -> None:
        """End; requests that are being answered have a moment."""
        await end_all(self._tasks)
        if self._runner:
            await self._runner.cleanup()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"port {self.port}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _admit(self, gate: socket.socket, visitors: Visitors, served: web.Server) -> None:
        """Let in, or not: before a byte is read, and before TLS costs anything. A few, and then whatever else waits."""
        loop, accepted_now = asyncio.get_running_loop(), 0
        with gate:
            gate.setblocking(False)
            while True:
                try:
                    accepted, address = await loop.sock_accept(gate)
                except ConnectionAbortedError:
                    continue  # whoever it was has gone
                except OSError as error:  # such as no descriptor that is free
                    log.error("port %d: no connection is accepted: %s", self.port, error.strerror)
                    await asyncio.sleep(1)
                    continue
                connection = _Connection(fileno=accepted.detach())
                visitor = Visitor(tuple(address), loop.time(), connection.end)
                if visitors.admit(visitor):
                    connection.closed = partial(visitors.leave, visitor)
                    self._begin(self._receive(connection, served()))
                else:
                    connection.refuse()
                accepted_now += 1
                if accepted_now % _ACCEPTED_AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _receive(self, connection: _Connection, protocol: web.RequestHandler) -> None:
        """Shake hands; then the connection lives by itself."""
        limits = {"ssl_handshake_timeout": self.limits.handshake, "ssl_shutdown_timeout": 1.0} if self.context else {}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, connection, ssl=self.context, **limits
            )
        except Exception as error:  # nearly always an ssl.SSLError or a time-out: the stranger's affair
            # Else each handshake that fails leaves a ring of a quarter of a MiB, until Python's collector comes by.
            error.__traceback__ = None
            protocol.connection_lost(None)
            connection.close()

    def _watched(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                response = await self._answered(request, handler)
            except web.HTTPException as refusal:
                response = refusal
            if not request.get(_KNOWN):
                response.force_close()
            if isinstance(response, web.HTTPException):
                raise response
            return response

        return middleware

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return web.Response(status=415, text="send the body as it is\n")
        try:
            async with asyncio.timeout(self.limits.answer):
                return await handler(request)
        except TimeoutError:
            request.pop(_KNOWN, None)
            return web.Response(status=503, text="this took too long\n")
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:
            log.error("a request to port %d failed: %s", self.port, type(error).__name__, exc_info=error)
            return web.Response(status=500, text="the request failed\n")


async def _sweep(visitors: Visitors) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        visitors.end_overdue(asyncio.get_running_loop().time())
