"""A customer's portal in the pod, and people who use it: each one a page in a real browser."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp.abc
import argon2
import pytest

from support.api import Api, Object
from support.browser import CHROMIUM, GIVING, launched
from support.certificates import chain, key, text_of
from support.cluster import Node
from support.mcs import COMMUNITY, Mcs, standing
from support.objects import a_community

playwright = pytest.importorskip("playwright.async_api", reason="not installed: playwright")

PASSWORD = "correct horse battery"
ALL = ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"]
ROOM_OF_TWO = {"width": 960, "height": 640}
CONNECTIONS = "http://127.0.0.1:21000/connections"
"""What the appliance tells the agent, among others how many there are in calls."""

REMEMBER = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) { super(...given); window.connections.push(this); }
};
"""
RECEIVED = """
async () => {
  const all = {audio: {packets: 0, lost: 0, tracks: 0}, video: {packets: 0, lost: 0, frames: 0, freezes: 0, tracks: 0}};
  for (const connection of window.connections) {
    if (connection.connectionState === "closed") continue;
    for (const stat of (await connection.getStats()).values()) {
      if (stat.type !== "inbound-rtp") continue;
      const one = all[stat.kind];
      one.packets += stat.packetsReceived; one.lost += stat.packetsLost; one.tracks += stat.packetsReceived > 0;
      if (stat.kind === "video") { one.frames += stat.framesDecoded ?? 0; one.freezes += stat.freezeCount ?? 0; }
    }
  }
  return all;
}
"""
PATHS = """
async () => {
  const all = [];
  for (const connection of window.connections) {
    if (connection.connectionState !== "connected") continue;
    const stats = await connection.getStats();
    for (const stat of stats.values()) {
      if (stat.type !== "transport" || !stat.selectedCandidatePairId) continue;
      const local = stats.get(stats.get(stat.selectedCandidatePairId).localCandidateId);
      all.push([local.candidateType, local.relayProtocol ?? local.protocol]);
    }
  }
  return all;
}
"""


def host(mcs: Mcs, name: str = COMMUNITY) -> str:
    """The name of a customer's portal."""
    return f"meet-{name}.{mcs.node.zone}"


@contextmanager
def with_portal(node: Node, server: Api, people: dict[str, list[str]], **spec: Any) -> Iterator[Mcs]:
    """An instance whose Community has a portal, where these people can log in and may do that."""
    with standing(node, server, **spec) as mcs:
        mcs.api.apply(
            _secret(
                "meet-tls", "kubernetes.io/tls", {"tls.crt": chain(f"*.{mcs.node.zone}"), "tls.key": text_of(key())}
            ),
            *community(mcs, people),
        )
        mcs.api.wait_condition("Community", COMMUNITY, "LoginReady", "True", timeout=60)
        yield mcs


def community(mcs: Mcs, functions: dict[str, list[str]], name: str = COMMUNITY) -> tuple[Object, Object]:
    """A customer with these people and what each may do, and their passwords. All portals have one certificate."""
    passwords = f"{name}-passwords"
    return (
        _secret(passwords, "Opaque", {".htpasswd": _passwords(tuple(functions))}, name),
        a_community(
            name,
            users=[{"name": user, "functions": allowed} for user, allowed in functions.items()],
            portalDomain=host(mcs, name),
            tls={"secretRef": {"name": "meet-tls"}},
            authentication={"passwordsFrom": [{"secretRef": {"name": passwords}}]},
        ),
    )


def _secret(name: str, type: str, data: dict[str, str], community: str = "") -> Object:
    labels = {"mcs.tvox.io/passwords": community} if community else {}
    encoded = {file: b64encode(text.encode()).decode() for file, text in data.items()}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded}


@functools.cache
def _passwords(users: tuple[str, ...]) -> str:
    """The same for the same, or each change of somebody's functions would be one of all logins."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    return "".join(f"{user}:{hasher.hash(PASSWORD)}\n" for user in users)


@asynccontextmanager
async def a_browser(mcs: Mcs, *flags: str, program: str | Path | None = CHROMIUM) -> AsyncIterator[Any]:
    """Finds the portal at the node, and gives microphone and camera."""
    async with launched(
        GIVING, f"--host-resolver-rules=MAP *.{mcs.node.zone} {mcs.node.ip}", *flags, program=program
    ) as browser:
        yield browser


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    name: str
    page: Any
    sockets: list[str]
    """Addresses of all that it opened."""
    errors: list[str]
    """What the page's own code threw."""

    @property
    def call_id(self) -> str:
        """Of the call that he was in last."""
        return [path[2] for path in (urlsplit(url).path.split("/") for url in self.sockets) if path[1] == "calls"][-1]

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name).first

    async def turn_to(self, other: str) -> None:
        await self.page.get_by_role("link", name=other).first.click()

    async def call(self, other: str) -> None:
        await self.turn_to(other)
        await self.button(f"Video call with {other}").click()

    async def accept(self) -> None:
        dialog = self.page.get_by_role("alertdialog")
        await playwright.expect(dialog).to_be_visible(timeout=15_000)
        await dialog.get_by_role("button", name="Accept with video").click()

    async def hang_up(self) -> None:
        await self.button("End call").click()

    async def received(self) -> Any:
        """Packets, losses, pictures and freezes of both kinds, by the receiver's own statistics."""
        return await self.page.evaluate(RECEIVED)

    async def paths(self) -> list[list[str]]:
        """How the media goes: kind of candidate and protocol (to the relay, where there is one), by connection."""
        found: list[list[str]] = await self.page.evaluate(PATHS)
        return found

    async def sees_and_hears(self, others: int = 1) -> bool:
        """Whether voice and picture of so many others have arrived."""
        now = await self.received()
        flows = now["audio"]["packets"] > 20 * others and now["video"]["frames"] > 5 * others
        return bool(flows and now["audio"]["tracks"] >= others and now["video"]["tracks"] >= others)


async def sign_in(browser: Any, mcs: Mcs, name: str, script: str = "") -> Person:
    """In a context of its own. ``script`` runs before the page's own."""
    context = await browser.new_context(ignore_https_errors=True, viewport=ROOM_OF_TWO)
    await context.add_init_script(REMEMBER + script)
    page = await context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda opened: sockets.append(opened.url))
    page.on(
        "console", lambda said: print(f"{name}: {said.type} {said.text}") if said.type in ("error", "warning") else None
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.goto(f"https://{host(mcs)}/")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    hello = page.get_by_role("heading", name=f"Hello, {name}", exact=False)
    await playwright.expect(hello).to_be_visible(timeout=15_000)
    return Person(name, page, sockets, errors)


class Outsider:
    """Asks at the portals without any page."""

    def __init__(self, mcs: Mcs) -> None:
        self.mcs = mcs

    async def __aenter__(self) -> Outsider:
        connector = aiohttp.TCPConnector(ssl=False, resolver=_AtNode(self.mcs.node.ip))
        self.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def sign_in(self, user: str, community: str) -> str:
        """His cookie."""
        at = f"https://{host(self.mcs, community)}"
        said = {"user": user, "password": PASSWORD}
        async with self.session.post(f"{at}/api/login", json=said, headers={"Origin": at}) as answer:
            assert answer.status == 204, f"{user} at {at}: {answer.status}"
            return answer.cookies["__Host-session"].value

    async def ask(self, method: str, path: str, cookie: str | None, origin: str, said: Object | None) -> int:
        """Status of this request to the portal of the first community; WS: of opening a socket there."""
        url = f"https://{host(self.mcs)}{path}"
        headers = {"Origin": f"https://{origin}"} | ({"Cookie": f"__Host-session={cookie}"} if cookie else {})
        if method != "WS":
            async with self.session.request(method, url, headers=headers, json=said) as answer:
                return answer.status
        try:
            async with self.session.ws_connect(url, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status


class _AtNode(aiohttp.abc.AbstractResolver):
    """All names are the node's."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        found = {"hostname": host, "host": self.address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
        return [aiohttp.abc.ResolveResult(**found)]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        pass


async def eventually(what: str, look: Callable[[], Awaitable[bool]], seconds: float = 30) -> float:
    """Wait until it is so, as a browser tells no event; how long it took."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            while not await look():  # noqa: ASYNC110 - the browser tells no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None
    return time.monotonic() - begun


async def talk(*people: Person, seconds: float = 30) -> float:
    """Wait until each sees and hears all the others; how long it took."""

    async def all_do() -> bool:
        return all([await person.sees_and_hears(len(people) - 1) for person in people])

    return await eventually(f"{', '.join(p.name for p in people)} see and hear each other", all_do, seconds)


async def received_over(person: Person, time_span: Awaitable[Any]) -> dict[str, float]:
    """What this person received in that time."""
    begun, told = time.monotonic(), await person.received()
    await time_span
    now, seconds = await person.received(), time.monotonic() - begun
    return {
        "seconds": seconds,
        "audio": now["audio"]["packets"] - told["audio"]["packets"],
        "video": now["video"]["packets"] - told["video"]["packets"],
        "lost": sum(now[kind]["lost"] - told[kind]["lost"] for kind in ("audio", "video")),
        "freezes": now["video"]["freezes"] - told["video"]["freezes"],
    }
