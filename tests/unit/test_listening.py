"""Ports that strangers reach: who is let in, who makes room, and what ends."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from mcs_operator.certwatcher import FollowingContext, server_context
from mcs_operator.listening import Limits, Listener, Visitor, Visitors, vouch
from mcs_operator.pki.mint import mint_ca, mint_client, mint_https
from support.ports import free_port

FEW = Limits(connections=8, per_peer=4, stranger=60.0)


def visitor(peer: str, port: int, ended: list[int] | None = None, since: float = 0.0) -> Visitor:
    return Visitor((peer, port), since, lambda: ended.append(port) if ended is not None else None)


# ------------------------------------------------------------------------------------------------------- who is let in


def test_a_peer_with_all_of_its_share_loses_the_stranger_who_is_there_longest() -> None:
    ended: list[int] = []
    visitors = Visitors(FEW)
    assert all(visitors.admit(visitor("a", port, ended)) for port in range(5))
    assert ended == [0]
    assert len(visitors) == 4


def test_when_all_places_are_taken_the_peer_with_the_most_strangers_makes_room() -> None:
    ended: list[int] = []
    visitors = Visitors(replace(FEW, connections=5))
    assert visitors.admit(visitor("modest", 1, ended))
    assert all(visitors.admit(visitor("greedy", port, ended)) for port in range(10, 14))
    assert visitors.admit(visitor("newcomer", 2, ended))
    assert ended == [10]


def test_whoever_was_vouched_for_is_never_displaced_and_then_a_newcomer_is_refused() -> None:
    ended: list[int] = []
    visitors = Visitors(FEW)
    for port in range(4):
        assert visitors.admit(visitor("a", port, ended))
        visitors.vouch(("a", port))
    assert not visitors.admit(visitor("a", 4, ended))
    assert visitors.admit(visitor("b", 5, ended)), "another peer has a share of its own"
    assert ended == []


def test_a_stranger_is_ended_when_his_time_is_over_and_nobody_else_is() -> None:
    ended: list[int] = []
    visitors = Visitors(FEW)
    for port, since in ((1, 0.0), (2, 0.0), (3, 5.0)):
        visitors.admit(visitor("a", port, ended, since))
    visitors.vouch(("a", 2))
    visitors.end_overdue(60.0)
    assert ended == []
    visitors.end_overdue(60.1)
    assert ended == [1]


def test_an_address_that_comes_again_is_one_visitor() -> None:
    visitors = Visitors(FEW)
    for _ in range(5):
        assert visitors.admit(visitor("a", 1))
    assert len(visitors) == visitors._shares["a"] == 1


def test_what_left_twice_is_counted_once() -> None:
    visitors = Visitors(FEW)
    one = visitor("a", 1)
    visitors.admit(one)
    visitors.leave(one)
    visitors.leave(one)
    visitors.vouch(("a", 1))
    visitors.vouch(None)
    assert len(visitors) == 0
    assert all(visitors.admit(visitor("a", port)) for port in range(4))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "vouch"]), st.integers(0, 20))))
def test_whatever_comes_and_goes_there_are_never_more_than_allowed(story: list[tuple[str, str, int]]) -> None:
    visitors, present = Visitors(FEW), dict[tuple[str, int], Visitor]()
    for peer, deed, port in story:
        if deed == "come" and (peer, port) not in present:
            newcomer = Visitor((peer, port), 0.0, lambda: None)
            if visitors.admit(newcomer):
                present[peer, port] = newcomer
        elif deed == "vouch":
            visitors.vouch((peer, port))
        elif (peer, port) in present:
            visitors.leave(present.pop((peer, port)))
        assert len(visitors) <= FEW.connections
        assert all(share <= FEW.per_peer for share in visitors._shares.values())


# ----------------------------------------------------------------------------------------------------------- the server


@asynccontextmanager
async def served(
    limits: Limits = FEW, context: ssl.SSLContext | None = None, answer: Callable[[], str] = lambda: "well"
) -> AsyncIterator[int]:
    """A page for everybody at /, and one at /known for whoever is vouched for. The port."""

    async def open_(_: web.Request) -> web.Response:
        return web.Response(text=answer())

    async def known(request: web.Request) -> web.Response:
        vouch(request)
        return web.Response(text=f"{len(await request.read())}")

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", open_)
    app.router.add_post("/known", known)
    app.router.add_get("/known", known)
    app.router.add_get("/slow", slow)
    listener = Listener(app, free_port(), limits, context, host="127.0.0.1", shutdown=0.1)
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.stop()


async def said(port: int, *parts: bytes, tls: ssl.SSLContext | None = None, pause: float = 0.0) -> bytes:
    """Everything that is answered until the server closes; at most five seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def request(path: str = "/", *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


async def test_a_stranger_carries_one_request_and_whoever_is_vouched_for_several() -> None:
    async with served() as port:
        assert (await said(port, request(), request())).count(b"HTTP/1.1 200") == 1
        known = await said(port, request("/known"), request("/known", "Connection: close"), pause=0.1)
        assert known.count(b"HTTP/1.1 200") == 2


async def test_silent_connections_in_any_number_keep_nobody_out_of_the_same_address() -> None:
    async with served() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        try:
            assert b"well" in await said(port, request())
        finally:
            for _, writer in silent:
                writer.close()


async def test_headers_that_come_a_byte_at_a_time_have_an_end() -> None:
    async with served(replace(FEW, stranger=0.5)) as port:
        begun = time.monotonic()
        assert await said(port, b"GET / HTTP/1.1\r\nX-Slow: ") == b""
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
        request("/", "Content-Length: -1"),
        request("/", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n",
        request("/", *(f"X-{n}: y" for n in range(200))),
        request("/", "X: " + "y" * 100_000),
        request("/" + "y" * 100_000),
    ],
    ids=["TLS", "version", "bytes", "length", "chunk", "200 headers", "a long header", "a long path"],
)
async def test_what_is_no_http_is_refused_and_leaves_nothing_in_the_log(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with served() as port:
        told = await said(port, sent)
        assert told == b"" or told.startswith(b"HTTP/1.1 4") or told.startswith(b"HTTP/1.0 4"), told[:80]
        assert b"well" in await said(port, request())
    assert caplog.text == ""


SEEDS = [
    request(),
    request("/known", "Content-Length: 5", method="POST") + b"hello",
    request("/known", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n",
    request("/known", "Expect: 100-continue", "Content-Length: 2", method="POST") + b"{}",
    request("/?a=%00&b=%ff", "Authorization: Bearer \xff", "Cookie: a=b; c", "Range: bytes=0-"),
    request("/", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"),
    request("//evil/../%2e%2e/", "Host: a, b"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def mutated(chance: random.Random) -> bytes:
    """One of the seeds, with a few bytes changed, doubled, cut out or put in."""
    sent = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(sent) + 1)
        some = bytes(chance.choice(b"\0\r\n :;,=%/\xff\x80aZ09") for _ in range(chance.choice([1, 2, 3, 2000])))
        sent[at : at + chance.choice([0, 1, len(some)])] = some
    return bytes(sent)


async def test_requests_of_every_kind_end_and_leave_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """MCS_FUZZ of them, seeded; a thousand in CI."""
    caplog.set_level(logging.INFO)
    count, chance = int(os.environ.get("MCS_FUZZ", "1000")), random.Random(13)  # noqa: S311 - a test's inputs
    async with served(replace(FEW, stranger=0.5, answer=0.5)) as port:

        async def one(sent: bytes) -> None:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                with suppress(OSError):  # it made room already
                    writer.write_eof()
                async with asyncio.timeout(10):
                    await reader.read()
                writer.close()
            except ConnectionError:
                pass  # it made room, or was refused

        for _ in range(0, count, 20):
            await asyncio.gather(*(one(mutated(chance)) for _ in range(20)))
        assert b"well" in await said(port, request())
    assert caplog.text == ""


async def test_a_body_that_would_grow_when_it_is_unpacked_is_refused() -> None:
    async with served() as port:
        told = await said(
            port, request("/known", "Content-Encoding: gzip", "Content-Length: 3", method="POST") + b"abc"
        )
    assert told.startswith(b"HTTP/1.1 415")


async def test_an_answer_has_an_end_too() -> None:
    async with served(replace(FEW, answer=0.2)) as port:
        assert (await said(port, request("/slow"))).startswith(b"HTTP/1.1 503")


async def test_a_handler_that_fails_tells_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise RuntimeError("a secret of ours")

    async with served(answer=broken) as port:
        told = await said(port, request())
    assert told.startswith(b"HTTP/1.1 500")
    assert b"secret" not in told
    assert caplog.text.count("a request to port") == 1


# ----------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """Certificate and key, and a client that trusts them."""
    ca = mint_ca("demo", datetime.now(UTC))
    made = mint_https(ca, "x", ["localhost"], datetime.now(UTC), 1)
    (tmp_path / "tls.crt").write_text(made.cert_pem)
    (tmp_path / "tls.key").write_text(made.key_pem)
    trust = ssl.create_default_context(cadata=ca.cert_pem)
    trust.check_hostname = False
    return tmp_path / "tls.crt", tmp_path / "tls.key", trust


def following(certificate: Path, key: Path) -> FollowingContext:
    context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)
    context.newest = server_context(certificate, key)
    return context


async def test_half_a_handshake_has_an_end(pair: tuple[Path, Path, ssl.SSLContext]) -> None:
    async with served(replace(FEW, handshake=0.3), following(*pair[:2])) as port:
        begun = time.monotonic()
        assert await said(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == b""
        assert time.monotonic() - begun < 3


async def test_fifteen_hundred_slow_handshakes_cost_little_and_keep_nobody_out(
    pair: tuple[Path, Path, ssl.SSLContext],
) -> None:
    certificate, key, trust = pair
    limits = Limits(connections=64, per_peer=16)
    async with served(limits, following(certificate, key)) as port:
        assert b"well" in await said(port, request(), tls=trust)
        before, half = _resident(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        loop, sockets = asyncio.get_running_loop(), []
        for _ in range(1500):
            sockets.append(socket.socket())
            sockets[-1].setblocking(False)
            with suppress(OSError):  # some made room for others by now
                await loop.sock_connect(sockets[-1], ("127.0.0.1", port))
                await loop.sock_sendall(sockets[-1], half)
        assert b"well" in await said(port, request(), tls=trust)
        grown = _resident() - before
        for one in sockets:
            one.close()
    assert grown < 60, f"{grown:.0f} MiB"


def _resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


async def test_only_clients_of_the_given_ca_are_let_in(pair: tuple[Path, Path, ssl.SSLContext], tmp_path: Path) -> None:
    certificate, key, trust = pair
    clients = mint_ca("clients", datetime.now(UTC))
    (tmp_path / "clients.crt").write_text(clients.cert_pem)
    context = FollowingContext(ssl.PROTOCOL_TLS_SERVER)
    context.newest = server_context(certificate, key, tmp_path / "clients.crt")
    async with served(context=context) as port:
        told = b""
        with suppress(ssl.SSLError, ConnectionError):
            told = await said(port, request(), tls=trust)
        assert told == b"", "a client without a certificate"
        mine = mint_client(clients, "api-server", datetime.now(UTC))
        (tmp_path / "mine.crt").write_text(mine.cert_pem)
        (tmp_path / "mine.key").write_text(mine.key_pem)
        trust.load_cert_chain(tmp_path / "mine.crt", tmp_path / "mine.key")
        assert b"well" in await said(port, request(), tls=trust)
