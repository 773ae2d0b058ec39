"""The program as the supervisor starts it: two Unix sockets, nobody else's, and an end within seconds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from unit.portal.running import APPLIANCE, HASH, PASSWORD, soon

pytestmark = pytest.mark.timeout(60)

MARGARETE = ["acme", "margarete", "Margarete", ["Audio"]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Run directory, data volume and pages. Short: the path of a socket has 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="portal-") as name:
        (Path(name) / "data").mkdir()
        (Path(name) / "web").mkdir()
        (Path(name) / "web" / "index.html").write_text("pages")
        yield Path(name)


def write_set(folder: Path, config: str, users: list[object], is_open: bool = True) -> None:
    community = {"name": "acme", "displayName": "Acme", "portal": "meet.acme.example.com", "open": is_open}
    found = {"config": config, "instance": {}, "communities": [community], "users": users}
    logins = {"config": config, "logins": [["acme", "margarete", HASH]]}
    for name, content in (("logins.json", logins), ("set.json", found)):
        (folder / "new").write_text(json.dumps(content))
        (folder / "new").rename(folder / name)


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"MCS_RUN_DIR": str(folder), "MCS_DATA_DIR": str(folder / "data"), "MCS_WEB_DIR": str(folder / "web")}
    (folder / "portal.sock").unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "portal", cwd=APPLIANCE, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await soon(lambda: listens(folder / "portal.sock") or process.returncode is not None, 30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def browser(folder: Path, door: str = "portal.sock") -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"X-MCS-Community": "acme", "Origin": "https://meet.acme.example.com"}
    connector, jar = aiohttp.UnixConnector(str(folder / door)), aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession("http://portal", connector=connector, cookie_jar=jar, headers=headers) as http:
        yield http


async def log_in(http: aiohttp.ClientSession) -> dict[str, str]:
    """The header with the cookie."""
    async with http.post("/api/login", json={"user": "margarete", "password": PASSWORD}) as answer:
        assert answer.status == 204
        return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


@asynccontextmanager
async def open_page(http: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with http.ws_connect("/api/socket", headers=await log_in(http)) as page:
        await page.receive_json()
        yield page


async def to_the_end(page: aiohttp.ClientWebSocketResponse) -> list[str]:
    """The types of all that is said until it is closed."""
    async with asyncio.timeout(20):
        return [json.loads(said.data)["type"] async for said in page]


async def test_a_session_survives_a_kill(folder: Path) -> None:
    write_set(folder, "c", [MARGARETE])
    async with started(folder) as process, browser(folder) as http:
        cookie = await log_in(http)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with started(folder), browser(folder) as http, http.get("/api/me", headers=cookie) as answer:
        assert answer.status == 200
    assert stat.S_IMODE((folder / "data" / "portal" / "portal.db").stat().st_mode) == 0o660, "the group's as well"


async def test_its_sockets_are_its_own(folder: Path) -> None:
    async with started(folder):
        for door in ("portal.sock", "portal-inner.sock"):
            assert stat.S_IMODE((folder / door).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("users", "is_open"),
    [
        pytest.param([], True, id="a user who is gone, or disabled, is named no more"),
        pytest.param([MARGARETE], False, id="a community is closed"),
    ],
)
async def test_it_follows_the_set_by_itself_within_two_seconds(
    folder: Path, users: list[object], is_open: bool
) -> None:
    write_set(folder, "c", [MARGARETE])
    async with started(folder), browser(folder) as http, open_page(http) as page:
        write_set(folder, "d", users, is_open)
        async with asyncio.timeout(2):
            assert (await to_the_end(page))[-1] == "signed-out"
        assert page.close_code == 4401


async def test_it_ends_when_told_and_says_so_to_its_pages(folder: Path) -> None:
    write_set(folder, "c", [MARGARETE])
    async with started(folder) as process, browser(folder) as http:
        async with open_page(http) as page:
            process.send_signal(signal.SIGTERM)
            await to_the_end(page)
            assert page.close_code == 1001 and await process.wait() == 0
        assert process.stdout is not None
        log = (await process.stdout.read()).decode()
    assert "set c taken: 1 users, 1 logins" in log and "margarete" not in log.lower()


async def test_it_starts_and_waits_where_there_is_nothing_yet(folder: Path) -> None:
    async with started(folder) as process:
        async with browser(folder, "portal-inner.sock") as http, http.get("/counts") as answer:
            assert await answer.json() == {"ringing": {}, "transfers": {}, "logins": {}, "erased": []}
        os.kill(process.pid, signal.SIGTERM)
        assert await process.wait() == 0
