"""A portal in this process: real sockets on loopback and in a folder, its time in the test's hands, no waiting.

async with running() as house:
    ada = await house.signed_in("ada")
    assert (await ada.get("/api/me")).status == 200
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from argon2.low_level import Type, hash_secret

APPLIANCE = Path(__file__).resolve().parents[3] / "images" / "appliance"
if str(APPLIANCE) not in sys.path:  # the image's program is no part of the operator's package
    sys.path.insert(0, str(APPLIANCE))

from portal import inner, server  # noqa: E402
from portal.clock import Clock  # noqa: E402
from portal.limits import Quota  # noqa: E402
from portal.portal import Outside, Portal  # noqa: E402
from portal.settings import Settings  # noqa: E402
from portal.told import FUNCTIONS  # noqa: E402
from portal.web import routes  # noqa: E402
from portal.web.pages import Pages  # noqa: E402

HOSTS = {"acme": "meet.acme.example.com", "globex": "meet.globex.example.com"}
PASSWORD = "correct horse"
ALL = list(FUNCTIONS)
BEGINNING = 1_800_000_000.0


def hashed(password: str, time: int = 1) -> str:
    """As cheap as a hash can be."""
    return hash_secret(password.encode(), b"saltsaltsaltsalt", time, 8, 1, 32, Type.ID).decode()


HASH = hashed(PASSWORD)


async def soon(happens: Callable[[], bool], seconds: float = 5) -> None:
    """For what is done in a thread, or by another process: at once, but not in this loop."""
    async with asyncio.timeout(seconds):
        while not happens():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@dataclass
class Hands:
    """The clock, moved by hand."""

    passed: float = 0.0
    jumped: float = 0.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: BEGINNING + self.passed + self.jumped, steady=lambda: 1000 + self.passed)


@dataclass
class Browser:
    """One who asks as HAProxy passes it on. `community`, `origin` and `cookie` can be anybody's."""

    house: House
    community: str | None
    origin: str | None
    cookie: str | None = None
    source: str = "192.0.2.1"

    def headers(self) -> dict[str, str]:
        given = {
            "X-MCS-Community": self.community,
            "Origin": self.origin,
            "Cookie": f"__Host-session={self.cookie}" if self.cookie else None,
            "X-Forwarded-For": self.source,
        }
        return {name: value for name, value in given.items() if value is not None}

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        headers = self.headers() | more.pop("headers", {})
        async with self.house.http.request(method, self.house.url + path, headers=headers, **more) as answer:
            return Answer(answer.status, await answer.read(), answer.headers)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, json: object = None, **more: Any) -> Answer:
        return await self.ask("POST", path, **({"json": json} if json is not None else {}), **more)

    async def log_in(self, user: str, password: str = PASSWORD) -> Answer:
        answer = await self.post("/api/login", {"user": user, "password": password})
        if answer.status == 204:
            self.cookie = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
        return answer

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Ears]:
        url = self.house.url.replace("http", "ws", 1) + "/api/socket"
        async with self.house.http.ws_connect(url, headers=self.headers()) as connection:
            ears = Ears(connection)
            try:
                yield ears
            finally:
                await connection.close()
        for _ in range(20):
            await asyncio.sleep(0)


@dataclass
class Answer:
    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> tuple[int, str]:
        return self.status, self.json["error"]


@dataclass
class Ears:
    """The page's end of a socket."""

    connection: aiohttp.ClientWebSocketResponse
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of this kind."""
        async with asyncio.timeout(5):
            while True:
                message = await self.connection.receive()
                assert message.type == aiohttp.WSMsgType.TEXT, f"closed with {self.connection.close_code}"
                said = json.loads(message.data)
                self.heard.append(said)
                if said["type"] == kind:
                    return said

    async def closed(self) -> int | None:
        async with asyncio.timeout(5):
            async for message in self.connection:
                self.heard.append(json.loads(message.data))
        return self.connection.close_code

    async def quiet(self) -> list[dict[str, Any]]:
        """All that was said until now: a pong comes after it."""
        await self.connection.send_json({"type": "watch", "users": ["zz-nobody"]})
        while not any("zz-nobody" in message.get("users", {}) for message in self.heard):
            await self.until("presence")
        return [message for message in self.heard if message["type"] != "presence"]

    async def watch(self, *users: str) -> dict[str, str]:
        await self.connection.send_json({"type": "watch", "users": list(users)})
        return dict((await self.until("presence"))["users"])


class Gate:
    """What the gate's inner socket is told to cut, and what it answers."""

    def __init__(self) -> None:
        self.cuts: list[dict[str, str]] = []
        self.answer: Any = {"participants": {}}

    async def cut(self, request: web.Request) -> web.Response:
        self.cuts.append(await request.json())
        return web.Response(status=200)

    async def counts(self, request: web.Request) -> web.Response:
        return web.json_response(self.answer)


@dataclass
class House:
    """The portal, who asks it, and what the supervisor writes."""

    folder: Path
    hands: Hands
    gate: Gate
    http: aiohttp.ClientSession
    quota: Quota
    free: list[float]
    communities: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    logins: dict[tuple[str, str], str] = field(default_factory=dict)
    mode: str = "open"
    until: str = ""
    bandwidth: int | None = None
    erasures: dict[str, tuple[str, str]] = field(default_factory=dict)
    kept: object = None
    """What the instance declares of its portals' data."""
    limits: object = None
    """How many calls and participants it gives each community."""
    while_waiting: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)
    """Done whenever the portal waits for the line."""
    _runners: list[web.AppRunner] = field(default_factory=list)
    _sets: int = 0

    # ---- what the supervisor says

    async def told(self) -> None:
        """The supervisor writes a set, and the portal looks."""
        self._sets += 1
        self.write_set()
        await self.portal.look()

    def write_set(self) -> None:
        config = f"{self._sets:064x}"
        communities = [{"name": name, **entry} for name, entry in self.communities.items()]
        users = [[community, name, name.capitalize(), functions] for (community, name), functions in self.users.items()]
        instance: dict[str, object] = {"name": "demo", "domain": "mcs.example.com", "publicAddress": "203.0.113.10"}
        instance |= {"mediaPort": 10000}
        instance |= {"bandwidthMbps": self.bandwidth} if self.bandwidth else {}
        instance |= {"portals": self.kept} if self.kept is not None else {}
        instance |= {"communityLimits": self.limits} if self.limits is not None else {}
        self.write("set.json", {"config": config, "instance": instance, "communities": communities, "users": users})
        logins = {"config": config, "logins": [[*key, found] for key, found in self.logins.items()]}
        logins |= {"erasures": [[*key, asked] for asked, key in self.erasures.items()]} if self.erasures else {}
        self.write("logins.json", logins)
        self.write("mode.json", {"mode": self.mode} | ({"until": self.until} if self.until else {}))

    def write(self, name: str, content: object) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(json.dumps(content))
        fresh.rename(self.folder / name)

    def add(self, community: str, *names: str, functions: Iterable[str] = FUNCTIONS) -> None:
        entry = {"displayName": community.capitalize(), "portal": HOSTS.get(community), "open": True}
        self.communities.setdefault(community, entry)
        for name in names:
            self.users[community, name] = list(functions)
            self.logins[community, name] = HASH

    # ---- who asks

    def browser(self, community: str = "acme", **more: Any) -> Browser:
        return Browser(self, community, f"https://{HOSTS.get(community, community)}", **more)

    async def signed_in(self, user: str, community: str = "acme") -> Browser:
        browser = self.browser(community)
        assert (await browser.log_in(user)).status == 204, user
        return browser

    async def in_a_call(self, *users: str, media: str = "audio") -> tuple[str, list[Browser]]:
        """The id of a call that all of these accepted, and their browsers; the first one called."""
        browsers = [await self.signed_in(user) for user in users]
        answer = await browsers[0].post("/api/calls", {"users": list(users[1:]), "media": media})
        assert answer.status == 201, answer.content
        for browser in browsers[1:]:
            assert (await browser.post(f"/api/calls/{answer.json['id']}/accept")).status == 200
        return answer.json["id"], browsers

    async def inner(self, method: str, path: str, body: object = None) -> Answer:
        """As gate and supervisor ask."""
        async with self.http.request(method, f"{self._inner}{path}", json=body) as answer:
            return Answer(answer.status, await answer.read(), answer.headers)

    async def authorize(self, browser: Browser, call: str) -> Answer:
        asked = {"community": browser.community, "session": browser.cookie, "call": call}
        return await self.inner("POST", "/authorize", asked)

    async def connect(self, call: str, *browsers: Browser) -> None:
        """The gate says that these are connected, and nobody else."""
        members = [(await self.authorize(browser, call)).json for browser in browsers]
        pairs = [{"user": member["user"], "session": member["session"]} for member in members]
        assert (await self.inner("PUT", f"/calls/{call}/participants", {"participants": pairs})).status == 204

    # ---- time and life

    async def passes(self, seconds: float) -> None:
        """Time goes by, and the portal looks at the clock."""
        self.hands.passed += seconds
        await self.portal.tick()

    async def settled(self) -> None:
        """What the portal does aside is done: orders to the gate, and what it keeps."""
        while cuts := list(self.portal.gate._cuts):
            await asyncio.wait(cuts)
        await self.portal.store.settled()

    async def start(self) -> None:
        settings = Settings(self.folder, self.folder / "data", self.folder / "web", quota=self.quota, places=100)
        outside = Outside(clock=self.hands.clock(), sleep=self._sleep, free=lambda path: self.free[0])
        self.portal = Portal(settings, outside)
        await self.portal.open()
        self.app = routes.application(self.portal, Pages(settings.web_dir))
        self._runners = [await server.runner_of(app) for app in (self.app, inner.application(self.portal))]
        for runner in self._runners:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url, self._inner = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in self._runners)

    async def stop(self) -> None:
        self.portal.close_sockets()
        for runner in self._runners:
            await runner.cleanup()
        await self.portal.close()

    async def restart(self) -> None:
        """The container is started anew: what is in memory is gone."""
        await self.stop()
        await self.start()

    async def _sleep(self, seconds: float) -> None:
        self.hands.passed += seconds
        await self.while_waiting()


@asynccontextmanager
async def running(**quota: Any) -> AsyncIterator[House]:
    """A portal with two communities: ada, bob and cyd of acme, and eve of globex; each may do everything."""
    with tempfile.TemporaryDirectory(prefix="portal-") as name:  # short: the path of a socket has 108 bytes
        folder, gate = Path(name), Gate()
        (folder / "web" / "assets").mkdir(parents=True)
        (folder / "web" / "index.html").write_text(
            "<!doctype html><script src=/assets/app-1a2b.js></script>" + " " * 999
        )
        (folder / "web" / "assets" / "app-1a2b.js").write_text("console.log('portal')")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as http:
            house = House(folder, Hands(), gate, http, replace(Quota(), **quota), [0.9])
            house.add("acme", "ada", "bob", "cyd")
            house.add("globex", "eve")
            house.write_set()
            gates = web.Application()
            gates.add_routes([web.post("/cut", gate.cut), web.get("/counts", gate.counts)])
            runner = web.AppRunner(gates, access_log=None)
            await runner.setup()
            await web.UnixSite(runner, str(folder / "gate-inner.sock")).start()
            await house.start()
            try:
                yield house
            finally:
                await house.stop()
                await runner.cleanup()
