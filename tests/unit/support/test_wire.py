"""What the packets of a connection say of how long its asker waits."""

from __future__ import annotations

import struct

import pytest

from support.wire import Wait, take

SERVER, CLIENT = 8443, 50001
HELLO, DATA = b"\x16\x03\x01", b"\x17\x03\x03"


def packet(version: int, source: int, target: int, payload: bytes, flags: int = 0) -> bytes:
    """Of the loopback device: Ethernet, IP, TCP."""
    tcp = struct.pack("!HHIIBBHHH", source, target, 0, 0, 5 << 4, flags, 0, 0, 0) + payload
    if version == 4:
        return (
            bytes(14)
            + struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x7f..1", b"\x7f..1")
            + tcp
        )
    return bytes(14) + struct.pack("!IHBB16s16s", 6 << 28, len(tcp), 6, 64, b"::1", b"::1") + tcp


@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_takes_from_the_question_to_its_last_bytes_less_what_the_asker_needs_for_his_handshake(
    version: int,
) -> None:
    waiting: dict[tuple[bytes, int], Wait] = {}
    found: list[float] = []

    def say(at: float, asks: bool, payload: bytes, client: int = CLIENT) -> None:
        ports = (client, SERVER) if asks else (SERVER, client)
        take(packet(version, *ports, payload), at, SERVER, waiting, found)

    say(1, True, HELLO)
    say(2, False, HELLO)  # the handshake is no answer, and what comes next is the asker's to do
    say(3, True, DATA)
    say(4, False, b"")  # an acknowledgement is none either
    say(3, True, DATA, CLIENT + 1)
    say(5, False, DATA)
    say(6, False, DATA)
    say(10, True, DATA)
    say(12, False, DATA)
    say(20, True, DATA)

    assert found == [(2 - 1) + (6 - 3), 12 - 10]
    assert {client: wait.answered for (_, client), wait in waiting.items()} == {CLIENT: 0, CLIENT + 1: 0}


FIN = 1


def test_a_goodbye_is_no_question_and_the_next_connection_of_a_port_is_another_one() -> None:
    waiting: dict[tuple[bytes, int], Wait] = {}
    found: list[float] = []
    for at, ports, payload, flags in (
        (1, (CLIENT, SERVER), DATA, 0),
        (2, (SERVER, CLIENT), DATA, 0),
        (5, (CLIENT, SERVER), DATA, 0),
        (5, (CLIENT, SERVER), b"", FIN),
        (6, (SERVER, CLIENT), DATA, 0),
        (9, (CLIENT, SERVER), DATA, 0),
        (12, (SERVER, CLIENT), DATA, 0),
        (13, (CLIENT, SERVER), b"", FIN),
    ):
        take(packet(4, *ports, payload, flags), at, SERVER, waiting, found)
    assert found == [2 - 1, 12 - 9]
    assert waiting == {}
