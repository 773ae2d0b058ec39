"""Kubernetes Events on a real API server: what a person must know, once, and nothing for whoever is well."""

from __future__ import annotations

import time

import pytest

from support.api import Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.pods import place_pod
from support.quota import around_the_quota
from support.snapshots import settled
from support.waiting import until

pytestmark = pytest.mark.integration


def events(api: Api) -> list[Object]:
    """Events of the operator in the namespace."""
    return [e for e in api.list("Event") if e.get("reportingComponent", "").startswith("mcs-operator")]


def told(api: Api) -> list[tuple[str, str, str]]:
    """(kind, name, reason) of each."""
    about = [(event["involvedObject"], event["reason"]) for event in events(api)]
    return sorted((subject["kind"], subject["name"], reason) for subject, reason in about)


def until_told(api: Api, *wanted: tuple[str, str, str]) -> None:
    def look() -> bool:
        assert told(api) == sorted(wanted)
        return True

    until(f"{len(wanted)} Events", look, 20)


def test_a_namespace_in_which_all_is_well_has_no_event(api: Api, operator: Operator) -> None:
    wide = an_instance(vpn={"slots": 250})  # else the sixth link would be one of six, which is an Event
    api.create(wide, a_community(users=("ann",)), *(a_link(f"c{n}") for n in range(6)))
    for number in range(6):
        api.wait_condition("TVoxLink", f"c{number}", "Accepted", "True")
    settled(api)
    api.change("TVoxLink", "c0", enabled=False)
    api.change("Community", "acme", displayName="Acme")
    api.delete("TVoxLink", "c1", wait=5)
    settled(api)
    assert told(api) == []


def test_what_may_still_come_is_waited_for_without_an_event(api: Api, operator: Operator) -> None:
    api.create(a_link("acme"), a_community(usersFrom=[{"configMapRef": {"name": "staff"}}]))
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "InstanceNotFound")
    api.create(an_instance())
    api.wait_condition("Community", "acme", "Ready", "False", "UsersNotFound")
    settled(api)
    assert told(api) == []


def test_what_a_person_must_know_is_told_once_where_he_looks(api: Api, operator: Operator) -> None:
    """`kubectl describe` of the object shows it, in the words of its status."""
    api.create(an_instance(), a_community(), a_link("acme"), a_link("twin", domain="acme.mcs.test"))
    # Before the operator is stopped: one that ends between a status and its Event has told the status alone.
    until("it is told of the twin", lambda: "DomainTaken" in {reason for *_, reason in told(api)}, 20)
    with around_the_quota(api, operator):
        api.create(a_link("far", vpnAddress="10.0.0.9"), an_instance("second", domain="second.test"))
    message = api.wait_condition("TVoxLink", "far", "Accepted", "False", "AddressOutOfRange")
    api.wait_condition("MCSInstance", "second", "Accepted", "False", "NamespaceOccupied")
    twin = next(n for n in ("acme", "twin") if api.condition("TVoxLink", n, "Accepted")[1] == "DomainTaken")
    wanted = (
        ("TVoxLink", "far", "AddressOutOfRange"),
        ("TVoxLink", twin, "DomainTaken"),
        ("MCSInstance", "second", "NamespaceOccupied"),
    )
    until_told(api, *wanted)
    far = next(event for event in events(api) if event["involvedObject"]["name"] == "far")
    assert (far["type"], far["action"], far["message"]) == ("Warning", "Refuse", message)
    assert far["involvedObject"]["uid"] == api.get("TVoxLink", "far")["metadata"]["uid"]
    settled(api)

    api.change("Community", "acme", displayName="Acme")  # a reconciliation with nothing new about them
    api.merge("TVoxLink", "far", {"metadata": {"labels": {"look": "again"}}})
    settled(api)
    until_told(api, *wanted)

    operator.stop()
    operator.start()
    settled(api)
    until_told(api, *wanted)


def test_what_flaps_is_one_event_that_counts(api: Api, operator: Operator) -> None:
    file: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "staff", "labels": {"mcs.tvox.io/users": "true"}},
        "data": {"users.yaml": "[]"},
    }
    api.create(file, an_instance(), a_community(usersFrom=[{"configMapRef": {"name": "staff"}}]))
    for _ in range(3):
        api.merge("ConfigMap", "staff", {"data": {"users.yaml": "{"}})
        api.wait_condition("Community", "acme", "Ready", "False", "UsersInvalid")
        api.merge("ConfigMap", "staff", {"data": {"users.yaml": "[]"}})
        api.wait_condition("Community", "acme", "Ready", "True", "Served")
    until_told(api, ("Community", "acme", "UsersInvalid"))
    until("it counts", lambda: events(api)[0].get("series", {}).get("count") == 3, 10)


def test_a_lost_ca_is_one_event_however_many_links_it_has(api: Api, operator: Operator) -> None:
    wide = an_instance(retain={"pki": "Retain"}, vpn={"slots": 250})
    api.create(wide, a_community(), *(a_link(f"c{n}") for n in range(5)))
    for number in range(5):
        api.wait_condition("TVoxLink", f"c{number}", "Accepted", "True")
    settled(api)
    api.delete("Secret", "mcs-ca", wait=5)
    api.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    settled(api)
    until_told(api, ("MCSInstance", "mcs", "IdentityLost"))


def test_a_restart_is_told_before_it_happens_and_names_the_cause(api: Api, operator: Operator) -> None:
    """No kubelet is here: the test is the StatefulSet's controller, and its pod is never ready."""
    api.create(an_instance())
    place_pod(api, "mcs")
    uid = api.get("Pod", "mcs-0")["metadata"]["uid"]
    settled(api)
    assert told(api) == []
    api.change("MCSInstance", "mcs", tolerations=[{"key": "example.com/media", "operator": "Exists"}])
    until("the template is new", lambda: "example.com/media" in str(api.get("StatefulSet", "mcs")["spec"]), 15)
    time.sleep(1.5)
    if api.get("StatefulSet", "mcs").get("status", {}).get("observedGeneration", 0) < 2:
        assert api.get("Pod", "mcs-0")["metadata"]["uid"] == uid, "replaced before its controller knew the template"
        seen = {"observedGeneration": api.get("StatefulSet", "mcs")["metadata"]["generation"], "replicas": 1}
        api.merge_status("StatefulSet", "mcs", seen)

    def gone() -> bool:
        body = api.find("Pod", "mcs-0")
        return body is None or body["metadata"]["uid"] != uid or "deletionTimestamp" in body["metadata"]

    until("the pod goes", gone, 15)
    note = next(event for event in events(api) if event["reason"] == "Restarting")
    assert uid in note["message"]
    assert "spec of MCSInstance mcs changed" in note["message"]
    assert "(pod)" in note["message"]
