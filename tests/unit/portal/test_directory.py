"""The directory: searched at the server, a page at a time, one's own community alone."""

from __future__ import annotations

import time

import pytest
from portal.directory import Directory
from portal.told import Community, User, World

from unit.portal.running import House

pytestmark = pytest.mark.timeout(20)


async def test_one_sees_the_colleagues_and_not_oneself(house: House) -> None:
    found = (await (await house.signed_in("ada")).get("/api/directory")).json
    assert found == {
        "users": [
            {"user": "bob", "displayName": "Bob", "presence": "offline"},
            {"user": "cyd", "displayName": "Cyd", "presence": "offline"},
        ],
        "next": None,
    }


async def test_pages_of_fifty(house: House) -> None:
    house.add("acme", *(f"user-{number:03}" for number in range(120)))
    await house.told()
    ada = await house.signed_in("ada")
    pages, after = [], ""
    while True:
        page = (await ada.get("/api/directory", params={"q": "user", "after": after})).json
        pages.append([user["user"] for user in page["users"]])
        if page["next"] is None:
            break
        after = page["next"]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [name for page in pages for name in page] == [f"user-{number:03}" for number in range(120)]


@pytest.mark.parametrize("after", ["x", "%%%", "ü", "A" * 3000, "////", "_w"])
async def test_a_wrong_cursor_is_no_fault(house: House, after: str) -> None:
    answer = await (await house.signed_in("ada")).get("/api/directory", params={"after": after})
    assert answer.status == 200


def a_world(*names: tuple[str, str], community: str = "acme") -> World:
    users = {(community, name): User(community, name, shown, frozenset()) for name, shown in names}
    return World("x", {community: Community(community, community, "h", True)}, users)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", ["zoe", "ada", "bo"]),
        ("LOVELACE", ["ada"]),
        ("love ada", ["ada"]),
        ("ada turing", []),
        ("straße", ["bo"]),
        ("STRASSE", ["bo"]),
        ("o", ["zoe", "ada", "bo"]),
        ("\n", ["zoe", "ada", "bo"]),
        ("bo", ["bo"]),
    ],
)
def test_every_word_is_in_the_name_or_the_name_for_people(wanted: str, found: list[str]) -> None:
    directory = Directory(a_world(("ada", "Lovelace, Ada"), ("bo", "Straße, Bo"), ("zoe", "Aaron, Zoe")))
    users, more = directory.search("acme", wanted, "", but="")
    assert [user.name for user in users] == found and more is None


def test_a_search_in_ten_thousand_takes_milliseconds() -> None:
    directory = Directory(a_world(*((f"u{number}", f"Name {number} of many people") for number in range(10_000))))
    begun = time.perf_counter()
    for _ in range(10):
        directory.search("acme", "zebra in the people", "", but="u1")
    assert (time.perf_counter() - begun) / 10 < 0.1


def test_the_longest_names_have_a_next_page() -> None:
    """Folded, a character may become three: the cursor is longer than any name."""
    names = [(f"u{number}" + "x" * 60, "\u0390" * 250 + f"{number:03}") for number in range(120)]
    directory = Directory(a_world(*names))
    found, after = [], ""
    while True:
        users, more = directory.search("acme", "", after, but="")
        found += users
        if more is None:
            break
        assert len(more) < 4000
        after = more
    assert len({user.name for user in found}) == len(found) == 120


def test_another_community_is_not_there() -> None:
    directory = Directory(a_world(("ada", "Ada")))
    assert directory.search("globex", "", "", but="") == ([], None) and directory.size("globex") == 0
