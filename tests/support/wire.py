"""How long a server of this machine takes for its answers, as the wire shows it.

Whoever asks counts what he does himself as well, and an API server's histogram knows no step between 25 and 100 ms. So
the packets of the loopback device are looked at, in a process of its own, with the kernel's time stamps:

    python3 wire.py PORT        prints `ready`; when its standard input ends, a JSON list of seconds

An answer takes from the first bytes that a connection carries to the server after the answer before, to the last ones
that come back before the next question, or before the end. The first one of a connection has the server's part of the
handshake in it, and not the other side's. A goodbye that is not answered is no question. Nothing may be asked on a
connection before the answer to the last question, as in HTTP/1.1.
"""

from __future__ import annotations

import ctypes
import json
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ETH_P_ALL, OUTGOING = 3, 4
SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 26, 33, 35
SOL_PACKET, PACKET_STATISTICS = 263, 6
LAST_WORD = 150
"""Bytes, at most, by which the other side ends a handshake; a server may answer with tickets."""
ENDS = 0x07
"""TCP's flags FIN, SYN and RST: with any of them, what went before on this pair of ports is over."""
HANDSHAKE = 0x16
"""First byte of a TLS record that is no application data yet."""


@contextmanager
def waits(port: int) -> Iterator[list[float]]:
    """Seconds that each answer of this port takes during the block; there when the block has ended."""
    found: list[float] = []
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        yield found
        out, _ = process.communicate(timeout=60)
        found += json.loads(out)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Look until standard input ends."""
    port, waiting, found = int(sys.argv[1]), {}, []  # type: int, dict[tuple[bytes, int], Wait], list[float]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 * 1024**2)
        wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        listen_to(wire, port)
        wire.bind(("lo", ETH_P_ALL))
        print("ready", flush=True)
        while sys.stdin not in select.select([wire, sys.stdin], [], [])[0]:
            packet, ancillary, _, sender = wire.recvmsg(2048, 64)
            if sender[2] != OUTGOING:  # the loopback device shows each packet twice
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                take(packet, seconds + nanoseconds / 1e9, port, waiting, found)
        seen, dropped = struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    if dropped:
        sys.exit(f"wire: {dropped} of {seen} packets were missed, so what was seen proves nothing")
    found += [wait.taken for wait in waiting.values() if wait.is_answer]
    print(json.dumps(found))


class Wait:
    """One question. ``asked``: since when the server has to do something; ``answered``: when it last said something
    that is no handshake, 0 before; ``shaken``: seconds that its part of the handshake took; ``size``: bytes that were
    asked after the handshake's first word."""

    def __init__(self, asked: float, shaken: float = 0.0) -> None:
        self.asked, self.answered, self.shaken, self.size = asked, 0.0, shaken, 0

    @property
    def is_answer(self) -> bool:
        """And not what a server says to the last word of a handshake, which is shorter than any question."""
        return bool(self.answered) and self.size > LAST_WORD

    @property
    def taken(self) -> float:
        """Seconds, all in all."""
        return self.answered - self.asked + self.shaken


def take(packet: bytes, now: float, port: int, waiting: dict[tuple[bytes, int], Wait], found: list[float]) -> None:
    """One packet, as the Ethernet that loopback pretends to be."""
    if packet[14] >> 4 == 4:
        tcp, end = 14 + 4 * (packet[14] & 15), 14 + int.from_bytes(packet[16:18], "big")
        source, target = packet[26:30], packet[30:34]
    else:
        tcp, end = 54, 54 + int.from_bytes(packet[18:20], "big")
        source, target = packet[22:38], packet[38:54]
    ports = struct.unpack("!HH", packet[tcp : tcp + 4])
    asks = ports[1] == port
    who = (source, ports[0]) if asks else (target, ports[1])
    payload, is_over = packet[tcp + 4 * (packet[tcp + 12] >> 4) : end], packet[tcp + 13] & ENDS
    if asks and (payload or is_over):
        ask(now, who, 0 if is_over else len(payload), waiting, found)
    elif payload and (wait := waiting.get(who)):
        answer(now, payload[0] == HANDSHAKE, wait)


def ask(
    now: float, who: tuple[bytes, int], size: int, waiting: dict[tuple[bytes, int], Wait], found: list[float]
) -> None:
    """The other side says so many bytes; none: that it ends."""
    wait = waiting.get(who)
    if wait and wait.is_answer:
        found.append(wait.taken)
    if not size:
        waiting.pop(who, None)
    elif wait is None or wait.answered:
        waiting[who] = wait = Wait(now, wait.taken if wait and not wait.is_answer else 0.0)
        wait.size = size
    else:
        wait.asked, wait.size = wait.asked or now, wait.size + size


def answer(now: float, is_handshake: bool, wait: Wait) -> None:
    """The server says something."""
    if not is_handshake:
        wait.answered = now
    elif wait.asked:
        wait.asked, wait.shaken, wait.size = 0.0, wait.shaken + now - wait.asked, 0


def listen_to(wire: socket.socket, port: int) -> None:
    """Let the kernel drop what is not TCP from or to this port: a busy loopback device would drown us."""
    half, byte, half_after_header, header = 0x28, 0x30, 0x48, 0xB1  # loads
    equal, stop = 0x15, 0x06
    program = [  # operation, how many to skip where equal, and where not, operand
        (half, 0, 0, 12),
        (equal, 0, 6, 0x86DD),
        (byte, 0, 0, 20),  # IPv6
        (equal, 0, 13, socket.IPPROTO_TCP),
        (half, 0, 0, 54),
        (equal, 10, 0, port),
        (half, 0, 0, 56),
        (equal, 8, 9, port),
        (equal, 0, 8, 0x0800),
        (byte, 0, 0, 23),  # IPv4
        (equal, 0, 6, socket.IPPROTO_TCP),
        (header, 0, 0, 14),
        (half_after_header, 0, 0, 14),
        (equal, 2, 0, port),
        (half_after_header, 0, 0, 16),
        (equal, 0, 1, port),
        (stop, 0, 0, 2048),  # so many bytes of it
        (stop, 0, 0, 0),  # none
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


if __name__ == "__main__":
    main()
