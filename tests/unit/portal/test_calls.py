"""The life of a call: who is in it, what rings, what is missed, and when it is over. Without I/O."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from portal.calls import IN, LEFT, REFUSED, RINGING, Call, Calls, Changed, Cut, Missed, Ring, RingEnded
from portal.caps import Caps
from portal.refusals import RefusedError

from unit.portal.running import Hands


class Acme:
    """The calls of one community, by the first letters of its users."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.caps = Caps()
        self.calls = Calls(self.hands.clock().steady, lambda: self.caps)

    def start(self, caller: str, *users: str, media: str = "audio") -> Call:
        return self.calls.start(("acme", caller), list(users), media, f"{caller}1")

    def talk(self, *users: str) -> Call:
        """All of them are in, and connected."""
        call = self.start(*users)
        for user in users[1:]:
            self.calls.accept(call, user, f"{user}1")
        self.connect(call, *users)
        self.calls.events()
        return call

    def connect(self, call: Call, *users: str) -> None:
        self.calls.connected(call, [(user, f"{user}1") for user in users])

    def passes(self, seconds: float) -> None:
        self.hands.passed += seconds
        self.calls.tick()

    def told(self) -> list[tuple[str, ...]]:
        """The events, in words."""
        words: list[tuple[str, ...]] = []
        for event in self.calls.events():
            match event:
                case Ring(_, user):
                    words.append(("ring", user))
                case RingEnded(_, user, why):
                    words.append(("ring-ended", user, why))
                case Missed(_, user):
                    words.append(("missed", user))
                case Cut(_, user):
                    words.append(("cut", user or "all"))
                case Changed(call):
                    words.append(("ended" if call.ended else "changed",))
        return words

    def refused(self, what: Callable[[], object]) -> str:
        with pytest.raises(RefusedError) as why:
            what()
        return why.value.word


@pytest.fixture
def acme() -> Acme:
    return Acme()


def states(call: Call) -> dict[str, str]:
    return {name: member.state for name, member in call.members.items()}


def test_it_rings_until_it_is_accepted(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    assert acme.told() == [("ring", "bob"), ("changed",)]
    assert states(call) == {"ada": IN, "bob": RINGING}
    acme.calls.accept(call, "bob", "bob1")
    assert acme.told() == [("ring-ended", "bob", "accepted"), ("changed",)]
    assert states(call) == {"ada": IN, "bob": IN}


def test_an_id_has_128_random_bits(acme: Acme) -> None:
    ids = {acme.start(f"a{number}", f"b{number}").id for number in range(100)}
    assert len(ids) == 100 and all(len(found) == 32 and int(found, 16) for found in ids)


def test_refused_by_the_only_one_it_is_over(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    acme.told()
    acme.calls.refuse(call, "bob")
    assert acme.told() == [("ring-ended", "bob", "refused"), ("cut", "all"), ("ended",)]
    assert call.ended and not acme.calls.busy(("acme", "ada")) and not acme.calls.busy(("acme", "bob"))
    assert acme.calls.find("acme", call.id) is None


def test_the_caller_hangs_up_before_anybody_answers(acme: Acme) -> None:
    call = acme.start("ada", "bob", "cyd")
    acme.told()
    acme.calls.leave(call, "ada")
    told = acme.told()
    assert [word for word in told if word[0] != "cut"] == [
        ("ring-ended", "bob", "cancelled"), ("missed", "bob"),
        ("ring-ended", "cyd", "cancelled"), ("missed", "cyd"), ("ended",),
    ]  # fmt: skip


def test_who_does_not_answer_in_45_seconds_has_missed_it(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    acme.told()
    acme.passes(44.9)
    assert acme.told() == []
    acme.passes(0.2)
    assert acme.told() == [("ring-ended", "bob", "missed"), ("missed", "bob"), ("cut", "all"), ("ended",)]
    assert states(call) == {"ada": LEFT, "bob": LEFT}


def test_of_two_who_are_called_one_who_answers_is_enough(acme: Acme) -> None:
    call = acme.start("ada", "bob", "cyd")
    acme.calls.accept(call, "bob", "bob1")
    acme.connect(call, "ada", "bob")
    acme.told()
    acme.passes(46)
    assert acme.told() == [("ring-ended", "cyd", "missed"), ("missed", "cyd"), ("changed",)]
    assert states(call) == {"ada": IN, "bob": IN, "cyd": LEFT}


def test_who_is_busy_has_a_missed_call(acme: Acme) -> None:
    acme.talk("ada", "bob")
    assert acme.refused(lambda: acme.start("cyd", "bob")) == "busy"
    assert acme.told() == [("missed", "bob")]
    assert not acme.calls.busy(("acme", "cyd")), "there is no call"
    call = acme.start("cyd", "bob", "dan")
    assert states(call) == {"cyd": IN, "bob": REFUSED, "dan": RINGING}
    assert acme.refused(lambda: acme.calls.accept(call, "bob", "bob1")) == "not-allowed"


def test_who_is_in_a_call_starts_no_other_one(acme: Acme) -> None:
    acme.talk("ada", "bob")
    assert acme.refused(lambda: acme.start("ada", "cyd")) == "busy"


def test_a_room_has_eight(acme: Acme) -> None:
    everybody = [f"u{number}" for number in range(9)]
    assert acme.refused(lambda: acme.start(*everybody)) == "full"
    call = acme.talk(*everybody[:8])
    assert acme.refused(lambda: acme.calls.invite(call, "u0", "u8")) == "full"
    acme.calls.leave(call, "u7")
    acme.calls.invite(call, "u0", "u8")
    assert acme.refused(lambda: acme.calls.accept(call, "u7", "u71")) == "full", "his place is taken"


def test_who_is_in_it_invites_and_nobody_else(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    assert acme.refused(lambda: acme.calls.invite(call, "bob", "cyd")) == "not-allowed"
    acme.calls.accept(call, "bob", "bob1")
    acme.calls.invite(call, "bob", "cyd")
    assert states(call)["cyd"] == RINGING
    acme.calls.refuse(call, "cyd")
    assert states(call) == {"ada": IN, "bob": IN, "cyd": REFUSED} and not call.ended
    assert acme.refused(lambda: acme.calls.accept(call, "cyd", "cyd1")) == "not-allowed"
    acme.calls.invite(call, "ada", "cyd")
    acme.calls.accept(call, "cyd", "cyd1")
    assert states(call)["cyd"] == IN, "asked again he may change his mind"


def test_it_is_over_when_one_is_left(acme: Acme) -> None:
    call = acme.talk("ada", "bob", "cyd")
    acme.calls.leave(call, "cyd")
    assert acme.told() == [("cut", "cyd"), ("changed",)]
    acme.calls.leave(call, "ada")
    assert acme.told() == [("cut", "ada"), ("cut", "all"), ("ended",)]
    acme.calls.leave(call, "bob")
    assert acme.told() == []


def test_who_lost_it_comes_back(acme: Acme) -> None:
    call = acme.talk("ada", "bob", "cyd")
    acme.calls.leave(call, "cyd")
    acme.calls.accept(call, "cyd", "cyd2")
    assert states(call)["cyd"] == IN
    acme.calls.leave(call, "cyd")
    acme.talk("cyd", "dan")
    assert acme.refused(lambda: acme.calls.accept(call, "cyd", "cyd2")) == "busy"


def test_nobody_connected_for_15_seconds_ends_it(acme: Acme) -> None:
    call = acme.talk("ada", "bob")
    acme.passes(1000)
    assert acme.told() == [], "it lasts as long as they talk"
    acme.connect(call)
    acme.passes(14)
    assert not call.ended
    acme.connect(call, "ada")
    acme.connect(call)
    acme.passes(14)
    assert not call.ended, "counted anew"
    acme.passes(2)
    assert call.ended


def test_accepted_and_never_connected_ends_it(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    acme.passes(40)
    acme.calls.accept(call, "bob", "bob1")
    acme.passes(14)
    assert not call.ended
    acme.passes(2)
    assert call.ended


def test_one_who_is_away_for_a_minute_has_left(acme: Acme) -> None:
    call = acme.talk("ada", "bob", "cyd")
    acme.passes(500)
    acme.connect(call, "ada", "bob")
    acme.passes(59)
    assert states(call)["cyd"] == IN
    acme.passes(2)
    assert states(call)["cyd"] == LEFT and not call.ended


def test_the_caller_waits_for_as_long_as_it_rings(acme: Acme) -> None:
    call = acme.start("ada", "bob")
    acme.passes(44)
    assert states(call) == {"ada": IN, "bob": RINGING}


def test_who_waits_for_a_later_guest_is_not_lost_meanwhile(acme: Acme) -> None:
    """Pages connect when somebody has answered: the caller waits for the second one longer than a minute."""
    call = acme.start("ada", "bob")
    acme.passes(40)
    acme.calls.invite(call, "ada", "cyd")
    acme.passes(40)
    assert states(call) == {"ada": IN, "bob": LEFT, "cyd": RINGING}
    acme.calls.accept(call, "cyd", "cyd1")
    acme.passes(10)
    acme.connect(call, "ada", "cyd")
    acme.passes(500)
    assert states(call) == {"ada": IN, "bob": LEFT, "cyd": IN}


def test_a_call_cannot_be_filled_with_those_who_do_not_come(acme: Acme) -> None:
    call = acme.talk("ada", "bob")
    for number in range(62):
        acme.calls.invite(call, "ada", f"u{number}")
        acme.calls.refuse(call, f"u{number}")
    assert acme.refused(lambda: acme.calls.invite(call, "ada", "zoe")) == "full"
    acme.calls.invite(call, "ada", "u7")


def test_who_is_connected_and_may_not_be_is_cut(acme: Acme) -> None:
    call = acme.talk("ada", "bob", "cyd")
    acme.calls.leave(call, "cyd")
    acme.told()
    acme.connect(call, "ada", "bob", "cyd", "zoe")
    assert sorted(acme.told()) == [("cut", "cyd"), ("cut", "zoe")]


def test_the_last_session_that_was_in_it_takes_its_user_along(acme: Acme) -> None:
    call = acme.talk("ada", "bob")
    acme.calls.accept(call, "bob", "bob2")
    acme.calls.signed_out(("acme", "bob"), ["bob2", "bob3"])
    assert states(call)["bob"] == IN
    acme.calls.signed_out(("acme", "bob"), ["bob3"])
    assert call.ended


def test_while_draining_only_who_was_in_it_of_late_is_let_in(acme: Acme) -> None:
    call = acme.talk("ada", "bob")
    admits = acme.calls.admits
    assert [admits(call, "bob", "bob1", False), admits(call, "bob", "bob2", False)] == [None, None]
    acme.passes(3600)
    assert [admits(call, "bob", "bob1", True), admits(call, "bob", "bob2", True)] == [None, "draining"]
    acme.connect(call, "ada")
    acme.passes(59)
    assert admits(call, "bob", "bob1", True) is None, "a new network looks like a new join"
    acme.passes(2)
    assert admits(call, "bob", "bob1", True) == "not-allowed", "he has left"


@pytest.mark.parametrize("state", [RINGING, LEFT, REFUSED])
def test_only_who_is_in_it_is_let_in(acme: Acme, state: str) -> None:
    call = acme.talk("ada", "bob", "cyd")
    call.members["cyd"].state = state
    assert acme.calls.admits(call, "cyd", "cyd1", False) == "not-allowed"
    assert acme.calls.admits(call, "zoe", "zoe1", False) == "not-allowed"


def test_calls_of_a_community_have_an_end(acme: Acme) -> None:
    for number in range(500):
        acme.start(f"a{number}", f"b{number}")
    assert acme.refused(lambda: acme.start("ada", "bob")) == "community-full"
    acme.calls.start(("globex", "eve"), ["gus"], "audio", "eve1")


@pytest.mark.parametrize(
    ("caps", "fits"),
    [
        pytest.param(Caps(calls=1), False, id="as many calls as there may be"),
        pytest.param(Caps(calls=2), True, id="one more call"),
        pytest.param(Caps(participants=3), False, id="place for one person, and a call has two"),
        pytest.param(Caps(participants=4), True, id="place for two"),
    ],
)
def test_a_call_begins_where_it_fits_in_what_the_community_may_have(acme: Acme, caps: Caps, fits: bool) -> None:
    acme.talk("ada", "bob")
    acme.caps = caps
    if fits:
        acme.start("cyd", "dan")
    else:
        assert acme.refused(lambda: acme.start("cyd", "dan")) == "community-full"
        assert not acme.calls.busy(("acme", "cyd")) and acme.told() == []
    acme.calls.start(("globex", "eve"), ["gus"], "audio", "eve1")


def test_who_is_rung_has_a_place_and_a_lowered_limit_takes_it_from_nobody(acme: Acme) -> None:
    acme.caps = Caps(participants=3)
    call = acme.start("ada", "bob", "cyd")
    acme.calls.accept(call, "bob", "bob1")
    acme.caps = Caps(calls=1, participants=2)
    acme.calls.accept(call, "cyd", "cyd1")
    acme.calls.tick()
    assert [member.state for member in call.members.values()] == [IN, IN, IN]
    assert acme.refused(lambda: acme.calls.invite(call, "ada", "dan")) == "community-full"
    acme.calls.leave(call, "cyd")
    assert acme.refused(lambda: acme.calls.accept(call, "cyd", "cyd1")) == "community-full", "he has left"
    acme.caps = Caps(participants=3)
    acme.calls.accept(call, "cyd", "cyd1")


@pytest.mark.parametrize(
    "said", [None, 7, [], {}, {"calls": "many"}, {"calls": 0}, {"calls": True, "participants": -1}]
)
def test_a_limit_that_is_no_number_limits_nobody(said: object) -> None:
    assert Caps.declared(said) == Caps()
    assert Caps.declared({"calls": 9, "participants": 20}) == Caps(9, 20)
    assert Caps.declared({"calls": 10**9}) == Caps(500), "as many as one portal looks after"


def test_whatever_happens_nobody_stays_busy_without_a_call(acme: Acme) -> None:
    """A thousand steps by chance, then time: all is as in the beginning."""
    chance = random.Random(7)  # noqa: S311
    users = [f"u{number}" for number in range(6)]
    for _ in range(1000):
        user, other = chance.sample(users, 2)
        call = acme.calls.call_of(("acme", user)) or (chance.choice(acme.calls.all()) if acme.calls.all() else None)
        steps = [lambda user=user, other=other: acme.start(user, other)]
        if call and user in call.members:
            steps += [
                lambda call=call, user=user: acme.calls.accept(call, user, f"{user}1"),
                lambda call=call, user=user: acme.calls.refuse(call, user),
                lambda call=call, user=user: acme.calls.leave(call, user),
                lambda call=call, user=user, other=other: acme.calls.invite(call, user, other),
                lambda call=call, user=user: acme.connect(call, user),
                lambda call=call: acme.connect(call),
            ]
        with contextlib.suppress(RefusedError):
            chance.choice(steps)()
        acme.passes(chance.choice([0, 1, 20]))
        live = {member.user: call.id for call in acme.calls.all() for member in call.live()}
        assert {key[1]: call_id for key, call_id in acme.calls._of_user.items()} == live
        assert all(len(call.live()) >= 2 for call in acme.calls.all())
    for call in acme.calls.all():
        acme.connect(call)
    acme.passes(46)
    acme.passes(16)
    assert not acme.calls.all() and not acme.calls._of_user
