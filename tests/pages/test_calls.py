"""What people see and hear of each other in a call, with the real media server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pages.conftest import Open, Picture
from pages.doing import becomes, button, expect, findings
from pages.fake_portal import FakePortal
from pages.media_server import MediaServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


def face(page: Any, name: str) -> Any:
    return page.get_by_label(f"Picture of {name}", exact=True)


async def sees(page: Any, name: str) -> None:
    """Until this page shows the other one's picture."""
    await expect(face(page, name)).to_be_visible(timeout=20_000)
    await becomes(page, f"document.querySelector('video[aria-label=\"Picture of {name}\"]').videoWidth > 0")


async def two_who_see_each_other(open_page: Open, cameras: dict[str, Any], **look: Any) -> tuple[Any, Any]:
    """Ada and Bob, in a call with pictures."""
    ada = await open_page("ada", browser=cameras["ada"], **look)
    bob = await open_page("bob", "/#/with/ada", browser=cameras["bob"])
    await button(bob, "Video call with Ada Lovelace").click()
    await ada.get_by_role("alertdialog").get_by_role("button").last.click()
    await sees(bob, "Ada Lovelace")
    return ada, bob


async def test_two_see_each_other_and_what_the_other_one_turned_off(
    portal: FakePortal, media: MediaServer, open_page: Open, cameras: dict[str, Any], picture: Picture, axe: str
) -> None:
    ada, bob = await two_who_see_each_other(open_page, cameras)
    await sees(ada, "Bob Rossi")
    await expect(ada.get_by_role("heading", name="Call with Bob Rossi")).to_be_visible()
    await picture(ada, "call-of-two")
    assert await findings(ada, axe) == []
    theirs = ada.locator("figure", has_text="Bob Rossi")
    await button(bob, "Mute").click()
    await expect(theirs).to_contain_text("Microphone off")
    await button(bob, "Unmute").click()
    await expect(theirs).not_to_contain_text("Microphone off")
    await button(bob, "Stop video").click()
    await expect(face(ada, "Bob Rossi")).to_have_count(0)
    await expect(theirs).to_contain_text("BR")


async def test_a_desktop_is_large_and_who_spoke_last_is_beside_it(
    portal: FakePortal, media: MediaServer, open_page: Open, cameras: dict[str, Any], picture: Picture, axe: str
) -> None:
    ada, bob = await two_who_see_each_other(open_page, cameras)
    gio = await open_page("gio", browser=cameras["gio"])
    await button(ada, "People").click()
    await button(ada, "Add Giovanna Bianchi").click()
    await button(gio, "Accept with video").click()
    await sees(ada, "Giovanna Bianchi")
    await button(ada, "Close").first.click()
    await picture(ada, "call-of-three")
    await button(bob, "Share screen").click()
    await expect(bob.get_by_text("You are sharing your screen")).to_be_visible()
    await expect(ada.get_by_label("Screen of Bob Rossi")).to_be_visible(timeout=20_000)
    await becomes(ada, "document.querySelector('.tile-screen video').videoWidth > 0")
    # Beside a desktop the line carries one face.
    await expect(ada.locator(".tile-strip video")).to_have_count(2)
    await picture(ada, "desktop")
    await picture(bob, "desktop-own")
    assert await findings(ada, axe) == []
    await button(bob, "Stop sharing").click()
    await expect(ada.get_by_label("Screen of Bob Rossi")).to_have_count(0)


async def test_a_call_goes_on_after_the_network_was_changed(
    portal: FakePortal, media: MediaServer, open_page: Open, cameras: dict[str, Any], picture: Picture
) -> None:
    ada, _ = await two_who_see_each_other(open_page, cameras)
    await sees(ada, "Bob Rossi")
    media.away = portal.down = True
    await asyncio.gather(media.drop(), portal.drop())
    await expect(ada.get_by_text("Connection lost. Coming back…")).to_be_visible()
    await expect(ada.get_by_text("No connection to the portal. Trying again…")).to_be_visible()
    await picture(ada, "network-gone")
    media.away = portal.down = False
    await expect(ada.get_by_text("Connection lost. Coming back…")).to_have_count(0, timeout=30_000)
    await expect(ada.get_by_text("No connection to the portal.")).to_have_count(0, timeout=30_000)
    await sees(ada, "Bob Rossi")
    await expect(button(ada, "End call")).to_be_visible()
    assert not any(call["ended"] for call in portal.calls.values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_call_fits_a_phone(
    portal: FakePortal,
    media: MediaServer,
    open_page: Open,
    cameras: dict[str, Any],
    picture: Picture,
    axe: str,
    scheme: str,
) -> None:
    phone = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True, "color_scheme": scheme}
    ada, _ = await two_who_see_each_other(open_page, cameras, **phone)
    await sees(ada, "Bob Rossi")
    await picture(ada, f"call-phone-{scheme}")
    assert await findings(ada, axe) == []
    assert await ada.evaluate("document.documentElement.scrollWidth <= innerWidth")
