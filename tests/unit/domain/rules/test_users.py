"""Users: who is served, in which order, with which functions, and what is said about a file that is wrong."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

from mcs_operator.api import Community, Function
from mcs_operator.api.conditions import Reason
from mcs_operator.api.usersfile import UsersFile
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.shards import ServedUser, packed, users_files
from mcs_operator.domain.rules.users import CommunityUsers, UsersPlan, communities_of, serve
from mcs_operator.domain.rules.verdict import Verdict
from support.worlds import community, users_file

FROM_FILE = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}


def serving(
    *communities: Community,
    files: tuple[UsersFile, ...] = (),
    capacity: int = 1000,
    before: UsersPlan | None = None,
    limit: int | None = None,
) -> UsersPlan:
    """The plan; ``before`` is what the appliance was given last."""
    in_force = packed(users_files(before.users)) if before else {}
    return serve(communities, {(f.kind, f.name): f for f in files}, capacity, in_force, limit=limit)


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


def test_users_too_many_are_counted_and_the_place_of_the_first_is_told_but_no_name() -> None:
    """Statuses and Events are read by more people than the users' lists are."""
    plan = serving(community("first", age=9, users=many(999)), community("second", users=("in", "out", "too")))
    outcome = plan.by_community["second"]
    assert (outcome.served, outcome.beyond) == (1, 2)
    told = verdict(plan, "second").message
    assert "2 of 3 users are not served, the first at spec.users[1]" in told
    assert "1000" in told
    assert "out" not in told.replace("without", "")
    assert plan.by_community["first"].verdict is None


def test_the_place_of_a_user_of_a_file_is_the_file_and_the_index() -> None:
    plan = serving(
        community(users=("a",), **FROM_FILE), files=(users_file("staff", "[{name: b}, {name: c}]"),), capacity=2
    )
    assert "the first at ConfigMap 'staff', key users.yaml: [1]:" in verdict(plan).message


def test_users_who_are_not_enabled_take_no_place() -> None:
    quiet = community(users=[{"name": "off", "enabled": False}, {"name": "on"}])
    assert names(serving(quiet, capacity=1)) == ["on"]


def test_a_community_that_is_not_enabled_takes_no_place() -> None:
    plan = serving(community("off", age=9, users=("a", "b"), enabled=False), community("on", users=("c",)), capacity=1)
    assert names(plan) == ["c"]
    assert plan.by_community["off"].verdict is None


# --- who is served keeps the place ---


def test_a_community_that_grows_takes_nobodys_place_in_the_one_beside_it() -> None:
    elder, younger = community("elder", age=9, users=many(400)), community("younger", users=many(600))
    before = serving(elder, younger)
    after = serving(community("elder", age=9, users=many(800)), younger, before=before)
    assert set(before.users) == set(after.users)
    assert (after.by_community["elder"].served, after.by_community["elder"].beyond) == (400, 400)
    assert after.by_community["younger"].verdict is None


def test_a_place_that_frees_up_goes_to_the_next_in_order() -> None:
    elder, younger = community("elder", age=9, users=("a", "b", "c")), community("younger", users=("x", "y"))
    before = serving(community("elder", age=9, users=("a",)), younger, capacity=3)
    after = serving(elder, community("younger", users=("y",)), capacity=3, before=before)
    assert names(after) == ["a", "b", "y"]


def test_a_new_user_above_in_the_list_does_not_displace_one_below() -> None:
    before = serving(community(users=("b", "c")), capacity=2)
    after = serving(community(users=("a", "b", "c")), capacity=2, before=before)
    assert names(after) == ["b", "c"]
    assert "the first at spec.users[0]" in verdict(after).message


def test_who_is_switched_off_gives_the_place_up() -> None:
    before = serving(community(users=("a", "b")), capacity=2)
    off = community(users=[{"name": "a", "enabled": False}, {"name": "b"}, {"name": "c"}])
    assert names(serving(off, capacity=2, before=before)) == ["b", "c"]


def test_a_namesake_in_another_community_has_not_the_place() -> None:
    before = serving(community("younger", users=("ann",)), capacity=1)
    both = community("elder", age=9, users=("ann",)), community("younger", users=("ann",))
    assert [user.community for user in serving(*both, capacity=1, before=before).users] == ["younger"]


def test_a_lowered_tier_keeps_those_in_force_before_all_others() -> None:
    before = serving(community(users=("b", "c", "d")), capacity=3)
    assert names(serving(community(users=("a", "b", "c", "d")), capacity=2, before=before)) == ["b", "c"]


def test_the_users_of_before_are_read_where_places_are_short_and_go_with_the_plan() -> None:
    """Python looks for cycles rarely, and these may be forty thousand users at each reconciliation."""
    before = serving(community(users=many(100)), capacity=50)
    gc.collect()
    gc.disable()
    try:
        serving(community(users=many(100)), capacity=50, before=before)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_users_of_communities_that_cannot_be_read_have_their_places_first_and_no_more_than_there_are() -> None:
    before = serving(community("strange", users=("s1", "s2", "s3")), capacity=3)
    in_force = packed(users_files(before.users))
    plan = serve([community("acme", age=9, users=("a",))], {}, 2, in_force, unreadable={"strange"})
    assert names(plan) == ["s1", "s2"]
    assert plan.by_community["acme"].beyond == 1
    roomy = serve([community("acme", age=9, users=("a",))], {}, 4, in_force, unreadable={"strange"})
    assert sorted(names(roomy)) == ["a", "s1", "s2", "s3"]


def test_users_of_a_community_that_is_gone_are_gone_also_beside_one_that_cannot_be_read() -> None:
    before = serving(community("strange", users=("s",)), community("gone", users=("g",)))
    plan = serve([], {}, 10, packed(users_files(before.users)), unreadable={"strange"})
    assert names(plan) == ["s"]


# --- what could not be written ---


def test_communities_of_a_file_are_those_whose_users_in_it_differ() -> None:
    def one_file(*listed: ServedUser) -> str:
        return canonical(
            {"version": 1, "users": [{**user._asdict(), "displayName": user.display_name} for user in listed]}
        )

    same, old, new = (ServedUser(name, "x", "X", (Function.CHAT,)) for name in ("same", "old", "new"))
    before = packed({"users-00.json": one_file(same, old), "users-01.json": one_file(new)})
    assert communities_of("users-00.json", before, one_file(same, new)) == {"old", "new"}
    assert communities_of("users-00.json", before, one_file(same, old)) == set()
    renamed = one_file(same._replace(display_name="Y"), old)
    assert communities_of("users-00.json", before, renamed) == {"same"}
    assert communities_of("users-02.json", before, one_file(same)) == {"same"}, "a file that was not there"
    assert communities_of("certs-0.json", {}, canonical({"certificates": [], "version": 1})) == set()


# --- the platform team's limit for each community ---


@pytest.mark.parametrize(("limit", "served"), [(None, 3), (4, 3), (3, 3), (2, 2), (1, 1)])
def test_a_community_has_so_many_users_as_its_limit_allows(limit: int | None, served: int) -> None:
    plan = serving(community("acme", users=("a", "b", "c")), community("beta", users=("d",)), limit=limit)
    outcome = plan.by_community["acme"]
    assert (outcome.served, outcome.beyond) == (served, 3 - served)
    assert plan.by_community["beta"].served == 1
    if served < 3:
        assert verdict(plan).reason is Reason.COMMUNITY_LIMIT_EXCEEDED
        assert f"the first at spec.users[{served}]" in verdict(plan).message
        assert f"spec.communityLimits.users of the instance allows a Community {limit}" in verdict(plan).message


def test_a_limit_that_is_lowered_takes_nobody_away_and_lets_nobody_in() -> None:
    before = serving(community(users=("b", "c")))
    after = serving(community(users=("a", "b", "c")), before=before, limit=1)
    assert names(after) == ["b", "c"]
    assert verdict(after).reason is Reason.COMMUNITY_LIMIT_EXCEEDED


def test_where_both_are_too_small_the_tier_is_told() -> None:
    plan = serving(community("first", age=9, users=("x",)), community(users=("a", "b", "c")), capacity=2, limit=2)
    assert verdict(plan).reason is Reason.TIER_EXCEEDED
    assert plan.by_community["acme"].beyond == 2


def test_what_nobody_may_have_by_the_limit_is_left_for_others() -> None:
    plan = serving(
        community("first", age=9, users=("a", "b", "c")), community("second", users=("d",)), capacity=2, limit=1
    )
    assert names(plan) == ["a", "d"]


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


def test_a_function_that_is_there_twice_counts_once() -> None:
    """The API server keeps it from being stored; an older one may have let it in."""
    twice = community(users=[{"name": "a", "functions": ["Chat", "Audio", "Chat"]}])
    plan = serving(twice)
    assert plan.users[0].functions == (Function.AUDIO, Function.CHAT)
    assert plan.by_community["acme"].functions == {Function.AUDIO: 1, Function.CHAT: 1}


# --- files that are wrong ---


def test_the_same_name_inline_and_in_a_file_is_served_once_and_told() -> None:
    plan = serving(community(users=("a",), **FROM_FILE), files=(users_file("staff", "[{name: a}, {name: b}]"),))
    assert names(plan) == ["a", "b"]
    assert verdict(plan).reason is Reason.USERS_INVALID
    assert verdict(plan).message.startswith(
        "ConfigMap 'staff', key users.yaml: [0] has the same name as spec.users[0]; the first one is served"
    )


def test_the_same_name_in_two_communities_is_two_people() -> None:
    assert names(serving(community("x", users=("a",)), community("y", users=("a",)))) == ["a", "a"]


@pytest.mark.parametrize("file", [None, users_file("staff", None)], ids=["no ConfigMap", "no key users.yaml"])
def test_a_missing_file_is_named_and_the_others_are_served(file: UsersFile | None) -> None:
    plan = serving(community(users=("a",), **FROM_FILE), files=(file,) if file else ())
    assert names(plan) == ["a"]
    assert verdict(plan).reason is Reason.USERS_NOT_FOUND
    assert "ConfigMap 'staff'" in verdict(plan).message
    assert ("no key users.yaml" if file else "label mcs.tvox.io/users=true") in verdict(plan).message


def test_a_wrong_file_of_one_community_is_that_communitys_problem_alone() -> None:
    wrong, right = community("wrong", age=9, **FROM_FILE), community("right", users=("a",))
    plan = serving(wrong, right, files=(users_file("staff", "[{name: ["),))
    assert names(plan) == ["a"]
    assert verdict(plan, "wrong").reason is Reason.USERS_INVALID
    assert plan.by_community["right"].verdict is None


def test_a_file_that_is_named_twice_is_one_file() -> None:
    twice = {"usersFrom": [{"configMapRef": {"name": "staff"}}, {"configMapRef": {"name": "staff"}}]}
    plan = serving(community(**twice), files=(users_file("staff", "[{name: a}]"),))
    assert names(plan) == ["a"]
    assert plan.by_community["acme"].verdict is None


def test_what_is_wrong_with_a_file_names_the_file_and_says_what_goes_on() -> None:
    plan = serving(community(**FROM_FILE), files=(users_file("staff", "- name: a\n- name: B"),))
    assert verdict(plan).message == (
        "ConfigMap 'staff', key users.yaml: line 2: [1].name: may have lower case letters, digits and . _ @ + -, and "
        "begins and ends with a letter or digit; write it in lower case; what was served from it before still is"
    )


def test_ten_thousand_names_that_are_there_twice_are_told_at_once() -> None:
    two = {"usersFrom": [{"configMapRef": {"name": "staff"}}, {"configMapRef": {"name": "again"}}]}
    text = "\n".join(f"- name: {name}" for name in many(10_000))
    plan = serving(community(**two), files=(users_file("staff", text), users_file("again", text)), capacity=10_000)
    assert len(plan.users) == 10_000
    assert "again', key users.yaml: [9999] has the same name as ConfigMap 'staff'" in verdict(plan).message


# --- whatever is there ---


def some_world(rng: random.Random) -> tuple[list[Community], dict[tuple[str, str], UsersFile]]:
    """Communities with users of few names, inline and in files that are good, broken or missing."""
    people = many(12)
    texts = ["[]", "{", "- {}", *("\n".join(f"- name: {n}" for n in rng.sample(people, k)) for k in (1, 3, 6))]
    files = {("ConfigMap", f"f{n}"): users_file(f"f{n}", rng.choice(texts)) for n in range(rng.randint(0, 3))}
    communities = [
        community(
            f"c{n}",
            age=rng.randint(0, 2),
            enabled=rng.random() < 0.9,
            users=[{"name": p, "enabled": rng.random() < 0.8} for p in rng.sample(people, rng.randint(0, 6))],
            usersFrom=[{"configMapRef": {"name": f"f{rng.randint(0, 3)}"}} for _ in range(rng.randint(0, 2))],
        )
        for n in range(rng.randint(0, 4))
    ]
    return communities, files


@pytest.mark.parametrize("seed", range(100))
def test_of_any_world_places_are_kept_none_is_left_empty_and_nobody_has_two(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    in_force = set[tuple[str, str]]()
    shards: dict[str, bytes] = {}
    for _ in range(4):
        communities, files = some_world(rng)
        capacity, limit = rng.randint(0, 20), rng.choice([None, 1, 3, 6])
        everybody = {(u.community, u.name) for u in serve(communities, files, 10_000, shards).users}
        allowed = {(u.community, u.name) for u in serve(communities, files, 10_000, shards, limit=limit).users}
        plan = serve(communities, files, capacity, shards, limit=limit)
        served = [(u.community, u.name) for u in plan.users]
        assert len(served) == len(set(served)) == min(capacity, len(allowed))
        assert set(served) <= allowed <= everybody
        assert in_force & everybody <= allowed, "a limit takes nobody away"
        displaced = (in_force & allowed) - set(served)
        assert not displaced or set(served) <= in_force, "a newcomer has a place that somebody had"
        assert sum(o.served for o in plan.by_community.values()) == len(served)
        assert sum(o.beyond for o in plan.by_community.values()) == len(everybody) - len(served)
        for outcome in plan.by_community.values():
            assert not outcome.beyond or outcome.verdict, "who is not served is told"
        in_force, shards = set(served), packed(users_files(plan.users))
        again = serve(communities, files, capacity, shards, limit=limit)
        assert {(u.community, u.name) for u in again.users} == in_force, "a second look changes nothing"


def test_of_a_community_of_which_nothing_was_decided_nobody_is_served_and_nobody_is_beyond() -> None:
    assert CommunityUsers() == CommunityUsers(served=0, functions={}, beyond=0, verdict=None)
    assert UsersPlan().capacity == 0
