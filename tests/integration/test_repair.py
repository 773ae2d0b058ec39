"""Whatever somebody does to the children: it is undone, what is not ours stays, and nobody's Secret is written over."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable

import pytest

from support.api import Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.snapshots import audited, encoded, files, identities, settled
from support.waiting import until

pytestmark = pytest.mark.integration

FOREIGN = {"metadata": {"labels": {"team": "telephony"}, "annotations": {"example.com/note": "ours"}}}


@pytest.fixture
def served(api: Api, operator: Operator) -> Api:
    """A namespace with one link, quiet."""
    api.create(an_instance(), a_community(users=("anna",)), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    return api


def shard(api: Api) -> str:
    """Name of the one users Secret."""
    (found,) = [s["metadata"]["name"] for s in api.list("Secret") if "-users-" in s["metadata"]["name"]]
    return str(found)


def content(api: Api, kind: str, name: str) -> Object:
    """What the operator has a say in: everything but versions, times and managers."""
    return said_in(api.get(kind, name))


def said_in(body: Object) -> Object:
    """The same of an object as it was answered."""
    kept = ("labels", "annotations", "ownerReferences")
    metadata = {key: body["metadata"].get(key) for key in kept}
    return {key: value for key, value in body.items() if key not in ("metadata", "status")} | {"metadata": metadata}


# --- edited ---

EDITS: list[tuple[str, str, Object]] = [
    ("StatefulSet", "mcs", {"spec": {"replicas": 3}}),
    ("StatefulSet", "mcs", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
    ("Service", "mcs", {"spec": {"publishNotReadyAddresses": False}}),
    ("Service", "mcs", {"spec": {"selector": {"statefulset.kubernetes.io/pod-name": "mcs-1"}}}),
    ("NetworkPolicy", "mcs", {"spec": {"policyTypes": ["Ingress"]}}),
    ("PodDisruptionBudget", "mcs", {"spec": {"maxUnavailable": 1}}),
    ("PodDisruptionBudget", "mcs", {"spec": {"selector": {"matchLabels": {"app": "other"}}}}),
    ("ConfigMap", "mcs-links", {"data": {"links.json": "{}"}}),
    ("ConfigMap", "mcs-manifest", {"data": {"manifest.json": "{}"}}),
    ("Secret", "mcs-link-002", {"data": encoded(enabled="false")}),
    ("Secret", "mcs-link-002", {"data": encoded(revision="0" * 64)}),
    ("Secret", "mcs-link-002", {"data": {"server.conf": None}}),
    ("Secret", "acme-profile", {"data": encoded(**{"acme.ovpn": "remote evil.example.com 1194"})}),
    ("Secret", "users", {"data": None}),
    ("Service", "mcs", {"metadata": {"ownerReferences": None}}),
    ("Service", "mcs", {"metadata": {"labels": {"mcs.tvox.io/instance": "other"}}}),
]


@pytest.mark.parametrize(("kind", "name", "edit"), EDITS, ids=lambda value: str(value)[:60])
def test_an_edited_child_is_as_before(served: Api, kind: str, name: str, edit: Object) -> None:
    name = shard(served) if name == "users" else name
    before = content(served, kind, name)
    # By the answer itself: a look at the object may come when it is mended already.
    assert said_in(served.merge(kind, name, {})) == before
    assert said_in(served.merge(kind, name, edit)) != before, "the edit changed nothing"
    until(f"{kind} {name} is as before", lambda: content(served, kind, name) == before, 20)


@pytest.mark.parametrize("damage", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
@pytest.mark.parametrize("file", ["tls.crt", "tls.key"])
def test_a_damaged_key_of_a_slot_is_made_anew_and_costs_no_visit(served: Api, file: str, damage: str) -> None:
    """The server's key: the TVox knows it by its CA, so another one does as well."""
    identity = identities(served)["acme"]
    served.merge("Secret", "mcs-link-002", {"data": encoded(**{file: damage})})

    def whole() -> bool:
        found = files(served.get("Secret", "mcs-link-002"))
        return found[file].strip() != damage.strip() and "PRIVATE KEY" in found["tls.key"]

    until("the slot has a key again", whole, 20)
    assert identities(served)["acme"] == identity


@pytest.mark.parametrize("file", ["ca.crt", "tls-crypt.key", "DEFAULT", "firewall.nft"])
def test_another_damaged_file_of_a_slot_is_put_back_with_the_same_revision(served: Api, file: str) -> None:
    """The same revision: a slot that kept its last good state does not even restart."""
    before = files(served.get("Secret", "mcs-link-002"))
    served.merge("Secret", "mcs-link-002", {"data": encoded(**{file: "damaged"})})
    until("it is whole", lambda: files(served.get("Secret", "mcs-link-002")) == before, 20)


# --- deleted ---


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("StatefulSet", "mcs"),
        ("Service", "mcs"),
        ("NetworkPolicy", "mcs"),
        ("PodDisruptionBudget", "mcs"),
        ("ConfigMap", "mcs-links"),
        ("ConfigMap", "mcs-manifest"),
        ("Secret", "mcs-agent"),
        ("Secret", "users"),
    ],
)
def test_a_deleted_child_is_there_again(served: Api, kind: str, name: str) -> None:
    name = shard(served) if name == "users" else name
    uid = served.get(kind, name)["metadata"]["uid"]
    served.delete(kind, name)
    until(f"{kind} {name} is new", lambda: (served.find(kind, name) or {}).get("metadata", {}).get("uid", uid) != uid)


def test_a_deleted_slot_secret_is_there_again_with_the_customers_pin_and_tls_crypt_key(served: Api) -> None:
    before, identity = files(served.get("Secret", "mcs-link-002")), identities(served)["acme"]
    served.delete("Secret", "mcs-link-002")
    until("the slot Secret is there", lambda: served.find("Secret", "mcs-link-002"), 20)
    now = files(served.get("Secret", "mcs-link-002"))
    same = ("server.conf", "tls-crypt.key", "ca.crt", "DEFAULT", "firewall.nft", "enabled")
    assert {file: now[file] for file in same} == {file: before[file] for file in same}
    assert identities(served)["acme"] == identity


def test_many_repairs_at_once(served: Api) -> None:
    before = {kind: content(served, kind, "mcs") for kind in ("StatefulSet", "Service")}
    served.merge("StatefulSet", "mcs", {"spec": {"replicas": 0}})
    served.delete("Service", "mcs")
    served.delete("ConfigMap", "mcs-links")
    served.merge("Secret", "mcs-link-002", {"data": encoded(enabled="false")})
    until("the StatefulSet is as before", lambda: content(served, "StatefulSet", "mcs") == before["StatefulSet"], 20)
    until("the Service is there", lambda: served.find("Service", "mcs"), 20)
    until("the files are there", lambda: served.find("ConfigMap", "mcs-links"), 20)
    until("the slot is enabled", lambda: files(served.get("Secret", "mcs-link-002"))["enabled"] == "true", 20)


# --- what is not ours ---


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("StatefulSet", "mcs"),
        ("Service", "mcs"),
        ("Secret", "mcs-ca"),
        ("Secret", "mcs-link-002"),
        ("Secret", "acme-profile"),
        ("ConfigMap", "mcs-links"),
        ("PersistentVolumeClaim", "mcs-data"),
    ],
)
def test_foreign_labels_and_annotations_stay_also_through_a_repair(served: Api, kind: str, name: str) -> None:
    served.merge(kind, name, FOREIGN)
    settled(served)
    if kind == "StatefulSet":
        served.merge(kind, name, {"spec": {"replicas": 3}})
        until("it is repaired", lambda: served.get(kind, name)["spec"]["replicas"] == 1, 20)
    metadata = served.get(kind, name)["metadata"]
    assert metadata["labels"]["team"] == "telephony"
    assert metadata["annotations"]["example.com/note"] == "ours"


def test_a_foreign_label_costs_no_write(served: Api) -> None:
    audit = audited(served)
    for kind, name in (("Service", "mcs"), ("Secret", "mcs-link-002"), ("StatefulSet", "mcs")):
        served.merge(kind, name, FOREIGN)
    settled(served)
    assert audit.writes(served.namespace) == []


def test_a_foreign_object_in_the_namespace_is_left_alone(served: Api) -> None:
    mine = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine", "labels": {"mcs.tvox.io/instance": "mcs", "mcs.tvox.io/link": "acme"}},
        "data": encoded(password="x"),
    }
    before = served.create(mine)["metadata"]["resourceVersion"]
    served.change("TVoxLink", "acme", enabled=False)
    assert settled(served)["Secret/mine"] == before


def _foreign(kind: str, name: str, **more: Object) -> Object:
    labels = more.pop("labels", {})
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}} | more


FOREIGN_SECRETS: list[tuple[str, Callable[[str], Object]]] = [
    ("a plain Secret", lambda name: _foreign("Secret", name, data=encoded(mine="x"))),
    (
        "a users file",
        lambda name: _foreign(
            "Secret", name, labels={"mcs.tvox.io/users": "true"}, data=encoded(**{"users.yaml": "[]"})
        ),
    ),
    (
        "a certificate",
        lambda name: (
            _foreign("Secret", name, data=encoded(**{"tls.crt": "x", "tls.key": "y"})) | {"type": "kubernetes.io/tls"}
        ),
    ),
    (
        "one with all our labels but the manager's",
        lambda name: _foreign("Secret", name, labels={"mcs.tvox.io/link": "acme"}),
    ),
]


@pytest.mark.parametrize("name", ["acme-profile", "mcs-link-002"])
@pytest.mark.parametrize(("what", "make"), FOREIGN_SECRETS, ids=[what for what, _ in FOREIGN_SECRETS])
def test_a_secret_of_the_needed_name_that_is_not_ours_is_named_and_untouched(
    api: Api, operator: Operator, name: str, what: str, make: Callable[[str], Object]
) -> None:
    before = api.create(make(name))["metadata"]["resourceVersion"]
    api.create(an_instance(), a_community(), a_link("acme"))
    message = api.wait_condition("TVoxLink", "acme", "Accepted", "False", "NameTaken")
    assert name in message
    api.wait_condition("TVoxLink", "acme", "Stalled", "True", "NameTaken")
    api.create(a_link("other", vpnAddress="198.18.254.7"))
    api.wait_condition("TVoxLink", "other", "Accepted", "True")
    assert api.get("Secret", name)["metadata"]["resourceVersion"] == before
    if name == "acme-profile":
        assert not [s for s in api.list("Secret", "mcs.tvox.io/link=acme") if s["metadata"]["name"] != name]
    api.delete("Secret", name)
    api.wait_condition("TVoxLink", "acme", "Accepted", "True", timeout=150)


def test_without_its_ca_written_no_identity_is(api: Api, operator: Operator) -> None:
    """It would be signed by a key that nobody has any more."""
    api.create(_foreign("Secret", "mcs-ca", data=encoded(mine="x")))
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    assert api.find("Secret", "acme-profile") is None
    assert api.find("Secret", "mcs-link-002") is None
    assert set(files(api.get("Secret", "mcs-ca"))) == {"mine"}
    api.delete("Secret", "mcs-ca")
    until("the identity is made", lambda: api.find("Secret", "acme-profile"), 150)
    assert "ca.key" in files(api.get("Secret", "mcs-ca"))


def test_a_foreign_service_of_the_needed_name_is_untouched_and_the_links_are_served(
    api: Api, operator: Operator
) -> None:
    before = api.create(_foreign("Service", "mcs", spec={"ports": [{"port": 80}]}))
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    until("the slot is there", lambda: api.find("Secret", "mcs-link-002"), 20)
    assert api.get("Service", "mcs")["spec"] == before["spec"]


def test_what_cannot_be_written_is_tried_again_with_growing_pauses(api: Api, operator: Operator) -> None:
    api.create(_foreign("Secret", "acme-profile", data=encoded(mine="x")))
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "NameTaken")
    audit = audited(api)
    time.sleep(20)
    tries = [write for write in audit.writes(api.namespace) if write.startswith("create")]
    assert len(tries) <= 5, tries
    assert set(audit.writes(api.namespace)) <= set(tries), "something else was written meanwhile"


def test_what_is_in_a_secret_is_never_logged(served: Api, operator: Operator) -> None:
    key = files(served.get("Secret", "acme-profile"))["tls.key"]
    served.merge("Secret", "mcs-link-002", {"data": encoded(**{"tls.key": "hunter2-" + key})})
    settled(served)
    log = operator.since(0)
    assert "hunter2" not in log
    body = "".join(line for line in key.splitlines() if "PRIVATE" not in line)
    assert body[:40] not in log
    assert base64.b64encode(key.encode()).decode()[:60] not in log
