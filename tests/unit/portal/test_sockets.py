"""What a page hears: presence of those it shows, and what changes for its user."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest
from portal.hub import Hub, Socket
from portal.limits import QUEUED, places, sockets_of_community
from portal.sessions import Session
from portal.web.socket import watched

from unit.portal.running import House, soon

pytestmark = pytest.mark.timeout(20)


async def test_a_page_is_told_at_once_how_it_is(house: House) -> None:
    ada = await house.signed_in("ada")
    async with ada.socket() as ears:
        assert await ears.quiet() == [
            {"type": "functions", "functions": ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"]},
            {"type": "draining", "draining": False},
        ]


async def test_presence_comes_for_those_who_are_shown_and_only_what_changed(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket() as ears:
        assert await ears.watch("bob", "cyd") == {"bob": "offline", "cyd": "offline"}
        async with bob.socket():
            await house.passes(1)
            assert await ears.until("presence") == {"type": "presence", "users": {"bob": "online"}}
            call = (await bob.post("/api/calls", {"users": ["cyd"], "media": "audio"})).json["id"]
            await house.passes(1)
            assert (await ears.until("presence"))["users"] == {"bob": "busy", "cyd": "busy"}
            await bob.post(f"/api/calls/{call}/leave")
            await house.passes(1)
            assert (await ears.until("presence"))["users"] == {"bob": "online", "cyd": "offline"}


async def test_presence_is_batched_once_a_second(house: House) -> None:
    ada = await house.signed_in("ada")
    others = [await house.signed_in(user) for user in ("bob", "cyd")]
    async with ada.socket() as ears, AsyncExitStack() as open_:
        await ears.watch("bob", "cyd")
        await house.passes(1)
        for other in others:
            await open_.enter_async_context(other.socket())
            await house.passes(0.1)
        assert [message for message in ears.heard if "online" in message.get("users", {}).values()] == []
        await house.passes(1)
        assert (await ears.until("presence"))["users"] == {"bob": "online", "cyd": "online"}


async def test_a_page_that_is_loaded_again_does_not_flicker(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket() as ears:
        async with bob.socket():
            await house.passes(1)
            assert await ears.watch("bob") == {"bob": "online"}
        await house.passes(2)
        async with bob.socket():
            await house.passes(2)
        assert len([message for message in ears.heard if message["type"] == "presence"]) == 1
        await house.passes(6)
        assert (await ears.until("presence"))["users"] == {"bob": "offline"}


async def test_who_signs_out_is_offline_at_once(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket() as ears, bob.socket() as bobs:
        assert await ears.watch("bob") == {"bob": "online"}
        await bob.post("/api/logout")
        assert await bobs.closed() == 4401
        await soon(lambda: len(house.portal.hub) == 1)
        assert (await ada.get("/api/directory?q=bob")).json["users"][0]["presence"] == "offline"
        await house.passes(1)
        assert (await ears.until("presence"))["users"] == {"bob": "offline"}


async def test_nobody_sees_who_is_there_in_another_community(house: House) -> None:
    ada, eve = await house.signed_in("ada"), await house.signed_in("eve", "globex")
    async with eve.socket(), ada.socket() as ears:
        assert await ears.watch("eve") == {"eve": "offline"}
        await house.passes(1)
        await ears.quiet()
        assert all("eve" not in message.get("users", {}) for message in ears.heard[3:])


async def test_new_functions_and_a_drain_are_told(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket() as ears, bob.socket() as bobs:
        await ears.quiet(), await bobs.quiet()
        house.users["acme", "ada"] = ["Chat"]
        await house.told()
        assert await ears.until("functions") == {"type": "functions", "functions": ["Chat"]}
        house.mode = "draining"
        await house.told()
        assert await ears.until("draining") == {"type": "draining", "draining": True}
        house.until = "2026-11-30T22:15:00Z"
        await house.told()
        drain = {"draining": True, "drainingUntil": "2026-11-30T22:15:00Z"}
        assert await ears.until("draining") == {"type": "draining"} | drain
        assert drain.items() <= (await ada.get("/api/me")).json.items(), "who opens the page now reads it, too"
        assert [message["type"] for message in await bobs.quiet()].count("functions") == 1, "bob's are the same"


async def test_the_line_stays_until_the_page_has_said_goodbye_as_well(house: House) -> None:
    """A browser whose line is cut meanwhile may take that for a broken one, and come back."""
    ada = await house.signed_in("ada")
    url = house.url.replace("http", "ws", 1) + "/api/socket"
    async with house.http.ws_connect(url, headers=ada.headers(), autoclose=False) as page:
        house.portal.sign_out_everywhere(("acme", "ada"))
        while (await page.receive()).type != aiohttp.WSMsgType.CLOSE:
            pass
        assert page.close_code == 4401 and len(house.portal.hub) == 0, "nobody waits for it"
        for _ in range(100):
            await asyncio.sleep(0)
        assert await page.close() and page.exception() is None


async def test_a_user_may_have_some_sockets_and_no_more(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with AsyncExitStack() as open_:
        for _ in range(8):
            await open_.enter_async_context(ada.socket())
        async with ada.socket() as ninth:
            assert await ninth.closed() == 4429
        async with bob.socket() as ears:
            await ears.quiet()


async def test_a_socket_that_says_too_much_is_closed(house: House) -> None:
    ada = await house.signed_in("ada")
    async with ada.socket() as ears:
        for _ in range(51):
            await ears.connection.send_json({"type": "watch", "users": []})
        assert await ears.closed() == 4429


@pytest.mark.parametrize("said", [b"bytes", "x" * 40_000])
async def test_a_socket_that_says_what_no_page_says_is_closed(house: House, said: bytes | str) -> None:
    ada = await house.signed_in("ada")
    async with ada.socket() as ears:
        await (ears.connection.send_bytes(said) if isinstance(said, bytes) else ears.connection.send_str(said))
        assert await ears.closed() in (4429, 1009)


@pytest.mark.parametrize(
    ("said", "users"),
    [
        ('{"type": "watch", "users": ["bob", "cyd", "bob"]}', {"bob", "cyd"}),
        ('{"type": "watch", "users": ["bob", 7, null, [], "../x", "Bob", "b' + "o" * 64 + '"]}', {"bob"}),
        ('{"type": "watch", "users": []}', set()),
        ('{"type": "watch", "users": "bob"}', None),
        ('{"type": "shout", "users": ["bob"]}', None),
        ("[" * 30_000, None),
        ("", None),
        ("7", None),
    ],
)
def test_what_a_page_says_is_understood_or_ignored(said: str, users: set[str] | None) -> None:
    assert watched(said) == users


def test_a_page_shows_two_hundred_users_at_most() -> None:
    import json

    found = watched(json.dumps({"type": "watch", "users": [f"u{number}" for number in range(1000)]}))
    assert found is not None and len(found) == 200


# ---- the hub alone


def a_session(user: str = "ada", community: str = "acme", public: str = "s1") -> Session:
    return Session(b"", public, community, user, "", 0, 0)


async def test_a_reader_who_is_too_slow_is_closed_and_nobody_waits() -> None:
    slow = Socket(a_session())
    for number in range(QUEUED + 1):
        slow.send({"type": "message", "number": number})
    assert slow.closing == 1013
    assert await slow.next() is None, "what is old by then is not sent"


def test_a_community_gets_half_of_all_places_at_most() -> None:
    hub = Hub(100, lambda community: 10_000)
    joined = [hub.join(Socket(a_session(f"u{number}", public=f"s{number}"))) for number in range(60)]
    assert joined == [True] * 50 + [False] * 10
    assert hub.join(Socket(a_session("eve", "globex", "g")))


@pytest.mark.parametrize(("users", "found"), [(0, 50), (1, 50), (100, 400), (10_000, 5_000)])
def test_places_follow_from_the_number_of_users(users: int, found: int) -> None:
    assert sockets_of_community(users, 10_000) == found


@pytest.mark.parametrize(
    ("files", "addresses", "found"),
    [
        pytest.param(1 << 20, -1, 10_000, id="as a rule"),
        pytest.param(1024, -1, 524, id="few files"),
        pytest.param(1 << 20, 464 * 1024 * 1024, 2662, id="a container of 512 MiB"),
        pytest.param(1 << 20, 912 * 1024 * 1024, 10_000, id="a container of 4 GiB"),
        pytest.param(64, 1024, 50, id="hardly anything"),
        pytest.param(-1, -1, 10_000, id="no limits"),
    ],
)
def test_there_are_as_many_places_as_files_and_addresses_carry(files: int, addresses: int, found: int) -> None:
    assert places(files, addresses) == found


def test_who_leaves_leaves_nothing_behind() -> None:
    hub = Hub(100, lambda community: 1)
    socket = Socket(a_session())
    for _ in range(20):
        assert hub.join(socket)
        hub.leave(socket)
        hub.leave(socket)
    assert len(hub) == 0 and not hub.of(("acme", "ada")) and not hub._of_session and not hub._of_community


async def test_presence_forgets_pages_that_are_gone(house: House) -> None:
    ada = await house.signed_in("ada")
    async with ada.socket() as ears:
        await ears.watch("bob")
    await house.passes(10)
    assert not house.portal.presence._watchers and not house.portal.presence._leaving and not len(house.portal.hub)
