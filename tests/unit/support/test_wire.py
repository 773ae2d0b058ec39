"""What the packets of a connection say of how long its asker waits."""

from __future__ import annotations

import struct

import pytest

from support.wire import Wait, take

SERVER, CLIENT = 8443, 50001
HELLO, FINISHED, DATA = b"\x16\x03\x01", b"\x17\x03\x03" + bytes(70), b"\x17\x03\x03" + bytes(400)
FIN = 1


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


class Wire:
    """What is seen and what was found."""

    def __init__(self, version: int = 4) -> None:
        self.version = version
        self.waiting: dict[tuple[bytes, int], Wait] = {}
        self.found: list[float] = []

    def asks(self, at: float, payload: bytes, flags: int = 0, client: int = CLIENT) -> None:
        take(packet(self.version, client, SERVER, payload, flags), at, SERVER, self.waiting, self.found)

    def answers(self, at: float, payload: bytes, client: int = CLIENT) -> None:
        take(packet(self.version, SERVER, client, payload), at, SERVER, self.waiting, self.found)


@pytest.mark.parametrize("version", [4, 6])
def test_an_answer_takes_from_the_question_to_its_last_bytes(version: int) -> None:
    wire = Wire(version)
    wire.asks(1, DATA)
    wire.answers(2, b"")  # an acknowledgement is no answer
    wire.asks(2, DATA, client=CLIENT + 1)
    wire.answers(3, DATA)
    wire.answers(4, DATA)
    wire.asks(10, DATA)
    wire.answers(12, DATA)
    wire.asks(20, DATA)
    assert wire.found == [4 - 1, 12 - 10]
    assert {client: wait.answered for (_, client), wait in wire.waiting.items()} == {CLIENT: 0, CLIENT + 1: 0}


def test_the_first_one_has_the_servers_part_of_the_handshake_in_it_and_not_the_askers() -> None:
    wire = Wire()
    wire.asks(1, HELLO)
    wire.answers(2, HELLO)
    wire.answers(3, HELLO)  # the rest of a long flight
    wire.asks(10, FINISHED)
    wire.asks(11, DATA)
    wire.answers(14, DATA)
    wire.asks(20, b"", FIN)
    assert wire.found == [(2 - 1) + (14 - 10)]


def test_a_ticket_that_comes_before_the_question_is_part_of_the_handshake() -> None:
    wire = Wire()
    wire.asks(1, HELLO)
    wire.answers(2, HELLO)
    wire.asks(10, FINISHED)
    wire.answers(11, FINISHED)
    wire.asks(20, DATA)
    wire.answers(24, DATA)
    wire.asks(30, DATA)
    assert wire.found == [(2 - 1) + (11 - 10) + (24 - 20)]


def test_a_goodbye_is_no_question_and_the_next_connection_of_a_port_is_another_one() -> None:
    wire = Wire()
    wire.asks(1, DATA)
    wire.answers(2, DATA)
    wire.asks(5, FINISHED)
    wire.asks(5, b"", FIN)
    wire.answers(6, FINISHED)
    wire.asks(9, DATA)
    wire.answers(12, DATA)
    wire.asks(13, b"", FIN)
    assert wire.found == [2 - 1, 12 - 9]
    assert wire.waiting == {}
