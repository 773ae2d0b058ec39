"""What the reader makes of the lines that a real OpenVPN 2.6.14 wrote (record_transcripts.py tells how)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mcs_operator.agent import management
from mcs_operator.agent.inputs import Established, Gone, Refusal, Refused, Roster, Session, Slot
from mcs_operator.agent.lines import MAX_BLOCK, Event, GoodBye, Heard, Listing, Noise, Reader, Stir
from mcs_operator.agent.management import MAX_LINE
from mcs_operator.agent.tunnel import Link
from mcs_operator.contract.linkstate import SlotState, TunnelReason, TunnelState, TunnelStatus

TRANSCRIPTS = Path(__file__).parent / "transcripts"
START = 1_800_000_000.0


def lines(name: str) -> list[tuple[float, str]]:
    text = (TRANSCRIPTS / f"{name}.txt").read_text()
    return [(float(time), line) for time, _, line in (row.partition(" ") for row in text.splitlines())]


def events(name: str) -> list[tuple[float, Event]]:
    reader = Reader()
    return [(time, event) for time, line in lines(name) if (event := reader.feed(line)) is not None]


def feed(*text: str) -> list[Event]:
    reader = Reader()
    return [event for line in text if (event := reader.feed(line)) is not None]


class Replay:
    """The tunnel that a transcript tells of, moment by moment."""

    def __init__(self, name: str) -> None:
        self.link = Link().after(Slot(SlotState.RUNNING, "revision-1"), START)
        self.changes: list[tuple[float, TunnelState]] = []
        for at, event in events(name):
            if isinstance(event, Stir | GoodBye | Noise):
                continue
            heard = event.roster if isinstance(event, Listing) else event
            self.link = self.link.after(heard, START + at)
            self._note(at)

    def end(self, time: float) -> Replay:
        self.link = self.link.after(Gone(), START + time)
        self._note(time)
        return self

    def _note(self, time: float) -> None:
        tunnel = self.link.tunnel(START + time)
        if not self.changes or self.changes[-1][1] != tunnel:
            self.changes.append((time, tunnel))

    @property
    def reasons(self) -> list[str]:
        told = [tunnel.reason.value for _, tunnel in self.changes]
        return [reason for index, reason in enumerate(told) if index == 0 or told[index - 1] != reason]

    def last(self) -> TunnelState:
        return self.changes[-1][1]


# --- transcripts of a real OpenVPN ---


def test_nobody_connected() -> None:
    assert Replay("never").reasons == ["NeverConnected"]


@pytest.mark.parametrize("name", ["clean-exit", "killed-client", "tcp-killed-client", "old-client", "new-keys"])
def test_a_tunnel_is_known_at_once_with_peer_version_and_fingerprint(name: str) -> None:
    announced = [event.session for _, event in events(name) if isinstance(event, Established)]
    assert len(announced) == 1, "new keys of the same client are no new client"
    session = announced[0]
    assert session.host == "10.77.0.11"
    assert session.version == "2.6.14"
    assert session.fingerprint is not None and len(session.fingerprint) == 64
    first = next(tunnel for _, tunnel in Replay(name).changes if tunnel.status is TunnelStatus.TRUE)
    assert first.since is not None and first.since.timestamp() == session.since


@pytest.mark.parametrize("name", ["there-before", "tcp-there-before"])
def test_a_client_that_was_there_before_the_agent_is_known_with_its_version_from_the_first_list_on(name: str) -> None:
    replay = Replay(name)
    assert replay.reasons == ["Established"]
    assert {tunnel.clientVersion for _, tunnel in replay.changes} == {"2.6.14"}


@pytest.mark.parametrize(
    ("name", "killed", "within"),
    [
        pytest.param("killed-client", 4.2, 15, id="a TVox that lost its power"),
        pytest.param("tcp-killed-client", 4.2, 1, id="the same over TCP, where the system says so"),
        pytest.param("clean-exit", 4.2, 8, id="a TVox that says good-bye"),
    ],
)
def test_a_dead_tunnel_is_seen_within_15_seconds(name: str, killed: float, within: float) -> None:
    replay = Replay(name)
    assert replay.reasons == ["NeverConnected", "Established", "Lost"]
    assert replay.changes[-1][0] - killed < within
    assert replay.last().flaps == 1


def test_a_tvox_that_is_back_before_its_ghost_timed_out() -> None:
    replay = Replay("back-before-its-ghost-is-gone")
    assert replay.reasons == ["NeverConnected", "Established"]
    assert replay.last().flaps == 1


def test_two_places_with_one_profile() -> None:
    replay = Replay("two-places")
    assert replay.reasons[-1] == "WrongPeer"
    assert "10.77.0.11 and 10.77.0.12" in replay.last().message


@pytest.mark.parametrize(
    ("name", "reason", "why"),
    [
        ("unpinned", TunnelReason.AUTHENTICATION_FAILED, Refusal.NOT_PINNED),
        ("tcp-unpinned", TunnelReason.AUTHENTICATION_FAILED, Refusal.NOT_PINNED),
        ("foreign", TunnelReason.AUTHENTICATION_FAILED, Refusal.NOT_TRUSTED),
        ("early", TunnelReason.AUTHENTICATION_FAILED, Refusal.NOT_YET_VALID),
        ("expired", TunnelReason.CERTIFICATE_EXPIRED, Refusal.EXPIRED),
    ],
)
def test_a_refused_client(name: str, reason: TunnelReason, why: Refusal) -> None:
    refused = [event for _, event in events(name) if isinstance(event, Refused)]
    assert refused and {(one.why, one.host) for one in refused} == {(why, "10.77.0.11")}
    tunnel = Replay(name).last()
    assert (tunnel.status, tunnel.reason) == (TunnelStatus.FALSE, reason)
    assert "10.77.0.11" in tunnel.message


def test_the_certificate_that_is_not_pinned_is_named_by_its_sha256() -> None:
    message = Replay("unpinned").last().message
    assert any(len(word.strip("()")) == 64 for word in message.split()), message


def test_a_stranger_without_the_links_key_is_noise() -> None:
    heard = [event for _, event in events("stranger")]
    assert sum(isinstance(event, Noise) for event in heard) >= 2
    assert Replay("stranger").reasons == ["NeverConnected"]


@pytest.mark.parametrize("name", ["noise-on-a-connected-link", "tcp-noise-on-a-connected-link"])
def test_noise_on_a_connected_link_changes_nothing(name: str) -> None:
    heard = [event for _, event in events(name)]
    assert any(isinstance(event, Noise) for event in heard)
    assert any(isinstance(event, Refused) for event in heard), "the stranger came as far as that"
    replay = Replay(name)
    assert replay.reasons == ["NeverConnected", "Established"]
    assert len(replay.changes) == 2


def test_noise_does_not_even_make_the_agent_ask() -> None:
    asked = [time for time, line in lines("noise-on-a-connected-link") if line.endswith("CMD 'status 3'")]
    assert len(asked) <= 4


def test_a_client_whose_address_changes_keeps_its_tunnel() -> None:
    replay = Replay("moved")
    assert replay.reasons == ["NeverConnected", "Established"]
    assert replay.last().flaps == 0
    assert (replay.last().peer or "").startswith("10.77.0.13:")


@pytest.mark.parametrize("name", ["killed-server", "stopped-server"])
def test_an_openvpn_that_ended_is_a_lost_tunnel_unless_it_was_planned(name: str) -> None:
    replay = Replay(name).end(5)
    assert replay.reasons == ["NeverConnected", "Established"], "it may yet turn out to have been planned"
    assert replay.link.tunnel(START + 9).reason is TunnelReason.LOST
    planned = replay.link.after(Slot(SlotState.RUNNING, "revision-2"), START + 6)
    assert planned.tunnel(START + 9).flaps == 0


def test_bytes_are_counted_per_client() -> None:
    listings = [event for _, event in events("killed-client") if isinstance(event, Listing) and event.clients]
    assert listings and listings[-1].clients[0].received > 1000 and listings[-1].clients[0].sent > 1000


# --- text that is not what OpenVPN writes ---

_TITLE = "TITLE\tx"
_HEADER = (
    "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent"
    "\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher"
)


def row(peer: str = "10.0.0.1:5", address: str = "198.18.254.17", since: str = "1800000000", client: str = "0") -> str:
    return f"CLIENT_LIST\tname\t{peer}\t{address}\t\t10\t20\tx\t{since}\tUNDEF\t{client}\t0\tAES-256-GCM"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(row(address=""), id="a client in its handshake"),
        pytest.param(row(peer="nonsense"), id="no address"),
        pytest.param(row(peer="10.0.0.1:port"), id="no port"),
        pytest.param(row(since="soon"), id="no time"),
        pytest.param(row(client="-1"), id="no number"),
        pytest.param(row(client="9" * 400), id="a number beyond measure"),
        pytest.param("CLIENT_LIST\tname", id="a row cut off"),
    ],
)
def test_a_row_that_makes_no_sense_is_left_out(bad: str) -> None:
    (listing,) = feed(_TITLE, _HEADER, bad, row("10.0.0.2:6"), "END")
    assert isinstance(listing, Listing)
    assert [client.session.peer for client in listing.clients] == ["10.0.0.2:6"]


def test_columns_are_found_by_name_and_not_by_place() -> None:
    header = "HEADER\tCLIENT_LIST\tClient ID\tNew\tConnected Since (time_t)\tVirtual Address\tReal Address"
    (listing,) = feed(_TITLE, header, "CLIENT_LIST\t7\tx\t1800000000\t198.18.254.17\t10.0.0.2:6", "END")
    assert isinstance(listing, Listing)
    assert listing.clients[0].session.client == 7


def test_an_end_without_a_list_is_no_list() -> None:
    assert feed("END", "TITLE\tx", "END") == []


def told(peer: str = "10.0.0.1:5", version: str = "2.4.12") -> str:
    """A line of the log from before the agent listened."""
    return f"1800000000,I,{peer} peer info: IV_VER={version}"


@pytest.mark.parametrize(
    ("past", "version"),
    [
        pytest.param([told()], "2.4.12", id="told before"),
        pytest.param([told(), told("link-017/10.0.0.1:5", "2.4.13")], "2.4.13", id="told again with new keys"),
        pytest.param([told("10.0.0.2:5")], None, id="told by another"),
        pytest.param([told(version="2.4 or so")], None, id="no version"),
        pytest.param([told("nonsense")], None, id="no address"),
        pytest.param([], None, id="not told"),
    ],
)
def test_the_log_from_before_tells_the_version_of_who_is_listed(past: list[str], version: str | None) -> None:
    reader = Reader()
    block = [*past, "END", _TITLE, _HEADER, row(), "END"]
    (listing,) = [event for line in block if (event := reader.feed(line)) is not None]
    assert isinstance(listing, Listing)
    assert listing.clients[0].session.version == version
    assert reader._told == {}, "later ones announce themselves"


def test_of_the_log_from_before_no_more_is_kept_than_of_a_list() -> None:
    reader = Reader()
    for number in range(MAX_BLOCK * 3):
        reader.feed(told(f"10.0.0.1:{number}"))
    assert len(reader._told) == MAX_BLOCK


def test_a_list_is_bounded() -> None:
    (listing,) = feed(_TITLE, _HEADER, *(row(client=str(n)) for n in range(MAX_BLOCK * 3)), "END")
    assert isinstance(listing, Listing)
    assert len(listing.clients) == MAX_BLOCK


def announcement(**env: str) -> list[Event]:
    said = {"trusted_ip": "10.0.0.1", "trusted_port": "5", "time_unix": "1800000000"} | env
    return feed(
        ">CLIENT:ESTABLISHED,3", *(f">CLIENT:ENV,{name}={value}" for name, value in said.items()), ">CLIENT:ENV,END"
    )


@pytest.mark.parametrize("version", ["2.4\x1b[31m", "x" * 33, "<script>", "2.4 or so", ""])
def test_a_clients_word_about_its_version_is_taken_only_if_it_looks_like_one(version: str) -> None:
    (event,) = announcement(IV_VER=version)
    assert isinstance(event, Established)
    assert event.session.version is None


@pytest.mark.parametrize("digest", ["", "ab", "zz" * 32, "ab" * 33])
def test_a_fingerprint_is_taken_only_if_it_is_one(digest: str) -> None:
    (event,) = announcement(tls_digest_sha256_0=digest)
    assert isinstance(event, Established)
    assert event.session.fingerprint is None


def test_an_ipv6_peer_is_written_in_brackets() -> None:
    (event,) = announcement(trusted_ip="", trusted_ip6="2001:DB8::1")
    assert isinstance(event, Established)
    assert (event.session.peer, event.session.host) == ("[2001:db8::1]:5", "[2001:db8::1]")


def test_an_announcement_that_makes_no_sense_makes_us_ask_for_the_list() -> None:
    assert announcement(trusted_ip="nowhere") == [Stir()]


def test_what_openvpn_says_by_itself_between_two_rows_of_a_list_does_not_disturb_it() -> None:
    (listing,) = feed(_TITLE, _HEADER, row(), ">INFO:x", ">BYTECOUNT:1,2", row("10.0.0.2:6"), "END")
    assert isinstance(listing, Listing)
    assert [client.session.peer for client in listing.clients] == ["10.0.0.1:5", "10.0.0.2:6"]


def test_a_list_that_was_cut_off_is_forgotten_when_the_next_begins() -> None:
    (listing,) = feed(_TITLE, _HEADER, row(), _TITLE, _HEADER, row("10.0.0.2:6"), "END")
    assert isinstance(listing, Listing)
    assert [client.session.peer for client in listing.clients] == ["10.0.0.2:6"]


def test_lines_of_a_client_that_are_no_announcement_are_passed_over() -> None:
    said = ("trusted_ip=10.0.0.1", "trusted_port=5", "time_unix=1800000000")
    env = [f">CLIENT:ENV,{one}" for one in said]
    assert feed(*env, ">CLIENT:ENV,END") == [], "nobody was announced"
    others = (">CLIENT:ADDRESS,3,198.18.254.17,1", ">CLIENT:trusted_port=6", ">CLIENT:XENV,trusted_ip=10.0.0.9")
    assert feed(">CLIENT:ESTABLISHED,3", *env, *others, ">CLIENT:ENV,END") == [
        Established(Session(3, "10.0.0.1:5", 1_800_000_000))
    ]


def test_an_end_in_the_log_is_a_stir_and_any_other_word_of_a_client_is_none() -> None:
    assert feed(">LOG:1,,x/10.0.0.1:5 SIGTERM[soft,remote-exit] received, client-instance exiting") == [Stir()]
    assert feed(">LOG:1,,x/10.0.0.1:5 SIGUSR1[soft,ping-restart] received, client-instance restarting") == [Stir()]
    assert feed(">LOG:1,I,x/10.0.0.1:5 [x] Inactivity timeout (--ping-restart), restarting") == [Stir()]
    assert feed(">LOG:1,N,x/10.0.0.1:5 Connection reset, restarting [-1]") == [Stir()]
    assert feed(">LOG:1,N,x/10.0.0.1:5 OCC exit message received by peer") == [Stir()]
    assert feed(">LOG:1,N,x/10.0.0.1:5 CC-EEN exit message received by peer") == [GoodBye()]
    assert feed(">LOG:1,,x/10.0.0.1:5 MULTI: Learn: 198.18.254.17 -> x/10.0.0.1:5") == []


@pytest.mark.parametrize(("digits", "taken"), [(19, True), (20, False)])
def test_a_number_of_more_than_19_digits_is_none(digits: int, taken: bool) -> None:
    (listing,) = feed(_TITLE, _HEADER, row(client="9" * digits), "END")
    assert isinstance(listing, Listing)
    assert len(listing.clients) == taken


def test_of_an_announcement_only_what_is_wanted_is_kept() -> None:
    reader = Reader()
    reader.feed(">CLIENT:ESTABLISHED,3")
    for number in range(2000):
        reader.feed(f">CLIENT:ENV,IV_{number}=x")
    reader.feed(">CLIENT:ENV,IV_VER=2.4.12")
    assert reader._env == {"IV_VER": "2.4.12"}


@pytest.mark.parametrize("seconds", ["999999999999999999", "253402300800", "-1", "1e3", "", "٣"])
def test_a_time_that_no_calendar_has_makes_us_ask_for_the_list_and_is_not_taken_from_there(seconds: str) -> None:
    assert announcement(time_unix=seconds) == [Stir()]
    (listing,) = feed(_TITLE, _HEADER, row(since=seconds), "END")
    assert isinstance(listing, Listing)
    assert listing.clients == ()


@pytest.mark.parametrize(
    "peer",
    [
        "10.0.0.1:65536",
        "10.0.0.1:9999999999",
        f"[fe80::1%{'x' * 100}]:5",
        "10.0.0.1",
        "10.0.0.1:",
        ":5",
        "x:5",
        "X10.0.0.1:5",
    ],
)
def test_an_address_that_is_none_is_not_reported(peer: str) -> None:
    (listing,) = feed(_TITLE, _HEADER, row(peer=peer), "END")
    assert isinstance(listing, Listing)
    assert listing.clients == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "10.0.0.1:5 VERIFY OK: depth=0, CN=x/10.0.0.9:5 SIGTERM[soft,x] received, client-instance exiting",
            id="a name that imitates an end",
        ),
        pytest.param(
            "10.0.0.1:5 peer info: IV_VER=VERIFY ERROR: depth=0, error=certificate has expired: x",
            id="a version that imitates an expired certificate",
        ),
        pytest.param("10.0.0.1:5 VERIFY OK: depth=0, CN=TLS Error: tls-crypt unwrapping failed from x", id="noise"),
        pytest.param("nobody VERIFY ERROR: depth=0, error=certificate has expired: x", id="no address"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_stranger_cannot_imitate_another_line(text: str) -> None:
    assert feed(f">LOG:1800000000,,{text}") == []


def test_a_reason_in_a_certificates_name_is_not_the_reason() -> None:
    line = (
        ">LOG:1800000000,N,10.0.0.1:5 VERIFY ERROR: depth=0, error=self-signed certificate: CN=x, error=y: z, serial=1"
    )
    assert feed(line) == [Refused(Refusal.NOT_TRUSTED, "10.0.0.1", "self-signed certificate")]


# --- the socket ---


@asynccontextmanager
async def openvpn(
    path: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]
) -> AsyncIterator[None]:
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            result = talk(reader, writer)
            if asyncio.iscoroutine(result):
                await result
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listed: Iterable[str] = ()) -> None:
    """Answers as OpenVPN does, until the other end goes."""
    while line := await reader.readline():
        if line.startswith(b"status"):
            writer.write("\r\n".join([_TITLE, _HEADER, *listed, "END", ""]).encode())


async def heard_from(path: Path, seconds: float) -> list[Heard]:
    heard: list[Heard] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await management.converse(path, heard.append)
    return heard


async def test_the_list_is_asked_for_at_once_and_seldom_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with openvpn(path, lambda r, w: answer(r, w, [row()])):
        heard = await heard_from(path, 1)
    assert [type(one) for one in heard] == [Listing, Gone]


async def test_an_end_in_the_log_makes_it_ask_at_once(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking = asyncio.create_task(answer(reader, writer))
        await asyncio.sleep(0.3)
        writer.write(
            b">LOG:1800000000,,link-017/10.0.0.1:5 SIGUSR1[soft,ping-restart] received, client-instance restarting\n"
        )
        await talking

    path = tmp_path / "socket"
    async with openvpn(path, talk):
        heard = await heard_from(path, 1)
    assert [type(one) for one in heard] == [Listing, Listing, Gone]


async def test_a_storm_of_events_is_a_handful_of_questions(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking = asyncio.create_task(answer(reader, writer))
        for _ in range(500):
            writer.write(b">LOG:1800000000,,x/10.0.0.1:5 SIGTERM[soft,x] received, client-instance exiting\n")
            await asyncio.sleep(0.001)
        await talking

    path = tmp_path / "socket"
    async with openvpn(path, talk):
        heard = await heard_from(path, 1.5)
    assert 2 <= sum(isinstance(one, Listing) for one in heard) <= 8


async def test_an_openvpn_that_does_not_answer_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "ANSWER_WITHIN", 0.2)
    path = tmp_path / "socket"
    async with openvpn(path, lambda r, w: asyncio.sleep(5)), asyncio.timeout(2):
        assert await heard_from(path, 5) == [Gone()]


async def test_that_it_is_time_to_ask_again_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "STATUS_EVERY", 0.05)
    path = tmp_path / "socket"
    async with openvpn(path, lambda r, w: answer(r, w, [row()])):
        heard = await heard_from(path, 1)
    assert sum(isinstance(one, Listing) for one in heard) >= 3
    assert [type(one) for one in heard].index(Gone) == len(heard) - 1, "it was left once, by us"


async def test_one_that_never_stops_to_talk_leaves_the_others_their_turn(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"\n" * 2**18)
            await writer.drain()

    path, longest = tmp_path / "socket", 0.0
    async with openvpn(path, talk):
        reading = asyncio.create_task(heard_from(path, 1))
        while not reading.done():
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)
    assert longest < 0.5, "a quarter of a million lines at once take seconds"


@pytest.mark.parametrize("nonsense", [b"x" * (MAX_LINE * 4), os.urandom(1000) + b"\n" + b"y" * (MAX_LINE * 4)])
async def test_what_is_not_openvpn_is_left_alone(tmp_path: Path, nonsense: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(nonsense)
        await asyncio.sleep(5)

    path = tmp_path / "socket"
    async with openvpn(path, talk), asyncio.timeout(2):
        assert await heard_from(path, 5) == [Gone()]


async def test_a_link_to_a_neighbours_socket_is_not_followed(tmp_path: Path) -> None:
    """OpenVPN speaks with one at a time: whoever leads the agent there by two ways keeps it from the neighbour."""
    neighbour, path, visits = tmp_path / "neighbour", tmp_path / "socket", []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        await answer(reader, writer, [row()])

    async with openvpn(neighbour, talk):
        path.symlink_to(neighbour)
        with pytest.raises(OSError):
            await management.converse(path, lambda _: None)
        assert visits == []
        assert [type(one) for one in await heard_from(neighbour, 0.5)] == [Listing, Gone]


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo])
async def test_what_is_no_socket_is_nobody_who_listens(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "socket")
    with pytest.raises(OSError):
        async with asyncio.timeout(5):
            await management.converse(tmp_path / "socket", lambda _: None)


async def test_a_socket_that_comes_back_is_read_again(tmp_path: Path) -> None:
    path, heard = tmp_path / "socket", []
    following = asyncio.create_task(management.follow(path, heard.append, pause=0.01))
    await asyncio.sleep(0.05)
    assert set(heard) == {Gone()}, "nobody is there yet"
    for _ in range(2):
        heard.clear()
        async with openvpn(path, lambda r, w: answer(r, w, [row()])):
            async with asyncio.timeout(10):
                while not any(isinstance(one, Listing) for one in heard):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    following.cancel()


def test_the_roster_of_a_list_is_its_clients_oldest_first() -> None:
    (listing,) = feed(_TITLE, _HEADER, row(client="2", since="1800000009"), row(client="1", since="1800000001"), "END")
    assert isinstance(listing, Listing)
    assert isinstance(listing.roster, Roster)
    assert [session.client for session in listing.roster.sessions] == [1, 2]
