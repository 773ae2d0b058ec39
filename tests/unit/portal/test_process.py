"""The program as the supervisor starts it: two Unix sockets, nobody else's, and an end within seconds."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from unit.portal.running import APPLIANCE, HASH, PASSWORD

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {"MCS_RUN_DIR": str(folder), "MCS_DATA_DIR": str(folder / "data"), "MCS_WEB_DIR": str(folder / "web")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "portal", cwd=APPLIANCE, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        while not (folder / "portal.sock").exists():
            assert process.returncode is None
            await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_serves_survives_a_kill_and_ends_when_told() -> None:
    with tempfile.TemporaryDirectory(prefix="portal-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (folder / "web").mkdir()
        (folder / "web" / "index.html").write_text("pages")
        community = {"name": "acme", "displayName": "Acme", "portal": "meet.acme.example.com", "open": True}
        users = [["acme", "margarete", "Margarete", ["Audio"]]]
        found = {"config": "c", "instance": {}, "communities": [community], "users": users}
        (folder / "set.json").write_text(json.dumps(found))
        (folder / "logins.json").write_text(json.dumps({"config": "c", "logins": [["acme", "margarete", HASH]]}))
        headers = {"X-MCS-Community": "acme", "Origin": "https://meet.acme.example.com"}
        async with started(folder) as process:
            for socket in ("portal.sock", "portal-inner.sock"):
                assert stat.S_IMODE((folder / socket).stat().st_mode) == 0o600
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "portal.sock"))) as http:
                login = {"user": "margarete", "password": PASSWORD}
                async with http.post("http://x/api/login", json=login, headers=headers) as answer:
                    assert answer.status == 204
                    headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
            process.send_signal(signal.SIGKILL)
            await process.wait()
        assert stat.S_IMODE((folder / "data" / "portal" / "portal.db").stat().st_mode) == 0o660
        (folder / "portal.sock").unlink()
        async with started(folder) as process:
            connector = aiohttp.UnixConnector(str(folder / "portal.sock"))
            async with aiohttp.ClientSession(connector=connector) as http:
                async with http.get("http://x/api/me", headers=headers) as answer:
                    assert answer.status == 200, "the session survived"
                async with http.ws_connect("ws://x/api/socket", headers=headers) as socket:
                    await socket.receive_json()
                    process.send_signal(signal.SIGTERM)
                    async with asyncio.timeout(10):
                        async for _ in socket:
                            pass
                        assert socket.close_code == 1001
                        assert await process.wait() == 0
            assert process.stdout is not None
            log = (await process.stdout.read()).decode()
        assert "set c taken: 1 users, 1 logins" in log and "margarete" not in log.lower()


async def test_it_starts_and_waits_where_there_is_nothing_yet() -> None:
    with tempfile.TemporaryDirectory(prefix="portal-") as name:
        folder = Path(name)
        async with started(folder) as process:
            connector = aiohttp.UnixConnector(str(folder / "portal-inner.sock"))
            async with aiohttp.ClientSession(connector=connector) as http, http.get("http://x/counts") as answer:
                assert await answer.json() == {"ringing": {}, "transfers": {}, "logins": {}}
            os.kill(process.pid, signal.SIGTERM)
            assert await process.wait() == 0
