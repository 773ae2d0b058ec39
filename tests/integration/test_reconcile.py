"""From objects to a served namespace on a real API server: in any order, to the limit, and back.

No kubelet runs here, so the pod never comes, and the links' slots are never programmed: what is shown is what the
operator decides and writes.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.api import Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import around_the_quota
from support.snapshots import CHILDREN, Audit, files, identities, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def another_namespace(server: Api) -> Iterator[Callable[..., Api]]:
    """Makes namespaces that end with the test."""
    made = []

    def make(name: str = "") -> Api:
        name = name or f"mcs-test-{secrets.token_hex(3)}"
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        made.append(name)
        return server.within(name)

    yield make
    for name in made:
        server.delete("Namespace", name)


def test_a_listed_namespace_that_is_made_after_the_operator_is_served_and_no_other(
    server: Api, api: Api, another_namespace: Callable[..., Api], operator_process: Operator, tmp_path: Path
) -> None:
    operator_process.stop()
    later = server.within(f"mcs-test-{secrets.token_hex(3)}")
    operator = Operator(
        server.kubeconfig, tmp_path / "operator.log", MCS_NAMESPACES=f"{later.namespace},{api.namespace}"
    )
    operator.start()
    try:
        another_namespace(later.namespace)
        for place in (api, later, other := another_namespace()):
            place.create(an_instance(), a_community(), a_link("acme", domain=f"{place.namespace}.test"))
        for place in (api, later):
            accepted(place, "acme")
            place.delete("TVoxLink", "acme", wait=20)
            until("its slot is free", lambda place=place: not place.find("Secret", "mcs-link-002"), 20)
        assert other.get("TVoxLink", "acme")["status"]["conditions"][0]["reason"] == "Pending"
    finally:
        operator.stop()


def accepted(api: Api, name: str, timeout: float = 30) -> None:
    api.wait_condition("TVoxLink", name, "Accepted", "True", "Accepted", timeout)


def children(api: Api) -> set[str]:
    return {
        f"{kind}/{body['metadata']['name']}"
        for kind in CHILDREN
        for body in api.list(kind)
        if body["metadata"]["name"] != "kube-root-ca.crt"
    }


# --- one instance, its children, its status ---


def test_a_served_namespace_has_exactly_what_it_needs(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(users=("anna",)), a_link("acme"))
    accepted(api, "acme")
    settled(api)
    shards = {name for name in children(api) if name.startswith("Secret/mcs-users-")}
    assert len(shards) == 1
    assert children(api) - shards - {"Pod/mcs-0"} == {
        "Secret/mcs-ca",
        "Secret/mcs-agent",
        "Secret/mcs-metrics",
        "Secret/mcs-link-002",
        "Secret/acme-profile",
        "ConfigMap/mcs-links",
        "ConfigMap/mcs-manifest",
        "Service/mcs",
        "NetworkPolicy/mcs",
        "PodDisruptionBudget/mcs",
        "PersistentVolumeClaim/mcs-data",
        "StatefulSet/mcs",
    }


def test_before_the_operator_runs_every_object_says_pending(api: Api, operator: Operator) -> None:
    operator.stop()
    api.create(an_instance(), a_community(), a_link("acme"))
    for kind, name in (("MCSInstance", "mcs"), ("Community", "acme"), ("TVoxLink", "acme")):
        (condition,) = api.get(kind, name)["status"]["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "Unknown", "Pending")
    operator.start()
    accepted(api, "acme")


def test_every_condition_is_there_and_about_the_present_generation(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme")
    api.change("TVoxLink", "acme", enabled=False)
    accepted(api, "acme")
    settled(api)
    owned = {
        "MCSInstance": {"Ready", "Reconciling", "Stalled", "Accepted", "Sized", "RestartPending"},
        "Community": {"Ready", "Reconciling", "Stalled", "Accepted"},
        "TVoxLink": {"Ready", "Reconciling", "Stalled", "Accepted", "Programmed", "Connected"},
    }
    for kind, name in (("MCSInstance", "mcs"), ("Community", "acme"), ("TVoxLink", "acme")):
        body = api.get(kind, name)
        generation = body["metadata"]["generation"]
        assert body["status"]["observedGeneration"] == generation
        assert {c["type"] for c in body["status"]["conditions"]} >= owned[kind]
        assert {c["observedGeneration"] for c in body["status"]["conditions"]} == {generation}


def test_a_link_says_its_number_address_port_and_profile(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme", vpnAddress="198.18.254.5"))
    accepted(api, "acme")
    status = api.get("TVoxLink", "acme")["status"]
    assert (status["slot"], status["vpnAddress"], status["port"]) == (5, "198.18.254.5", 21005)
    profile = files(api.get("Secret", status["profileSecret"]))["acme.ovpn"]
    assert "remote mcs.test 21005" in profile
    assert json.loads(files(api.get("Secret", "acme-profile"))["identity.json"])["slot"] == 5


def test_without_an_agent_a_link_is_accepted_and_nothing_else_is_known(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme")
    for condition in ("Programmed", "Connected", "Ready"):
        api.wait_condition("TVoxLink", "acme", condition, "Unknown", "AgentUnreachable")
    api.wait_condition("MCSInstance", "mcs", "Ready", "False", "MediaNotReady")
    api.wait_condition("MCSInstance", "mcs", "Sized", "False", "BelowTier")
    api.wait_condition("Community", "acme", "Ready", "True", "Served")


def test_a_deleted_link_takes_its_slot_with_it_and_leaves_its_identity(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme")
    api.delete("TVoxLink", "acme", wait=10)
    until("the slot is free", lambda: api.find("Secret", "mcs-link-002") is None, 20)
    until(
        "the clock runs",
        lambda: json.loads(files(api.get("Secret", "acme-profile"))["identity.json"])["released"],
        20,
    )


def test_the_appliances_files_follow_the_communities_and_links(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(users=("anna",)), a_link("acme"))
    accepted(api, "acme")

    def links() -> list[Object]:
        found: list[Object] = json.loads(api.get("ConfigMap", "mcs-links")["data"]["links.json"])["links"]
        return found

    until("the link is in the file", lambda: [entry["name"] for entry in links()] == ["acme"])
    api.change("TVoxLink", "acme", domain="other.mcs.test")
    until("the domain is in the file", lambda: links()[0]["domain"] == "other.mcs.test")
    api.delete("TVoxLink", "acme")
    until("the link is not in the file", lambda: links() == [])


# --- any order ---

PARTS: dict[str, Callable[[], Object]] = {
    "instance": an_instance,
    "community": lambda: a_community(usersFrom=[{"configMapRef": {"name": "staff"}}]),
    "link": lambda: a_link("acme"),
    "users": lambda: {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "staff", "labels": {"mcs.tvox.io/users": "true"}},
        "data": {"users.yaml": "[{name: anna}, {name: bert}]"},
    },
}


@pytest.mark.parametrize(
    "slowly", [pytest.param(False, id="at once"), pytest.param(True, id="one by one", marks=pytest.mark.slow)]
)
def test_every_order_of_creation_leads_to_the_same_end(
    another_namespace: Callable[[], Api], operator: Operator, slowly: bool
) -> None:
    """All 24 orders, each in a namespace of its own, side by side."""
    spaces = {order: another_namespace() for order in itertools.permutations(PARTS)}
    for step in range(len(PARTS)):
        for order, space in spaces.items():
            space.create(_in_its_zone(PARTS[order[step]](), space))
        if slowly:
            time.sleep(2)
    for order, space in spaces.items():
        _is_complete(space, "-".join(order))


def _in_its_zone(part: Object, space: Api) -> Object:
    """The part with a domain of its namespace's own: a domain belongs to one instance of the whole cluster."""
    if "domain" in part.get("spec", {}):
        part["spec"]["domain"] = part["spec"]["domain"].replace("mcs.test", f"{space.namespace}.test")
    return part


def _is_complete(api: Api, order: str) -> None:
    def told(what: str) -> Object:
        counts: Object = api.get("MCSInstance", "mcs")["status"].get(what, {})
        return counts

    accepted(api, "acme", 90)
    api.wait_condition("Community", "acme", "Ready", "True", "Served")
    until(f"{order}: users are counted", lambda: told("users").get("served") == 2)
    of_one = {"accepted": 1, "up": 0, "rejected": 0, "capacity": 6, "left": 5}
    until(f"{order}: the link is counted", lambda: told("links") == of_one)
    assert api.get("TVoxLink", "acme")["status"]["slot"] == 2, order
    assert set(identities(api)) == {"acme"}, order
    assert {"Secret/mcs-link-002", "StatefulSet/mcs", "Service/mcs"} <= children(api), order


@pytest.mark.parametrize(
    ("there", "condition", "reason"),
    [
        pytest.param([], "Accepted", "InstanceNotFound", id="a link alone"),
        pytest.param(["community"], "Accepted", "InstanceNotFound", id="without an instance"),
        pytest.param(["instance"], "Accepted", "CommunityNotFound", id="without a community"),
    ],
)
def test_what_is_missing_is_named_and_a_link_waits_for_it(
    api: Api, operator: Operator, there: list[str], condition: str, reason: str
) -> None:
    for part in (*there, "link"):
        api.create(PARTS[part]())
    message = api.wait_condition("TVoxLink", "acme", condition, "False", reason)
    assert "create it" in message
    assert api.find("Secret", "acme-profile") is None
    for part in {"instance", "community"} - set(there):
        api.create(PARTS[part]())
    accepted(api, "acme")


def test_a_link_whose_community_is_deleted_keeps_its_tunnel_and_says_so(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme")
    before = settled(api)["Secret/mcs-link-002"]
    api.delete("Community", "acme", wait=10)
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "CommunityNotFound")
    assert settled(api)["Secret/mcs-link-002"] == before
    api.create(a_community())
    accepted(api, "acme")
    assert settled(api)["Secret/mcs-link-002"] == before


# --- refusals ---


@pytest.mark.parametrize(
    ("spec", "reason", "told"),
    [
        ({"domain": "mcs.test"}, "DomainTaken", "mcs.test"),
        ({"domain": "holder.mcs.test"}, "DomainTaken", "holder.mcs.test is in use"),
        ({"vpnAddress": "198.18.254.2"}, "AddressTaken", "is used by another TVoxLink"),
        ({"vpnAddress": "10.0.0.9"}, "AddressOutOfRange", "198.18.254.2"),
    ],
)
def test_a_refused_link_is_told_why_costs_nobody_anything_and_is_not_tried_again_and_again(
    api: Api, operator: Operator, spec: Object, reason: str, told: str
) -> None:
    api.create(an_instance(), a_community(), a_link("holder"))
    accepted(api, "holder")
    before = settled(api)
    audit = Audit.of(api)
    api.create(a_link("wrong", **spec))
    message = api.wait_condition("TVoxLink", "wrong", "Accepted", "False", reason)
    assert told in message
    settled(api, quiet=4)
    assert api.find("Secret", "wrong-profile") is None
    now = versions(api)
    for name in ("Secret/mcs-link-002", "Secret/holder-profile", "StatefulSet/mcs", "TVoxLink/holder"):
        assert now[name] == before[name], name
    if audit:
        statuses = [write for write in audit.writes(api.namespace) if write.endswith("/status")]
        assert sorted(set(statuses)) == sorted(statuses), "a status was written twice for one change"


def test_a_refused_link_is_accepted_when_it_is_mended(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("wrong", domain="mcs.test"))
    api.wait_condition("TVoxLink", "wrong", "Accepted", "False", "DomainTaken")
    api.change("TVoxLink", "wrong", domain="right.mcs.test")
    accepted(api, "wrong")


def test_a_second_instance_in_the_namespace_is_told_and_changes_nothing(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    accepted(api, "acme")
    before = settled(api)
    with around_the_quota(api, operator):
        api.create(an_instance("second", domain="second.test"))
    message = api.wait_condition("MCSInstance", "second", "Accepted", "False", "NamespaceOccupied")
    assert "'mcs'" in message
    now = settled(api)
    assert {name: version for name, version in now.items() if name in before} == before
    assert set(now) - set(before) == {"MCSInstance/second"}


def test_the_second_instance_takes_over_when_the_first_is_deleted(api: Api, operator: Operator) -> None:
    api.create(an_instance())
    api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
    with around_the_quota(api, operator):
        api.create(an_instance("second", domain="second.test"))
    api.wait_condition("MCSInstance", "second", "Accepted", "False", "NamespaceOccupied")
    api.delete("MCSInstance", "mcs", wait=10)
    api.wait_condition("MCSInstance", "second", "Accepted", "True")
    until("its StatefulSet is there", lambda: api.find("StatefulSet", "second"), 20)


def test_two_namespaces_are_two_appliances(api: Api, operator: Operator, another_namespace: Callable[[], Api]) -> None:
    other = another_namespace()
    for space in (api, other):
        zone = f"{space.namespace}.test"  # a domain belongs to one instance of the whole cluster
        space.create(an_instance(domain=zone), a_community(), a_link("acme", domain=f"acme.{zone}"))
    for space in (api, other):
        accepted(space, "acme")
    assert identities(api)["acme"].key != identities(other)["acme"].key


# --- users ---


def test_a_broken_users_file_is_that_communitys_problem_and_says_where(api: Api, operator: Operator) -> None:
    broken = PARTS["users"]() | {"data": {"users.yaml": "- name: anna\n- name: 2024-13-45\n"}}
    api.create(an_instance(), PARTS["community"](), broken, a_community("well", users=("carl",)), a_link("acme"))
    message = api.wait_condition("Community", "acme", "Ready", "False", "UsersInvalid")
    assert "'staff'" in message
    api.wait_condition("Community", "well", "Ready", "True", "Served")
    accepted(api, "acme")
    api.merge("ConfigMap", "staff", {"data": {"users.yaml": "[{name: anna}]"}})
    api.wait_condition("Community", "acme", "Ready", "True", "Served")
