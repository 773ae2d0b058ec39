"""What the packets of a connection say of how long its asker waits."""

from __future__ import annotations

import struct

import pytest

from support.wire import Wait, take

SERVER, CLIENT = 8443, 50001
HELLO, DATA = b"\x16\x03\x01", b"\x17\x03\x03"


def packet(version: int, source: int, target: int, payload: bytes) -> bytes:
    """Of the loopback device: Ethernet, IP, TCP."""
    tcp = struct.pack("!HHIIBBHHH", source, target, 0, 0, 5 << 4, 0, 0, 0, 0) + payload
    if version == 4:
        return (
            bytes(14)
            + struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f..1", b"\x7f..1")
            + tcp
        )
    return bytes(14) + struct.pack("!IHBB16s16s", 6 << 28, len(tcp), 6, 64, b"::1", b"::1") + tcp


@pytest.mark.parametrize("version", [4, 6])
def test_a_wait_begins_with_the_question_and_ends_with_the_last_bytes_of_the_answer(version: int) -> None:
    waiting: dict[tuple[bytes, int], Wait] = {}
    found: list[float] = []

    def say(at: float, asks: bool, payload: bytes, client: int = CLIENT) -> None:
        ports = (client, SERVER) if asks else (SERVER, client)
        take(packet(version, *ports, payload), at, SERVER, waiting, found)

    say(1, True, HELLO)
    say(2, False, HELLO)  # the handshake is no answer
    say(3, True, DATA)
    say(4, False, b"")  # an acknowledgement is none either
    say(3, True, DATA, CLIENT + 1)
    say(5, False, DATA)
    say(6, False, DATA)
    say(10, True, DATA)
    say(12, False, DATA)
    say(20, True, DATA)

    assert found == [6 - 1, 12 - 10]
    assert {client: wait.answered for (_, client), wait in waiting.items()} == {CLIENT: 0, CLIENT + 1: 0}
