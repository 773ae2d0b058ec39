"""Who is in a call, and what the media server has to be told of him: a function of the set in force."""

from __future__ import annotations

import json

import pytest

from unit.gate.gate_parts import ALL, CALL, MEET, a_set, participants, served
from unit.gate.gate_parts import participants as people


class Wire:
    def __init__(self) -> None:
        self.is_hung_up = False

    def hang_up(self) -> None:
        self.is_hung_up = True


def someone(user: str = "ada", told: tuple[str, ...] | None = ("Audio",), session: str = "s1") -> people.Participant:
    return people.Participant("acme", user, session, CALL, None if told is None else frozenset(told))


def given(*users: tuple[str, str, tuple[str, ...]], closed: tuple[str, ...] = ()) -> served.Served:
    found = served.understand(a_set(*users, closed=closed))
    assert found is not None
    return found


ADA = given(("acme", "ada", ("Audio",)))


def orders(there: people.Participants, now: served.Served, at: float = 0.0) -> list[str]:
    return [
        f"permit {','.join(sorted(order.functions))}" if isinstance(order, people.Permission) else "remove"
        for order in there.due(now, at)
    ]


@pytest.mark.parametrize(
    ("told", "now", "expected"),
    [
        pytest.param(("Audio",), ADA, [], id="nothing new"),
        pytest.param(("Audio", "Video"), ADA, ["permit Audio"], id="a function taken away"),
        pytest.param((), ADA, ["permit Audio"], id="a function given"),
        pytest.param(None, ADA, ["permit Audio"], id="nobody knows what it was told"),
        pytest.param(("Audio",), given(("acme", "ada", ())), ["permit "], id="all taken away: he may still listen"),
        pytest.param(("Audio",), given(("acme", "bob", ALL)), ["remove"], id="no user any more"),
        pytest.param(("Audio",), given(("globex", "ada", ALL)), ["remove"], id="a user of another community"),
        pytest.param(("Audio",), given(("acme", "ada", ALL), closed=("acme",)), ["remove"], id="a disabled community"),
        pytest.param(("Audio",), served.Served(), ["remove"], id="no community any more"),
    ],
)
def test_what_the_media_server_is_told_follows_the_set(
    told: tuple[str, ...] | None, now: served.Served, expected: list[str]
) -> None:
    there = people.Participants()
    there.enter(someone(told=told), Wire())
    assert orders(there, now) == expected


def test_who_has_no_connection_stays_for_a_while_and_counts() -> None:
    there, wire = people.Participants(), Wire()
    ada = there.enter(someone(), wire)
    there.leave(ada, wire, 100.0, for_good=False)
    assert (there.counts(), there.connected(CALL)) == ({"acme": 1}, [])
    assert orders(there, ADA, 100.0 + people.AWAY - 1) == []
    assert orders(there, ADA, 100.0 + people.AWAY) == ["remove"]
    there.enter(someone(), Wire())
    assert orders(there, ADA, 1000.0) == [], "he came back"


def test_who_leaves_is_gone_at_once() -> None:
    there, wire = people.Participants(), Wire()
    there.leave(there.enter(someone(), wire), wire, 1.0, for_good=True)
    assert (there.counts(), there.stirred) == ({}, {CALL})


def test_a_second_connection_of_one_session_takes_the_place_of_the_first() -> None:
    there, first, second = people.Participants(), Wire(), Wire()
    ada = there.enter(someone(), first)
    assert there.enter(someone(), second) is ada
    there.leave(ada, first, 1.0, for_good=True)
    assert there.connected(CALL) == [{"user": "ada", "session": "s1"}], "the end of the first is no end of his"
    assert there.counts() == {"acme": 1}, "counted once"


@pytest.mark.parametrize(
    ("cut", "hit"),
    [
        pytest.param({}, {"ada", "bob"}, id="the community"),
        pytest.param({"user": "ada"}, {"ada"}, id="a user"),
        pytest.param({"user": "ada", "session": "s2"}, set(), id="another session of his"),
        pytest.param({"session": "s1"}, {"ada"}, id="a session"),
        pytest.param({"call": CALL}, {"ada", "bob"}, id="a call"),
        pytest.param({"call": "other"}, set(), id="another call"),
        pytest.param({"user": "bob", "call": CALL}, {"bob"}, id="a member of a call"),
    ],
)
def test_a_cut_is_for_whom_all_of_it_applies_to(cut: dict[str, str], hit: set[str]) -> None:
    there = people.Participants()
    for user, session in (("ada", "s1"), ("bob", "s9")):
        there.enter(someone(user, session=session), Wire())
    assert there.cut(people.Cut("acme", **cut), 1.0) == len(hit)
    now = given(("acme", "ada", ("Audio",)), ("acme", "bob", ("Audio",)))
    assert {order.who.user for order in there.due(now, 1.0)} == hit
    assert there.cut(people.Cut("globex"), 1.0) == 0, "no other customer's"


def test_who_was_cut_on_his_way_in_does_not_get_in() -> None:
    there = people.Participants()
    there.cut(people.Cut("acme", user="ada"), 10.0)
    assert there.was_cut(someone(), since=9.0)
    assert not there.was_cut(someone("bob"), since=9.0)
    assert not there.was_cut(someone(), since=11.0), "he was let in again after it"


@pytest.mark.parametrize("room", ["acme", "/x", "acme/", ""])
def test_a_participant_that_this_program_never_named_is_none(room: str) -> None:
    assert people.parsed(room, "ada~s1") is None
    assert people.parsed(f"acme/{CALL}", "ada") is None
    found = people.parsed(f"acme/{CALL}", "a~b~s1")
    assert found is not None and (found.user, found.session, found.room) == ("a~b", "s1", f"acme/{CALL}")


def test_the_set_says_who_is_served() -> None:
    now = given(("acme", "ada", ("Audio", "Chat")), ("initech", "joe", ALL))
    assert now.portal("acme") == MEET
    assert now.functions("acme", "ada") == {"Audio", "Chat"}
    assert now.functions("globex", "ada") is None
    assert now.functions("initech", "joe") is None, "without a portal nobody is served there"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        a_set(("acme", "ada", ALL)).replace(b'"users"', b'"nobody"'),
        a_set(("acme", "ada", ALL)).replace(b'["Audio"', b'[7, "Audio"'),
        a_set().replace(b'"communities": [', b'"communities": [7, '),
        json.dumps({"instance": {}, "communities": {}, "users": [["acme"]]}).encode(),
    ],
)
def test_what_is_no_set_is_none(content: bytes) -> None:
    assert served.understand(content) is None


@pytest.mark.parametrize(
    ("bandwidth", "participants", "crowded"),
    [(100, 0, False), (100, 177, False), (100, 178, True), (1000, 1770, False), (0, 10_000, False)],
)
def test_pictures_are_refused_from_85_percent_of_the_line_on(bandwidth: int, participants: int, crowded: bool) -> None:
    assert served.Served(bandwidth=bandwidth).is_crowded(participants) == crowded


def test_messages_have_a_budget_that_comes_back() -> None:
    from unit.gate.gate_parts import line

    budget = line.Budget(line.RATE, line.BURST, _since=0.0)
    assert all(budget.spend(0.0) for _ in range(int(line.BURST)))
    assert not budget.spend(0.0)
    assert budget.spend(1.0)
    assert participants is people
