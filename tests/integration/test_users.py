"""Users at size on a real API server: files of ConfigMaps and Secrets, 10,000 of them, and what goes wrong with one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from support.api import Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import create_quota
from support.shards import complete_set, mounted, until_served, users
from support.snapshots import Audit, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

LABEL = {"mcs.tvox.io/users": "true"}
BOTH = ["Audio", "Chat"]


def a_file(name: str, text: str, kind: str = "ConfigMap", labels: dict[str, str] | None = None) -> Object:
    """A users file."""
    metadata = {"name": name, "labels": LABEL if labels is None else labels}
    data = "data" if kind == "ConfigMap" else "stringData"
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, data: {"users.yaml": text}}


def of_files(*names: str, kind: str = "configMapRef", **more: Any) -> Object:
    return a_community(usersFrom=[{kind: {"name": name}} for name in names], **more)


def listed(count: int, start: int = 0) -> str:
    """A users file with so many entries as people really write them."""
    entry = "- {{name: user.{n:05d}, displayName: 'Somebody Or Other {n}', functions: [Audio, Video, Chat]}}\n"
    return "".join(entry.format(n=number) for number in range(start, start + count))


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


@pytest.mark.timeout(240)
def test_ten_thousand_users_reach_the_appliance_and_one_more_costs_two_writes(api: Api, operator: Operator) -> None:
    files = [a_file(f"staff-{n}", listed(2500, 2500 * n)) for n in range(4)]
    names = [file["metadata"]["name"] for file in files]
    api.create(*files, an_instance(tier="UpTo10000"), of_files(*names))
    api.wait_condition("Community", "acme", "Ready", "True", "Served", 60)
    assert api.get("Community", "acme")["status"]["users"] == {
        "served": 10_000,
        "notServed": 0,
        "audio": 10_000,
        "chat": 10_000,
        "video": 10_000,
    }
    before = settled(api)
    everybody = users(api)
    assert len(everybody) == 10_000
    assert everybody["acme/user.09999"] == ["Audio", "Chat", "Video"]
    shards = [s for s in api.list("Secret") if s["metadata"]["name"].startswith("mcs-users-")]
    assert len(shards) == 16

    api.merge("ConfigMap", "staff-3", {"data": {"users.yaml": listed(2499, 7500) + "- {name: last}\n"}})
    until_served(api, {k: v for k, v in everybody.items() if k != "acme/user.09999"} | {"acme/last": BOTH}, read=users)
    touched = changed(before, settled(api)) - {"Community/acme"}
    written = {name for name in touched if name.startswith("Secret/mcs-users-")}
    assert 1 <= len(written) <= 2
    assert touched - written == {"ConfigMap/staff-3", "ConfigMap/mcs-manifest"}

    api.create(a_community("late", users=("one",)))
    message = api.wait_condition("Community", "late", "Ready", "False", "TierExceeded", 60)
    assert "10000" in message
    assert "the first at spec.users[0]" in message
    api.wait_condition("Community", "acme", "Ready", "True", "Served")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_users_of_200_communities_are_served_and_the_next_one_is_told(
    api: Api, operator: Operator
) -> None:
    names = {f"c{n:03d}": [f"user.{n * 50 + k:05d}" for k in range(50)] for n in range(200)}
    api.create(an_instance(tier="UpTo10000"))
    api.create(*(a_community(community, users=people) for community, people in names.items()))
    everybody = {f"{community}/{name}": BOTH for community, people in names.items() for name in people}
    until_served(api, everybody, read=users, timeout=90)
    for community in names:
        api.wait_condition("Community", community, "Ready", "True", "Served", 60)
    full = {"served": 10_000, "capacity": 10_000, "left": 0}
    until("the instance is full", lambda: api.get("MCSInstance", "mcs")["status"]["users"] == full, 60)

    before = settled(api)
    api.create(a_community("late", users=("one", "two", "three")))
    message = api.wait_condition("Community", "late", "Ready", "False", "TierExceeded", 60)
    assert "3 of 3 users are not served, the first at spec.users[0]" in message
    assert api.get("Community", "late")["status"]["users"]["notServed"] == 3
    assert changed(before, settled(api)) == {"Community/late", "ConfigMap/mcs-links", "ConfigMap/mcs-manifest"}
    assert users(api) == everybody

    api.change("Community", "c199", users=[{"name": name} for name in names["c199"][:-1]])
    left = {user: functions for user, functions in everybody.items() if user != f"c199/{names['c199'][-1]}"}
    until_served(api, left | {"late/one": BOTH}, read=users)
    told = "2 of 3 users are not served, the first at spec.users[1]"
    until("the next one is told", lambda: told in api.condition("Community", "late", "Ready")[2], 60)


def test_a_file_in_a_secret_stays_among_secrets(api: Api, operator: Operator) -> None:
    secret = a_file("board", "- {name: very-secret-name, displayName: Very Secret}\n", "Secret")
    api.create(secret, an_instance(), of_files("board", kind="secretRef"), a_link("acme"))
    until_served(api, {"acme/very-secret-name": BOTH}, read=users)
    settled(api)
    kinds = ("ConfigMap", "MCSInstance", "Community", "TVoxLink", "StatefulSet", "Pod", "Event")
    seen = {f"{kind}/{body['metadata']['name']}": str(body) for kind in kinds for body in api.list(kind)}
    assert not [name for name, text in seen.items() if "very-secret" in text.lower() or "Very Secret" in text]
    assert "very-secret" not in operator.since(0)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_a_file_without_the_label_is_not_read_and_with_it_at_once(api: Api, operator: Operator, kind: str) -> None:
    """Only what is meant to be a users file is ever read: any other Secret is none of the operator's business."""
    ref = "configMapRef" if kind == "ConfigMap" else "secretRef"
    api.create(a_file("staff", "[{name: ann}]", kind, labels={}), an_instance(), of_files("staff", kind=ref))
    message = api.wait_condition("Community", "acme", "Ready", "False", "UsersNotFound")
    assert f"{kind} 'staff' with label mcs.tvox.io/users=true" in message
    audit = Audit.of(api)
    api.merge("Community", "acme", {"metadata": {"labels": {"look": "again"}}})
    settled(api)
    if audit:
        assert not [request for request in audit.requests(api.namespace) if request.endswith("s/staff")]
    api.merge(kind, "staff", {"metadata": {"labels": LABEL}})
    until_served(api, {"acme/ann": BOTH}, read=users)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("- {name: ann}\n- {name: bob\n", "line 3", id="not YAML"),
        pytest.param("- {name: ann}\n- {nam: bob}\n", "[1]", id="a field that is not there"),
        pytest.param(
            "- {name: ann}\n- {name: ann}\n", "line 2: [1].name: the same name as at [0], line 1", id="a name twice"
        ),
        pytest.param(
            "- {name: ann, functions: [Fax]}\n",
            "line 1: [0].functions[0]: must be one of Audio",
            id="a function that is not there",
        ),
        pytest.param("users: []\n", "must be a list", id="no list"),
        pytest.param("", "must be a list", id="empty"),
        pytest.param("[" * 60_000, "line 1: [0]: must be a user", id="brackets that ended the operator"),
        pytest.param("- &a {name: ann}\n- {<<: [*a, *a]}\n", "anchors and aliases", id="merge keys"),
        pytest.param("- name: ann\n  functions: []\n  name: bob\n", "line 3: [0]: a second name", id="a lost dash"),
    ],
)
def test_a_file_that_goes_bad_keeps_the_last_good_set_and_says_where(
    api: Api, operator: Operator, text: str, told: str
) -> None:
    api.create(a_file("staff", "[{name: ann}, {name: bob, functions: []}]"), an_instance(), of_files("staff"))
    api.create(a_community("well", users=("carl",)))
    good = {"acme/ann": BOTH, "acme/bob": [], "well/carl": BOTH}
    until_served(api, good, read=users)
    before = settled(api)
    api.merge("ConfigMap", "staff", {"data": {"users.yaml": text}})
    message = api.wait_condition("Community", "acme", "Ready", "False", "UsersInvalid")
    assert told in message
    assert "ConfigMap 'staff', key users.yaml" in message
    api.wait_condition("Community", "acme", "Stalled", "True", "UsersInvalid")
    assert changed(before, settled(api)) == {"ConfigMap/staff", "Community/acme"}
    assert users(api) == good


def test_the_last_good_set_outlives_the_file_and_the_operator(api: Api, operator: Operator) -> None:
    api.create(a_file("staff", "[{name: ann}, {name: bob}]"), an_instance(), of_files("staff"))
    good = {"acme/ann": BOTH, "acme/bob": BOTH}
    until_served(api, good, read=users)
    operator.stop()
    api.delete("ConfigMap", "staff", wait=5)
    operator.start()
    api.wait_condition("Community", "acme", "Ready", "False", "UsersNotFound")
    assert users(api) == good
    api.wait_condition("Community", "acme", "Stalled", "False", "NotStalled")
    api.create(a_file("staff", "[{name: bob}]"))
    until_served(api, {"acme/bob": BOTH}, read=users)


def test_without_its_key_a_file_is_missing(api: Api, operator: Operator) -> None:
    file = a_file("staff", "") | {"data": {"people.yaml": "[{name: ann}]"}}
    api.create(file, an_instance(), of_files("staff"))
    assert "key users.yaml" in api.wait_condition("Community", "acme", "Ready", "False", "UsersNotFound")


def test_a_change_of_users_touches_no_link_and_no_template(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(users=("ann",)), a_link("acme"))
    until_served(api, {"acme/ann": BOTH}, read=users)
    before = settled(api)
    api.change("Community", "acme", users=[{"name": "ann", "functions": ["Video"]}])
    until_served(api, {"acme/ann": ["Video"]}, read=users)
    touched = changed(before, settled(api))
    shard = {name for name in touched if name.startswith("Secret/mcs-users-")}
    assert len(shard) == 1
    assert touched == shard | {"Community/acme", "ConfigMap/mcs-manifest"}


def test_the_last_user_takes_his_shard_with_him(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(users=("ann",)))
    until_served(api, {"acme/ann": BOTH}, read=users)
    api.delete("Community", "acme", wait=5)
    until_served(api, {}, read=users)
    until("the shard is gone", lambda: not [n for n in mounted(api) if n.startswith("users-")], 10)


def test_a_shard_that_somebody_edited_is_as_it_was_also_while_a_file_is_broken(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(users=("ann",)))
    until_served(api, {"acme/ann": BOTH}, read=users)
    shard = next(s for s in api.list("Secret") if s["metadata"]["name"].startswith("mcs-users-"))
    name = shard["metadata"]["name"]
    file = next(iter(shard["data"]))
    for text in ("{}", '{"users": 7}', "rubbish"):
        api.merge("Secret", name, {"stringData": {file: text}})
        until_served(api, {"acme/ann": BOTH}, read=users)
    assert settled(api) == versions(api)


def test_a_file_that_is_not_utf8_is_told_so(api: Api, operator: Operator) -> None:
    """kubectl puts it under binaryData, where nobody looked: "there is no ConfigMap"."""
    file = a_file("staff", "")
    file["binaryData"] = {"users.yaml": base64.b64encode("- name: ann".encode("utf-16")).decode()}
    del file["data"]
    api.create(file, an_instance(), of_files("staff"))
    assert "it is not UTF-8 but UTF-16" in api.wait_condition("Community", "acme", "Ready", "False", "UsersInvalid")


def test_a_community_that_grows_takes_nobody_from_the_one_beside_it(api: Api, operator: Operator) -> None:
    elder, younger = [f"e{n}" for n in range(600)], [f"y{n}" for n in range(400)]
    api.create(an_instance(), a_community("elder", users=elder))
    until_served(api, {f"elder/{name}": BOTH for name in elder}, read=users)
    api.create(a_community("younger", users=younger))
    everybody = {f"elder/{name}": BOTH for name in elder} | {f"younger/{name}": BOTH for name in younger}
    until_served(api, everybody, read=users)
    before = settled(api)

    api.change("Community", "elder", users=[{"name": name} for name in ["a0", *elder]])
    api.change("Community", "elder", users=[{"name": name} for name in ["a0", *elder, *(f"f{n}" for n in range(399))]])
    message = api.wait_condition("Community", "elder", "Ready", "False", "TierExceeded")
    until("all are counted", lambda: "400 of 1000" in api.condition("Community", "elder", "Ready")[2], 20)
    assert "the first at spec.users[0]" in message
    assert changed(before, settled(api)) == {"Community/elder"}
    assert users(api) == everybody
    assert api.condition("Community", "younger", "Ready")[:2] == ("True", "Served")


def test_no_status_and_no_event_names_a_user(api: Api, operator: Operator) -> None:
    """Many may read them who may not read a Secret with users."""
    full = "".join(f"- name: hidden{n}\n" for n in range(1001))
    api.create(a_file("board", full, "Secret"), an_instance(), of_files("board", kind="secretRef"))
    api.wait_condition("Community", "acme", "Ready", "False", "TierExceeded")
    for text in ("- {name: hidden, function: []}", "- name: hidden\n- name: hidden", "- name: Hidden", "- hidden: []"):
        api.merge("Secret", "board", {"stringData": {"users.yaml": text}})
        api.wait_condition("Community", "acme", "Ready", "False", "UsersInvalid")
        settled(api)
    api.merge("Secret", "board", {"stringData": {"users.yaml": "- name: hidden"}})
    api.change("Community", "acme", users=[{"name": "hidden"}])
    until("it is told twice", lambda: "the same name" in api.condition("Community", "acme", "Ready")[2], 20)
    settled(api)
    for kind in ("MCSInstance", "Event"):
        assert not [body for body in api.list(kind) if "hidden" in str(body).lower()]
    assert "hidden" not in str(api.get("Community", "acme")["status"]).lower()
    assert "hidden" not in operator.since(0).lower()


def test_a_community_has_no_more_than_the_platform_team_allows(api: Api, operator: Operator) -> None:
    api.create(an_instance(communityLimits={"users": 2, "links": 1}), a_community(users=("a", "b")), a_link("one"))
    api.wait_condition("TVoxLink", "one", "Accepted", "True", "Accepted")
    api.create(a_link("two"), a_community("beta", users=("x", "y", "z")))
    assert "communityLimits.links" in api.wait_condition(
        "TVoxLink", "two", "Accepted", "False", "CommunityLimitExceeded"
    )
    assert "the first at spec.users[2]" in api.wait_condition(
        "Community", "beta", "Ready", "False", "CommunityLimitExceeded"
    )
    served = {"acme/a": BOTH, "acme/b": BOTH, "beta/x": BOTH, "beta/y": BOTH}
    until_served(api, served, read=users)
    api.change("MCSInstance", "mcs", communityLimits={"users": 1, "links": 1})
    settled(api)
    assert users(api) == served, "lowered, it takes nobody away"
    api.change("MCSInstance", "mcs", communityLimits={"users": 3, "links": 2})
    until_served(api, served | {"beta/z": BOTH}, read=users)
    api.wait_condition("TVoxLink", "two", "Accepted", "True", "Accepted")


def test_users_that_a_quota_keeps_from_being_written_are_told_and_everybody_else_goes_on(
    api: Api, operator: Operator
) -> None:
    """The Community said Ready, Served, and the checksum manifest listed a Secret that was not there."""
    api.create(an_instance(), a_community(users=("ann",)), a_link("acme"))
    until_served(api, {"acme/ann": BOTH}, read=users)
    settled(api)
    there = len(api.list("Secret"))
    create_quota(api, "few", {"count/secrets": str(there)})
    api.create(a_community("beta", users=[f"u{n}" for n in range(40)]))
    message = api.wait_condition("Community", "beta", "Ready", "False", "Pending")
    assert "exceeded quota" in message
    assert api.condition("Community", "beta", "Reconciling")[0] == "True"
    assert api.condition("Community", "acme", "Ready")[:2] == ("True", "Served")
    until("beta is known all the same", lambda: "beta" in str(complete_set(api)["communities.json"]), 20)
    api.delete("ResourceQuota", "few")
    until_served(api, {"acme/ann": BOTH} | {f"beta/u{n}": BOTH for n in range(40)}, read=users)
    api.wait_condition("Community", "beta", "Ready", "True", "Served", 60)
