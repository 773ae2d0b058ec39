"""How long one stays in: over a restart, and not a moment longer than the set in force says."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from unit.portal.running import House, soon

pytestmark = pytest.mark.timeout(20)
DAY = 86_400.0


async def test_a_session_survives_a_restart(house: House) -> None:
    ada = await house.signed_in("ada")
    await house.restart()
    assert (await ada.get("/api/me")).json["user"] == "ada"


@pytest.mark.parametrize("deed", ["login", "logout", "logout-everywhere"])
async def test_nobody_is_told_that_he_is_in_or_out_before_that_outlives_a_kill(house: House, deed: str) -> None:
    ada, may_write = house.browser(), threading.Event()
    if deed != "login":
        ada = await house.signed_in("ada")
    house.portal.store._thread.submit(may_write.wait, 10)
    asked = asyncio.create_task(ada.log_in("ada") if deed == "login" else ada.post(f"/api/{deed}"))
    await soon(lambda: bool(house.portal.sessions.all()) is (deed == "login"))
    await asyncio.wait({asked}, timeout=0.2)
    assert not asked.done()
    may_write.set()
    assert (await asked).status == 204
    kept = sqlite3.connect(house.portal.store.path).execute("SELECT count(*) FROM sessions").fetchone()[0]
    assert kept == (1 if deed == "login" else 0)


async def test_the_cookie_of_one_portal_is_of_no_use_at_another(house: House) -> None:
    ada = await house.signed_in("ada")
    at_globex = house.browser("globex", cookie=ada.cookie)
    assert (await at_globex.get("/api/me")).error == (401, "signed-out")


@pytest.mark.parametrize("cookie", [None, "", "x", "a" * 4000, "%00", "ü"])
async def test_a_stranger_is_told_to_sign_in(house: House, cookie: str | None) -> None:
    assert (await house.browser(cookie=cookie).get("/api/me")).error == (401, "signed-out")


async def test_what_is_kept_of_a_session_lets_nobody_in(house: House) -> None:
    ada = await house.signed_in("ada")
    await house.settled()
    assert ada.cookie is not None
    for path in (house.folder / "data" / "portal").iterdir():
        if path.is_file():
            assert ada.cookie.encode() not in path.read_bytes()


async def test_who_signs_out_is_out_in_this_browser_alone(house: House) -> None:
    here, there = await house.signed_in("ada"), await house.signed_in("ada")
    answer = await here.post("/api/logout")
    assert answer.status == 204 and "Max-Age=0" in answer.headers["Set-Cookie"]
    assert (await here.get("/api/me")).status == 401
    assert (await there.get("/api/me")).status == 200
    await house.settled()
    assert [cut["user"] for cut in house.gate.cuts] == ["ada"] and "session" in house.gate.cuts[0]
    await house.restart()
    assert (await here.get("/api/me")).status == 401


async def test_who_signs_in_anew_in_the_same_browser_leaves_no_session_behind(house: House) -> None:
    browser = await house.signed_in("ada")
    before = house.browser(cookie=browser.cookie)
    assert (await browser.log_in("bob", "wrong")).status == 401
    assert (await before.get("/api/me")).status == 200, "a wrong password ends nothing"
    assert (await browser.log_in("bob")).status == 204
    assert (await before.get("/api/me")).status == 401
    assert (await browser.get("/api/me")).json["user"] == "bob"


async def test_who_signs_out_everywhere_is_out_in_all_browsers(house: House) -> None:
    here, there, bob = [await house.signed_in(user) for user in ("ada", "ada", "bob")]
    async with there.socket() as ears:
        assert (await here.post("/api/logout-everywhere")).status == 204
        assert await ears.closed() == 4401
        assert ears.heard[-1] == {"type": "signed-out"}
    assert (await there.get("/api/me")).status == 401
    assert (await bob.get("/api/me")).status == 200


@pytest.mark.parametrize("what", ["user", "community", "portal", "whole community", "password"])
async def test_who_is_not_served_any_more_is_out_with_the_set(house: House, what: str) -> None:
    ada, eve = await house.signed_in("ada"), await house.signed_in("eve", "globex")
    async with ada.socket() as ears:
        match what:
            case "user":
                del house.users["acme", "ada"]
            case "community":
                house.communities["acme"]["open"] = False
            case "portal":
                house.communities["acme"]["portal"] = None
            case "whole community":
                del house.communities["acme"]
            case "password":
                del house.logins["acme", "ada"]
        await house.told()
        assert await ears.closed() == 4401
    assert (await ada.get("/api/me")).status in (401, 404, 503)
    assert (await eve.get("/api/me")).status == 200, "nobody else notices"
    house.add("acme", "ada")
    house.communities["acme"] |= {"open": True, "portal": "meet.acme.example.com"}
    await house.told()
    assert (await ada.get("/api/me")).error == (401, "signed-out"), "who is back signs in anew"
    await house.settled()
    assert {"community": "acme", "user": "ada"}.items() <= house.gate.cuts[0].items()


async def test_what_failed_half_way_is_done_at_the_next_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await house.signed_in("ada")
    del house.users["acme", "ada"]
    with monkeypatch.context() as broken:
        broken.setattr(house.portal, "_take", lambda before, world: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await house.told()
    async with house.http.get(house.url + "/api/me", headers=ada.headers()) as answer:
        assert answer.status == 401, "she is not served in any case"
    assert house.portal.sessions.of(("acme", "ada"))
    await house.portal.tick()
    assert not house.portal.sessions.of(("acme", "ada"))


async def test_two_looks_a_quarter_of_a_second_apart_are_within_two_seconds() -> None:
    from portal.portal import LOOK

    assert LOOK * 2 <= 0.5


async def test_who_was_removed_while_the_portal_was_down_is_out(house: House) -> None:
    ada = await house.signed_in("ada")
    await house.stop()
    del house.users["acme", "ada"]
    house.write_set()
    await house.start()
    assert (await ada.get("/api/me")).status == 401


async def test_a_restart_before_the_set_signs_nobody_out(house: House) -> None:
    ada = await house.signed_in("ada")
    await house.stop()
    (house.folder / "set.json").rename(house.folder / "away.json")
    await house.start()
    assert (await ada.get("/api/me")).error == (503, "waiting")
    (house.folder / "away.json").rename(house.folder / "set.json")
    await house.portal.tick()
    assert (await ada.get("/api/me")).status == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[" * 100_000, b'{"config": 7}', b'{"config": "x", "users": {}}']
)
async def test_a_broken_set_signs_nobody_out(house: House, content: bytes) -> None:
    ada = await house.signed_in("ada")
    for name in ("set.json", "logins.json", "mode.json"):
        (house.folder / name).write_bytes(content)
    await house.portal.tick()
    assert (await ada.get("/api/me")).status == 200


async def test_logins_of_another_moment_than_the_set_sign_nobody_out(house: House) -> None:
    ada = await house.signed_in("ada")
    house.write("logins.json", {"config": "of the next set", "logins": []})
    await house.portal.tick()
    assert (await ada.get("/api/me")).status == 200


async def test_a_session_ends_after_a_week_without_use_and_after_a_month(house: House) -> None:
    idle, used = await house.signed_in("ada"), await house.signed_in("bob")
    for day in range(31):
        expected = 200 if day < 30 else 401
        assert (await used.get("/api/me")).status == expected, day
        await house.passes(DAY)
    assert (await idle.get("/api/me")).status == 401
    await house.portal.clean()
    await house.settled()
    with sqlite3.connect(house.portal.store.path) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


async def test_the_ninth_browser_of_a_user_takes_the_place_of_the_one_longest_unused(house: House) -> None:
    browsers = []
    for _ in range(9):
        browsers.append(await house.signed_in("ada"))
        await house.passes(1)
    assert [(await browser.get("/api/me")).status for browser in browsers] == [401] + [200] * 8


async def test_one_session_cannot_ask_without_end(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    answers = [(await ada.get("/api/me")).status for _ in range(201)]
    assert answers == [200] * 200 + [429]
    assert (await bob.get("/api/me")).status == 200
    await house.passes(1)
    assert (await ada.get("/api/me")).status == 200


@pytest.mark.parametrize(
    "path", ["/api/logout", "/api/logout-everywhere", "/api/calls", "/api/conversations/bob/messages"]
)
@pytest.mark.parametrize("origin", [None, "https://meet.globex.example.com", "https://acme.example.com"])
async def test_no_foreign_page_acts_in_ones_name(house: House, path: str, origin: str | None) -> None:
    ada = await house.signed_in("ada")
    ada.origin = origin
    assert (await ada.post(path, {"users": ["bob"], "media": "audio", "text": "x"})).error == (403, "not-allowed")


async def test_a_foreign_page_reads_nothing_and_opens_no_socket(house: House) -> None:
    ada = await house.signed_in("ada")
    ada.origin = "https://acme.example.com"
    assert (await ada.get("/api/me")).status == 403
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }
    assert (await ada.get("/api/socket", headers=upgrade)).status == 403
    ada.origin = None
    assert (await ada.get("/api/socket", headers=upgrade)).status == 403
    assert (await ada.get("/api/me", headers={"Sec-Fetch-Site": "same-site"})).status == 403
    assert (await ada.get("/api/me", headers={"Sec-Fetch-Site": "same-origin"})).status == 200
