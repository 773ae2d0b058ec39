"""The files of the supervisor: understood entry by entry, and never worse than before."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from portal import foreign, gate
from portal.told import FUNCTIONS, Mode, Told, Watched, parse_logins, parse_mode, parse_world
from portal.web.socket import watched

COUNT = int(os.environ.get("MCS_FUZZ", "1000"))

ACME = {"name": "acme", "displayName": "Acme S.p.A.", "portal": "Meet.Acme.Example.com", "open": True}


def a_set(**more: Any) -> bytes:
    return json.dumps({"config": "c", "instance": {}, "communities": [ACME], "users": [], **more}).encode()


def test_a_set_is_understood() -> None:
    world = parse_world(a_set(users=[["acme", "ada", "Ada L.", ["Chat", "Audio"]]], instance={"bandwidthMbps": 500}))
    assert world is not None
    ada = world.user("acme", "ada")
    assert ada is not None and ada.display_name == "Ada L." and ada.functions == {"Audio", "Chat"}
    assert world.communities["acme"].portal == "meet.acme.example.com" and world.bandwidth_mbps == 500


@pytest.mark.parametrize(
    "user",
    [
        None,
        [],
        {"name": "ada"},
        ["acme", "ada", "Ada"],
        ["acme", "Ada", "Ada", []],
        ["acme", "a/b", "x", []],
        ["acme", "", "x", []],
        ["acme", "a" * 65, "x", []],
        ["acme", ["x"], "x", []],
        [7, "ada", "x", []],
        ["acme", "ada", "Ada", "Audio"],
        ["globex", "eve", "Eve", []],
    ],
)
def test_one_user_that_is_none_is_left_out_alone(user: object) -> None:
    world = parse_world(a_set(users=[user, ["acme", "bob", None, ["Audio", "Levitation", 7, None, ["x"]]]]))
    assert world is not None and set(world.users) == {("acme", "bob")}
    bob = world.users["acme", "bob"]
    assert bob.display_name == "bob" and bob.functions == {"Audio"}


@pytest.mark.parametrize("community", [None, {}, {"name": 7}, {"name": ""}, "acme", []])
def test_one_community_that_is_none_is_left_out_alone(community: object) -> None:
    world = parse_world(a_set(communities=[community, ACME]))
    assert world is not None and set(world.communities) == {"acme"}


@pytest.mark.parametrize(("changed", "served"), [
    ({}, True), ({"open": False}, False), ({"portal": None}, False), ({"open": "yes"}, False), ({"portal": 7}, False),
])  # fmt: skip
def test_who_is_not_open_or_has_no_portal_is_not_served(changed: dict[str, object], served: bool) -> None:
    world = parse_world(a_set(communities=[ACME | changed], users=[["acme", "ada", "Ada", []]]))
    assert world is not None and (world.user("acme", "ada") is not None) is served
    assert ("acme", "ada") in world.users, "he is not gone"


@pytest.mark.parametrize("bandwidth", [None, 0, -1, True and "100", 1.5, 10**9])
def test_a_bandwidth_that_is_none_is_a_hundred(bandwidth: object) -> None:
    world = parse_world(a_set(instance={"bandwidthMbps": bandwidth}))
    assert world is not None and world.bandwidth_mbps == 100


def test_logins_and_mode() -> None:
    logins = parse_logins(
        json.dumps({"config": "c", "logins": [["acme", "ada", "$x"], ["acme"], None, [1, 2, 3]]}).encode()
    )
    assert logins is not None and logins.hashes == {("acme", "ada"): "$x"}
    assert "$x" not in repr(logins)
    assert [parse_mode(json.dumps({"mode": mode}).encode()) for mode in ("open", "draining", "x", 7)] == [
        Mode("open"),
        Mode("draining"),
        None,
        None,
    ]
    assert parse_mode(b'{"mode": "draining", "until": "2026-11-30T22:15:00Z"}') == Mode(
        "draining", "2026-11-30T22:15:00Z"
    )
    assert parse_mode(b'{"mode": "draining", "until": 7}') == Mode("draining")


def test_ten_thousand_users_are_understood_in_less_than_a_second() -> None:
    users = [["acme", f"user-{number}", f"Name of user {number}", list(FUNCTIONS)] for number in range(10_000)]
    content = a_set(users=users)
    begun = time.perf_counter()
    world = parse_world(content)
    assert world is not None and len(world.users) == 10_000 and time.perf_counter() - begun < 1


async def test_a_bad_file_keeps_the_content_of_before(tmp_path: Path) -> None:
    path = tmp_path / "mode.json"
    one = Watched(path, parse_mode, Mode("waiting"))
    assert await one.look() is False and one.content == Mode("waiting")
    path.write_text('{"mode": "open"}')
    assert await one.look() is True and one.content == Mode("open")
    for bad in ("", "{", '{"mode": "upside down"}', "[" * 10_000):
        path.write_text(bad)
        assert await one.look() is False and one.content == Mode("open")
    path.unlink()
    assert await one.look() is False and one.content == Mode("open")
    path.mkdir()
    assert await one.look() is False and one.content == Mode("open")


async def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    reads = []
    path = tmp_path / "x"
    path.write_text("x")
    one = Watched(path, lambda content: reads.append(content) or "y", "")  # type: ignore[func-returns-value]
    assert [await one.look() for _ in range(5)] == [True, False, False, False, False] and reads == [b"x"]


async def test_before_the_first_set_nothing_is_known(tmp_path: Path) -> None:
    told = Told(tmp_path)
    await told.look()
    assert not told.ready and not told.draining and not told.agree and told.world.user("acme", "ada") is None


# ---- whatever comes


def test_whatever_comes_is_a_value_or_none() -> None:
    """Damaged at random, at each of our doors."""
    chance = random.Random(11)  # noqa: S311
    sound = [
        a_set(users=[["acme", "ada", "Ada L.", ["Chat"]]]),
        b'{"config": "c", "logins": [["acme", "ada", "$argon2id$"]]}',
        b'{"type": "watch", "users": ["bob", "cyd"]}',
        b'{"participants": {"acme": 2}, "rooms": {"acme/x": [{"user": "ada", "session": "s"}]}}',
    ]
    for _ in range(COUNT):
        content = bytearray(chance.choice(sound))
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(content))
            match chance.randrange(4):
                case 0:
                    content[place] = chance.randrange(256)
                case 1:
                    del content[place : place + chance.randrange(9)]
                case 2:
                    content[place:place] = chance.choice(
                        [b"[" * 2000, b"null", b"9" * 5000, b'"\\ud800"', b"{}", b"\x00"]
                    )
                case 3:
                    content[place:place] = content[chance.randrange(len(content)) :][:20]
            content = content or bytearray(b"{")
        given = bytes(content)
        parse_world(given), parse_logins(given), parse_mode(given), gate.understood(given), foreign.document(given)
        text = given.decode(errors="surrogateescape")
        (
            watched(text),
            foreign.text(text, 100),
            foreign.user_name(text),
            foreign.random_id(text),
            foreign.file_name(text, 50),
        )
