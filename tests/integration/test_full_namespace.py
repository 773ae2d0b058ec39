"""The law of 250 in a namespace that is full: exact, whoever races, and also while the operator is down.

250 links are filled in once for all tests of this file: to fill a namespace takes two cores longer than most of them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from conftest import fresh_namespace
from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.ordering import all_is_handled, without
from support.quota import (
    LINKS,
    QUOTA,
    accepted,
    around_the_quota,
    crowd,
    names,
    race,
    until_accepted,
    until_kept,
)
from support.snapshots import Audit, identities, settled
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def raced(server: Api, operator_process: Operator) -> Iterator[tuple[Api, list[Refused]]]:
    """A namespace with an instance in which 400 links were created, 64 at a time, and who was refused."""
    operator_process.ensure()
    for name in fresh_namespace(server):
        api = server.within(name)
        api.create(an_instance(vpn={"slots": 250}), a_community())
        until_kept(api)
        begun = time.monotonic()
        refused = race(crowd(api, 400))
        print(f"400 creates, 64 in flight: {time.monotonic() - begun:.1f} s")
        yield api, refused


@pytest.fixture
def full(raced: tuple[Api, list[Refused]], operator: Operator) -> Api:
    """The namespace with as many links as it may have, whatever the test before has left."""
    api, _ = raced
    for name in sorted(names(api))[250:]:
        api.delete("TVoxLink", name, wait=10)
    there = len(names(api))
    until_kept(api, there)
    if there < 250:
        assert race(newcomers(api, 250 - there)) == []
        until_kept(api, 250)
    until_accepted(api, 250)
    return api


def newcomers(api: Api, count: int) -> list[tuple[Api, Object]]:
    """So many links whose names no test before has used."""
    return crowd(api, count, f"new-{secrets.token_hex(3)}-")


# --- races ---


def test_of_400_racing_creates_exactly_250_are_stored(raced: tuple[Api, list[Refused]]) -> None:
    api, refused = raced
    assert len(refused) == 150
    assert {r.status for r in refused} == {403}
    assert all(f"exceeded quota: {QUOTA}" in r.message for r in refused)
    assert len(names(api)) == 250
    assert until_accepted(api, 250) == names(api)
    assert sorted(i.number for i in identities(api).values()) == list(range(2, 252))
    counted = api.get("MCSInstance", "mcs")["status"]["links"]
    assert (counted["accepted"], counted["rejected"], counted["capacity"]) == (250, 0, 250)


@pytest.mark.slow
def test_also_while_the_operator_is_down(full: Api, operator: Operator) -> None:
    for name in sorted(names(full))[:50]:
        full.delete("TVoxLink", name)
    until_kept(full, 200)
    operator.stop()
    assert len(race(newcomers(full, 500))) == 450
    assert len(names(full)) == 250
    operator.start()
    until_accepted(full, 250)


@pytest.mark.slow
def test_two_instances_in_two_namespaces_have_250_each(full: Api, server: Api) -> None:
    for other_name in fresh_namespace(server):
        other = server.within(other_name)
        other.create(an_instance(domain="far.test"), a_community())
        until_kept(other)
        pairs = zip(newcomers(full, 300), newcomers(other, 300), strict=True)
        assert len(race(create for pair in pairs for create in pair)) == 300 + 50
        assert [len(names(space)) for space in (full, other)] == [250, 250]


def test_a_deleted_link_makes_room_for_exactly_one(full: Api) -> None:
    for name in sorted(names(full))[7:250:242]:
        full.delete("TVoxLink", name, wait=5)
    until_kept(full, 248)
    assert len(race(newcomers(full, 100))) == 98
    assert len(names(full)) == 250


@pytest.mark.slow
def test_a_thousand_race_while_links_are_deleted_and_nobody_gets_in_beyond_his_place(full: Api) -> None:
    """The quota controller counts anew at each delete, in the midst of creates; whatever it makes of it, 250 have a
    place, and whoever has one keeps it."""
    held = until_accepted(full, 250)
    numbers = {name: identity.number for name, identity in identities(full).items()}
    leaving = sorted(held)[:20]
    creates = newcomers(full, 1000)
    for start, name in enumerate(leaving):
        full.delete("TVoxLink", name)
        race(creates[50 * start : 50 * start + 50])
    until("the last place is taken", lambda: race([(full, a_link("last"))]) and len(names(full)) >= 250, 30)
    assert accepted(full) >= held - set(leaving)
    until_accepted(full, 250)
    now = {name: identity.number for name, identity in identities(full).items()}
    stayed = held - set(leaving)
    assert {name: now[name] for name in stayed} == {name: numbers[name] for name in stayed}


# --- who came in around it ---


def test_who_came_in_around_the_quota_waits_for_a_place(full: Api, operator: Operator) -> None:
    held = until_accepted(full, 250)
    with around_the_quota(full, operator):
        full.create(a_link("a-sneaked-in"))
    until_kept(full, 251)
    full.wait_condition("TVoxLink", "a-sneaked-in", "Accepted", "False", "CapacityExceeded")
    assert accepted(full) == held
    with pytest.raises(Refused, match=r"used: count/tvoxlinks.mcs.tvox.io=251"):
        full.create(a_link("b"))


def test_the_251st_link_is_refused_gets_no_secret_and_takes_over_when_a_place_frees_up(
    full: Api, operator: Operator
) -> None:
    before = identities(full)
    assert sorted(identity.number for identity in before.values()) == list(range(2, 252))

    with around_the_quota(full, operator):
        full.create(a_link("one-too-many"))
    message = full.wait_condition("TVoxLink", "one-too-many", "Accepted", "False", "CapacityExceeded", 60)
    assert "250 of at most 250" in message
    full.wait_condition("TVoxLink", "one-too-many", "Stalled", "True", "CapacityExceeded")
    assert "slot" not in full.get("TVoxLink", "one-too-many")["status"]
    assert full.find("Secret", "one-too-many-profile") is None
    assert len([s for s in full.list("Secret") if s["metadata"]["name"].startswith("mcs-link-")]) == 250
    counted = full.get("MCSInstance", "mcs")["status"]["links"]
    assert (counted["accepted"], counted["rejected"]) == (250, 1)

    leaving = sorted(before)[100]
    full.delete("TVoxLink", leaving, wait=10)
    full.wait_condition("TVoxLink", "one-too-many", "Accepted", "True", timeout=60)
    # No other number was free, so the identity of the link that went is given up for the newcomer.
    now = identities(full)
    assert now["one-too-many"].number == before[leaving].number
    assert {name: identity for name, identity in now.items() if name != "one-too-many"} == {
        name: identity for name, identity in before.items() if name != leaving
    }


# --- words ---


def test_kubectl_prints_the_quota_which_names_instance_and_limit(full: Api, operator: Operator) -> None:
    operator.stop()
    manifest = json.dumps(a_link("too-late"))
    printed = full.kubectl("create", "-f", "-", "--output=name", stdin=manifest, check=False, merge=True)
    assert f'tvoxlinks.mcs.tvox.io "too-late" is forbidden: exceeded quota: {QUOTA}' in printed
    assert f"used: {LINKS}=250, limited: {LINKS}=250" in printed


# --- whoever meddles with it ---


def raised(api: Api) -> None:
    api.merge("ResourceQuota", QUOTA, {"spec": {"hard": {LINKS: "9999"}}})


def emptied(api: Api) -> None:
    api.merge("ResourceQuota", QUOTA, {"spec": {"hard": None}})


def deleted(api: Api) -> None:
    api.delete("ResourceQuota", QUOTA)


def given_away(api: Api) -> None:
    """Without its labels it is no longer found; without its owner it would outlive the instance."""
    api.merge("ResourceQuota", QUOTA, {"metadata": {"ownerReferences": None}})


@pytest.mark.parametrize("meddle", [raised, emptied, deleted, given_away])
def test_whatever_is_done_to_the_quota_is_undone(full: Api, meddle: Callable[[Api], None]) -> None:
    meddle(full)
    until_kept(full, 250)
    until("it has its owner", lambda: full.get("ResourceQuota", QUOTA)["metadata"].get("ownerReferences"), 10)
    full.delete("TVoxLink", sorted(names(full))[0], wait=5)
    until_kept(full, 249)
    assert len(race(newcomers(full, 50))) == 49
    assert len(names(full)) == 250


def test_a_restart_with_a_full_namespace_writes_nothing(full: Api, operator: Operator) -> None:
    until_accepted(full, 250)
    settled(full, quiet=3, timeout=120)
    before = full.get("ResourceQuota", QUOTA)["metadata"]["resourceVersion"]
    audit = Audit.of(full)
    operator.stop()
    operator.start()
    marker = all_is_handled(full)
    time.sleep(10)  # two looks at the count
    assert full.get("ResourceQuota", QUOTA)["metadata"]["resourceVersion"] == before
    if audit:
        assert without(marker, audit.writes(full.namespace)) == []
