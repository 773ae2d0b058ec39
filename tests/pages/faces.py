"""What the cameras of the stories see: people who are drawn, each a picture of his own.

Chromium's own camera shows the same green field to everybody, in which nobody can tell whose picture is where.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.browser import GIVING, launched

WIDTH, HEIGHT = 640, 360


@dataclass(frozen=True)
class Face:
    wall: str
    skin: str
    hair: str
    shirt: str
    is_long: bool = False
    """The hair."""

    def drawn(self) -> str:
        behind = f'<path fill="{self.hair}" d="M250 250c-14-130 10-186 70-186s84 56 70 186z"/>' if self.is_long else ""
        return f"""
        <style>html, body {{ margin: 0; overflow: hidden }}</style>
        <svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">
          <rect width="{WIDTH}" height="{HEIGHT}" fill="{self.wall}"/>
          <rect x="452" y="46" width="124" height="92" rx="6" fill="#fff" opacity=".5"/>
          <path d="M462 128l34-44 24 26 16-18 30 36z" fill="{self.wall}"/>
          <rect x="60" y="262" width="52" height="98" rx="8" fill="#fff" opacity=".45"/>
          <path d="M86 266c-44-40-34-96-8-122 20 34 16 78 8 122zm2 0c-6-54 16-96 48-108 10 50-14 88-48 108z"
            fill="#2f7d5b" opacity=".75"/>
          {behind}
          <path d="M188 360c2-66 54-96 132-96s130 30 132 96z" fill="{self.shirt}"/>
          <path d="M292 214h56v46c-8 24-48 24-56 0z" fill="{self.skin}"/>
          <path d="M292 232c18 18 38 18 56 0v10c-18 16-38 16-56 0z" opacity=".12"/>
          <ellipse cx="320" cy="166" rx="58" ry="72" fill="{self.skin}"/>
          <path d="M260 172c-14-74 18-112 62-112s74 34 58 112c-6-40-18-56-36-64-26 14-56 14-70 12-8 14-12 30-14 52z"
            fill="{self.hair}"/>
          <circle cx="298" cy="168" r="5.500" fill="#26201d"/><circle cx="342" cy="168" r="5.500" fill="#26201d"/>
          <path d="M296 199q24 24 48 0" fill="none" stroke="#8c3b32" stroke-width="5" stroke-linecap="round"/>
        </svg>"""


FACES = {
    "ada": Face("#cfe3dc", "#f0c8a8", "#4a2c1d", "#0b7560", is_long=True),
    "bob": Face("#d9dfee", "#e3ae85", "#221d1c", "#34518c"),
    "gio": Face("#f1dfcf", "#c98d63", "#2b1a12", "#b5533c", is_long=True),
}


@asynccontextmanager
async def seen_by_a_camera(user: str, folder: Path, *flags: str) -> AsyncIterator[Any]:
    """A browser whose camera sees this user."""
    film = folder / f"{user}.mjpeg"
    async with launched() as browser:
        page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        await page.set_content(FACES[user].drawn())
        film.write_bytes(await page.screenshot(type="jpeg", quality=92))
    async with launched(GIVING, f"--use-file-for-fake-video-capture={film}", *flags) as browser:
        yield browser
