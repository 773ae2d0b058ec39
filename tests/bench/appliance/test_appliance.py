"""What calls cost, how soon one hears, and what a change of users takes.

Whoever talks runs on this machine as well, on the same cores.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import argon2
import pytest

from contract.given import MEET, Given, a_user
from contract.load import LINE, MediaServer, the_media_server_of, under_load
from contract.people import PASSWORD, served, two
from contract.subject import Subject
from mcs_operator.api import Function
from mcs_operator.contract.shards import ServedLogin
from support.browser import CHROMIUM
from support.costs import cost_of
from support.figures import Figure
from support.people import talk
from support.quantiles import quantile
from support.sheet import Sheet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CALLS = 16
"""By turns: nobody may ring more than ten times at once."""
SECONDS = 12
"""Of each measurement of the media server."""
LOADS = {
    "audio": ("30 calls of two by voice", 30, 2, 0, 0.6),
    "video": (f"30 calls of two by video, {LINE} kbit/s to each", 30, 2, LINE, 1.0),
    "room": (f"two rooms of eight by video, {LINE} kbit/s to each", 2, 8, LINE // 7, 2.0),
}
"""Rooms, participants of each, kbit/s of each one's picture, and the aim."""
SOCKETS, OF_EACH = 2000, 2
USERS = 10_000


def part(appliance: Subject, words: bytes) -> int:
    """The process of the appliance that has these words in its command."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            is_ours = str(appliance.root).encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if words in command and is_ours and b"prlimit" not in command and b"nice\0" not in command:
            return int(entry.name)
    raise AssertionError(f"{words!r} does not run")


@pytest.fixture
def media_server(appliance: Subject, given: Given) -> MediaServer:
    served(appliance, given)
    return the_media_server_of(appliance)


# ------------------------------------------------------------------------------------------- what the media server does


def test_what_a_participant_costs_the_media_server(media_server: MediaServer, sheet: Sheet) -> None:
    for key, (name, rooms, size, video, target) in LOADS.items():
        load = under_load(media_server, rooms, size, video, SECONDS)
        assert load.heard > 40, "fifty packets of a voice in a second"
        sheet.add(
            f"{key}-processor", Figure(f"{name}: processor per participant", [load.processor], "% of a core", target)
        )
        sheet.add(f"{key}-memory", Figure(f"{name}: memory per participant (Pss)", [load.memory], "MiB"))
        if key == "video":
            sheet.add("sixty-lost", Figure(f"{name}: packets lost", [load.lost], "of a million", 0))


# ------------------------------------------------------------------------------------------------- what people notice


HEARD = """
() => new Promise(resolve => {
  const look = async () => {
    for (const connection of window.connections) {
      if (connection.connectionState === "closed") continue;
      for (const stat of (await connection.getStats()).values()) {
        const decoded = (stat.totalSamplesReceived ?? 0) - (stat.concealedSamples ?? 0);
        if (stat.type === "inbound-rtp" && stat.kind === "audio" && decoded > 0) return resolve(Date.now());
      }
    }
    setTimeout(look, 10);
  };
  look();
})
"""
CLICKED = 'document.addEventListener("click", () => { window.clicked = Date.now(); }, {capture: true});'


@pytest.mark.skipif(not CHROMIUM, reason="not installed: chromium")
async def test_how_soon_one_hears(appliance: Subject, given: Given, sheet: Sheet) -> None:
    waits = []
    async with two(appliance, given, CLICKED) as (ada, bob):
        for turn in range(CALLS):
            caller, called = (ada, bob) if turn % 2 else (bob, ada)
            await caller.turn_to(called.name)
            await caller.button(f"Call {called.name}").click()
            accept = called.page.get_by_role("alertdialog").get_by_role("button", name="Accept", exact=True)
            await accept.wait_for(timeout=15_000)
            await accept.click()
            heard = await asyncio.gather(*(person.page.evaluate(HEARD) for person in (ada, bob)))
            waits.append((max(heard) - await called.page.evaluate("window.clicked")) / 1000)
            await caller.hang_up()
            await called.button("End call").wait_for(state="detached", timeout=10_000)
    p50, p95 = quantile(waits, 0.5), quantile(waits, 0.95)
    print(f"\nheard after {', '.join(f'{wait:.2f}' for wait in sorted(waits))} s")
    sheet.add("first-audio", Figure("from the click that accepts to sound at both ends, p50", [p50], "s", 1.0))
    sheet.add("first-audio-p95", Figure("… p95", [p95], "s", 2.5))


@pytest.mark.skipif(not CHROMIUM, reason="not installed: chromium")
async def test_how_soon_a_function_that_is_taken_away_is_gone(appliance: Subject, given: Given, sheet: Sheet) -> None:
    waits = []
    async with two(appliance, given, CLICKED) as (ada, bob):
        allowed = given.users[1]
        for _ in range(3):
            await ada.call("Bob")
            await bob.accept()
            await talk(ada, bob)
            given.users[1] = allowed._replace(functions=(Function.AUDIO, Function.CHAT))
            await asyncio.to_thread(appliance.takes, given.write())
            begun = time.monotonic()
            await ada.page.get_by_label("Picture of Bob").wait_for(state="detached", timeout=15_000)
            waits.append(time.monotonic() - begun)
            given.users[1] = allowed
            await asyncio.to_thread(appliance.takes, given.write())
            await ada.hang_up()
            await bob.button("End call").wait_for(state="detached", timeout=10_000)
    sheet.add("revoked", Figure("a function taken away: from the set in force to gone at the other end", waits, "s", 2))


# --------------------------------------------------------------------------------------------------------- many of them


@dataclass
class Crowd:
    """Pages without a browser, at the portal's own socket."""

    appliance: Subject
    http: aiohttp.ClientSession
    portal: int

    def headers(self, number: int, cookie: str = "") -> dict[str, str]:
        host = f"{MEET}:{self.appliance.place.https}"
        found = {"X-MCS-Community": "acme", "Host": host, "Origin": f"https://{host}"}
        found["X-Forwarded-For"] = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
        return found | ({"Cookie": f"__Host-session={cookie}"} if cookie else {})

    async def sign_in(self, number: int) -> str:
        said = {"user": f"user-{number}", "password": PASSWORD}
        async with self.http.post("http://portal/api/login", json=said, headers=self.headers(number)) as answer:
            assert answer.status == 204, answer.status
            return answer.cookies["__Host-session"].value

    async def listen(self, number: int, cookie: str, back: list[float]) -> None:
        """A page that shows fifty colleagues, and comes back as ours does: sooner or later by chance."""
        attempt = 0
        while True:
            try:
                async with self.http.ws_connect(
                    "http://portal/api/socket", headers=self.headers(number, cookie)
                ) as socket:
                    watched = [f"user-{(number + other) % SOCKETS}" for other in range(50)]
                    await socket.send_json({"type": "watch", "users": watched})
                    await socket.receive_json(timeout=30)
                    back.append(time.monotonic())
                    attempt = 0
                    async for _ in socket:
                        pass
            except (aiohttp.ClientError, OSError, TimeoutError, TypeError):
                pass
            await asyncio.sleep(random.uniform(0.25, 0.5) * 2 ** min(attempt, 5))  # noqa: S311
            attempt += 1


async def test_what_a_page_that_is_open_costs_and_how_soon_all_are_back(
    appliance: Subject, given: Given, sheet: Sheet
) -> None:
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    names = [f"user-{number}" for number in range(SOCKETS // OF_EACH)]
    given.users = [a_user(name) for name in names]
    given.logins = [ServedLogin("acme", name, hashed) for name in names]
    served(appliance, given)
    connector = aiohttp.UnixConnector(str(appliance.root / "run" / "portal.sock"), limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        crowd = Crowd(appliance, http, part(appliance, b"-m\0portal"))
        cookies = [await crowd.sign_in(number) for number in range(len(names))]
        before, back = cost_of([crowd.portal]).pss, list[float]()
        pages = [
            asyncio.create_task(crowd.listen(number, cookie, back))
            for number, cookie in enumerate(cookies)
            for _ in range(OF_EACH)
        ]
        try:
            await _until(lambda: len(back) == SOCKETS, 60)
            await asyncio.sleep(2)
            each = (cost_of([crowd.portal]).pss - before) * 1024 / SOCKETS
            sheet.add("socket-memory", Figure(f"{SOCKETS} open pages: memory of each (Pss)", [each], "KiB"))
            back.clear()
            killed = time.monotonic()
            os.kill(crowd.portal, 9)
            await _until(lambda: len(back) >= SOCKETS, 60)
            sheet.add(
                "sockets-back",
                Figure(f"the portal killed: all {SOCKETS} pages are back after", [max(back) - killed], "s"),
            )
        finally:
            for page in pages:
                page.cancel()
            await asyncio.gather(*pages, return_exceptions=True)


async def _until(holds: Any, within: float) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what others count
            await asyncio.sleep(0.02)


def test_how_soon_ten_thousand_users_are_in_force(appliance: Subject, given: Given, sheet: Sheet) -> None:
    served(appliance, given)
    loaded, changed = [], []
    for turn in range(3):
        given.users = [a_user(f"user-{turn}-{number}") for number in range(USERS)]
        loaded.append(_taken(appliance, given))
        assert appliance.report().users == USERS
        given.users[7] = given.users[7]._replace(functions=(Function.CHAT,))
        changed.append(_taken(appliance, given))
    # Here it looks five times a second, in a pod once: the time until then is not the loading's.
    sheet.add("users-loaded", Figure(f"{USERS:,} other users: from mounted to in force", loaded, "s", 1.0))
    sheet.add("user-changed", Figure("… and one of them changed", changed, "s", 1.0))


def _taken(appliance: Subject, given: Given) -> float:
    files = given.files()
    begun = time.monotonic()
    config = given.mount(files)
    while appliance.report().config != config:
        assert time.monotonic() - begun < 20
        time.sleep(0.02)
    return time.monotonic() - begun
