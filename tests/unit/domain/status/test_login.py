"""LoginReady: whether people can log in to their customer's portal, and that nothing else depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.api.erasure import Erasure
from mcs_operator.contract.linkstate import MAX_PORTALS, MediaState
from mcs_operator.domain.decide import decide
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, all_statuses
from support.worlds import HASH, NOW, community, conditions, given, instance, message, passwords, pod, portal, report

ACME = (Kind.COMMUNITY, "acme")
THERE = passwords("passwords", f"ada:{HASH}")
CERTIFIED = Wanted(revisions={}, certified=frozenset({"meet.acme.test"}))
SERVES = MediaState(contract=2, portals={"acme": 1})
CALM = {"Ready": ("True", "Served"), "Reconciling": ("False", "Reconciled"), "Stalled": ("False", "NotStalled")}


def status(*things: Any, wanted: Wanted = CERTIFIED, media: MediaState | None = SERVES, **more: Any) -> dict[str, Any]:
    """What community acme is told beside an instance whose appliance says this."""
    world = given(instance(), pod(), report(media=media), things, **more)
    found: dict[str, Any] = all_statuses(world, decide(world), wanted)[ACME]
    return found


def login(told: dict[str, Any]) -> tuple[str, str]:
    return conditions(told)["LoginReady"]


def progress(told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {type: conditions(told)[type] for type in CALM}


def test_where_the_appliance_serves_the_portal_it_says_where_and_for_how_many() -> None:
    told = status(portal(users=["ada", "bob"]), THERE)
    assert login(told) == ("True", "Served")
    assert message(told, "LoginReady") == "at https://meet.acme.test 1 of 2 users can log in"
    assert progress(told) == CALM


@pytest.mark.parametrize(
    ("asked", "done", "told"),
    [
        ("ab", "abc", ["a" * 32, "b" * 32]),
        ("ab", "bc", ["b" * 32]),
        ("a", "b", None),
        ("a", "", None),
        ("", "a", None),
    ],
)
def test_of_what_is_to_be_erased_it_says_what_the_appliance_has_done(asked: str, done: str, told: object) -> None:
    requests = tuple(Erasure(f"user-{letter}", letter * 32) for letter in asked)
    media = MediaState(contract=2, portals={"acme": 1}, erased=[letter * 32 for letter in done])
    found = status(portal(), replace(THERE, erasures=requests), media=media)
    assert found.get("erased") == told
    assert "user-" not in str(found)
    assert progress(found) == CALM


@pytest.mark.parametrize("media", [None, SERVES, MediaState()], ids=["silent", "with portals", "without"])
def test_without_a_portal_it_says_the_same_whatever_the_appliance_says(media: MediaState | None) -> None:
    """Or every Community of before would be written again and again."""
    told = status(community(users=["ada"]), media=media, wanted=Wanted(revisions={}))
    assert login(told) == ("False", "NotConfigured")
    assert conditions(told)["DomainResolved"] == ("Unknown", "NotConfigured")
    assert progress(told) == CALM


@pytest.mark.parametrize(
    ("things", "more", "reason"),
    [
        pytest.param([portal(secrets=())], {}, "NoPasswords", id="no source"),
        pytest.param([portal(), passwords("passwords", "")], {}, "NoPasswords", id="an empty Secret"),
        pytest.param([portal(users=["bob"]), THERE], {}, "NoPasswords", id="passwords of nobody who is served"),
        pytest.param([portal()], {}, "PasswordsNotFound", id="no Secret"),
        pytest.param([portal(), passwords("passwords", "x", of="b")], {}, "PasswordsNotFound", id="another's Secret"),
        pytest.param([portal(), THERE], {"wanted": Wanted(revisions={})}, "CertificateNotFound", id="no certificate"),
        pytest.param([portal(), THERE], {"media": MediaState(contract=2)}, "Pending", id="not taken yet"),
        pytest.param(
            [portal(), THERE], {"media": MediaState(contract=2, portals={"acme": 0})}, "Pending", id="no hash taken yet"
        ),
    ],
)
def test_what_keeps_people_from_logging_in_is_told_and_nothing_waits_for_it(
    things: list[Any], more: dict[str, Any], reason: str
) -> None:
    told = status(things, **more)
    assert login(told) == ("False", reason)
    assert progress(told) == CALM


@pytest.mark.parametrize(
    ("media", "reason"),
    [(None, "MediaNotReady"), (MediaState(), "NotSupported"), (MediaState(portals={"acme": 1}), "NotSupported")],
    ids=["an appliance that does not answer", "an image or a pod of before", "one that says what it cannot know"],
)
def test_an_image_that_does_not_confirm_it_leaves_it_unknown_and_nothing_waits_for_it(
    media: MediaState | None, reason: str
) -> None:
    told = status(portal(), THERE, media=media)
    assert login(told) == ("Unknown", reason)
    assert progress(told) == CALM


def test_an_image_that_is_too_old_is_named() -> None:
    told = status(portal(), THERE, media=MediaState())
    assert "localhost/mcs/appliance:dev" in message(told, "LoginReady")


def test_an_agent_that_does_not_answer_leaves_it_unknown() -> None:
    world = given(instance(), portal(), THERE)
    assert login(all_statuses(world, decide(world), CERTIFIED)[ACME]) == ("Unknown", "AgentUnreachable")


def test_a_portal_beyond_those_that_an_appliance_tells_of_is_not_said_to_be_missing() -> None:
    many = {f"c{n}": 1 for n in range(MAX_PORTALS)}
    assert login(status(portal(), THERE, media=MediaState(contract=2, portals=many))) == ("Unknown", "NotSupported")
    del many["c0"]
    assert login(status(portal(), THERE, media=MediaState(contract=2, portals=many))) == ("False", "Pending")


def test_a_wrong_line_stalls_and_names_neither_user_nor_hash_while_his_users_are_served() -> None:
    told = status(portal(), passwords("passwords", f"ada:{HASH}\nbob:hunter2"))
    assert (login(told), conditions(told)["Stalled"]) == (("False", "PasswordsInvalid"), ("True", "PasswordsInvalid"))
    assert conditions(told)["Ready"] == ("True", "Served")
    for said in (message(told, "LoginReady"), message(told, "Stalled")):
        assert "Secret 'passwords', key .htpasswd: line 2: " in said
        assert not any(word in said for word in ("ada", "bob", "hunter", "$2y$10"))


def test_a_name_that_is_anothers_stalls_and_nothing_else_of_the_community_is_hurt() -> None:
    told = status(portal(portalDomain="mcs.test"), THERE)
    assert login(told) == ("False", "DomainTaken")
    assert conditions(told)["Stalled"] == ("True", "DomainTaken")
    assert conditions(told)["Ready"] == ("True", "Served")
    assert conditions(told)["DomainResolved"] == ("Unknown", "NotAccepted")


@pytest.mark.parametrize("reason", [Reason.CERTIFICATE_INVALID, Reason.CERTIFICATE_NOT_FOUND])
def test_with_its_last_good_certificate_people_log_in_while_somebody_mends_the_new_one(reason: Reason) -> None:
    problem = {ACME: Verdict(reason, "why")}
    told = status(portal(), THERE, wanted=Wanted(revisions={}, certified=CERTIFIED.certified, certificates=problem))
    assert login(told) == ("True", "Served")
    assert ("True", str(reason)) in (conditions(told)["Stalled"], conditions(told)["Reconciling"])


def test_passwords_that_could_not_be_written_are_told_and_users_are_served() -> None:
    wanted = Wanted(revisions={}, certified=CERTIFIED.certified, unwritten_logins={"acme": "Secret mcs-users-03: no"})
    told = status(portal(), THERE, wanted=wanted)
    assert login(told) == ("False", "Pending")
    assert progress(told) == CALM


def test_another_customers_change_that_is_on_its_way_is_not_told_here() -> None:
    """The appliance runs an older set for a moment after each change: that is no news of this portal."""
    first = status(portal(), THERE, media=MediaState(contract=2, portals={"acme": 1}, config="old"))
    second = status(portal(), THERE, media=MediaState(contract=2, portals={"acme": 1, "b": 3}, config="new"))
    assert first == second


def test_who_is_not_accepted_or_is_stopped_says_so() -> None:
    assert login(status(portal(instance="other"), THERE)) == ("False", "NotAccepted")
    assert login(status(portal(enabled=False), THERE)) == ("False", "Disabled")
    world = given(instance(suspend=True), portal(), THERE)
    assert login(all_statuses(world, decide(world), CERTIFIED)[ACME]) == ("False", "Suspended")


def test_the_time_at_which_it_began_stays_while_the_number_of_users_changes() -> None:
    before = [{"type": "LoginReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    told = status(portal(users=["ada", "bob"]), THERE, conditions={ACME: before}, now=NOW)
    since = next(c["lastTransitionTime"] for c in told["conditions"] if c["type"] == "LoginReady")
    assert since == "2026-01-01T00:00:00Z"
