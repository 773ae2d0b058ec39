"""The pace at which one OpenVPN is read: when its list is asked for, how long that may take, how much is read at once.

Time is virtual here, so that seconds are exact and take none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar, cast

import pytest

from mcs_operator.agent import lines, management
from mcs_operator.agent.inputs import Established, Gone, Session
from mcs_operator.agent.lines import Client, Heard, Listing, Noise
from support.virtual_time import VirtualTime

T = TypeVar("T")
HEADER = (
    "HEADER\tCLIENT_LIST\tReal Address\tVirtual Address\tBytes Received\tBytes Sent\tConnected Since (time_t)"
    "\tClient ID"
)
END = ">LOG:1800000000,,link-017/10.0.0.1:5 SIGTERM[soft,remote-exit] received, client-instance exiting"
NOISE = ">LOG:1800000000,,TLS Error: tls-crypt unwrapping failed from [AF_INET]10.0.0.9:5"


class OpenVPN:
    """The other end: both streams of one conversation, and when which command came."""

    def __init__(self, answers_after: float | None = 0.0, unsent: int = 0) -> None:
        self.input = asyncio.StreamReader(limit=management.MAX_LINE)
        self.commands: list[tuple[float, str]] = []
        self.heard: list[Heard] = []
        self._answers_after, self._unsent = answers_after, unsent

    transport = property(lambda self: self)

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def write(self, raw: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.commands.append((round(loop.time(), 3), raw.decode()))
        if raw == b"status 3\n" and self._answers_after is not None:
            loop.call_later(self._answers_after, self.says, "TITLE\tx", HEADER, "END")

    def says(self, *lines: str) -> None:
        self.input.feed_data("".join(f"{line}\r\n" for line in lines).encode())

    def asked(self) -> list[float]:
        return [at for at, command in self.commands if command == "status 3\n"]

    async def talk(self, seconds: float = 1.0) -> None:
        """Until it ends, at the latest after so many seconds."""
        output = cast(asyncio.StreamWriter, self)
        async with asyncio.timeout(seconds):
            await management._Conversation(self.input, output, self.heard.append).run()


def in_no_time(story: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(story)


async def talked(openvpn: OpenVPN, seconds: float) -> OpenVPN:
    with pytest.raises(TimeoutError):
        await openvpn.talk(seconds)
    return openvpn


def test_the_log_and_its_past_are_wanted_first_and_the_list_every_ten_seconds() -> None:
    async def story() -> list[tuple[float, str]]:
        return (await talked(OpenVPN(), 25)).commands

    listed = [(0, "status 3\n"), (10, "status 3\n"), (20, "status 3\n")]
    assert in_no_time(story()) == [(0, "verb 2\nlog on\nlog 100\n"), *listed]


def test_an_answer_may_take_four_seconds_and_no_longer() -> None:
    async def story(answers_after: float | None) -> float:
        with pytest.raises(TimeoutError):
            await OpenVPN(answers_after).talk(9)
        return asyncio.get_running_loop().time()

    assert in_no_time(story(None)) == 4
    assert in_no_time(story(3.9)) == 9, "it was read on"


def test_talking_on_is_no_answer() -> None:
    async def story() -> float:
        openvpn = OpenVPN(None)
        for second in range(9):
            asyncio.get_running_loop().call_later(second, openvpn.says, NOISE)
        with pytest.raises(TimeoutError):
            await openvpn.talk(9)
        return asyncio.get_running_loop().time()

    assert in_no_time(story()) == 4


@pytest.mark.parametrize(
    ("happens", "asked"),
    [
        pytest.param([3.0], [0, 3, 13], id="at once when it was quiet"),
        pytest.param([0.1], [0, 0.25, 10.25], id="a quarter of a second after the last list"),
        pytest.param([3.0, 3.01, 3.02, 3.03], [0, 3, 3.25, 13.25], id="together when much happens"),
    ],
)
def test_after_an_end_in_the_log_the_list_is_asked_for(happens: list[float], asked: list[float]) -> None:
    async def story() -> list[float]:
        openvpn = OpenVPN()
        for at in happens:
            asyncio.get_running_loop().call_later(at, openvpn.says, END)
        return (await talked(openvpn, 14)).asked()

    assert in_no_time(story()) == asked


def test_of_a_client_that_says_good_bye_the_list_is_asked_for_when_it_has_left_it() -> None:
    good_bye = ">LOG:1800000000,N,link-017/10.0.0.1:5 CC-EEN exit message received by peer"

    async def story(at: float) -> list[float]:
        openvpn = OpenVPN()
        asyncio.get_running_loop().call_later(at, openvpn.says, good_bye)
        return (await talked(openvpn, 19)).asked()

    assert in_no_time(story(3)) == [0, 8.3, 9.3]
    assert in_no_time(story(7)) == [0, 10, 12.3, 13.3], "also where the list was due in between"


def test_a_list_that_was_asked_for_before_an_end_is_asked_for_once_more_and_then_seldom() -> None:
    async def story() -> list[float]:
        openvpn = OpenVPN(answers_after=1)
        asyncio.get_running_loop().call_later(0.5, openvpn.says, END)
        return (await talked(openvpn, 14)).asked()

    assert in_no_time(story()) == [0, 1.25, 12.25]


def test_who_comes_is_heard_at_once_and_the_list_asked_for() -> None:
    async def story() -> tuple[list[Heard], list[float]]:
        openvpn = OpenVPN()
        env = ("trusted_ip=10.0.0.1", "trusted_port=5", "time_unix=1800000000")
        came = (">CLIENT:ESTABLISHED,3", *(f">CLIENT:ENV,{one}" for one in env), ">CLIENT:ENV,END")
        asyncio.get_running_loop().call_later(3, openvpn.says, *came)
        await talked(openvpn, 5)
        return openvpn.heard, openvpn.asked()

    came = Established(Session(3, "10.0.0.1:5", 1_800_000_000))
    assert in_no_time(story()) == ([Listing(()), came, Listing(())], [0, 3])


def test_an_end_is_not_passed_on_and_noise_is_but_asks_nothing() -> None:
    async def story() -> tuple[list[Heard], list[float]]:
        openvpn = OpenVPN()
        asyncio.get_running_loop().call_later(3, openvpn.says, END)
        asyncio.get_running_loop().call_later(5, openvpn.says, NOISE)
        await talked(openvpn, 14)
        return openvpn.heard, openvpn.asked()

    assert in_no_time(story()) == ([Listing(()), Listing(()), Noise(), Listing(())], [0, 3, 13])


def test_25_lines_are_read_before_the_others_have_their_turn() -> None:
    async def story() -> list[int]:
        turn, read = 0, Counter[int]()

        async def others() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        openvpn = OpenVPN(None)
        openvpn.says(*[NOISE] * 60)
        openvpn.input.feed_eof()
        turns = asyncio.create_task(others())
        output = cast(asyncio.StreamWriter, openvpn)
        with pytest.raises(asyncio.IncompleteReadError):
            await management._Conversation(openvpn.input, output, lambda _: read.update([turn])).run()
        turns.cancel()
        return list(read.values())

    assert in_no_time(story()) == [25, 25, 10]


@pytest.mark.parametrize(("unsent", "asked"), [(16 * 1024, [0]), (16 * 1024 + 1, [])])
def test_one_that_does_not_take_what_it_is_sent_is_left(unsent: int, asked: list[float]) -> None:
    async def story() -> list[float]:
        openvpn = OpenVPN(unsent=unsent)
        with pytest.raises(TimeoutError if asked else management.NotOpenVPNError):
            await openvpn.talk(1)
        return openvpn.asked()

    assert in_no_time(story()) == asked


@pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1])
def test_a_line_of_more_than_16_kib_is_not_openvpns(size: int) -> None:
    async def story() -> None:
        openvpn = OpenVPN()
        openvpn.says("x" * (size - 1))  # and a carriage return, before the end of the line
        with pytest.raises(TimeoutError if size == 16 * 1024 else management.NotOpenVPNError):
            await openvpn.talk(1)

    in_no_time(story())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_after_the_end_no_descriptor_is_left_and_the_other_end_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody still holds the streams: an exception does, with its traceback."""
    ended, held, connection = asyncio.Event(), [], management._connection

    async def holding(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        held.append(await connection(path))
        return held[-1]

    monkeypatch.setattr(management, "_connection", holding)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 2 * management.MAX_LINE)
        while await reader.read(100):
            pass
        ended.set()
        writer.close()

    path = tmp_path / "socket"
    async with await asyncio.start_unix_server(serve, path):
        before = descriptors()
        heard: list[Heard] = []
        await management.converse(path, heard.append)
        async with asyncio.timeout(5):
            await ended.wait()
            while descriptors() > before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert heard == [Gone()]


def test_nobody_there_is_looked_for_every_quarter_of_a_second(tmp_path: Path) -> None:
    async def story() -> list[float]:
        looked: list[float] = []
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.9):
                await management.follow(tmp_path / "socket", lambda _: looked.append(loop.time()))
        return looked

    assert in_no_time(story()) == [0, 0.25, 0.5, 0.75]


def test_a_row_tells_what_passed_both_ways_and_none_where_it_tells_nothing() -> None:
    def rows(*rows: str) -> tuple[Client, ...]:
        reader = lines.Reader()
        for line in ("TITLE\tx", HEADER, *rows):
            assert reader.feed(line) is None
        listing = reader.feed("END")
        assert isinstance(listing, Listing)
        return listing.clients

    session = Session(7, "10.0.0.1:65535", 1_800_000_000)
    assert rows("CLIENT_LIST\t10.0.0.1:65535\tx\t10\t20\t1800000000\t7") == (Client(session, 10, 20),)
    assert rows("CLIENT_LIST\t10.0.0.1:65535\tx\t\t\t1800000000\t7") == (Client(session, 0, 0),)
    assert rows("CLIENT_LIST\t10.0.0.1:65535\tx\t10\t20\t1800000000") == (), "the number of the client is missing"
