"""The real appliance with the real HAProxy, on loopback: what a customer's browser and the operator see.

Stand-in TVoxes answer on 127.0.0.N; the appliance is the program of the image, run by Debian's own python3.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.cluster import MissingError
from support.levels import left_out_if_missing
from support.ports import free_port
from unit.images.appliance_set import APPLIANCE, DOMAIN, MountedSet, certificate, haproxy, link, weak

pytestmark = pytest.mark.asyncio(loop_scope="module")
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    """Left out where HAProxy is missing; in CI that is a failure."""
    with left_out_if_missing():
        if HAPROXY is None:
            raise MissingError("haproxy is not installed (Debian: apt-get install haproxy)")


# -------------------------------------------------------------------------------------------------- the world around it


async def eventually(holds: Callable[[], Any], within: float = 20.0) -> Any:
    """Waits for a (possibly async) condition and returns its value."""
    deadline = time.monotonic() + within
    while True:
        value = holds()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"did not hold within {within} s"
        await asyncio.sleep(0.05)


async def tvox(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A stand-in TVox: says who it is, streams on /stream, and echoes on an upgraded connection."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
            if headers.get("upgrade") == "websocket":
                proof = headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
                writer.write(
                    b"Sec-WebSocket-Accept: %s\r\n\r\n" % b64encode(sha1(proof, usedforsecurity=False).digest())
                )
                while data := await reader.read(1000):
                    writer.write(data)
                break
            if path == "/stream":
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                while True:
                    writer.write(b"tick\n")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            body = json.dumps({"tvox": writer.get_extra_info("sockname")[0], "headers": headers}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.close()


@dataclass
class Reply:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Running:
    """The appliance, started; `mounted` is what the operator mounts."""

    root: Path
    mounted: MountedSet
    contract: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)
    tvox: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    files: int | None = None
    """How many files it may have open, where that is less than usual."""
    home: Path = APPLIANCE
    more: dict[str, str] = field(default_factory=dict)
    """More of its environment."""
    within: list[str] = field(default_factory=list)
    """What starts it, as a prefix of its command."""

    async def start(self) -> None:
        system = ["/usr/bin/python3"]
        if self.files:
            system = ["prlimit", f"--nofile={self.files}", *system]
        environment = {
            "MCS_CONFIG_DIR": str(self.mounted.directory),
            "MCS_DATA_DIR": str(self.root / "data"),
            "MCS_RUN_DIR": str(self.root / "run"),
            "MCS_INSTANCE": "demo",
            "MCS_CONTRACT_PORT": str(self.contract),
            "MCS_HTTP_PORT": str(self.http),
            "MCS_HTTPS_PORT": str(self.https),
            "MCS_TVOX_PORT": str(self.tvox),
            "MCS_HAPROXY": HAPROXY or "",
            "MCS_POLL_SECONDS": "0.1",
            "MCS_PATIENCE_SECONDS": "0.6",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.more,
        }
        self.process = await asyncio.create_subprocess_exec(
            *self.within, *system, "-m", "appliance", cwd=self.home, env=environment, start_new_session=True
        )
        await eventually(self.healthy)

    async def stop(self) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 10)

    async def healthy(self) -> bool:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            return (await self.ask("/healthz")).status == 200 and (await self.ask("/connections")).status == 200
        return False

    async def ask(self, path: str, method: str = "GET") -> Reply:
        """A request on the contract port."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.contract)
        return await exchange(reader, writer, "127.0.0.1", path, method)

    async def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((await self.ask("/connections")).body)
        return report

    async def take(self) -> None:
        """Writes the mounted set and waits until it is in force."""
        expected = self.mounted.write()

        async def in_force() -> bool:
            return bool((await self.report())["config"] == expected)

        await eventually(in_force)

    async def connect(
        self, host: str, tls: bool = False, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not tls:
            return await asyncio.open_connection("127.0.0.1", self.http, local_addr=(source, 0))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return await asyncio.open_connection(
            "127.0.0.1", self.https, ssl=context, server_hostname=host, local_addr=(source, 0)
        )

    async def get(
        self, host: str, path: str = "/", tls: bool = False, source: str = "127.0.0.1", within: float = 10
    ) -> Reply:
        """A browser's request for a host."""
        return await exchange(*await self.connect(host, tls, source), host, path, within=within)

    async def shown(self, host: str) -> str | None:
        """The certificate (PEM) that a browser is shown for this name, None when the handshake is refused."""
        try:
            _, writer = await self.connect(host, tls=True)
        except ssl.SSLError:
            return None
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return ssl.DER_cert_to_PEM_cert(der)

    async def runtime(self, command: str) -> str:
        return await haproxy.ask(self.root / "run" / "runtime.sock", command)

    async def pid(self) -> int:
        """HAProxy's own process id."""
        info = dict(line.split(": ", 1) for line in (await self.runtime("show info")).splitlines() if ": " in line)
        return int(info["Pid"])


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    path: str,
    method: str = "GET",
    within: float = 10,
) -> Reply:
    """One request on an open connection, which is closed after the answer."""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".encode())
    reply = await answer(reader, within)
    writer.close()
    return reply


async def answer(reader: asyncio.StreamReader, within: float = 10) -> Reply:
    async with asyncio.timeout(within):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return Reply(int(head.split(" ")[1]), headers, body.decode())


@contextlib.asynccontextmanager
async def started(made: Callable[[Path], Running]) -> AsyncIterator[Running]:
    """An appliance just started, in a folder of its own, with nothing mounted, and three TVoxes that wait for it."""
    # Not tmp_path: the path of a Unix socket must stay below 97 characters.
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc"):
        (root / name).mkdir()
    running = made(root)
    servers = [await asyncio.start_server(tvox, f"127.0.0.{number}", running.tvox) for number in (17, 18, 19)]
    try:
        await running.start()
        yield running
    finally:
        if running.process is not None:
            await running.stop()
        for server in servers:
            server.close()
        shutil.rmtree(root)


def usual(root: Path) -> Running:
    return Running(root, MountedSet(root / "etc"))


async def with_two_links(running: Running) -> Running:
    """17 and 18, each with its certificate."""
    running.mounted.links = [link(17), link(18)]
    running.mounted.certificates = [certificate(entry["domain"]) for entry in running.mounted.links]
    await running.take()
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def idle() -> AsyncIterator[Running]:
    async with started(usual) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def serving(idle: Running) -> Running:
    """For tests that change it."""
    return await with_two_links(idle)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Running]:
    """For tests that leave it as it was: to start one takes longer than most of them."""
    async with started(usual) as running:
        yield await with_two_links(running)


A, B = "tvox-17.example.com", "tvox-18.example.com"


def own_address() -> str:
    """An address of this machine that is not loopback, as the kubelet uses one of the pod's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def pem(entry: dict[str, str]) -> str:
    return entry["certificate"]


class Stream:
    """An open answer that never ends; beats() proves that it still flows."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def flows(self) -> bool:
        """Whether something sent *after* this call arrives (what waits in buffers is thrown away first)."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                if not await asyncio.wait_for(self.reader.read(65536), 5):
                    return False
            return True
        return False


async def stream(running: Running, host: str) -> Stream:
    reader, writer = await running.connect(host, tls=True)
    writer.write(f"GET /stream HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    return Stream(reader, writer)


class WebSocket:
    """An upgraded connection to a TVox that echoes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.said = 0

    async def echoes(self) -> bool:
        self.said += 1
        word = f"word {self.said}\n".encode()
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            self.writer.write(word)
            return await asyncio.wait_for(self.reader.readexactly(len(word)), 10) == word
        return False


async def websocket(running: Running, host: str, source: str = "127.0.0.1") -> WebSocket:
    reader, writer = await running.connect(host, tls=True, source=source)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in (await reader.readuntil(b"\r\n\r\n"))
    return WebSocket(reader, writer)


# -------------------------------------------------------------------------------------------------------- start and end


async def test_without_a_configuration_it_is_healthy_and_not_ready_and_says_why(idle: Running) -> None:
    async def says_why() -> bool:
        ready = await idle.ask("/readyz")
        assert ready.status == 503
        return "there is no manifest.json" in json.loads(ready.body)["reason"]

    await eventually(says_why)
    assert (await idle.ask("/healthz")).status == 200
    page = await idle.get(DOMAIN)
    assert (page.status, page.headers["mcs-reason"]) == (503, "Waiting")


async def test_an_instance_without_links_is_ready_and_shows_its_own_page(idle: Running) -> None:
    await idle.take()
    assert (await idle.ask("/readyz")).status == 200
    report = await idle.report()
    assert (report["connections"], report["byLink"], report["links"], report["error"]) == (0, {}, 0, None)
    page = await idle.get(DOMAIN.upper() + ":80")
    assert page.status == 200
    assert "<h1>demo</h1>" in page.body
    assert f"<b>{DOMAIN}</b>" in page.body
    assert (await idle.get(DOMAIN, "/users")).status == 404


async def test_told_to_stop_it_ends_cleanly_at_once_with_a_connection_open(serving: Running) -> None:
    call = await websocket(serving, A)
    assert await call.echoes()
    pid, began = await serving.pid(), time.monotonic()
    assert await serving.stop() == 0
    assert time.monotonic() - began < 4
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_it_ends_with_an_error_when_haproxy_dies(serving: Running) -> None:
    assert serving.process is not None
    os.kill(await serving.pid(), signal.SIGKILL)
    assert await asyncio.wait_for(serving.process.wait(), 5) == 1


# -------------------------------------------------------------------------------------------------------------- routing


async def test_each_name_leads_to_its_own_tvox_and_to_no_other(served: Running) -> None:
    for host, expected in [(A, "127.0.0.17"), (B, "127.0.0.18"), (A, "127.0.0.17"), (B, "127.0.0.18")]:
        said = json.loads((await served.get(host, tls=True)).body)
        assert said["tvox"] == expected
        assert said["headers"]["host"] == host
        assert said["headers"]["x-forwarded-for"] == "127.0.0.1"
        assert said["headers"]["x-forwarded-proto"] == "https"


async def test_a_name_that_is_not_served_gets_404_and_no_handshake(served: Running) -> None:
    page = await served.get("stranger.example.com")
    assert (page.status, page.headers["mcs-reason"]) == (404, "UnknownHost")
    assert await served.shown("stranger.example.com") is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}, {B}", id="two names in one header"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A},", id="a comma after the name"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}\r\nHost: {B}", id="two headers"),
        pytest.param(f"GET http://{B}/ HTTP/1.1\r\nHost: {A}", id="another name in the address than in the header"),
        pytest.param("GET / HTTP/1.1", id="no header"),
        pytest.param("GET / HTTP/1.0", id="no header, as HTTP 1.0 allows"),
        pytest.param("GET / HTTP/1.1\r\nHost: ", id="an empty header"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A} {B}", id="a space"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}:80:81", id="two ports"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}@{B}", id="a user's name"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}/{B}", id="a path"),
        pytest.param(f"GET / HTTP/1.1\r\nHost: {A}\x00", id="a null byte"),
    ],
)
async def test_a_request_that_does_not_name_one_host_is_refused(served: Running, head: str) -> None:
    reader, writer = await served.connect(A)
    writer.write(f"{head}\r\n\r\n".encode())
    assert (await answer(reader)).status == 400
    writer.close()


async def test_nobody_gets_a_tunnel_through_a_tvox_to_elsewhere(served: Running) -> None:
    reader, writer = await served.connect(A, tls=True)
    writer.write(f"CONNECT {A}:443 HTTP/1.1\r\nHost: {A}:443\r\n\r\n".encode())
    assert (await answer(reader)).status == 405
    writer.close()


@pytest.mark.parametrize("host", [A, A.upper(), f"{A}:80", f"{A}:"])
async def test_one_host_may_be_written_in_capitals_and_with_its_port(served: Running, host: str) -> None:
    assert (await served.get(host)).status == 308


async def test_a_redirect_names_the_host_and_the_path_and_nothing_else(served: Running) -> None:
    reader, writer = await served.connect(A)
    writer.write(f"GET http://{A}/path?q=1 HTTP/1.1\r\nHost: {A}\r\n\r\n".encode())
    assert (await answer(reader)).headers["location"] == f"https://{A}/path?q=1"
    writer.close()


async def test_a_connection_that_was_made_for_one_site_leads_to_no_other(served: Running) -> None:
    reader, writer = await served.connect(A, tls=True)
    for host, status in [(A, 200), (B, 421), ("stranger.example.com", 421), (DOMAIN, 421), (A, 200)]:
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        reply = await answer(reader)
        assert (host, reply.status) == (host, status)
        assert reply.headers.get("mcs-reason") == ("Misdirected" if status == 421 else None)
    writer.close()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_with_http_2_the_rest_of_a_connection_goes_on_after_a_request_for_another_site(served: Running) -> None:
    """One connection, three requests; and the way that a browser goes then, a connection of its own."""
    site, say = f"https://{A}:{served.https}/", "%{http_version} %{http_code} %{num_connects}\n"
    words = ["-sk", "--http2", "-o/dev/null", "-w", say, "--connect-to", f"::127.0.0.1:{served.https}"]
    requests = [[*words, site], [*words, "-HHost: " + B, site], [*words, site], [*words, site.replace(A, B)]]
    command = [word for request in requests for word in ("--next", *request)][1:]
    curl = await asyncio.create_subprocess_exec("curl", *command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(curl.communicate(), 20)
    assert said.decode().splitlines() == ["2 200 1", "2 421 0", "2 200 0", "2 200 1"]


async def test_a_tvox_gets_to_its_own_site_and_to_the_instances_page_only(serving: Running) -> None:
    serving.mounted.certificates.append(certificate(DOMAIN))
    serving.mounted.links.append(link(19, enabled=False))
    await serving.take()

    async def seen(source: str, host: str) -> tuple[int, str | None]:
        reply = await serving.get(host, tls=True, source=source)
        return reply.status, reply.headers.get("mcs-reason")

    assert await seen("127.0.0.17", A) == (200, None)
    assert await seen("127.0.0.18", B) == (200, None)
    assert await seen("127.0.0.17", DOMAIN) == (200, None)
    assert await seen("127.0.0.17", B) == (403, "ForeignSite")
    assert await seen("127.0.0.19", A) == (403, "ForeignSite")
    assert await seen("127.0.0.20", A) == (200, None), "nobody's address: a browser"
    serving.mounted.links = [link(17, address="127.0.0.18"), link(18, address="127.0.0.17")]
    await serving.take()
    assert await seen("127.0.0.17", A) == (403, "ForeignSite"), "the address is another's now"


async def test_port_80_leads_to_443_only_when_there_is_a_certificate(serving: Running) -> None:
    serving.mounted.links.append(link(19))
    await serving.take()
    page = await serving.get(A, "/path?q=1")
    assert (page.status, page.headers["location"]) == (308, f"https://{A}/path?q=1")
    assert json.loads((await serving.get("tvox-19.example.com")).body)["tvox"] == "127.0.0.19"


async def test_a_tunnel_that_is_down_is_a_page_within_three_seconds(serving: Running) -> None:
    serving.mounted.links.append(link(20))
    await serving.take()
    # A listener whose queue is full: connects are not answered at all, as behind a tunnel that is down.
    with socket.socket() as silent, socket.socket() as first:
        silent.bind(("127.0.0.20", serving.tvox))
        silent.listen(0)
        first.connect(("127.0.0.20", serving.tvox))
        waits: list[float] = []
        while len(waits) < 3 and min(waits, default=3) >= 3:  # what a busy machine adds is not in each of them
            began = time.monotonic()
            page = await serving.get("tvox-20.example.com")
            waits.append(time.monotonic() - began)
            assert (page.status, page.headers["mcs-reason"]) == (503, "LinkDown")
    assert 1 < min(waits) < 3, "the connect was refused or hung, which is not what this test is about"


# --------------------------------------------------------------------------------------------------------------- shares


@pytest_asyncio.fixture(loop_scope="module")
async def small(idle: Running) -> Running:
    """An appliance with 100 places, so 50 for one address and 50 for one link; links 17 and 18 have certificates."""
    await idle.stop()
    idle.files = 800
    await idle.start()
    idle.mounted.links = [link(17), link(18)]
    idle.mounted.certificates = [certificate(A), certificate(B)]
    await idle.take()
    return idle


class Silent:
    """Connections that say nothing."""

    def __init__(self) -> None:
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def come(self, running: Running, source: str, count: int) -> int:
        """So many more from one address; returns how many of them are let in."""
        mine = []
        for _ in range(count):
            with contextlib.suppress(ConnectionError):
                mine.append(await asyncio.open_connection("127.0.0.1", running.https, local_addr=(source, 0)))
        self._open += mine
        seen: list[int] = []
        while len(seen) < 5 or len(set(seen[-5:])) > 1:  # on a busy machine, a refusal comes late
            seen.append(sum(not reader.at_eof() and reader.exception() is None for reader, _ in mine))
            await asyncio.sleep(0.2)
        return seen[-1]

    async def go(self) -> None:
        for _, writer in self._open:
            writer.close()
        await asyncio.sleep(0.1)


async def test_one_address_gets_its_share_and_what_it_has_goes_on(small: Running) -> None:
    call, silent = await websocket(small, A, source="127.0.1.1"), Silent()
    assert await silent.come(small, "127.0.1.1", 60) == 49, "the WebSocket is the fiftieth"
    assert await call.echoes()
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await small.get(A, tls=True, source="127.0.1.1")
    assert (await small.get(A, tls=True)).status == 200, "another address"
    await silent.go()
    assert (await small.get(A, tls=True, source="127.0.1.1")).status == 200


async def test_one_customers_crowd_takes_his_places_and_not_those_of_others(small: Running) -> None:
    calls = [await websocket(small, A, source=f"127.0.2.{1 + number // 10}") for number in range(50)]
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await small.get(A, tls=True)
    assert (await small.get(B, tls=True)).status == 200
    assert [await call.echoes() for call in calls] == [True] * 50


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_one_connection_of_many_requests_gets_no_more_than_its_address_may_have(small: Running) -> None:
    site = [f"https://{A}:{small.https}/stream"] * 60
    words = ["-skZ", "--http2", "--parallel-max", "100", "-m", "8", "--connect-to", f"::127.0.0.1:{small.https}"]
    words += ["-w", "%{http_code}\n", *(word for url in site for word in ("-o/dev/null", url))]
    curl = await asyncio.create_subprocess_exec("curl", *words, stdout=asyncio.subprocess.PIPE)
    try:
        await eventually_open(small, 50)
        assert (await small.get(A, tls=True, source="127.0.1.9")).status in (200, 503), (
            "the link has 50 open, its share"
        )
        assert (await small.get(B, tls=True, source="127.0.1.9")).status == 200
        said, _ = await asyncio.wait_for(curl.communicate(), 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            curl.kill()
    assert sorted(said.decode().split()) == ["200"] * 50 + ["429"] * 10


async def eventually_open(running: Running, count: int) -> None:
    async def is_open() -> bool:
        return bool((await running.report())["connections"] == count)

    await eventually(is_open)


async def test_the_fewer_places_are_left_the_fewer_a_newcomer_gets_and_who_is_known_is_let_in(small: Running) -> None:
    silent = Silent()
    assert (await small.get(A, tls=True)).status == 200
    for _ in range(200):  # that one's place is free again a moment after its answer
        if not (await small.report())["clients"]["open"]:
            break
        await asyncio.sleep(0.05)
    assert await silent.come(small, "127.0.3.1", 60) == 49, "until half of the places are taken"
    assert await silent.come(small, "127.0.3.2", 60) == 10
    assert await silent.come(small, "127.0.3.3", 60) == 10
    assert await silent.come(small, "127.0.3.4", 60) == 5, "until three quarters of them are taken"
    assert await silent.come(small, "127.0.3.5", 60) == 4
    assert (await small.get(A, tls=True, source="127.0.4.1")).status == 200, "a newcomer with one connection"
    for number in range(6, 12):
        await silent.come(small, f"127.0.3.{number}", 60)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await small.get(A, tls=True, source="127.0.4.2")
    assert (await small.get(A, tls=True)).status == 200, "who is known"

    report = await small.report()
    assert report["connections"] == 0, "strangers are no calls"
    assert report["clients"]["places"] == 100
    assert report["clients"]["open"] >= 94
    assert report["clients"]["refused"] > 100
    assert report["error"] == "most places at the ports 80 and 443 are taken: of who is new, few are let in"
    assert (await small.ask("/readyz")).status == 200
    await silent.go()
    await eventually_error(small, None)


# ------------------------------------------------------------------------------------------------------ hot, and no cut


async def test_nothing_that_happens_to_other_customers_cuts_an_open_connection(serving: Running) -> None:
    video, call = await stream(serving, A), await websocket(serving, A)
    pid = await serving.pid()
    own = serving.mounted.certificates[0]

    async def unharmed() -> None:
        assert await video.flows()
        assert await call.echoes()
        assert await serving.pid() == pid

    serving.mounted.links = [link(17), *(link(number) for number in range(18, 252))]
    serving.mounted.certificates += [certificate(f"tvox-{number}.example.com") for number in range(19, 40)]
    await serving.take()
    await unharmed()
    assert json.loads((await serving.get("tvox-19.example.com", tls=True)).body)["tvox"] == "127.0.0.19"

    serving.mounted.links = [
        link(17),
        link(18, address="127.0.0.19", domain="moved.example.com"),
        link(30, enabled=False),
    ]
    serving.mounted.certificates = [own, certificate("moved.example.com")]
    await serving.take()
    await unharmed()
    assert json.loads((await serving.get("moved.example.com", tls=True)).body)["tvox"] == "127.0.0.19"
    assert await serving.shown(B) is None, "a removed customer's certificate is gone"

    renewed = certificate(A)
    serving.mounted.certificates = [renewed]
    await serving.take()
    await unharmed()
    assert await serving.shown(A) == pem(renewed)

    serving.mounted.links, serving.mounted.certificates = [link(17)], []
    await serving.take()
    await unharmed()
    assert (await serving.report())["byLink"] == {"17": 2}


async def test_a_customer_who_is_disabled_loses_his_connections_and_nobody_else_does(serving: Running) -> None:
    mine, theirs = await websocket(serving, A), await websocket(serving, B)
    assert (await serving.report())["byLink"] == {"17": 1, "18": 1}
    serving.mounted.links = [link(17), link(18, enabled=False)]
    await serving.take()
    assert await mine.echoes()
    assert not await theirs.echoes()
    assert (await serving.report())["byLink"] == {"17": 1}
    page = await serving.get(B, tls=True)
    assert (page.status, page.headers["mcs-reason"]) == (503, "Disabled")
    serving.mounted.links = [link(17), link(18)]
    await serving.take()
    assert await (await websocket(serving, B)).echoes()


async def test_a_customer_out_of_service_keeps_what_is_open_and_gets_nothing_new_and_nobody_else_notices(
    serving: Running,
) -> None:
    mine, theirs = await websocket(serving, A), await websocket(serving, B)
    assert (await serving.report())["outOfService"] == {}
    serving.mounted.links = [link(17), link(18, serviceState="OutOfService")]
    await serving.take()
    assert await mine.echoes()
    assert await theirs.echoes()
    assert (await serving.report())["outOfService"] == {"18": 1}
    page = await serving.get(B, tls=True)
    assert (page.status, page.headers["mcs-reason"]) == (503, "OutOfService")
    assert int(page.headers["retry-after"]) > 0
    assert (await serving.get(A, tls=True)).status == 200
    assert (await serving.ask("/readyz")).status == 200

    theirs.writer.close()

    async def nobody_is_left() -> bool:
        return bool((await serving.report())["outOfService"] == {"18": 0})

    await eventually(nobody_is_left)
    serving.mounted.links = [link(17), link(18)]
    await serving.take()
    assert (await serving.report())["outOfService"] == {}
    assert await (await websocket(serving, B)).echoes()


async def test_a_restart_puts_nobody_back_into_service(serving: Running) -> None:
    """Neither from the mounted set nor, in the middle of a change, from the last good one."""
    serving.mounted.links = [link(17), link(18, serviceState="OutOfService")]
    await serving.take()
    before = (await serving.report())["config"]
    await serving.stop()
    serving.mounted.put("links.json", b"half a")
    await serving.start()

    async def recalled() -> bool:
        return bool((await serving.report())["config"] == before)

    await eventually(recalled)
    assert (await serving.report())["outOfService"] == {"18": 0}
    assert (await serving.get(B, tls=True)).headers["mcs-reason"] == "OutOfService"


# ---------------------------------------------------------------------------------------------------------- bad entries


async def test_one_bad_certificate_is_named_and_stops_nobody(idle: Running) -> None:
    domains = [f"tvox-{number}.example.com" for number in range(17, 22)]
    good = certificate(domains[0])
    idle.mounted.links = [link(number) for number in range(17, 22)]
    idle.mounted.certificates = [
        certificate(domains[1], key_of=good),
        certificate(domains[2], "other.example.com"),
        {**certificate(domains[3]), "key": "soon"},
        {**certificate(domains[4]), "certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
        good,
    ]
    await idle.take()
    assert await idle.shown(domains[0]) == pem(good)
    error = (await idle.report())["error"]
    for domain, why in [
        (domains[1], "the key does not belong to the certificate"),
        (domains[2], "it is for other names: other.example.com"),
        (domains[3], "it needs exactly one private key"),
        (domains[4], "it cannot be read as certificate and key"),
    ]:
        assert domain in error
        assert why in error
        assert await idle.shown(domain) is None
    assert "PRIVATE KEY" not in error
    assert (await idle.ask("/readyz")).status == 200
    idle.mounted.certificates = [certificate(domain) for domain in domains]
    await idle.take()
    assert (await idle.report())["error"] is None
    assert [await idle.shown(domain) for domain in domains] == [pem(entry) for entry in idle.mounted.certificates]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("k1", "no browser can use its kind of key"),
        ("rsa1024", "its key is too short"),
        ("sha1", "is signed with SHA-1"),
    ],
)
async def test_a_certificate_that_no_browser_takes_does_not_replace_the_good_one_and_says_why(
    idle: Running, kind: str, why: str
) -> None:
    domain = "acme.mcs.test"
    good, other = certificate(domain), certificate(B)
    idle.mounted.links = [link(17, domain=domain), link(18)]
    idle.mounted.certificates = [weak(kind), other]
    await idle.take()
    assert await idle.shown(domain) is None
    assert await idle.shown(B) == pem(other)
    [refused] = (await idle.report())["refused"]
    assert refused["domain"] == domain
    assert why in refused["problem"]

    idle.mounted.certificates = [good, other]
    await idle.take()
    assert (await idle.report())["refused"] == []
    idle.mounted.certificates = [weak(kind), other]
    await idle.take()
    assert await idle.shown(domain) == pem(good)
    assert [entry["domain"] for entry in (await idle.report())["refused"]] == [domain]


async def test_a_damaged_file_of_certificates_takes_nobodys_certificate_away(serving: Running) -> None:
    newcomer = certificate("tvox-19.example.com")
    serving.mounted.links.append(link(19))
    serving.mounted.certificates = [serving.mounted.certificates[0], newcomer]  # one file each
    serving.mounted.raw = {"certs-0.json": b"[" * 16_000}
    await serving.take()
    assert await serving.shown(A) is not None
    assert await serving.shown("tvox-19.example.com") == pem(newcomer)
    report = await serving.report()
    assert "certs-0.json is not JSON" in report["error"]
    assert {"domain": A, "problem": "certs-0.json is not JSON"} in report["refused"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda entry: {**certificate(A), "key": entry["key"]}, id="that HAProxy refuses"),
        pytest.param(lambda entry: {**entry, "certificate": ""}, id="that is empty"),
    ],
)
async def test_the_last_good_certificate_stays_when_a_bad_one_comes(
    serving: Running, spoil: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    good = serving.mounted.certificates[0]
    serving.mounted.certificates[0] = spoil(good)
    await serving.take()
    assert A in (await serving.report())["error"]
    assert await serving.shown(A) == pem(good)
    assert (await serving.get(A)).status == 308
    serving.mounted.certificates[0] = good
    await serving.take()
    assert (await serving.report())["error"] is None


# ------------------------------------------------------------------------------------------------------ incomplete sets


async def test_an_incomplete_set_leaves_the_last_good_one_in_force_and_says_so(serving: Running) -> None:
    before = (await serving.report())["config"]
    serving.mounted.links = [link(19)]
    whole = serving.mounted.files()["links.json"]
    serving.mounted.write()
    serving.mounted.put("links.json", b'{"version":1,"links":[]}')
    await eventually_error(serving, "links.json does not match the manifest")
    assert (await serving.report())["config"] == before
    assert (await serving.get(A, tls=True)).status == 200
    assert (await serving.report())["notTaken"] == "links.json does not match the manifest"
    ready = await serving.ask("/readyz")
    assert (ready.status, json.loads(ready.body)["reason"]) == (200, None)
    assert "links.json" in json.loads(ready.body)["error"]
    serving.mounted.put("links.json", whole)
    await eventually_error(serving, None)
    assert (await serving.report())["notTaken"] is None
    assert (await serving.get(A)).status == 404


async def test_a_restart_in_the_middle_of_a_change_starts_from_the_last_good_set(serving: Running) -> None:
    before = (await serving.report())["config"]
    await serving.stop()
    serving.mounted.put("links.json", b"half")
    await serving.start()
    await eventually_error(serving, "links.json does not match the manifest")

    async def recalled() -> bool:
        return bool((await serving.report())["config"] == before)

    await eventually(recalled)
    assert json.loads((await serving.get(A, tls=True)).body)["tvox"] == "127.0.0.17"
    assert "PRIVATE" not in (serving.root / "data" / "last-good.json").read_text()
    assert not [path for path in (serving.root / "run").rglob("*") if path.is_file() and "PRIVATE" in path.read_text()]


async def test_a_restart_with_nothing_mounted_serves_nobody(serving: Running) -> None:
    await serving.stop()
    (serving.mounted.directory / "manifest.json").unlink()
    await serving.start()
    await asyncio.sleep(1.5)
    assert (await serving.ask("/readyz")).status == 503
    assert (await serving.get(A)).headers["mcs-reason"] == "Waiting"


async def eventually_error(running: Running, words: str | None) -> None:
    async def said() -> bool:
        error = (await running.report())["error"]
        return error is None if words is None else words in (error or "")

    await eventually(said)


# ---------------------------------------------------------------------------------------------------------------- drain


async def test_a_drain_takes_nobody_new_and_keeps_who_is_there_until_it_is_called_off(serving: Running) -> None:
    call = await websocket(serving, A)
    drained = await serving.ask("/drain", "POST")
    assert (drained.status, json.loads(drained.body)["draining"]) == (200, True)
    assert await call.echoes()
    page = await serving.get(A, tls=True)
    assert (page.status, page.headers["mcs-reason"]) == (503, "Draining")
    assert json.loads((await serving.ask("/readyz")).body)["reason"] == "Draining"
    assert (await serving.report())["connections"] == 1

    serving.mounted.links.append(link(19))
    await serving.take()
    assert (await serving.get(B, tls=True)).status == 503, "a new set does not end the drain"
    call.writer.close()

    async def empty() -> bool:
        return bool((await serving.report())["connections"] == 0)

    await eventually(empty)
    assert json.loads((await serving.ask("/drain", "DELETE")).body)["draining"] is False
    assert (await serving.get(A, tls=True)).status == 200
    assert (await serving.ask("/readyz")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/drain", 405),
        ("POST", "/readyz", 405),
        ("GET", "/", 404),
        ("DELETE", "/connections", 405),
        ("POST", "/usage", 405),
    ],
)
async def test_the_contract_port_answers_what_it_should_not_be_asked(
    served: Running, method: str, path: str, status: int
) -> None:
    assert (await served.ask(path, method)).status == status


async def test_a_neighbour_learns_nothing_of_a_customer_and_gives_no_orders(serving: Running) -> None:
    serving.mounted.certificates[0] = {**serving.mounted.certificates[0], "key": ""}
    await serving.take()
    address = own_address()

    async def seen(path: str, method: str = "GET") -> Reply:
        return await exchange(*await asyncio.open_connection(address, serving.contract), "mcs", path, method)

    for method, path in [("GET", "/connections"), ("GET", "/usage"), ("POST", "/drain"), ("DELETE", "/drain")]:
        assert (await seen(path, method)).status == 403
    ready = await seen("/readyz")
    assert (ready.status, json.loads(ready.body)) == (200, {"reason": None})
    assert (await seen("/healthz")).status == 200
    assert A in json.loads((await serving.ask("/readyz")).body)["error"]


async def test_the_kubelet_gets_its_answer_while_others_keep_the_contract_port_waiting(idle: Running) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", idle.contract) for _ in range(600)]
    for _, writer in silent[::2]:
        writer.write(b"GET /healthz HTT")
    began = time.monotonic()
    assert (await idle.ask("/healthz")).status == 200
    assert time.monotonic() - began < 3
    await eventually(lambda: sum(reader.at_eof() or reader.exception() is not None for reader, _ in silent) >= 100)
    for _, writer in silent:
        writer.close()


@pytest.mark.parametrize(
    ("garbage", "answered"),
    [
        pytest.param(b"\r\n\r\n", True, id="no request line"),
        pytest.param(b"\x00\xff\r\n\r\n", True, id="bytes"),
        pytest.param(b"GET\r\n\r\n", True, id="one word"),
        pytest.param(b"GET / HTTP/1.1 x\r\n\r\n", True, id="four words"),
        pytest.param(b"[" * 16_000, False, id="a head that does not end"),
        pytest.param(b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n\r\n", False, id="a path of 60 KB"),
        pytest.param(b"", False, id="nothing"),
        pytest.param(b"GET /healthz", False, id="half a request"),
    ],
)
async def test_the_contract_port_survives_what_is_no_request(
    served: Running, capfd: pytest.CaptureFixture[str], garbage: bytes, answered: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.contract)
    said = b""
    with contextlib.suppress(ConnectionError):  # closed before all of it was read
        writer.write(garbage)
        writer.write_eof()
        said = await reader.read()
    writer.close()
    assert said.startswith(b"HTTP/1.1 400") or not (answered or said)
    assert await served.healthy()
    assert "Traceback" not in "".join(capfd.readouterr())
