"""The agent's HTTPS endpoints, and the agent as a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from mcs_operator.agent import agent, media, rtt, server
from mcs_operator.agent.agent import Config
from mcs_operator.agent.board import Board, Counters
from mcs_operator.agent.exits import Exits
from mcs_operator.agent.inputs import Session
from mcs_operator.agent.memory import Memory
from mcs_operator.agent.tunnel import Link
from mcs_operator.contract.exits import EXIT_FILE, ExitAtOnce, exit_line
from mcs_operator.contract.linkstate import LinkReport, MediaState, TunnelReason, metrics_token
from mcs_operator.listening import Limits
from mcs_operator.pki.mint import Authority, mint_agent, mint_ca
from mcs_operator.resolver import Resolver
from support.ports import free_port
from support.virtual_time import VirtualTime

TOKEN = "a-token-of-the-test"
LINKS = "/v1/links"
_ROW = (
    "TITLE\tx\r\nHEADER\tCLIENT_LIST\tReal Address\tVirtual Address\tBytes Received\tBytes Sent"
    "\tConnected Since (time_t)\tClient ID\r\n"
    "CLIENT_LIST\t203.0.113.5:40000\t198.18.254.17\t11\t22\t1800000000\t0\r\nEND\r\n"
)


@pytest.fixture(scope="module")
def ca() -> Authority:
    return mint_ca("demo", datetime.now(UTC))


def put_credentials(folder: Path, ca: Authority, token: str = TOKEN) -> None:
    pair = mint_agent(ca, ["localhost"], datetime.now(UTC))
    folder.mkdir(exist_ok=True)
    for name, content in {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem, "token": token}.items():
        draft = folder / f".{name}"
        draft.write_text(content)
        draft.replace(folder / name)


def put_slot(run: Path, number: int, **said: object) -> Path:
    folder = run / f"link-{number:03d}"
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "state.new"
    draft.write_text(json.dumps({"revision": "abc", "pid": 1, "state": "Running", "error": None} | said))
    draft.replace(folder / "state.json")
    return folder


@asynccontextmanager
async def fake_openvpn(folder: Path, answer: str = _ROW) -> AsyncIterator[None]:
    """Answers `status 3` with this list."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"status"):
                writer.write(answer.encode())
        writer.close()

    listening = await asyncio.start_unix_server(serve, folder / "openvpn.sock")
    try:
        yield
    finally:
        listening.close()


@pytest.fixture
def config(tmp_path: Path, ca: Authority) -> Config:
    put_credentials(tmp_path / "credentials", ca)
    (tmp_path / "run" / "stop").mkdir(parents=True)
    return Config(
        port=free_port(),
        contract_url=f"http://127.0.0.1:{free_port()}",
        cidr="198.18.254.0/24",
        instance="demo",
        namespace="ns",
        run=tmp_path / "run",
        credentials=tmp_path / "credentials",
        host="127.0.0.1",
    )


class Client:
    """The operator's end."""

    def __init__(self, config: Config, ca: Authority, token: str | None = TOKEN) -> None:
        self._base = f"https://localhost:{config.port}"
        self._ssl = ssl.create_default_context(cadata=ca.cert_pem)
        self._headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    async def ask(
        self, path: str, method: str = "GET", body: str | None = None, until: str | None = None
    ) -> tuple[int, bytes]:
        headers = self._headers | ({"Drain-Until": until} if until else {})
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self._base + path, ssl=self._ssl, data=body) as response,
        ):
            return response.status, await response.read()

    async def links(self, query: str = "") -> LinkReport:
        status, body = await self.ask(f"/v1/links?{query}")
        assert status == 200, body
        return LinkReport.model_validate_json(body)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(agent.run(config, stop))
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", config.port)
                writer.close()
                break
            except OSError:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.05)
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


# --- who may ask ---


@pytest.mark.parametrize("path", ["/v1/links", "/metrics", "/v1/drain", "/no-such-thing"])
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "ü"])
async def test_without_the_token_nothing_is_told(config: Config, ca: Authority, path: str, token: str | None) -> None:
    async with running(config):
        status, body = await Client(config, ca, token).ask(path)
    assert (status, body) == (401, b"")


@pytest.mark.parametrize("path", [b"/v1/links", b"/metrics", b"/%ff", b"/\xff"])
async def test_a_token_of_bytes_that_are_no_text_is_nobodys_and_no_traceback(
    config: Config, ca: Authority, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    trust = ssl.create_default_context(cadata=ca.cert_pem)
    async with running(config):
        reader, writer = await asyncio.open_connection("localhost", config.port, ssl=trust)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        assert (await reader.read())[:12] in (b"HTTP/1.1 401", b"HTTP/1.0 400", b"HTTP/1.1 400")
        writer.close()
    assert "Traceback" not in caplog.text


async def test_strangers_in_any_number_do_not_keep_the_operator_out(config: Config, ca: Authority) -> None:
    async with running(config):
        silent = [await asyncio.open_connection("127.0.0.1", config.port) for _ in range(150)]
        assert (await Client(config, ca).links()).epoch
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(("token", "stays"), [(TOKEN, True), ("wrong", False)])
async def test_who_has_shown_the_token_keeps_his_connection_however_many_strangers_come(
    config: Config, ca: Authority, token: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LIMITS", Limits(connections=2, per_peer=2))
    trust = ssl.create_default_context(cadata=ca.cert_pem)
    request = f"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    async with running(config):
        reader, writer = await asyncio.open_connection("localhost", config.port, ssl=trust)
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\nok\n")).startswith(b"HTTP/1.1 200")
        strangers = [await asyncio.open_connection("127.0.0.1", config.port) for _ in range(3)]
        assert await strangers[0][0].read() == b"", "of the strangers the first makes room for the last"
        writer.write(request)
        assert (await reader.read(12) == b"HTTP/1.1 200") is stays
        for _, one in ((reader, writer), *strangers):
            one.close()


async def test_the_token_for_metrics_opens_the_metrics_and_nothing_else(config: Config, ca: Authority) -> None:
    client = Client(config, ca, metrics_token(TOKEN))
    async with running(config):
        status, body = await client.ask("/metrics")
        others = [await client.ask(path) for path in (LINKS, "/v1/drain", "/no-such-thing")]
    assert status == 200
    assert b"mcs_media_up" in body
    assert others == [(401, b"")] * 3
    assert TOKEN not in metrics_token(TOKEN)


async def test_the_probe_needs_no_token(config: Config, ca: Authority) -> None:
    async with running(config):
        assert await Client(config, ca, None).ask("/healthz") == (200, b"ok\n")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_tls_is_refused(config: Config, ca: Authority) -> None:
    context = ssl.create_default_context(cadata=ca.cert_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with running(config):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", config.port, ssl=context)


async def test_changed_credentials_are_taken_up_and_bad_ones_are_not(
    tmp_path: Path, ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "credentials"
    put_credentials(folder, ca)
    credentials = server.Credentials(folder)
    assert not credentials.reload(), "nothing changed"
    put_credentials(folder, ca, "another-token")
    assert credentials.reload()
    assert credentials.allows("Bearer another-token", LINKS) and not credentials.allows(f"Bearer {TOKEN}", LINKS)
    (folder / "tls.key").write_text("no key")
    assert not credentials.reload()
    assert "credentials: the changed files are not usable, the former stay: SSLError" in caplog.text
    put_credentials(folder, ca, "")
    assert not credentials.reload(), "an empty token would open the door"
    assert credentials.allows("Bearer another-token", LINKS) and not credentials.allows("Bearer ", LINKS)


def other_half(folder: Path, ca: Authority, half: str) -> None:
    """Only this file of another pair."""
    pair = mint_agent(ca, ["localhost"], datetime.now(UTC))
    (folder / half).write_text({"tls.crt": pair.cert_pem, "tls.key": pair.key_pem}[half])


@pytest.mark.parametrize("half", ["tls.crt", "tls.key"])
async def test_half_a_pair_replaces_nothing_and_the_whole_one_that_follows_is_taken_up(
    config: Config, ca: Authority, half: str
) -> None:
    """The kubelet changes all files at once, but a Secret may be wrong."""
    credentials = server.Credentials(config.credentials)
    before = await shown(credentials, ca)
    other_half(config.credentials, ca, half)
    assert not credentials.reload()
    assert await shown(credentials, ca) == before
    put_credentials(config.credentials, ca, "another-token")
    assert credentials.reload()
    assert await shown(credentials, ca) != before


async def shown(credentials: server.Credentials, ca: Authority) -> bytes | None:
    """The certificate that a client sees now."""
    trust = ssl.create_default_context(cadata=ca.cert_pem)
    served = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0, ssl=credentials.context)
    async with served:
        port = served.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("localhost", port, ssl=trust)
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return found


async def test_a_rotated_token_and_certificate_hold_for_new_connections_and_the_agent_runs_on(
    config: Config, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.follow, "__defaults__", (0.05,))
    async with running(config) as task:
        assert (await Client(config, ca).ask(LINKS))[0] == 200
        put_credentials(config.credentials, ca, "another-token")
        for _ in range(100):
            if (await Client(config, ca, "another-token").ask(LINKS))[0] == 200:
                break
            await asyncio.sleep(0.05)
        rotated = Client(config, ca, metrics_token("another-token"))
        assert (await rotated.ask("/metrics"))[0] == 200
        assert (await Client(config, ca, TOKEN).ask(LINKS))[0] == 401, "the former token opens nothing any more"
        assert (await Client(config, ca, metrics_token(TOKEN)).ask("/metrics"))[0] == 401
        assert not task.done()


# --- what is told ---


async def test_a_link_is_told_as_its_openvpn_says(config: Config, ca: Authority) -> None:
    folder = put_slot(config.run, 17)
    put_slot(config.run, 2, state="Idle", revision=None)
    async with fake_openvpn(folder), running(config):
        report = await Client(config, ca).links()
        status, metrics = await Client(config, ca).ask("/metrics")
    (link,) = report.links
    assert (link.slot, link.revision, link.tunnel.reason) == (17, "abc", TunnelReason.ESTABLISHED)
    assert link.tunnel.peer == "203.0.113.5:40000"
    assert report.media is None, "the appliance does not answer"
    assert status == 200
    assert b'mcs_link_received_bytes_total{namespace="ns",mcs_instance="demo",link="link-017"} 11\n' in metrics


async def test_a_change_wakes_the_one_who_waits(config: Config, ca: Authority) -> None:
    async with running(config):
        first = await Client(config, ca).links()
        began = time.monotonic()
        waiting = asyncio.create_task(Client(config, ca).links(f"epoch={first.epoch}&version={first.version}&wait=25"))
        await asyncio.sleep(0.1)
        put_slot(config.run, 17, state="Quarantined", error="bad")
        second = await asyncio.wait_for(waiting, 5)
        assert time.monotonic() - began < 3
    assert second.version > first.version
    assert second.links[0].error == "bad"


async def test_who_waits_when_the_agent_ends_has_an_answer_and_no_broken_connection(
    config: Config, ca: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart of the agent is no failure for the operator to tell of."""
    waits, wait = asyncio.Event(), Board.wait

    async def noted(board: Board, epoch: str | None, version: int | None, seconds: float) -> LinkReport:
        if seconds:
            waits.set()
        return await wait(board, epoch, version, seconds)

    monkeypatch.setattr(Board, "wait", noted)
    async with running(config):
        first = await Client(config, ca).links()
        waiting = asyncio.create_task(Client(config, ca).links(f"epoch={first.epoch}&version={first.version}&wait=25"))
        await asyncio.wait_for(waits.wait(), 5)
    assert await waiting == first


@pytest.mark.parametrize("query", ["version=x", "wait=soon", "version=1.5"])
async def test_a_question_that_makes_no_sense_is_refused(config: Config, ca: Authority, query: str) -> None:
    async with running(config):
        status, _ = await Client(config, ca).ask(f"/v1/links?{query}")
    assert status == 400


async def test_names_are_looked_up_where_the_agent_is(config: Config, ca: Authority) -> None:
    async with running(config):
        status, body = await Client(config, ca).ask("/v1/resolve", "POST", '{"names": ["localhost"]}')
    assert status == 200
    assert json.loads(body) == {"answers": {"localhost": {"addresses": ["127.0.0.1"], "failure": None}}}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"names": "a.example"}',
        '{"names": [""]}',
        json.dumps({"names": ["x" * 254]}),
        json.dumps({"names": [f"c{n}.example" for n in range(252)]}),
    ],
    ids=["empty", "a list", "one name", "no name", "254 characters", "252 names"],
)
async def test_what_is_no_list_of_names_is_refused(config: Config, ca: Authority, body: str) -> None:
    async with running(config):
        status, _ = await Client(config, ca).ask("/v1/resolve", "POST", body)
        assert status == 400
        assert (await Client(config, ca, token=None).ask("/v1/resolve", "POST", body))[0] == 401


async def test_one_openvpn_that_does_not_answer_delays_no_other(config: Config, ca: Authority) -> None:
    stuck, well = put_slot(config.run, 2), put_slot(config.run, 3)
    async with fake_openvpn(stuck, ""), fake_openvpn(well), running(config):
        began = time.monotonic()
        report = await Client(config, ca).links()
        assert time.monotonic() - began < 5
    assert [link.tunnel.reason for link in report.links] == [TunnelReason.PENDING, TunnelReason.ESTABLISHED]


async def test_a_restarted_agent_has_a_new_epoch_and_the_same_links(config: Config, ca: Authority) -> None:
    folder = put_slot(config.run, 17)
    async with fake_openvpn(folder):
        reports = []
        for _ in range(2):
            async with running(config):
                reports.append(await Client(config, ca).links())
    assert reports[0].epoch != reports[1].epoch
    assert reports[0].links == reports[1].links


# --- slots that exit at once ---


async def test_slots_are_told_until_when_they_exit_at_once_and_the_latest_word_is_the_one_that_holds(
    config: Config, ca: Authority
) -> None:
    told = config.run / "stop" / EXIT_FILE
    async with running(config):
        for slots in ((17, 251), (2,)):
            asked = ExitAtOnce(slots=slots, seconds=60).model_dump_json()
            assert (await Client(config, ca).ask("/v1/exit-at-once", "POST", asked))[0] == 204
            until, *numbers = map(int, told.read_text().split())
            assert tuple(numbers) == slots
            assert 50 < until - time.time() <= 60
    assert [path.name for path in told.parent.iterdir()] == [EXIT_FILE]


@pytest.mark.parametrize(
    "asked",
    [
        '{"slots": [1], "seconds": 60}',
        '{"slots": [252], "seconds": 60}',
        '{"slots": [2], "seconds": 0}',
        '{"slots": [2], "seconds": 301}',
        json.dumps({"slots": list(range(2, 19)), "seconds": 60}),
        "x",
    ],
)
async def test_so_many_slots_as_would_jam_the_runtime_never_exit_at_once(
    config: Config, ca: Authority, asked: str
) -> None:
    async with running(config):
        assert (await Client(config, ca).ask("/v1/exit-at-once", "POST", asked))[0] == 400
        assert (await Client(config, ca, "wrong").ask("/v1/exit-at-once", "POST", asked))[0] == 401
    assert not (config.run / "stop" / EXIT_FILE).exists()


async def test_what_a_former_agent_has_told_the_slots_is_taken_back(config: Config) -> None:
    told = config.run / "stop" / EXIT_FILE
    told.write_text(exit_line([17], time.time() + 60))
    async with running(config):
        assert not told.exists()


async def test_an_agent_that_cannot_tell_the_slots_says_so(config: Config, ca: Authority) -> None:
    (config.run / "stop" / EXIT_FILE).mkdir()
    async with running(config):
        asked = ExitAtOnce(slots=(17,), seconds=60).model_dump_json()
        assert (await Client(config, ca).ask("/v1/exit-at-once", "POST", asked))[0] == 503


# --- the appliance ---


class Appliance:
    """Its contract's part that the agent uses."""

    def __init__(self) -> None:
        self.draining = False
        self.orders: list[str] = []

    async def _connections(self, _: web.Request) -> web.Response:
        return web.json_response({"connections": 3, "byLink": {"17": 3}, "draining": self.draining, "users": 7})

    async def _drain(self, request: web.Request) -> web.Response:
        self.orders.append(" ".join(filter(None, (request.method, request.headers.get("Drain-Until")))))
        self.draining = request.method == "POST"
        return web.json_response({"draining": self.draining})

    @asynccontextmanager
    async def serve(self, url: str) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/connections", self._connections)
        app.router.add_route("*", "/drain", self._drain)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(url.rpartition(":")[2])).start()
        try:
            yield
        finally:
            await runner.cleanup()


async def test_the_order_to_drain_reaches_the_appliance_and_its_effect_comes_back(
    config: Config, ca: Authority
) -> None:
    appliance, client = Appliance(), Client(config, ca)
    async with appliance.serve(config.contract_url), running(config):
        before = await client.links()
        assert (await client.ask("/v1/drain", "POST", until="2026-11-30T22:15:00Z"))[0] == 200
        after = await client.links(f"epoch={before.epoch}&version={before.version}&wait=5")
        assert (await client.ask("/v1/drain", "DELETE"))[0] == 200
    assert appliance.orders == ["POST 2026-11-30T22:15:00Z", "DELETE"]
    assert after.media == MediaState(connections=3, draining=True, users=7)


async def test_an_order_to_an_absent_appliance_is_a_bad_gateway(config: Config, ca: Authority) -> None:
    async with running(config):
        status, body = await Client(config, ca).ask("/v1/drain", "POST")
    assert status == 502 and b"does not answer" in body


@pytest.mark.parametrize("answer", [b"", b"{", b'{"connections": -1}', b"[]", b" " * 200_000])
async def test_an_appliance_that_talks_nonsense_is_not_believed(answer: bytes) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(body=answer)

    app = web.Application()
    app.router.add_get("/connections", nonsense)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with media.Media(f"http://127.0.0.1:{port}") as client:
            assert await client.state() is None
    finally:
        await runner.cleanup()


# --- round-trip times ---


async def test_an_accepted_connect_has_a_round_trip_time() -> None:
    listening = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    async with listening:
        taken = await rtt.measure("127.0.0.1", listening.sockets[0].getsockname()[1])
    assert taken is not None and 0 < taken < 1


async def test_a_refused_connect_has_one_too() -> None:
    taken = await rtt.measure("127.0.0.1", free_port())
    assert taken is not None and 0 < taken < 1


async def test_silence_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silence(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio, "open_connection", silence)
    assert await rtt.measure("127.0.0.1", 9, patience=0.1) is None


@pytest.mark.parametrize(("number", "address"), [(2, "198.18.254.2"), (17, "198.18.254.17"), (251, "198.18.254.251")])
def test_the_address_of_a_slot_is_its_number(number: int, address: str) -> None:
    assert rtt.Addresses("198.18.254.0/24").of(number) == address


async def test_a_link_that_is_down_has_no_round_trip_time() -> None:
    board = Board()
    board.counters[17] = counters = Counters(rtt=0.5)
    task = asyncio.create_task(rtt.measure_for_ever(board, rtt.Addresses("127.0.0.0/24"), every=0.1))
    await asyncio.sleep(0.05)
    task.cancel()
    assert counters.rtt is None


async def test_a_measured_connection_is_closed() -> None:
    closed = asyncio.Event()
    held = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        closed.set()
        writer.close()

    opened = asyncio.open_connection

    async def holding(*place: str | int) -> object:
        held.append(await opened(*place))
        return held[-1]

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "open_connection", holding)
            await rtt.measure("127.0.0.1", listening.sockets[0].getsockname()[1])
        await asyncio.wait_for(closed.wait(), 5)


def paced(taking: float, count: int, seconds: float) -> list[tuple[float, str, int]]:
    """When which address was measured."""
    measured: list[tuple[float, str, int]] = []

    async def measure(address: str, port: int) -> float:
        measured.append((round(asyncio.get_running_loop().time(), 2), address, port))
        await asyncio.sleep(taking)
        return 0.25

    async def story() -> None:
        board = Board()
        for number in range(2, 2 + count):
            board.links[number] = Link(session=Session(1, "203.0.113.5:1", 1_800_000_000))
            board.counters[number] = Counters()
        gone = board.counters.pop(2, None) if count > 1 else None
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TimeoutError):
            patch.setattr(rtt, "measure", measure)
            patch.setattr(rtt, "time", SimpleNamespace(monotonic=asyncio.get_running_loop().time))
            async with asyncio.timeout(seconds):
                await rtt.measure_for_ever(board, rtt.Addresses("198.18.254.0/24"))
        assert {counters.rtt for counters in board.counters.values()} == {0.25 if taking < seconds else None}
        assert gone is None or gone.rtt is None

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())
    return measured


def test_each_link_is_measured_every_15_seconds_and_all_are_spread_over_them() -> None:
    first = [(5.0 * turn, f"198.18.254.{2 + turn}", 80) for turn in range(2)]
    assert paced(0.01, 2, 29.9) == [*first, *((15 + at, address, port) for at, address, port in first)]


def test_a_round_that_takes_longer_is_followed_by_the_next_and_16_at_most_are_under_way() -> None:
    assert [at for at, _, _ in paced(20, 1, 41)] == [0, 20.1, 40.2]
    assert len(paced(100, 40, 60)) == 16


def test_a_connect_has_two_seconds() -> None:
    async def story() -> float:
        async def silence(*_: object) -> None:
            await asyncio.sleep(60)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "open_connection", silence)
            assert await rtt.measure("198.18.254.17") is None
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        assert runner.run(story()) == 2


# --- what is answered ---


class Answering:
    """An appliance that takes every order."""

    async def drain(self, method: str, until: str) -> tuple[int, bytes]:
        return 207, method.encode()

    async def state(self) -> MediaState:
        return MediaState(connections=3, draining=True)


async def test_every_answer_says_what_it_is_and_an_order_is_news_at_once(tmp_path: Path, ca: Authority) -> None:
    put_credentials(tmp_path / "credentials", ca)
    board, known = Board(), server.Credentials(tmp_path / "credentials")
    board.complete_now()
    exits = Exits(tmp_path)
    endpoints = server.Endpoints(board, cast(media.Media, Answering()), Resolver(), exits, ("ns", "demo"))
    app = server.build_app(endpoints, known)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    told = []
    async with TestClient(TestServer(app)) as client:
        for method, path, body in (
            ("GET", "/metrics", None),
            ("GET", "/v1/links", None),
            ("GET", "/v1/links?version=x", None),
            ("POST", "/v1/resolve", '{"names": []}'),
            ("POST", "/v1/resolve", "x"),
            ("POST", "/v1/drain", None),
            ("DELETE", "/v1/drain", None),
        ):
            async with client.request(method, path, headers=headers, data=body) as answer:
                told.append((answer.status, answer.headers["Content-Type"], await answer.text()))
        async with client.request("GET", "/v1/drain") as refused:
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        for size, status in ((128 * 1024, 400), (128 * 1024 + 1, 413)):
            async with client.post("/v1/resolve", headers=headers, data=b" " * size) as long:
                assert long.status == status
    assert board.media == MediaState(connections=3, draining=True)
    board.close()
    text, as_json = "text/plain; version=0.0.4; charset=utf-8", "application/json"
    assert [(status, kind) for status, kind, _ in told[:2]] == [(200, text), (200, as_json)]
    assert told[2:] == [
        (400, "application/json; charset=utf-8", '{"error": "version and wait are numbers"}'),
        (200, as_json, '{"answers":{}}'),
        (400, "application/json; charset=utf-8", '{"error": "the body is no list of names"}'),
        (207, as_json, "POST"),
        (207, as_json, "DELETE"),
    ]


@pytest.mark.parametrize(
    ("asked", "waits"), [("", 0), ("&wait=7", 7), ("&wait=60", 60), ("&wait=61", 60), ("&wait=-1", 0), ("&wait=nan", 0)]
)
async def test_nobody_waits_longer_than_a_minute(tmp_path: Path, ca: Authority, asked: str, waits: float) -> None:
    put_credentials(tmp_path / "credentials", ca)
    board, waited = Board(), []

    async def wait(*question: object) -> LinkReport:
        waited.append(question)
        return board.report

    board.wait = wait  # type: ignore[method-assign]
    known = server.Credentials(tmp_path / "credentials")
    exits = Exits(tmp_path)
    endpoints = server.Endpoints(board, cast(media.Media, Answering()), Resolver(), exits, ("ns", "demo"))
    app = server.build_app(endpoints, known)
    async with TestClient(TestServer(app)) as client:
        await client.get(f"/v1/links?epoch=e&version=3{asked}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert waited == [("e", 3, waits)]


def test_a_connection_is_let_be_for_longer_than_one_may_wait() -> None:
    assert Limits(connections=64, per_peer=16, answer=75.0) == server.LIMITS


def test_new_credentials_are_said_once(tmp_path: Path, ca: Authority, caplog: pytest.LogCaptureFixture) -> None:
    put_credentials(tmp_path, ca)
    credentials = server.Credentials(tmp_path)
    with caplog.at_level("INFO"):
        credentials.reload()
        put_credentials(tmp_path, ca, "another-token")
        credentials.reload()
        credentials.reload()
        put_credentials(tmp_path, ca, "")
        credentials.reload()
    assert [record.getMessage() for record in caplog.records] == [
        "credentials reloaded",
        "credentials: the changed files are not usable, the former stay: ValueError",
    ]


# --- memory ---


def test_what_was_written_is_read(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "agent" / "links.json")
    assert memory.read() == {}
    memory.write({"17": {"flaps": 2}})
    assert Memory(tmp_path / "agent" / "links.json").read() == {"17": {"flaps": 2}}


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_makes_no_sense_is_an_empty_memory(tmp_path: Path, text: str) -> None:
    (tmp_path / "links.json").write_text(text)
    assert Memory(tmp_path / "links.json").read() == {}


# --- the process ---


@pytest.fixture
def process(config: Config) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MCS_AGENT_PORT": str(config.port),
        "MCS_CONTRACT_URL": config.contract_url,
        "MCS_INSTANCE": "demo",
        "MCS_NAMESPACE": "ns",
        "MCS_RUN_DIR": str(config.run),
        "MCS_AGENT_DIR": str(config.credentials),
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "mcs_operator.agent"], env=environment, stdout=subprocess.PIPE, text=True
    )
    yield started
    started.kill()
    started.wait()
    if started.stdout:
        started.stdout.close()


async def test_the_process_ends_soon_after_sigterm_also_while_somebody_waits(
    process: subprocess.Popen[str], config: Config, ca: Authority
) -> None:
    folder = put_slot(config.run, 17)
    client = Client(config, ca)
    async with fake_openvpn(folder):
        for _ in range(200):
            try:
                report = await client.links()
                break
            except aiohttp.ClientError:
                assert process.poll() is None
                await asyncio.sleep(0.05)
        waiting = asyncio.create_task(client.ask(f"/v1/links?epoch={report.epoch}&version={report.version}&wait=60"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 20)
        taken = time.monotonic() - began
        await asyncio.gather(waiting, return_exceptions=True)
    assert code == 0
    assert taken < 3.0, "0.2 s on an idle machine, and the pod waits for it"
    assert process.stdout
    logged = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert logged and all({"time", "level", "message"} <= line.keys() for line in logged)
    assert TOKEN not in json.dumps(logged) and "PRIVATE" not in json.dumps(logged)


def test_the_process_says_what_it_lacks(process: subprocess.Popen[str], config: Config) -> None:
    process.kill()
    process.wait()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "MCS_AGENT_DIR": "/nowhere"}
    ended = subprocess.run(
        [sys.executable, "-m", "mcs_operator.agent"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "/nowhere" in json.loads(ended.stdout.splitlines()[-1])["message"]


def test_the_agent_loads_neither_kubernetes_nor_kopf() -> None:
    code = (
        "import sys, mcs_operator.agent.__main__\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('kopf', 'kubernetes', 'jinja2', 'cryptography')])"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
