"""Who comes to the public ports in a test: strangers who hold what they can, visitors who ask, TVoxes that answer.

A program of its own, since each of them runs in a network namespace: `front_door.py ROLE JSON`. Each writes one line of
JSON to its standard output when its standard input ends, and is bounded in number and time by itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import os
import re
import resource
import selectors
import socket
import ssl
import sys
import threading
import time
from typing import Any

HALF_A_HELLO = bytes.fromhex("1603010200010001fc0303")
"""The first bytes of a ClientHello: its record announces 512 more."""
AT_MOST = 20.0
"""Seconds; whoever started us may have died."""


def strangers(address: str, port: int, sources: list[str], count: int, per_second: int) -> Any:
    """Connections that say nothing, and every other one the first bytes of a handshake; a closed one comes again."""
    told_to_end = end_of_input()
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    watched = selectors.DefaultSelector()
    began, made, closed, most = time.monotonic(), 0, 0, 0
    while (passed := time.monotonic() - began) < AT_MOST and not told_to_end.is_set():
        for _ in range(200):
            if len(watched.get_map()) >= count or made >= per_second * passed:
                break
            stranger = socket.socket()
            stranger.setblocking(False)
            with contextlib.suppress(OSError):
                stranger.bind((sources[made % len(sources)], 0))
                stranger.connect_ex((address, port))
            made += 1
            watched.register(stranger, selectors.EVENT_READ | (selectors.EVENT_WRITE if made % 2 else 0))
        for key, events in watched.select(0.01):
            stranger = key.fileobj  # type: ignore[assignment]
            try:
                if events & selectors.EVENT_WRITE:
                    stranger.send(HALF_A_HELLO)
                    watched.modify(stranger, selectors.EVENT_READ)
                ended = bool(events & selectors.EVENT_READ) and not stranger.recv(100)
            except OSError:
                ended = True
            if ended:
                watched.unregister(stranger)
                stranger.close()
                closed += 1
        most = max(most, len(watched.get_map()))
    return {"made": made, "closed": closed, "held": len(watched.get_map()), "most": most}


def end_of_input() -> threading.Event:
    """Set when the standard input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    return ended


async def visitors(address: str, port: int, hosts: list[str], sources: list[str], seconds: float, pause: float) -> Any:
    """One request after the other, each from the next address to the next host, on a connection of its own."""
    waits, failures = [], []
    end = time.monotonic() + min(seconds, AT_MOST)
    number = 0
    while time.monotonic() < end:
        host, source = hosts[number % len(hosts)], sources[number % len(sources)]
        number += 1
        began = time.monotonic()
        try:
            said = await answer_to(f"GET / HTTP/1.1\r\nHost: {host}\r\n", address, port, host, source)
            if not said.startswith(b"HTTP/1.1 200") or host.encode() not in said:
                failures.append(said[:100].decode(errors="replace"))
        except (OSError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}")
        waits.append(time.monotonic() - began)
        await asyncio.sleep(pause)
    return {"waits": waits, "failures": failures}


async def pages(address: str, port: int, host: str, source: str, cookie: str, count: int, pause: float) -> Any:
    """So many pages of somebody who signed in: each listens at a socket, and they ask who he is, until the standard
    input ends."""
    told_to_end = end_of_input()
    waits, failures = [], []
    head = f"Host: {host}\r\nOrigin: https://{host}\r\nCookie: {cookie}\r\n"
    sockets = [await listening(head, address, port, host, source) for _ in range(count)]
    heard = [asyncio.create_task(reader.read()) for reader, _ in sockets]  # all of it, which ends with the socket
    end = time.monotonic() + AT_MOST
    while time.monotonic() < end and not told_to_end.is_set():
        began = time.monotonic()
        try:
            said = await answer_to(f"GET /api/me HTTP/1.1\r\n{head}", address, port, host, source)
            if not said.startswith(b"HTTP/1.1 200"):
                failures.append(said[:100].decode(errors="replace"))
        except (OSError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}")
        waits.append(time.monotonic() - began)
        await asyncio.sleep(pause)
    failures += ["a socket was closed" for one in heard if one.done()]
    return {"waits": waits, "failures": failures}


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def listening(head: str, address: str, port: int, host: str, source: str) -> Stream:
    """An open WebSocket of the portal."""
    reader, writer = await connected(address, port, host, source)
    words = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(f"GET /api/socket HTTP/1.1\r\n{head}{words}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    said = await reader.readuntil(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 101"), said[:300]
    return reader, writer


async def sign_in(address: str, port: int, host: str, source: str, user: str, password: str) -> Any:
    """At a portal; the cookie."""
    body = json.dumps({"user": user, "password": password})
    head = f"POST /api/login HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nContent-Length: {len(body)}\r\n"
    said = await answer_to(head, address, port, host, source, body)
    found = re.search(rb"^set-cookie: ([^;]+);", said, re.IGNORECASE | re.MULTILINE)
    assert said.startswith(b"HTTP/1.1 204") and found, said[:300]
    return {"cookie": found[1].decode()}


async def answer_to(head: str, address: str, port: int, host: str, source: str, body: str = "") -> bytes:
    """To this request, on a connection of its own."""
    async with asyncio.timeout(10):
        reader, writer = await connected(address, port, host, source)
        writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
        said = await reader.read()
        writer.close()
    return said


async def connected(address: str, port: int, host: str, source: str) -> Stream:
    return await asyncio.open_connection(
        address, port, ssl=any_certificate(), server_hostname=host, local_addr=(source, 0)
    )


@functools.cache  # the authorities, which nobody asks here, take a while to load
def any_certificate() -> ssl.SSLContext:
    """Takes whatever is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def tvoxes(addresses: list[str], port: int) -> Any:
    """Answers every request with the host that was asked for, until the standard input ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    servers = [await asyncio.start_server(answer, address, port) for address in addresses]
    await asyncio.to_thread(sys.stdin.read)
    return {"tvoxes": len(servers)}


def main() -> None:
    role, arguments = sys.argv[1], json.loads(sys.argv[2])
    match role:
        case "strangers":
            told = strangers(**arguments)
        case "visitors":
            told = asyncio.run(visitors(**arguments))
        case "sign_in":
            told = asyncio.run(sign_in(**arguments))
        case "pages":
            told = asyncio.run(pages(**arguments))
        case _:
            told = asyncio.run(tvoxes(**arguments))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
