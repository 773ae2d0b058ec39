"""The quota that keeps the law of 250 at the API server: with its instance it comes and goes, edited it is ours again;
it holds on a cluster that is new. Where 250 links are there: test_full_namespace."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import ROOT, Api, Refused, install_crds
from support.levels import left_out_if_missing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import (
    INSTANCES,
    LIMITS,
    LINKS,
    QUOTA,
    accepted,
    create_once_counted,
    create_quota,
    crowd,
    names,
    race,
    until_accepted,
    until_kept,
)
from support.snapshots import Audit, identities, settled
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

AN_INSTANCE_OF_250 = an_instance(vpn={"slots": 250})


def used(api: Api) -> str:
    status = api.get("ResourceQuota", QUOTA).get("status", {})
    return str(status.get("used", {}).get(LINKS))


# --- who was there before ---


@pytest.mark.slow
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


# --- words ---


def test_a_second_instance_is_refused_by_the_same_quota(api: Api, operator: Operator) -> None:
    api.create(an_instance())
    until_kept(api)
    with pytest.raises(Refused, match=f"exceeded quota: {QUOTA}, requested: {INSTANCES}=1"):
        api.create(an_instance("second"))


# --- whoever meddles with it ---


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({LINKS: "0"}, id="too low"),
        pytest.param({LINKS: "250"}, id="too high", marks=pytest.mark.slow),
        pytest.param({LINKS: None}, id="gone"),
    ],
)
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
        everything = everything_at_once(links=60)
        # Again where the API server gave up counting one of them, as its client in these tests does for each request.
        until("all of it is applied", lambda: api.kubectl("apply", "-f", "-", stdin=everything), 60, pause=1)
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
