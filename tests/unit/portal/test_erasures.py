"""Requests of the set in force to erase what is kept of a user: done once each, whatever happens in between."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from portal import erasures, retention, store
from portal.erasures import Asked, Erasures
from portal.told import Key, parse_logins

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
    assert sorted(await erased(house)) == [FIRST, SECOND]
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


async def test_what_is_noted_tells_neither_user_nor_request(house: House) -> None:
    await asked(house, a="ada")
    with sqlite3.connect(house.portal.store.path) as database:
        ((noted,),) = database.execute("SELECT id FROM erasures")
    assert len(noted) == 64 and FIRST not in noted


async def test_an_id_of_another_users_request_is_not_told_as_done(house: House) -> None:
    """Somebody copied a line and changed the name."""
    await everything(house)
    await asked(house, a="bob")
    await asked(house, a="cyd")
    assert await texts(house, "ada", "cyd") == []
    assert await erased(house) == [FIRST]


async def test_one_id_for_two_users_is_told_once_both_are_erased(house: House) -> None:
    """One Community's must not take the place of another one's."""
    found = requested((FIRST, "acme", "ada"), (FIRST, "globex", "eve"))
    forgotten: list[Key] = []

    async def forget(key: Key) -> int:
        forgotten.append(key)
        if len(forgotten) == 2:
            raise store.StoreError("SQLITE_FULL")
        return 0

    requests = Erasures(house.portal.store, forget)
    await requests.work(found, 0)
    assert requests.done(found) == []
    await requests.work(found, 0)
    assert requests.done(found) == [FIRST]
    assert set(forgotten) == {("acme", "ada"), ("globex", "eve")}


def requested(*lines: tuple[str, str, str]) -> Asked:
    """Id, community, user."""
    said = [[community, user, asked] for asked, community, user in lines]
    found = parse_logins(json.dumps({"config": "c", "logins": [], "erasures": said}).encode())
    assert found is not None
    return found.erasures


async def nobody(_: Key) -> int:
    return 0


async def test_a_community_that_leaves_its_requests_there_hides_no_others(house: House) -> None:
    """As many as an appliance may tell are told: those of each Community in turn, the newest first."""
    requests = Erasures(house.portal.store, nobody)
    many = [(f"{number:032x}", "acme", "ada") for number in range(60)]
    await requests.work(requested(("f" * 32, "globex", "eve"), *many), 0)
    told = requests.done(requested(("f" * 32, "globex", "eve"), *many))
    assert "f" * 32 in told and len(told) == 50


async def test_of_requests_that_nobody_asks_for_any_more_the_newest_are_remembered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a Community that asks anew all day fills memory and disk of all."""
    monkeypatch.setattr(erasures, "REMEMBERED", 3)
    requests = Erasures(house.portal.store, nobody)
    stays = (FIRST, "globex", "eve")
    for number in range(10):
        await requests.work(requested(stays, (f"{number:032x}", "acme", "ada")), number)
    with sqlite3.connect(house.portal.store.path) as database:
        assert database.execute("SELECT count(*) FROM erasures").fetchone() == (5,)
    again = Erasures(house.portal.store, nobody)
    await again.recall()
    assert again.done(requested(stays)) == [FIRST]


@pytest.mark.parametrize(
    "said",
    [None, "x", {}, [7], [["acme", "ada"]], [["acme", "Ada", FIRST]], [["acme", "ada", "x"]], [[7, "ada", FIRST]]],
)
def test_what_cannot_be_understood_erases_nobody(said: object) -> None:
    found = parse_logins(json.dumps({"config": "c", "logins": [], "erasures": said}).encode())
    assert found is not None and not found.erasures
