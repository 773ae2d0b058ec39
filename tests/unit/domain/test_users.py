"""Users: who is served, in which order, with which functions, and what is said about a file that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api import Community, Function
from mcs_operator.domain.conditions import Reason
from mcs_operator.domain.users import UsersFileError, UsersPlan, parse_users, serve
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import UsersFile
from support.worlds import community, users_file

FROM_FILE = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}


def serving(*communities: Community, files: tuple[UsersFile, ...] = (), capacity: int = 1000) -> UsersPlan:
    return serve(communities, {(f.kind, f.name): f for f in files}, capacity, {})


def verdict(plan: UsersPlan, name: str = "acme") -> Verdict:
    found = plan.by_community[name].verdict
    assert found is not None, f"nothing is wrong with {name}"
    return found


def names(plan: UsersPlan) -> list[str]:
    return [user.name for user in plan.users]


def many(count: int) -> tuple[str, ...]:
    return tuple(f"u{number:05d}" for number in range(count))


# --- order ---


def test_older_communities_come_first_then_the_name_then_inline_before_files_then_the_list() -> None:
    older = community("zeta", age=9, users=("z2", "z1"), **FROM_FILE)
    first, second = community("alfa", users=("a",)), community("beta", users=("b",))
    plan = serving(second, first, older, files=(users_file("staff", "[{name: f2}, {name: f1}]"),))
    assert names(plan) == ["z2", "z1", "f2", "f1", "a", "b"]


def test_files_come_in_the_order_in_which_they_are_named() -> None:
    two = {"usersFrom": [{"configMapRef": {"name": "second"}}, {"secretRef": {"name": "first"}}]}
    files = (users_file("first", "[{name: b}]", "Secret"), users_file("second", "[{name: a}]"))
    assert names(serving(community(**two), files=files)) == ["a", "b"]


# --- the edge of the tier ---


@pytest.mark.parametrize(
    ("count", "served", "beyond"),
    [(0, 0, 0), (1, 1, 0), (999, 999, 0), (1000, 1000, 0), (1001, 1000, 1), (1500, 1000, 500)],
)
def test_users_up_to_the_tier_are_served_and_the_others_counted(count: int, served: int, beyond: int) -> None:
    file = users_file("staff", "\n".join(f"- name: {name}" for name in many(count)) or "[]")
    plan = serving(community(**FROM_FILE), files=(file,))
    outcome = plan.by_community["acme"]
    assert (len(plan.users), outcome.served, outcome.beyond) == (served, served, beyond)
    assert (outcome.verdict.reason if outcome.verdict else None) is (Reason.TIER_EXCEEDED if beyond else None)


def test_the_first_user_too_many_is_named() -> None:
    plan = serving(community("first", age=9, users=many(999)), community("second", users=("in", "out", "too")))
    outcome = plan.by_community["second"]
    assert (outcome.served, outcome.beyond) == (1, 2)
    told = verdict(plan, "second").message
    assert "2 of 3 users" in told
    assert "'out'" in told
    assert "1000" in told
    assert plan.by_community["first"].verdict is None


def test_users_who_are_not_enabled_take_no_place() -> None:
    quiet = community(users=[{"name": "off", "enabled": False}, {"name": "on"}])
    assert names(serving(quiet, capacity=1)) == ["on"]


def test_a_community_that_is_not_enabled_takes_no_place() -> None:
    plan = serving(community("off", age=9, users=("a", "b"), enabled=False), community("on", users=("c",)), capacity=1)
    assert names(plan) == ["c"]
    assert plan.by_community["off"].verdict is None


# --- functions ---


def test_a_user_without_functions_has_the_communitys() -> None:
    assert serving(community(users=("a",))).users[0].functions == (Function.AUDIO, Function.CHAT)


def test_a_users_own_functions_replace_the_communitys() -> None:
    own = community(users=[{"name": "a", "functions": ["Video"]}])
    assert serving(own).users[0].functions == (Function.VIDEO,)


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "in a file"])
def test_an_empty_list_of_functions_means_none(inline: bool) -> None:
    spec: dict[str, Any] = {"users": [{"name": "a", "functions": []}]} if inline else dict(FROM_FILE)
    plan = serving(community(**spec), files=(users_file("staff", "[{name: a, functions: []}]"),))
    assert plan.users[0].functions == ()


def test_functions_are_counted_over_those_who_are_served() -> None:
    spec = {"users": [{"name": "a"}, {"name": "b", "functions": ["Chat"]}, {"name": "c"}]}
    counted = serving(community(**spec), capacity=2).by_community["acme"].functions
    assert counted == {Function.AUDIO: 1, Function.CHAT: 2}


def test_the_name_stands_in_for_a_display_name() -> None:
    spec = {"users": [{"name": "a"}, {"name": "b", "displayName": "Bea B."}]}
    assert [user.display_name for user in serving(community(**spec)).users] == ["a", "Bea B."]


# --- files that are wrong ---


def test_the_same_name_inline_and_in_a_file_is_served_once_and_told() -> None:
    plan = serving(community(users=("a",), **FROM_FILE), files=(users_file("staff", "[{name: a}, {name: b}]"),))
    assert names(plan) == ["a", "b"]
    assert verdict(plan).reason is Reason.USERS_INVALID
    assert "'a'" in verdict(plan).message


def test_the_same_name_in_two_communities_is_two_people() -> None:
    assert names(serving(community("x", users=("a",)), community("y", users=("a",)))) == ["a", "a"]


@pytest.mark.parametrize("file", [None, users_file("staff", None)], ids=["no ConfigMap", "no key users.yaml"])
def test_a_missing_file_is_named_and_the_others_are_served(file: UsersFile | None) -> None:
    plan = serving(community(users=("a",), **FROM_FILE), files=(file,) if file else ())
    assert names(plan) == ["a"]
    assert verdict(plan).reason is Reason.USERS_NOT_FOUND
    assert "ConfigMap 'staff'" in verdict(plan).message
    assert "users.yaml" in verdict(plan).message


def test_a_wrong_file_of_one_community_is_that_communitys_problem_alone() -> None:
    wrong, right = community("wrong", age=9, **FROM_FILE), community("right", users=("a",))
    plan = serving(wrong, right, files=(users_file("staff", "[{name: ["),))
    assert names(plan) == ["a"]
    assert verdict(plan, "wrong").reason is Reason.USERS_INVALID
    assert plan.by_community["right"].verdict is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("- name: a\n- name: [", "not YAML at line", id="YAML that does not end, with its line"),
        pytest.param("- name: a\n- {name: b\n- name: c\n", "line 3", id="the line itself"),
        pytest.param("name: a", "must be a list of users, is dict", id="a map"),
        pytest.param("", "must be a list of users, is NoneType", id="nothing"),
        pytest.param("- name: a\n- name: A!", "[1].name", id="a bad name, with its index"),
        pytest.param("- name: a\n- name: b\n- name: a", "[2].name: 'a' is there at [0] already", id="a name twice"),
        pytest.param("- name: a\n  functions: [Audio, Telepathy]", "[0].functions.1", id="an unknown function"),
        pytest.param("- name: a\n  function: [Audio]", "[0].function", id="a typo in a field's name"),
        pytest.param("- displayName: Anna", "[0].name: Field required", id="no name"),
        pytest.param("- anna", "[0]", id="a text instead of a user"),
        pytest.param("- name: 12", "[0].name", id="a number as name"),
        pytest.param("- name: 2024-13-45", "not YAML", id="a date that no calendar has"),
        pytest.param("- name: " + "9" * 5000, "not YAML", id="a number that no machine reads"),
        pytest.param("- name: !!python/object/apply:os.system [id]", "not YAML", id="a tag that would run something"),
        pytest.param("- name: a\x00b", "not YAML", id="a byte that no text has"),
        pytest.param("[" * 5000, "not YAML", id="a list in a list in a list…"),
        pytest.param("- &a {name: *a}", "[0].name", id="a user that contains himself"),
        pytest.param("- ? [a]\n  : b", "", id="a list as a field's name"),
    ],
)
def test_a_file_that_cannot_be_taken_says_where_it_is_wrong(text: str, told: str) -> None:
    with pytest.raises(UsersFileError) as caught:
        parse_users(text, "ConfigMap 'staff', key users.yaml")
    assert str(caught.value).startswith("ConfigMap 'staff', key users.yaml: ")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 500


def test_the_message_about_a_file_quotes_nothing_of_it_but_a_users_name() -> None:
    with pytest.raises(UsersFileError) as caught:
        parse_users("- name: a\n  password: hunter2", "Secret 'staff', key users.yaml")
    assert "hunter2" not in str(caught.value)


def test_an_empty_list_is_a_file_without_users() -> None:
    assert parse_users("[]", "x") == []


def test_ten_thousand_users_are_read() -> None:
    assert len(parse_users("\n".join(f"- name: {name}" for name in many(10_000)), "x")) == 10_000
