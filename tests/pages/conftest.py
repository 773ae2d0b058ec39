"""The built pages in Debian's Chromium, against a fake of the portal's API."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_asyncio

from pages.doing import AT_REST, becomes
from pages.faces import FACES, seen_by_a_camera
from pages.fake_portal import COOKIE, FakePortal, User
from pages.media_server import MediaServer, media_server
from support.browser import CHROMIUM, GIVING, launched

REPO = Path(__file__).resolve().parents[2]
PICTURES = os.environ.get("MCS_PICTURES")
"""A folder: there the stories leave pictures of the pages, for people to look at."""


def _pages(what: str) -> Path:
    done = subprocess.run([REPO / "hack" / "images" / "pages", what], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def pages() -> Path:
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    return _pages("build")


@pytest.fixture(scope="session")
def axe(pages: Path) -> str:
    return (_pages("modules") / "axe-core" / "axe.min.js").read_text()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(pages: Path) -> AsyncIterator[Any]:
    async with launched(GIVING) as browser:
        yield browser


def people() -> list[User]:
    return [
        User("ada", "Ada Lovelace"),
        User("bob", "Bob Rossi"),
        User("cyd", "Cyd Charisse", presence="busy"),
        User("dan", "Dan Ferrari", presence="offline"),
        User("eva", "Eva Conti", ["Chat"]),
        User("gio", "Giovanna Bianchi"),
        User("ida", "Ida Marchetti", presence="offline"),
        User("leo", "Leonardo Greco"),
        User("mia", "Mia De Luca", presence="busy"),
        User("ugo", "Ugo Esposito", presence="offline"),
        User("zoe", "Zoë Fontana"),
    ]


@pytest_asyncio.fixture(loop_scope="session")
async def portal(pages: Path) -> AsyncIterator[FakePortal]:
    fake = FakePortal(pages, people())
    runner = await fake.start()
    yield fake
    await fake.drop()
    await runner.cleanup()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cameras(pages: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Any]]:
    """A browser of his own for each user who is seen."""
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp("faces")
        yield {user: await stack.enter_async_context(seen_by_a_camera(user, folder)) for user in FACES}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(pages: Path) -> AsyncIterator[MediaServer]:
    with TemporaryDirectory(prefix="mcs-") as folder:
        async with media_server(Path(folder)) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="session")
async def media(portal: FakePortal, server: MediaServer) -> AsyncIterator[MediaServer]:
    portal.media = server
    yield server
    server.away = False


Open = Callable[..., Awaitable[Any]]
Picture = Callable[..., Awaitable[None]]
NOTE_VIOLATIONS = (
    "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective + ' ' + e.sourceFile))"
)


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Any, portal: FakePortal) -> AsyncIterator[Open]:
    """A page of its own browser context: signed in, where a user is named. What it complains of fails the story."""
    contexts: list[Any] = []
    complaints: list[str] = []

    async def opened(user: str | None = None, path: str = "/", **options: Any) -> Any:
        where, script = options.pop("browser", browser), options.pop("script", "")
        context = await where.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 800}} | options)
        contexts.append(context)
        if user:
            await context.add_cookies([{"name": COOKIE, "value": user, "url": portal.url}])
        await context.add_init_script(f"{NOTE_VIOLATIONS};{script}")
        page = await context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{user}: {error}"))
        page.on("console", lambda said: complaints.extend([f"{user}: {said.text}"] if said.type == "error" else []))
        await page.goto(portal.url + path)
        if user:
            await asyncio.wait_for(portal.joined(user), 20)
        return page

    yield opened
    for context in contexts:
        await context.close()
    # A browser writes down each refusal as an error; those are part of the stories.
    refused = ("Failed to load resource", "Failed to fetch", "WebSocket")
    assert [said for said in complaints if not any(word in said for word in refused)] == []


@pytest.fixture
def picture() -> Picture:
    async def taken(page: Any, name: str) -> None:
        if PICTURES:
            await becomes(page, AT_REST)
            await page.screenshot(path=f"{PICTURES}/{name}.png")

    return taken
