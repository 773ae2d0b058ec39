"""Who comes to the public ports in a test: strangers who hold what they can, visitors who ask, TVoxes that answer.

A program of its own, since each of them runs in a network namespace: `front_door.py ROLE JSON`. Each writes one line of
JSON to its standard output when its standard input ends, and is bounded in number and time by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
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
    told_to_end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), told_to_end.set()), daemon=True).start()
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


async def visitors(address: str, port: int, hosts: list[str], sources: list[str], seconds: float, pause: float) -> Any:
    """One request after the other, each from the next address to the next host, on a connection of its own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    waits, failures = [], []
    end = time.monotonic() + min(seconds, AT_MOST)
    number = 0
    while time.monotonic() < end:
        host, source = hosts[number % len(hosts)], sources[number % len(sources)]
        number += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=host, local_addr=(source, 0)
                )
                writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                said = await reader.read()
                writer.close()
            if not said.startswith(b"HTTP/1.1 200") or host.encode() not in said:
                failures.append(said[:100].decode(errors="replace"))
        except (OSError, TimeoutError) as error:
            failures.append(f"{type(error).__name__}: {error}")
        waits.append(time.monotonic() - began)
        await asyncio.sleep(pause)
    return {"waits": waits, "failures": failures}


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
        case _:
            told = asyncio.run(tvoxes(**arguments))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
