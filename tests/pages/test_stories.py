"""What people do with the portal's pages, each story in a browser of its own."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pages.conftest import Open, Picture
from pages.doing import becomes, button, expect, findings
from pages.fake_portal import FakePortal
from support.browser import GIVING, REFUSING, launched

pytestmark = pytest.mark.asyncio(loop_scope="session")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


async def enter_call(portal: FakePortal, page: Any, caller: str = "Bob Rossi") -> None:
    """Until the call's own page is there."""
    await expect(page.get_by_role("heading", name=f"Call with {caller}")).to_be_visible()


# ---- in, and who there is


async def test_login_says_what_is_wrong_and_lets_in(portal: FakePortal, open_page: Open, picture: Picture) -> None:
    page = await open_page()
    await picture(page, "login")
    await page.get_by_label("User name").fill("ada")
    await page.get_by_label("Password", exact=True).fill("wrong")
    await button(page, "Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("User name or password is not right.")
    await page.get_by_label("Password", exact=True).fill("too often")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Too many attempts. Please try again in 7 seconds.")
    await page.get_by_label("Password", exact=True).fill("secret")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Hello, Ada")).to_be_visible()
    await expect(page.get_by_role("link", name="Bob Rossi")).to_be_visible()


async def test_directory_is_searched_at_the_server_and_shows_who_is_there(
    portal: FakePortal, open_page: Open, picture: Picture
) -> None:
    page = await open_page("ada")
    row = page.get_by_role("link", name="Dan Ferrari")
    await expect(row).to_contain_text("Away")
    portal.users["dan"].presence = "online"
    await portal.say("ada", type="presence", users={"dan": "online"})
    await expect(row).to_contain_text("Available")
    await picture(page, "directory")
    await page.get_by_label("Search people").fill("ross")
    await expect(row).to_have_count(0)
    await expect(page.get_by_role("link", name="Bob Rossi")).to_be_visible()
    await page.get_by_label("Search people").fill("nobody")
    await expect(page.get_by_text("Nobody is called “nobody”.")).to_be_visible()
    await button(page, "Clear search").click()
    await expect(row).to_be_visible()


async def test_who_is_signed_out_by_the_server_is_told(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("ada", "/#/with/bob")
    await expect(page.get_by_role("heading", name="Bob Rossi")).to_be_visible()
    await portal.say("ada", type="signed-out")
    await expect(page.get_by_role("alert")).to_have_text("You were signed out. Please sign in again.")
    await expect(page.get_by_text("Bob Rossi")).to_have_count(0)


async def test_a_lost_connection_is_told_and_what_was_missed_is_there(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("ada", "/#/with/bob")
    await expect(page.get_by_text("Nothing was written yet. Say hello!")).to_be_visible()
    portal.down = True
    await portal.drop()
    await expect(page.get_by_text("No connection to the portal. Trying again…")).to_be_visible()
    portal.write("bob", "ada bob", "meanwhile")
    portal.down = False
    await expect(page.get_by_text("meanwhile")).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("No connection to the portal.")).to_have_count(0)


# ---- chat and files


async def test_two_chat_and_what_looks_like_html_is_text(portal: FakePortal, open_page: Open, picture: Picture) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    portal.write("ada", "ada bob", "Good morning! Are the drawings of the new hall ready?", yesterday)
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob")
    row = bob.get_by_role("link", name="Ada Lovelace").first
    await expect(row).to_contain_text("1 new message")
    await ada.get_by_label("Write to Bob Rossi").fill("<img src=x onerror=alert(1)> see https://example.com/plan.")
    await ada.keyboard.press("Enter")
    await expect(row).to_contain_text("2 new messages")
    await expect(bob).to_have_title(re.compile(r"^\(2\) Acme"))
    await row.click()
    log = bob.get_by_role("log")
    await expect(log).to_contain_text("<img src=x onerror=alert(1)> see https://example.com/plan.")
    assert await log.locator("img").count() == 0
    assert await log.get_by_role("link").get_attribute("href") == "https://example.com/plan"
    await expect(bob).to_have_title(re.compile(r"^Acme"))
    await bob.get_by_label("Write to Ada Lovelace").fill("Thank you!\nI look at them now.")
    await button(bob, "Send").click()
    await expect(ada.get_by_text("I look at them now.")).to_be_visible()
    await picture(ada, "chat")


async def test_who_was_away_sees_who_wrote_and_only_until_it_is_read(portal: FakePortal, open_page: Open) -> None:
    portal.write("bob", "ada bob", "Call me when you are back.")
    page = await open_page("ada")
    row = page.get_by_role("link", name="Bob Rossi").first
    await expect(row).to_contain_text("1 new message")
    await row.click()
    await expect(page.get_by_role("log")).to_contain_text("Call me when you are back.")
    await expect(row).not_to_contain_text("new message")
    await page.reload()
    await expect(page.get_by_role("heading", name="Recent")).to_be_visible()
    await expect(row).not_to_contain_text("new message")


async def test_ones_own_words_are_read_also_in_a_browser_that_has_never_seen_them(
    portal: FakePortal, open_page: Open
) -> None:
    portal.write("bob", "ada bob", "Are you there?")
    portal.write("ada", "ada bob", "I am.")
    page = await open_page("ada")
    await expect(page.get_by_role("heading", name="Recent")).to_be_visible()
    await expect(page.get_by_role("link", name="Bob Rossi").first).not_to_contain_text("new message")


async def test_history_is_read_in_pages(portal: FakePortal, open_page: Open) -> None:
    for number in range(120):
        portal.write("bob", "ada bob", f"message {number}.")
    page = await open_page("ada", "/#/with/bob")
    await expect(page.get_by_text("message 119.")).to_be_in_viewport()
    await expect(page.get_by_text("message 69.")).to_have_count(0)
    for _ in range(2):
        await button(page, "Show older messages").click()
    await expect(page.get_by_text("message 0.", exact=True)).to_have_count(1)
    await expect(button(page, "Show older messages")).to_have_count(0)


PART = re.compile(r"^[1-9]\d?$")
"""Per cent: neither nothing nor all."""


async def test_a_file_arrives_as_it_was_and_one_too_large_does_not_leave(
    portal: FakePortal, open_page: Open, tmp_path: Path
) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob", "/#/with/ada")
    content = bytes(range(256)) * 80_000
    sent = tmp_path / "plan of the hall.pdf"
    sent.write_bytes(content)
    await ada.locator("input[type=file]").set_input_files(sent)
    link = bob.get_by_role("link", name="Download plan of the hall.pdf")
    await expect(link).to_be_visible(timeout=20_000)
    async with bob.expect_download() as waiting:
        await link.click()
    got = await (await waiting.value).path()
    assert await asyncio.to_thread(sha256, got) == hashlib.sha256(content).hexdigest()
    portal.file_bytes = 1000
    await ada.reload()
    await ada.locator("input[type=file]").set_input_files(sent)
    await expect(ada.get_by_text("Larger than the 1 kB that may be sent.")).to_be_visible()
    assert portal.asked.count("POST /api/conversations/bob/files") == 1


async def test_how_much_of_a_file_has_left_is_shown_until_it_is_there(
    portal: FakePortal, open_page: Open, tmp_path: Path
) -> None:
    page = await open_page("ada", "/#/with/bob")
    portal.takes_files.clear()
    sent = tmp_path / "film.mp4"
    sent.write_bytes(bytes(25_000_000))  # more than the connection holds by itself
    await page.locator("input[type=file]").set_input_files(sent)
    bar = page.get_by_role("progressbar", name="Sending film.mp4")
    await expect(bar).to_be_visible()
    await expect(bar).to_have_attribute("value", PART)
    await expect(page.get_by_text(f"{await bar.get_attribute('value')} % of 25 MB")).to_be_visible()
    await expect(page.get_by_role("link", name="Download film.mp4")).to_have_count(0)
    portal.takes_files.set()
    await expect(page.get_by_role("link", name="Download film.mp4")).to_be_visible(timeout=20_000)
    await expect(bar).to_have_count(0)


# ---- calls


async def test_a_call_rings_and_is_declined(portal: FakePortal, open_page: Open, picture: Picture) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob")
    await button(ada, "Call Bob Rossi").first.click()
    await enter_call(portal, ada)
    dialog = bob.get_by_role("alertdialog", name="Ada Lovelace is calling")
    await expect(dialog).to_be_visible()
    await expect(bob).to_have_title(re.compile("Ada Lovelace is calling"))
    await picture(bob, "ringing")
    await bob.keyboard.press("Escape")
    await bob.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    await button(bob, "Decline").click()
    await expect(dialog).to_have_count(0)
    await expect(ada.get_by_text("Bob Rossi declined")).to_be_visible()
    await expect(ada.get_by_role("heading", name="Call with Bob Rossi")).to_have_count(0)


ELSEWHERE = """
window.told = [];
window.Notification = class {
  static permission = "granted";
  constructor(title, options) { Object.assign(this, {title, options, open: true}); window.told.push(this); }
  close() { this.open = false; }
};
Object.defineProperty(document, "hidden", {get: () => window.elsewhere ?? true});
"""
"""A tab that nobody looks at, and a system that tells people what it is asked to: without a screen there is neither."""


async def test_a_call_rings_also_in_a_tab_that_nobody_looks_at(portal: FakePortal, open_page: Open) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob", "/#/settings", script=ELSEWHERE)
    await button(ada, "Call Bob Rossi").first.click()
    await expect(bob).to_have_title("☎ Ada Lovelace is calling")
    await expect(bob).to_have_title("Acme S.p.A. · Portal")  # and so on: a title that changes is seen in a row of tabs
    told = await bob.evaluate("told.map(one => [one.title, one.open, one.options.requireInteraction])")
    assert told == [["Ada Lovelace is calling", True, True]]
    await bob.evaluate("told[0].onclick()")
    await button(bob, "Accept").click()
    await enter_call(portal, bob, "Ada Lovelace")
    assert await bob.evaluate("told[0].open") is False
    await expect(bob).to_have_title("Acme S.p.A. · Portal")


async def test_who_wrote_is_told_in_a_tab_that_nobody_looks_at_and_a_click_leads_there(
    portal: FakePortal, open_page: Open
) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob", script=ELSEWHERE)
    await ada.get_by_label("Write to Bob Rossi").fill("Are you there?")
    await ada.keyboard.press("Enter")
    await expect(bob).to_have_title("(1) Acme S.p.A. · Portal")
    told = await bob.evaluate("told.map(one => one.title)")
    assert told == ["Message from Ada Lovelace"], "without what was written: others may see that screen"
    await bob.evaluate("elsewhere = false; told[0].onclick()")
    await expect(bob.get_by_role("log")).to_contain_text("Are you there?")


async def test_a_call_is_taken_a_third_one_comes_and_it_ends(
    portal: FakePortal, open_page: Open, picture: Picture
) -> None:
    ada, bob, gio = await open_page("ada"), await open_page("bob", "/#/with/ada"), await open_page("gio")
    await button(bob, "Video call with Ada Lovelace").click()
    await button(ada, "Accept with video").click()
    await enter_call(portal, ada)
    await expect(button(ada, "Stop video")).to_be_visible()
    await button(ada, "People").click()
    await button(ada, "Add Giovanna Bianchi").click()
    await button(gio, "Accept without video").click()
    await expect(ada.get_by_text("Giovanna Bianchi is in the call")).to_be_visible()
    await picture(ada, "call")
    await button(ada, "Chat").click()
    await ada.get_by_label("Write to everybody in the call").fill("Can you hear me?")
    await ada.keyboard.press("Enter")
    await expect(button(gio, "Chat").locator("..")).to_contain_text("1 new message")
    await button(gio, "End call").click()
    await expect(ada.get_by_text("Giovanna Bianchi has left")).to_be_visible()
    await button(bob, "End call").click()
    await expect(ada.get_by_text("The call has ended.")).to_be_visible()
    await expect(button(ada, "End call")).to_have_count(0)


async def test_a_call_goes_on_beside_other_pages_and_after_a_reload(portal: FakePortal, open_page: Open) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob")
    await button(ada, "Call Bob Rossi").first.click()
    await button(bob, "Accept").click()
    await enter_call(portal, bob, "Ada Lovelace")
    await bob.get_by_role("link", name="Settings").click()
    await expect(bob.get_by_role("link", name="Return to the call")).to_be_visible()
    await bob.reload()
    await button(bob, "Join here").click()
    await enter_call(portal, bob, "Ada Lovelace")


async def test_a_missed_call_is_counted_until_it_is_looked_at(
    portal: FakePortal, open_page: Open, picture: Picture
) -> None:
    ada, bob = await open_page("ada", "/#/with/bob"), await open_page("bob")
    await button(ada, "Call Bob Rossi").first.click()
    await expect(bob.get_by_role("alertdialog")).to_be_visible()
    await button(ada, "End call").click()
    await expect(bob.get_by_role("alertdialog")).to_have_count(0)
    await expect(bob.get_by_role("link", name="Missed 1 missed call")).to_be_visible()
    await bob.get_by_role("link", name="Missed 1 missed call").click()
    await expect(bob.get_by_role("link", name="Missed call from Ada Lovelace")).to_be_visible()
    await picture(bob, "missed")
    await bob.reload()
    await expect(bob.get_by_role("link", name="Missed", exact=True)).to_be_visible()


async def test_who_is_busy_what_is_full_and_what_is_drained_is_said(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("ada", "/#/with/cyd")
    await button(page, "Call Cyd Charisse").click()
    await expect(page.get_by_text("Cyd Charisse is in another call.")).to_be_visible()
    portal.is_full = True
    await button(page, "Call Cyd Charisse").click()
    await expect(page.get_by_text("as many calls or participants as it may have at once", exact=False)).to_be_visible()
    await portal.say("ada", type="draining", draining=True)
    await expect(page.get_by_text("Maintenance is about to begin.", exact=False)).to_be_visible()
    await expect(button(page, "Call Cyd Charisse")).to_be_disabled()


@pytest.mark.parametrize(("locale", "said"), [("en-GB", "by {} at the latest"), ("it-IT", "al più tardi: {}")])
async def test_by_when_maintenance_begins_is_said_in_ones_own_language_and_time(
    portal: FakePortal, open_page: Open, locale: str, said: str
) -> None:
    page = await open_page("ada", locale=locale, timezone_id="Asia/Kathmandu")
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    await portal.say("ada", type="draining", draining=True, drainingUntil=at.isoformat())
    there = at + timedelta(hours=5, minutes=45)
    # Shortly before midnight it has its day as well.
    shown = re.compile(said.format(rf"(\w+ )?{there:%H:%M}"))
    await expect(page.get_by_text(shown)).to_be_visible()
    await portal.say("ada", type="draining", draining=False)
    await expect(page.get_by_text(shown)).to_have_count(0)


# ---- what one may do


async def test_what_one_may_not_do_is_not_there_also_when_it_changes(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("eva", "/#/with/bob")
    await expect(page.get_by_label("Write to Bob Rossi")).to_be_visible()
    for name in ("Call Bob Rossi", "Video call with Bob Rossi", "Send a file"):
        await expect(button(page, name)).to_have_count(0)
    await portal.set_functions("eva", "Audio")
    await expect(button(page, "Call Bob Rossi").first).to_be_visible()
    await expect(page.get_by_label("Write to Bob Rossi")).to_have_count(0)
    await button(page, "Call Bob Rossi").first.click()
    await enter_call(portal, page)
    controls = page.get_by_role("toolbar")
    for name in ("Start video", "Share screen", "Chat"):
        await expect(controls.get_by_role("button", name=name)).to_have_count(0)
    await portal.set_functions("eva", "Audio", "Video", "DesktopSharing", "Chat")
    for name in ("Start video", "Share screen", "Chat"):
        await expect(controls.get_by_role("button", name=name)).to_have_count(1)


async def test_who_may_not_receive_messages_is_not_written_to(portal: FakePortal, open_page: Open) -> None:
    portal.users["bob"].functions = ["Audio"]
    page = await open_page("ada", "/#/with/bob")
    await expect(page.get_by_text("Bob Rossi cannot receive messages at the moment.")).to_be_visible()
    await expect(page.get_by_label("Write to Bob Rossi")).to_have_count(0)


# ---- devices


async def test_devices_are_chosen_seen_and_heard(portal: FakePortal, open_page: Open, picture: Picture) -> None:
    page = await open_page("ada", "/#/settings")
    await button(page, "Test microphone and camera").click()
    await expect(page.get_by_label("Your picture")).to_be_visible()
    await becomes(page, "document.querySelector('video').videoWidth > 0")
    await becomes(page, "document.querySelector('meter').value > 0.2")
    await expect(page.get_by_role("combobox", name="Microphone")).to_contain_text("Fake")
    await picture(page, "settings")
    await button(page, "Start echo test").click()
    await expect(page.get_by_text("Speak now…")).to_be_visible()
    await expect(page.get_by_text("Listen: that was you.")).to_be_visible()
    await expect(page.get_by_text("Your microphone works.", exact=False)).to_be_visible(timeout=8000)


@pytest_asyncio.fixture(loop_scope="session")
async def two_cameras() -> AsyncIterator[Any]:
    async with launched(GIVING, "--use-fake-device-for-media-stream=device-count=2") as browser:
        yield browser


USED = "document.querySelector('video')?.srcObject?.getVideoTracks()[0]?.getSettings().deviceId"


async def test_another_camera_is_chosen_used_at_once_and_remembered(
    portal: FakePortal, open_page: Open, two_cameras: Any
) -> None:
    page = await open_page("ada", "/#/settings", browser=two_cameras)
    await button(page, "Test microphone and camera").click()
    await becomes(page, f"Boolean({USED})")
    first, choice = await page.evaluate(USED), page.get_by_role("combobox", name="Camera")
    await expect(choice.locator("option", has_text="fake_device_1")).to_have_count(1)
    offered = await choice.locator("option").evaluate_all("all => all.map(one => one.value)")
    (other,) = set(offered) - {first, ""}
    await choice.select_option(other)
    await becomes(page, f"{USED} === '{other}'")
    await becomes(page, "document.querySelector('video').videoWidth > 0")
    await page.reload()
    await button(page, "Test microphone and camera").click()
    await becomes(page, f"Boolean({USED})")
    assert await page.evaluate(USED) == other
    await expect(choice).to_have_value(other)
    await page.evaluate("localStorage.setItem('mcs.devices', JSON.stringify({videoinput: 'unplugged'}))")
    await page.reload()
    await button(page, "Test microphone and camera").click()
    await becomes(page, f"{USED} === '{first}'")


@pytest_asyncio.fixture(loop_scope="session")
async def refusing() -> AsyncIterator[Any]:
    """A browser that has devices, and gives them to no page."""
    async with launched(REFUSING) as browser:
        yield browser


async def test_a_refused_microphone_is_said_in_the_call(portal: FakePortal, open_page: Open, refusing: Any) -> None:
    page = await open_page("ada", "/#/with/bob", browser=refusing)
    await button(page, "Call Bob Rossi").first.click()
    await enter_call(portal, page)
    await expect(
        page.get_by_text("Your browser does not let this page use the microphone.", exact=False)
    ).to_be_visible()
    await expect(button(page, "Try again")).to_be_visible()


# ---- everybody


SIGHTS = ["/", "/#/with/bob", "/#/missed", "/#/settings"]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark-italian": {"color_scheme": "dark", "locale": "it-IT"},
    "phone": {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing(portal: FakePortal, open_page: Open, picture: Picture, axe: str, look: str) -> None:
    portal.write("bob", "ada bob", "Good morning!")
    portal.write("ada", "ada bob", "Hello, see https://example.com")
    page = await open_page(**LOOKS[look])
    assert await findings(page, axe) == []
    await picture(page, f"login-{look}")
    page = await open_page("ada", **LOOKS[look])
    await expect(page.get_by_role("link", name="Bob Rossi").first).to_be_visible()
    for path in SIGHTS:
        await page.goto(portal.url + path)
        await expect(page.locator("h1:visible").last).to_be_visible()
        await page.wait_for_load_state("networkidle")
        await picture(page, f"{look}{path.replace('/', '-').replace('#', '')}")
        assert await findings(page, axe) == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{path} is wider than the screen"
        )


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing_in_a_call(
    portal: FakePortal, open_page: Open, picture: Picture, axe: str, look: str
) -> None:
    page = await open_page("ada", **LOOKS[look])
    caller = await open_page("bob", "/#/with/ada")
    await button(caller, "Video call with Ada Lovelace").click()
    dialog = page.get_by_role("alertdialog")
    await expect(dialog).to_be_visible()
    await picture(page, f"ring-{look}")
    assert await findings(page, axe) == []
    await dialog.get_by_role("button").last.click()
    await expect(page.get_by_role("toolbar")).to_be_visible()
    await picture(page, f"call-{look}")
    assert await findings(page, axe) == []
    for panel in (3, 4, 5):
        await page.get_by_role("toolbar").get_by_role("button").nth(panel).click()
        await expect(page.locator(".panel")).to_be_visible()
        await picture(page, f"panel-{panel}-{look}")
        assert await findings(page, axe) == []
        await page.locator(".panel-head button").click()


async def test_all_is_done_with_the_keyboard(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("ada")
    await expect(page.get_by_role("link", name="Bob Rossi")).to_be_visible()

    async def tab_to(name: str) -> None:
        """By Tab alone, as one who has no pointer."""
        for _ in range(60):
            await page.keyboard.press("Tab")
            focused = await page.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
            )
            if focused.startswith(name):
                return
        raise AssertionError(f"Tab never comes to {name}")

    await tab_to("BR")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Bob Rossi")).to_be_visible()
    await tab_to("Write to Bob Rossi")
    await page.keyboard.type("with the keyboard")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("with the keyboard")
    caller = await open_page("gio", "/#/with/ada")
    await button(caller, "Call Ada Lovelace").first.click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    await page.keyboard.press("Enter")  # of somebody who was just writing: his microphone is not opened by it
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    await tab_to("Accept")
    await page.keyboard.press("Enter")
    await enter_call(portal, page, "Giovanna Bianchi")
    await tab_to("Mute")
    await page.keyboard.press("Space")
    await expect(button(page, "Unmute")).to_be_focused()
    await tab_to("People")
    await page.keyboard.press("Enter")
    await tab_to("Add Zoë Fontana")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Call with Giovanna Bianchi, Zoë Fontana")).to_be_visible()
    await tab_to("Close")
    await page.keyboard.press("Enter")
    await tab_to("End call")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("toolbar")).to_have_count(0)


async def test_italian_is_chosen_and_stays(portal: FakePortal, open_page: Open) -> None:
    page = await open_page("ada", "/#/settings")
    await page.get_by_role("combobox", name="Language").select_option("it")
    await expect(page.get_by_role("heading", name="Impostazioni")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Impostazioni")).to_be_visible()
    assert await page.evaluate("document.documentElement.lang") == "it"
