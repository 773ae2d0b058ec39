"""Who can log in: users who are served and have a password, of Secrets that are theirs by their label."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.api.erasure import Erasure
from mcs_operator.api.passwords import PasswordsFile, take_passwords
from mcs_operator.contract.shards import ServedLogin, ServedUser, packed, users_files
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Unreadable
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.logins import logins_changed
from support.worlds import community, given, instance

OLD, NEW, OTHER = ("$2y$10$" + letter * 53 for letter in "abc")


def secret(name: str, text: str | None, of: str = "acme") -> PasswordsFile:
    return take_passwords(name, of, None if text is None else text.encode())


def lines(hashed: str, *names: str) -> str:
    return "".join(f"{name}:{hashed}\n" for name in names)


def acme(*secrets: str, name: str = "acme", users: Iterable[Any] = ("ada", "bob"), **more: Any) -> Any:
    sources = [{"secretRef": {"name": one}} for one in secrets]
    spec = {"portalDomain": f"meet.{name}.test", "authentication": {"passwordsFrom": sources}} | more
    return community(name, users=users, **spec)


def before(*logins: tuple[str, str, str]) -> dict[str, bytes]:
    """What the appliance was given last."""
    users = [ServedUser(of, name, name, ()) for of, name, _ in logins]
    return packed(users_files(users, [ServedLogin(*login) for login in logins]))


def planned(*things: Any, secrets: Iterable[PasswordsFile] = (), **more: Any) -> Plan:
    return decide(given(instance(), things, passwords={s.name: s for s in secrets}, **more))


def hashes(plan: Plan) -> dict[str, str]:
    return {f"{login.community}/{login.name}": login.hash for login in plan.logins.logins}


def told(plan: Plan, name: str = "acme") -> tuple[int, Reason | None]:
    found = plan.logins.by_community[name]
    return found.count, found.verdict and found.verdict.reason


def test_a_user_who_is_served_and_has_a_password_logs_in() -> None:
    plan = planned(acme("p"), secrets=[secret("p", lines(NEW, "ada", "nobody"))])
    assert hashes(plan) == {"acme/ada": NEW}
    assert told(plan) == (1, None)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"portalDomain": None}, id="without a portal"),
        pytest.param({"enabled": False}, id="switched off"),
        pytest.param({"authentication": {}}, id="without a source"),
        pytest.param({"users": [{"name": "ada", "enabled": False}]}, id="a user who is switched off"),
        pytest.param({"users": ["bob"]}, id="a user who is not listed"),
        pytest.param({"instance": "other"}, id="of another instance"),
    ],
)
def test_whoever_is_not_served_there_does_not_and_his_hash_is_given_to_nobody(more: Any) -> None:
    plan = planned(acme("p", **more), secrets=[secret("p", lines(NEW, "ada"))])
    assert hashes(plan) == {}


def erasing(file: PasswordsFile, *names: str) -> PasswordsFile:
    return replace(file, erasures=tuple(Erasure(name, name[0] * 32) for name in names))


def asked(plan: Plan) -> set[tuple[str, str]]:
    return {(erasure.community, erasure.name) for erasure in plan.logins.erasures}


@pytest.mark.parametrize("text", [None, "", "bob:hunter2\n"], ids=["no passwords", "none of anybody", "a wrong line"])
def test_a_portal_is_asked_to_erase_what_it_keeps_of_users_and_of_those_who_are_gone(text: str | None) -> None:
    plan = planned(acme("p"), secrets=[erasing(secret("p", text), "ada", "gone")])
    assert asked(plan) == {("acme", "ada"), ("acme", "gone")}
    assert plan.logins.erasures_of("acme") == {"a" * 32, "g" * 32}
    assert plan.logins.erasures_of("globex") == set()


@pytest.mark.parametrize("more", [{"portalDomain": None}, {"enabled": False}, {"authentication": {}}])
def test_nothing_is_asked_for_where_there_is_no_portal_or_no_source(more: Any) -> None:
    assert asked(planned(acme("p", **more), secrets=[erasing(secret("p", ""), "ada")])) == set()


def test_nobody_erases_anything_of_another_community() -> None:
    secrets = [erasing(secret("theirs", "", of="globex"), "ada")]
    assert asked(planned(acme("theirs"), secrets=secrets)) == set()
    assert asked(planned(acme("theirs"), acme("theirs", name="globex"), secrets=secrets)) == {("globex", "ada")}


def test_a_community_asks_for_as_many_as_one_secret_may_have() -> None:
    files = [f"p{number}" for number in range(16)]
    requests = [tuple(Erasure("ada", f"{file:016x}{number:016x}") for number in range(50)) for file in range(16)]
    secrets = [replace(secret(name, ""), erasures=asked) for name, asked in zip(files, requests, strict=True)]
    assert planned(acme(*files), secrets=secrets).logins.erasures_of("acme") == {one.id for one in requests[0]}


def test_what_every_community_asks_for_is_found_in_the_time_of_a_blink() -> None:
    """Each status looks for its own: 250 that go through all held everything up for half a second."""
    names = [f"c{number:03d}" for number in range(250)]
    requests = tuple(Erasure(f"u{number}", f"{number:032x}") for number in range(50))
    secrets = [replace(secret(name, "", of=name), erasures=requests) for name in names]
    plan = planned(*(acme(name, name=name, portalDomain=f"{name}.acme.test") for name in names), secrets=secrets)
    begun = time.process_time()
    assert {len(plan.logins.erasures_of(name)) for name in names} == {50}
    assert time.process_time() - begun < 0.05


def test_a_user_beyond_the_tier_does_not_log_in() -> None:
    crowd = [{"name": f"u{n:04d}"} for n in range(1000)]
    old = acme("p", name="old", users=crowd, age=9)
    plan = planned(old, acme("q", name="new", users=["ada"]), secrets=[secret("q", lines(NEW, "ada"), of="new")])
    assert hashes(plan) == {}


def test_of_a_user_who_is_in_several_secrets_the_first_counts() -> None:
    found = [secret("p", lines(NEW, "ada")), secret("q", lines(OTHER, "ada", "bob"))]
    assert hashes(planned(acme("p", "q"), secrets=found)) == {"acme/ada": NEW, "acme/bob": OTHER}
    assert hashes(planned(acme("q", "p"), secrets=found)) == {"acme/ada": OTHER, "acme/bob": OTHER}


def test_a_secret_that_is_labelled_for_another_community_is_believed_of_nobody_else() -> None:
    """Whoever may change his Community may name any Secret of the namespace, and would try its hashes at leisure."""
    plan = planned(acme("p"), secrets=[secret("p", lines(NEW, "ada"), of="globex")])
    assert hashes(plan) == {}
    assert told(plan) == (0, Reason.PASSWORDS_NOT_FOUND)
    verdict = plan.logins.by_community["acme"].verdict
    assert verdict is not None
    assert "label mcs.tvox.io/passwords=acme" in verdict.message
    assert "globex" not in verdict.message


def test_two_communities_that_name_one_secret_are_two() -> None:
    both = [acme("p"), acme("p", name="globex", users=["ada"])]
    plan = planned(both, secrets=[secret("p", lines(NEW, "ada"))])
    assert hashes(plan) == {"acme/ada": NEW}
    assert told(plan, "globex") == (0, Reason.PASSWORDS_NOT_FOUND)


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        pytest.param([], Reason.PASSWORDS_NOT_FOUND, "there is no Secret 'p'", id="missing"),
        pytest.param([secret("p", None)], Reason.PASSWORDS_NOT_FOUND, "has no key .htpasswd", id="without its key"),
        pytest.param([secret("p", "ada:x\n")], Reason.PASSWORDS_INVALID, "Secret 'p', key .htpasswd: line 1", id="bad"),
    ],
)
def test_what_cannot_be_read_keeps_the_last_good_and_says_why(
    found: list[PasswordsFile], reason: Reason, words: str
) -> None:
    plan = planned(acme("p"), secrets=found, shards=before(("acme", "ada", OLD), ("globex", "ada", OTHER)))
    assert hashes(plan) == {"acme/ada": OLD}
    assert told(plan) == (1, reason)
    verdict = plan.logins.by_community["acme"].verdict
    assert verdict is not None
    assert words in verdict.message
    assert "ada" not in verdict.message


def test_of_two_secrets_the_one_that_is_well_goes_on() -> None:
    found = [secret("p", lines(NEW, "ada")), secret("q", "ada")]
    plan = planned(acme("p", "q"), secrets=found, shards=before(("acme", "ada", OLD), ("acme", "bob", OLD)))
    assert hashes(plan) == {"acme/ada": NEW, "acme/bob": OLD}


def test_what_a_person_has_to_mend_is_told_before_what_is_only_missing() -> None:
    assert told(planned(acme("gone", "q"), secrets=[secret("q", "ada")]))[1] is Reason.PASSWORDS_INVALID
    assert told(planned(acme("q", "gone"), secrets=[secret("q", "ada")]))[1] is Reason.PASSWORDS_INVALID


@pytest.mark.parametrize("secrets", [[], [secret("p", "")]], ids=["no source any more", "a source that is empty"])
def test_a_password_that_is_taken_away_is_gone(secrets: list[PasswordsFile]) -> None:
    plan = planned(acme(*(s.name for s in secrets)), secrets=secrets, shards=before(("acme", "ada", OLD)))
    assert hashes(plan) == {}


def test_a_user_who_is_taken_away_does_not_come_back_by_a_broken_file() -> None:
    plan = planned(acme("p", users=["bob"]), secrets=[secret("p", "x")], shards=before(("acme", "ada", OLD)))
    assert hashes(plan) == {}


def test_a_community_that_cannot_be_read_keeps_its_passwords() -> None:
    strange = Unreadable(Kind.COMMUNITY, "strange", 2, "spec.users: 5")
    plan = planned(strange, shards=before(("strange", "ada", OLD), ("gone", "bob", OLD)))
    assert hashes(plan) == {"strange/ada": OLD}


@pytest.mark.parametrize("damaged", [b"", b"not packed", packed({"x": "[" * 5000})["x"]])
def test_damaged_files_of_before_are_of_no_use_and_no_harm(damaged: bytes) -> None:
    plan = planned(acme("p"), shards={"logins-00.json": damaged})
    assert hashes(plan) == {}


def test_neither_names_nor_hashes_are_in_what_is_printed_of_a_plan() -> None:
    plan = planned(acme("p", users=["ada.secret"]), secrets=[secret("p", lines(NEW, "ada.secret"))])
    assert "ada.secret" not in repr(plan.logins)
    assert "$2y$" not in repr(plan.logins)


def test_whose_passwords_differ_in_a_file_is_told_by_community() -> None:
    there = [ServedLogin(of, "ada", OLD) for of in ("acme", "globex")]
    old = packed(users_files([], there))
    text = users_files([], [there[0]._replace(hash=NEW), there[1]])
    assert set().union(*(logins_changed(name, old, text[name]) for name in text)) == {"acme"}
    assert set().union(*(logins_changed(name, {}, text[name]) for name in text)) == {"acme", "globex"}


def test_ten_thousand_passwords_are_decided_about_in_a_moment() -> None:
    names = [f"u{n:05d}" for n in range(10_000)]
    users = [{"name": name} for name in names]
    parts = [acme("p", name=f"c{n}", users=users[n * 1000 : (n + 1) * 1000]) for n in range(10)]
    world = given(instance(tier="UpTo10000"), parts, passwords={"p": secret("p", lines(NEW, *names), of="c0")})
    begun = time.process_time()
    assert len(decide(world).logins.logins) == 1000
    assert time.process_time() - begun < 2
