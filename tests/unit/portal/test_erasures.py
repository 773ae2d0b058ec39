"""Requests of the set in force to erase what is kept of a user: done once each, whatever happens in between."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from portal import retention, store
from portal.told import parse_logins

from unit.portal.running import House
from unit.portal.test_retention import everything, texts, texts_of

pytestmark = pytest.mark.timeout(20)
FIRST, SECOND = "a" * 32, "b" * 32


async def asked(house: House, **requests: str) -> None:
    """The set asks to erase these users of acme, by the letter of the request."""
    house.erasures = {letter * 32: ("acme", user) for letter, user in requests.items()}
    await house.told()
    await house.portal.erase()


async def erased(house: House) -> list[str]:
    answer = (await house.inner("GET", "/counts")).json["erased"]
    return list(answer)


async def test_what_is_asked_is_erased_and_told_by_an_id_that_names_nobody(house: House, caplog: Any) -> None:
    await everything(house)
    ada = await house.signed_in("ada")
    assert await erased(house) == []
    caplog.set_level("INFO")
    await asked(house, a="ada")
    assert await erased(house) == [FIRST]
    assert (await ada.get("/api/me")).status == 401
    assert await texts(house, "bob", "ada") == []
    assert await texts(house, "bob", "cyd") == ["bob to cyd"]
    assert not list(house.portal.files.folder.iterdir())
    for path in house.portal.store.path.parent.glob("portal.db*"):
        assert b"SECRET" not in path.read_bytes(), path.name
    assert "erased" in caplog.text and "ada" not in caplog.text


async def test_a_request_is_done_once_and_another_one_anew(house: House) -> None:
    await asked(house, a="ada")
    ada = await house.signed_in("ada")
    await ada.post("/api/conversations/bob/messages", {"text": "since then"})
    await house.portal.erase()
    await house.restart()
    await house.portal.erase()
    assert await texts_of(ada, "bob") == ["since then"], "he is still signed in, too"
    await asked(house, a="ada", b="ada")
    assert await erased(house) == [FIRST, SECOND]
    assert await texts(house, "bob", "ada") == []


async def test_who_is_in_no_set_any_more_is_erased_as_well(house: House) -> None:
    await everything(house)
    del house.users["acme", "ada"], house.logins["acme", "ada"]
    await asked(house, a="ada")
    assert await erased(house) == [FIRST]
    assert await texts(house, "bob", "cyd") == ["bob to cyd"]
    assert not list(house.portal.files.folder.iterdir())


async def test_a_request_that_is_taken_back_is_told_no_more(house: House) -> None:
    await asked(house, a="ada")
    await asked(house)
    assert await erased(house) == []


async def test_a_full_disk_keeps_no_set_from_being_taken_and_the_request_is_done_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await everything(house)

    async def full(*_: object) -> int:
        raise store.StoreError("SQLITE_FULL")

    with monkeypatch.context() as broken:
        broken.setattr(retention, "forget", full)
        await asked(house, a="ada")
        assert await erased(house) == []
        house.add("acme", "dan")
        await house.told()
        assert (await (await house.signed_in("dan")).get("/api/me")).status == 200
    await house.portal.erase()
    assert await erased(house) == [FIRST]


async def test_killed_before_it_is_noted_it_is_done_again(house: House) -> None:
    await everything(house)
    await asked(house, a="ada")
    with sqlite3.connect(house.portal.store.path) as database:
        database.execute("DELETE FROM erasures")
    await house.restart()
    assert await erased(house) == []
    await house.portal.erase()
    assert await erased(house) == [FIRST]


async def test_nothing_is_noted_but_ids(house: House) -> None:
    await asked(house, a="ada")
    with sqlite3.connect(house.portal.store.path) as database:
        assert [row[0] for row in database.execute("SELECT id FROM erasures")] == [FIRST]


@pytest.mark.parametrize(
    "said",
    [None, "x", {}, [7], [["acme", "ada"]], [["acme", "Ada", FIRST]], [["acme", "ada", "x"]], [[7, "ada", FIRST]]],
)
def test_what_cannot_be_understood_erases_nobody(said: object) -> None:
    found = parse_logins(json.dumps({"config": "c", "logins": [], "erasures": said}).encode())
    assert found is not None and found.erasures == {}
