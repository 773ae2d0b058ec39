"""The pictures of the portal in docs/pictures. They are made anew, for people to look at and commit, by

MCS_PICTURES=docs/pictures make pages T=shown
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pages.conftest import Open, Picture
from pages.doing import AT_REST, becomes, button, expect
from pages.fake_portal import FakePortal
from pages.media_server import MediaServer

pytestmark = pytest.mark.asyncio(loop_scope="session")
DESK = {"viewport": {"width": 920, "height": 580}}
PHONE = {"viewport": {"width": 375, "height": 720}, "is_mobile": True, "has_touch": True}
SAID = {
    "en-GB": [
        ("bob", 26 * 60, "Good morning! The drawings of the new hall are ready."),
        ("ada", 26 * 60 - 2, "Great, can you send them to me?"),
        ("bob", 26, "Here they are. The north side has changed a little."),
        ("ada", 4, "Thank you! Do you have ten minutes to go through them?"),
        ("bob", 3, "Sure, call me. I have the plan open: https://plans.acme.example.com/hall"),
    ],
    "it-IT": [
        ("bob", 26 * 60, "Buongiorno! I disegni del nuovo capannone sono pronti."),
        ("ada", 26 * 60 - 2, "Ottimo, me li mandi?"),
        ("bob", 26, "Eccoli. Il lato nord è cambiato un po'."),
        ("ada", 4, "Grazie! Hai dieci minuti per guardarli insieme?"),
        ("bob", 3, "Certo, chiamami. Ho la pianta aperta: https://plans.acme.example.com/hall"),
    ],
}


def talked(portal: FakePortal, language: str) -> None:
    """Ada and Bob have written to each other, and two others to Ada."""
    now = datetime.now(UTC)
    ago = {minutes: (now - timedelta(minutes=minutes)).isoformat() for minutes in (*range(30), 26 * 60, 26 * 60 - 2)}
    portal.write("gio", "ada gio", "…", ago[12])
    for sender, minutes, text in SAID[language]:
        portal.write(sender, "ada bob", text, ago[minutes])
    file = {"id": "e" * 32, "conversation": "ada bob", "from": "bob", "at": ago[25]}
    portal.files[file["id"]] = file | {"name": "hall-north.pdf", "size": 4_812_330}, b""


SHARP = """
[...document.querySelectorAll(".tile-whole video")].every(one => one.getVideoPlaybackQuality().totalVideoFrames > 60)
"""
"""The first pictures of a call are coarse."""


async def still(page: Any) -> None:
    await page.wait_for_load_state("networkidle")
    await becomes(page, AT_REST)


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("portal-chat", {"color_scheme": "light", "locale": "en-GB"}),
        ("portal-chat-dark", {"color_scheme": "dark", "locale": "it-IT"}),
    ],
)
async def test_a_conversation_is_shown(
    portal: FakePortal, open_page: Open, picture: Picture, name: str, look: dict[str, str]
) -> None:
    talked(portal, look["locale"])
    page = await open_page("ada", "/#/with/bob", **DESK, **look)
    await expect(page.get_by_role("link", name="hall-north.pdf")).to_be_visible()
    await portal.say("ada", type="message", message=portal.write("gio", "gio", "…"))
    await expect(page.locator(".row .badge").first).to_be_visible()
    await still(page)
    await picture(page, name)


async def test_a_call_is_shown(
    portal: FakePortal, media: MediaServer, open_page: Open, cameras: dict[str, Any], picture: Picture
) -> None:
    talked(portal, "en-GB")
    ada = await open_page("ada", browser=cameras["ada"], **DESK)
    bob = await open_page("bob", "/#/with/ada", browser=cameras["bob"])
    await button(bob, "Video call with Ada Lovelace").click()
    await button(ada, "Accept with video").click()
    await expect(ada.get_by_label("Picture of Bob Rossi")).to_be_visible(timeout=20_000)
    await expect(ada.locator(".toast")).to_have_count(0, timeout=20_000)
    await becomes(ada, SHARP)
    await picture(ada, "portal-call")


async def test_a_phone_is_shown(
    portal: FakePortal, media: MediaServer, open_page: Open, cameras: dict[str, Any], picture: Picture
) -> None:
    talked(portal, "en-GB")
    ada = await open_page("ada", browser=cameras["ada"], **PHONE)
    await expect(ada.get_by_role("link", name="Bob Rossi").first).to_be_visible()
    await still(ada)
    await picture(ada, "portal-phone-people")
    bob = await open_page("bob", "/#/with/ada", browser=cameras["bob"])
    await button(bob, "Video call with Ada Lovelace").click()
    await expect(ada.get_by_role("alertdialog")).to_be_visible()
    await still(ada)
    await picture(ada, "portal-phone-ring")
    await button(ada, "Accept with video").click()
    await expect(ada.get_by_label("Picture of Bob Rossi")).to_be_visible(timeout=20_000)
    await expect(ada.locator(".toast")).to_have_count(0, timeout=20_000)
    await becomes(ada, SHARP)
    await picture(ada, "portal-phone-call")
