"""The law of 250 at the API server: exact, whoever races, and also while the operator is down."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import fresh_namespace
from support import cluster
from support.api import ROOT, Api, Object, Refused, install_crds
from support.levels import left_out_if_missing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.ordering import all_is_handled, without
from support.quota import (
    INSTANCES,
    LIMITS,
    LINKS,
    QUOTA,
    around_the_quota,
    create_once_counted,
    create_quota,
    race,
    until_kept,
)
from support.snapshots import Audit, identities, settled
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

AN_INSTANCE_OF_250 = an_instance(vpn={"slots": 250})


def crowd(api: Api, count: int, name: str = "c") -> list[tuple[Api, Object]]:
    return [(api, a_link(f"{name}{number:04d}")) for number in range(count)]


def names(api: Api) -> set[str]:
    return {str(link["metadata"]["name"]) for link in api.list("TVoxLink")}


def accepted(api: Api) -> set[str]:
    """Names of the links that are accepted, by their status."""
    return {
        str(link["metadata"]["name"])
        for link in api.list("TVoxLink")
        for condition in link.get("status", {}).get("conditions", [])
        if (condition["type"], condition["status"]) == ("Accepted", "True")
    }


def until_accepted(api: Api, count: int, timeout: float = 120) -> set[str]:
    def look() -> bool:
        found = len(accepted(api))
        assert found == count, f"{found} are accepted"
        return True

    until(f"{count} are accepted", look, timeout, pause=0.5)
    return accepted(api)


def used(api: Api) -> str:
    status = api.get("ResourceQuota", QUOTA).get("status", {})
    return str(status.get("used", {}).get(LINKS))


@pytest.fixture
def full(api: Api, operator: Operator) -> Api:
    """A namespace with an instance and as many links as it may have; only ten of them are looked at by anybody."""
    api.create(AN_INSTANCE_OF_250, a_community())
    until_kept(api)
    assert race(crowd(api, 250)) == []
    until_kept(api, 250)
    return api


# --- races ---


def test_of_a_thousand_racing_creates_exactly_250_are_stored(api: Api, operator: Operator) -> None:
    api.create(AN_INSTANCE_OF_250, a_community())
    until_kept(api)
    begun = time.monotonic()
    refused = race(crowd(api, 1000))
    print(f"1,000 creates, 64 in flight: {time.monotonic() - begun:.1f} s")
    assert len(refused) == 750
    assert {r.status for r in refused} == {403}
    assert all(f"exceeded quota: {QUOTA}" in r.message for r in refused)
    assert len(names(api)) == 250
    assert until_accepted(api, 250) == names(api)
    assert sorted(i.number for i in identities(api).values()) == list(range(2, 252))
    counted = api.get("MCSInstance", "mcs")["status"]["links"]
    assert (counted["accepted"], counted["rejected"], counted["capacity"]) == (250, 0, 250)


def test_also_while_the_operator_is_down(api: Api, operator: Operator) -> None:
    api.create(AN_INSTANCE_OF_250, a_community())
    until_kept(api)
    operator.stop()
    assert len(race(crowd(api, 1000))) == 750
    assert len(names(api)) == 250
    operator.start()
    until_accepted(api, 250)


def test_two_instances_in_two_namespaces_have_250_each(api: Api, server: Api, operator: Operator) -> None:
    for other_name in fresh_namespace(server):
        spaces = [api, server.within(other_name)]
        for space in spaces:
            space.create(an_instance(), a_community())
            until_kept(space)
        mixed = [create for pair in zip(*(crowd(space, 1000) for space in spaces), strict=True) for create in pair]
        assert len(race(mixed)) == 1500
        assert [len(names(space)) for space in spaces] == [250, 250]


def test_a_deleted_link_makes_room_for_exactly_one(full: Api) -> None:
    for name in ("c0007", "c0249"):
        full.delete("TVoxLink", name, wait=5)
    until_kept(full, 248)
    assert len(race(crowd(full, 100, "late"))) == 98
    assert len(names(full)) == 250


def test_a_thousand_race_while_links_are_deleted_and_nobody_gets_in_beyond_his_place(full: Api) -> None:
    """The quota controller counts anew at each delete, in the midst of creates; whatever it makes of it, 250 have a
    place, and whoever has one keeps it."""
    held = until_accepted(full, 250)
    numbers = {name: identity.number for name, identity in identities(full).items()}
    leaving = sorted(held)[:20]
    creates = crowd(full, 1000, "late")
    for start, name in enumerate(leaving):
        full.delete("TVoxLink", name)
        race(creates[50 * start : 50 * start + 50])
    until("the last place is taken", lambda: race([(full, a_link("last"))]) and len(names(full)) >= 250, 30)
    assert accepted(full) >= held - set(leaving)
    until_accepted(full, 250)
    now = {name: identity.number for name, identity in identities(full).items()}
    stayed = held - set(leaving)
    assert {name: now[name] for name in stayed} == {name: numbers[name] for name in stayed}


# --- who was there before ---


def test_of_300_links_that_wait_for_their_instance_250_are_accepted_and_the_others_as_places_free_up(
    api: Api, operator: Operator
) -> None:
    assert race(crowd(api, 300)) == []
    api.create(a_community(), AN_INSTANCE_OF_250)
    first = until_accepted(api, 250)
    until_kept(api, 300)
    before = identities(api)
    waiting = names(api) - first
    for name in waiting:
        api.wait_condition("TVoxLink", name, "Accepted", "False", "CapacityExceeded")
    with pytest.raises(Refused, match=r"used: count/tvoxlinks.mcs.tvox.io=300, limited: .*=250"):
        api.create(a_link("even-more"))

    leaving = sorted(first)[:10]
    for name in leaving:
        api.delete("TVoxLink", name)
    now = until_accepted(api, 250)
    assert now >= first - set(leaving), "nobody who held a slot is displaced"
    assert len(now & waiting) == 10
    after = identities(api)
    assert {n: after[n] for n in first - set(leaving)} == {n: before[n] for n in first - set(leaving)}
    assert not waiting - now & set(after)
    until_kept(api, 290)

    operator.stop()  # nor after a restart
    operator.start()
    settled(api, quiet=3)
    assert accepted(api) == now
    assert identities(api) == after


def test_who_came_in_around_the_quota_waits_for_a_place(full: Api, operator: Operator) -> None:
    held = until_accepted(full, 250)
    with around_the_quota(full, operator):
        full.create(a_link("a-sneaked-in"))
    until_kept(full, 251)
    full.wait_condition("TVoxLink", "a-sneaked-in", "Accepted", "False", "CapacityExceeded")
    assert accepted(full) == held
    with pytest.raises(Refused, match=r"used: count/tvoxlinks.mcs.tvox.io=251"):
        full.create(a_link("b"))


# --- words ---


def test_kubectl_prints_the_quota_which_names_instance_and_limit(full: Api, operator: Operator) -> None:
    operator.stop()
    manifest = json.dumps(a_link("one-too-many"))
    printed = full.kubectl("create", "-f", "-", "--output=name", stdin=manifest, check=False, merge=True)
    assert f'tvoxlinks.mcs.tvox.io "one-too-many" is forbidden: exceeded quota: {QUOTA}' in printed
    assert f"used: {LINKS}=250, limited: {LINKS}=250" in printed


def test_a_second_instance_is_refused_by_the_same_quota(api: Api, operator: Operator) -> None:
    api.create(an_instance())
    until_kept(api)
    with pytest.raises(Refused, match=f"exceeded quota: {QUOTA}, requested: {INSTANCES}=1"):
        api.create(an_instance("second"))


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
def test_whatever_is_done_to_the_quota_is_undone(api: Api, operator: Operator, meddle: Callable[[Api], None]) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    until_kept(api, 1)
    meddle(api)
    until_kept(api, 1)
    until("it has its owner", lambda: api.get("ResourceQuota", QUOTA)["metadata"].get("ownerReferences"), 10)
    assert len(race(crowd(api, 300))) == 51
    assert len(names(api)) == 250


@pytest.mark.parametrize("wrong", [{LINKS: "0"}, {LINKS: "250"}, {LINKS: None}], ids=["too low", "too high", "gone"])
def test_a_count_that_somebody_edited_is_counted_anew(api: Api, operator: Operator, wrong: dict[str, str]) -> None:
    api.create(an_instance(), a_community(), *(a_link(f"c{n}") for n in range(3)))
    until_kept(api, 3)
    api.merge_status("ResourceQuota", QUOTA, {"used": wrong})
    until_kept(api, 3, timeout=30)
    settled(api)
    audit = Audit.of(api)
    if audit:
        time.sleep(12)
        assert audit.writes(api.namespace) == []


def test_a_limit_in_force_that_somebody_edited_is_ours_again(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community())
    until_kept(api)
    api.merge_status("ResourceQuota", QUOTA, {"hard": {LINKS: "9999"}})
    until_kept(api, timeout=30)


def test_the_quota_goes_with_its_instance_and_comes_with_the_next(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    until_kept(api, 1)
    api.delete("MCSInstance", "mcs", wait=10)
    until("it is gone", lambda: api.find("ResourceQuota", QUOTA) is None, 20)
    create_once_counted(api, an_instance())
    until_kept(api, 1)


def test_an_instance_that_is_deleted_and_applied_in_one_breath_is_back(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    until_kept(api, 1)
    manifest = json.dumps(an_instance())
    api.kubectl("delete", "mcsinstance", "mcs")

    def apply() -> bool:
        said = api.kubectl("apply", "-f", "-", stdin=manifest, check=False, merge=True)
        assert "mcs created" in said, said
        return True

    until("the old one is counted no more", apply)
    until_kept(api, 1)
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")


def test_a_quota_of_somebody_elses_under_its_name_is_told_and_left_alone(api: Api, operator: Operator) -> None:
    api.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": QUOTA}, "spec": {"hard": {"pods": 9}}}
    )
    api.create(an_instance(), a_community(), a_link("acme"))
    message = api.wait_condition("MCSInstance", "mcs", "Reconciling", "True", "Progressing")
    until("it is told", lambda: QUOTA in api.condition("MCSInstance", "mcs", "Reconciling")[2], 20)
    assert message
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    assert api.get("ResourceQuota", QUOTA)["spec"]["hard"] == {"pods": "9"}
    api.delete("ResourceQuota", QUOTA)
    until_kept(api, 1, timeout=150)


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


def test_an_edited_status_of_a_link_changes_nothing(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"), a_link("beta"))
    until_accepted(api, 2)
    before, versions = identities(api), settled(api)
    condition = api.get("TVoxLink", "acme")["status"]["conditions"][0]
    lies = [{**condition, "type": "Accepted", "status": "False", "reason": "CapacityExceeded", "message": "no"}]
    api.merge_status("TVoxLink", "acme", {"slot": 3, "vpnAddress": "198.18.254.3", "conditions": lies})
    until("its status is true again", lambda: api.get("TVoxLink", "acme")["status"]["slot"] == 2, 10)
    until_accepted(api, 2)
    now = settled(api)
    assert identities(api) == before
    assert {name for name in now if now[name] != versions.get(name)} == {"TVoxLink/acme"}


# --- a cluster that does not know our kinds yet ---


@pytest.fixture
def new_cluster() -> Iterator[Api]:
    """An API server of the test's own, just started, with its quota controller."""
    with left_out_if_missing(), cluster.new_api_server() as kubeconfig:
        yield Api(kubeconfig)


def everything_at_once(links: int) -> str:
    bodies = [AN_INSTANCE_OF_250, a_community(), *(a_link(f"c{number:03d}") for number in range(links))]
    return "\n---\n".join(json.dumps(body) for body in bodies)


def is_trapped(api: Api) -> bool:
    """Whether a quota of our kinds, made by hand, refuses everything because nobody can count yet."""
    create_quota(api, "q", LIMITS)
    try:
        api.create(a_link("canary"))
    except Refused as refused:
        return "status unknown for quota" in refused.message
    return False


def test_on_a_new_cluster_kinds_instance_and_links_are_applied_in_one_go(new_cluster: Api, tmp_path: Path) -> None:
    """The quota controller finds new kinds twice a minute, and a quota that is older waits for a count of all."""
    operator = Operator(new_cluster.kubeconfig, tmp_path / "operator.log")
    spaces = [new_cluster.within(name) for name in ("canary", "mcs")]
    for space in spaces:
        new_cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.namespace}})
    canary, api = spaces
    create_quota(canary, "pods", {"pods": "9"})  # it works now, and looks for new kinds in half a minute
    install_crds(new_cluster)
    assert is_trapped(canary), "the controller knows our kinds already: this test proves nothing"
    operator.start()
    try:
        api.kubectl("apply", "-f", "-", stdin=everything_at_once(links=60))
        until_accepted(api, 60)
        until("those are counted, too, that came while the quota was made", lambda: used(api) == "60", 30)
        for number in range(60, 250):  # one after another, so that the controller's awakening is among them
            api.create(a_link(f"c{number:03d}"))
        assert len(race(crowd(api, 100, "late"))) == 100
        api.delete("TVoxLink", "c000")
        until("its place is free", lambda: not race([(api, a_link("late"))]), 30, pause=1)
        assert len(names(api)) == 250
    finally:
        operator.stop()


def test_links_instance_and_kinds_that_were_there_before_the_operator(new_cluster: Api, tmp_path: Path) -> None:
    """`kubectl apply` of everything, and the operator last."""
    operator = Operator(new_cluster.kubeconfig, tmp_path / "operator.log")
    new_cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    new_cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    kinds = ("api-resources", "--api-group=mcs.tvox.io", "--output=name", "--cached=false")
    until("kubectl finds them", lambda: len(new_cluster.kubectl(*kinds, check=False).split()) == 3)
    new_cluster.kubectl("apply", "-f", "-", stdin=everything_at_once(links=10))
    operator.start()
    try:
        until_accepted(new_cluster, 10)
        until_kept(new_cluster, 10)
        assert race(crowd(new_cluster, 240, "more")) == []
        assert len(race(crowd(new_cluster, 64, "late"))) == 64
    finally:
        operator.stop()


def test_where_no_quota_controller_runs_the_operator_counts(new_cluster: Api, tmp_path: Path) -> None:
    record = new_cluster.kubeconfig.parent / "run" / "kube-controller-manager.json"
    os.kill(json.loads(record.read_text())["pid"], signal.SIGTERM)
    operator = Operator(new_cluster.kubeconfig, tmp_path / "operator.log")
    install_crds(new_cluster)
    operator.start()
    try:
        new_cluster.create(an_instance(), a_community())
        until_kept(new_cluster)
        assert len(race(crowd(new_cluster, 1000))) == 750
        for name in sorted(names(new_cluster))[:5]:
            new_cluster.delete("TVoxLink", name)
        until_kept(new_cluster, 245, timeout=30)
        assert len(race(crowd(new_cluster, 100, "late"))) == 95
        assert len(names(new_cluster)) == 250
    finally:
        operator.stop()
