"""A new profile costs a visit to that TVox: identities outlive what can be made again, and are never made twice."""

from __future__ import annotations

import base64
import json
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from mcs_operator.contract.digest import canonical, digest
from mcs_operator.pki.inspect import issued_by
from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import create_once_counted, until_room
from support.snapshots import OURS, Identity, exported, files, identities, settled
from support.waiting import until

pytestmark = pytest.mark.integration

KEEPING = {"retain": {"storage": "Retain", "pki": "Retain"}}
LINKS = ("acme", "globex", "initech")


@pytest.fixture
def served(api: Api, operator: Operator) -> Api:
    """A namespace with three links that keeps what it can, quiet."""
    api.create(an_instance(**KEEPING), a_community())
    for name in LINKS:  # one by one, so that everybody's number is known
        api.create(a_link(name))
        accepted(api, name)
    settled(api)
    return api


def accepted(api: Api, *names: str) -> None:
    for name in names:
        api.wait_condition("TVoxLink", name, "Accepted", "True", "Accepted", 45)


def told(api: Api, link: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(api.get("Secret", f"{link}-profile"))["identity.json"])
    return found


def slot_files(api: Api) -> dict[str, dict[str, str]]:
    """Content of every slot Secret, by name."""
    return {
        s["metadata"]["name"]: files(s)
        for s in api.list("Secret")
        if s["metadata"].get("labels", {}).get("mcs.tvox.io/slot")
    }


# --- links come and go ---


def test_a_link_that_is_deleted_and_comes_back_has_the_same_number_keys_and_profile(served: Api) -> None:
    before = identities(served)
    served.delete("TVoxLink", "globex", wait=10)
    until("its clock runs", lambda: told(served, "globex")["released"], 20)
    served.create(a_link("globex"))
    accepted(served, "globex")
    settled(served)
    assert identities(served) == before
    assert told(served, "globex")["released"] is None
    assert served.get("TVoxLink", "globex")["status"]["slot"] == before["globex"].number


def test_a_deleted_links_number_is_given_to_nobody_else(served: Api) -> None:
    before = identities(served)
    served.delete("TVoxLink", "acme", wait=10)
    served.create(a_link("newcomer"))
    accepted(served, "newcomer")
    assert served.get("TVoxLink", "newcomer")["status"]["slot"] == 5
    served.create(a_link("wishing", vpnAddress="198.18.254.2"))
    message = served.wait_condition("TVoxLink", "wishing", "Accepted", "False", "AddressTaken")
    assert "is kept for a TVoxLink that was deleted" in message
    assert identities(served)["acme"] == before["acme"]


def test_a_link_deleted_and_created_at_once_while_the_operator_looks_is_the_same_customer(served: Api) -> None:
    before = identities(served)
    for _ in range(5):
        served.delete("TVoxLink", "acme")
        served.create(a_link("acme"))
    accepted(served, "acme")
    settled(served)
    assert identities(served) == before
    until("its slot is there", lambda: served.find("Secret", "mcs-link-002"), 20)


def test_an_identity_is_forgotten_after_the_retention(api: Api, operator: Operator) -> None:
    api.create(an_instance(retain={"links": "5s"}), a_community(), a_link("acme"))
    accepted(api, "acme")
    api.delete("TVoxLink", "acme", wait=10)
    until("it is forgotten", lambda: api.find("Secret", "acme-profile") is None, 60)


@pytest.mark.parametrize("file", ["identity.json", "tls.key"])
def test_a_damaged_profile_without_its_slot_is_written_over_by_nobody_and_comes_back_whole(
    served: Api, file: str
) -> None:
    before, whole = identities(served), served.get("Secret", "globex-profile")["data"]
    served.delete("TVoxLink", "globex", wait=10)
    until("its slot is gone", lambda: served.find("Secret", "mcs-link-003") is None, 30)
    until("its clock runs", lambda: told(served, "globex")["released"], 20)
    served.merge("Secret", "globex-profile", {"data": {file: None}})
    damaged = served.get("Secret", "globex-profile")["data"]
    served.create(a_link("globex"))
    assert "cannot be read" in served.wait_condition("TVoxLink", "globex", "Accepted", "False", "NameTaken")
    settled(served)
    assert served.get("Secret", "globex-profile")["data"] == damaged
    served.merge("Secret", "globex-profile", {"data": whole})
    accepted(served, "globex")
    settled(served)
    assert identities(served) == before


def test_an_identity_that_another_instance_left_is_not_taken_over(served: Api) -> None:
    before = identities(served)
    served.delete("MCSInstance", "mcs", wait=10)
    until("the StatefulSet is gone", lambda: served.find("StatefulSet", "mcs") is None, 30)
    served.delete("TVoxLink", "acme", wait=10)
    create_once_counted(served, an_instance("successor", **KEEPING))
    served.create(a_community("new", instance="successor"))
    served.create(a_link("acme", instance="successor", community="new"))
    assert "'mcs'" in served.wait_condition("TVoxLink", "acme", "Accepted", "False", "NameTaken")
    settled(served)
    assert identities(served) == before
    served.delete("Secret", "acme-profile")
    accepted(served, "acme")


# --- the instance comes and goes ---


def test_an_instance_that_is_deleted_and_applied_again_serves_the_same_customers(served: Api) -> None:
    before, slots = identities(served), slot_files(served)
    served.delete("MCSInstance", "mcs", wait=10)
    for name in LINKS:
        served.wait_condition("TVoxLink", name, "Accepted", "False", "InstanceNotFound")
    served.wait_condition("Community", "acme", "Accepted", "False", "InstanceNotFound")
    until("the StatefulSet is gone", lambda: served.find("StatefulSet", "mcs") is None, 30)
    assert identities(served) == before
    assert served.find("Secret", "mcs-ca")
    create_once_counted(served, an_instance(**KEEPING))
    accepted(served, *LINKS)
    until("the StatefulSet is there", lambda: served.find("StatefulSet", "mcs"), 30)
    settled(served)
    assert identities(served) == before
    assert slot_files(served) == slots


def test_without_the_instance_no_retention_clock_runs(served: Api) -> None:
    served.delete("MCSInstance", "mcs", wait=10)
    served.wait_condition("TVoxLink", "acme", "Accepted", "False", "InstanceNotFound")
    served.delete("TVoxLink", "acme", wait=10)
    settled(served)
    assert told(served, "acme")["released"] is None


@pytest.mark.slow
def test_all_deleted_at_once_with_the_operator_down_and_applied_again_is_as_before(
    served: Api, operator: Operator
) -> None:
    before = identities(served)
    operator.stop()
    for kind in OURS:
        for body in served.list(kind):
            served.delete(kind, body["metadata"]["name"], wait=10)
    until("no StatefulSet", lambda: served.find("StatefulSet", "mcs") is None, 30)
    operator.start()
    served.create(*(a_link(name) for name in reversed(LINKS)), a_community())
    create_once_counted(served, an_instance(**KEEPING))
    accepted(served, *LINKS)
    settled(served)
    assert identities(served) == before


# --- losses ---


def test_a_ca_deleted_by_hand_is_a_loss_that_is_told_and_nothing_is_minted_anew(served: Api) -> None:
    backup = files(served.get("Secret", "mcs-ca"))
    stored = exported(served, ["Secret"])
    before, slots = identities(served), slot_files(served)
    served.delete("Secret", "mcs-ca")
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    assert "backup" in message
    served.create(a_link("new"))
    served.wait_condition("TVoxLink", "new", "Programmed", "False", "IdentityLost")
    settled(served)
    assert served.find("Secret", "mcs-ca") is None
    assert served.find("Secret", "new-profile") is None
    assert (identities(served), slot_files(served)) == (before, slots)

    served.create(next(s for s in stored if s["metadata"]["name"] == "mcs-ca"))
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    until("the new link has its identity", lambda: served.find("Secret", "new-profile"), 30)
    assert files(served.get("Secret", "mcs-ca")) == backup
    assert {name: identity for name, identity in identities(served).items() if name != "new"} == before


def test_without_its_ca_what_is_signed_already_can_still_be_changed(served: Api) -> None:
    served.delete("Secret", "mcs-ca")
    served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    served.change("TVoxLink", "acme", enabled=False)
    until("the slot stops", lambda: files(served.get("Secret", "mcs-link-002"))["enabled"] == "false", 20)


def test_a_profile_deleted_by_hand_is_a_loss_that_is_told_and_the_slot_is_untouched(served: Api) -> None:
    before = settled(served)["Secret/mcs-link-002"]
    stored = exported(served, ["Secret"])
    identity = identities(served)["acme"]
    served.delete("Secret", "acme-profile")
    message = served.wait_condition("TVoxLink", "acme", "Stalled", "True", "ProfileLost")
    assert "acme-profile" in message
    now = settled(served)
    assert now["Secret/mcs-link-002"] == before
    assert served.find("Secret", "acme-profile") is None
    served.create(next(s for s in stored if s["metadata"]["name"] == "acme-profile"))
    served.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    assert identities(served)["acme"] == identity
    assert settled(served)["Secret/mcs-link-002"] == before


def test_a_link_whose_profile_is_lost_can_still_be_changed(served: Api) -> None:
    served.delete("Secret", "acme-profile")
    served.wait_condition("TVoxLink", "acme", "Stalled", "True", "ProfileLost")
    served.change("TVoxLink", "acme", enabled=False)
    until("the slot stops", lambda: files(served.get("Secret", "mcs-link-002"))["enabled"] == "false", 20)
    assert served.find("Secret", "acme-profile") is None


# --- restores ---


def _empty(api: Api, kinds: tuple[str, ...]) -> None:
    def left() -> list[tuple[str, str]]:
        names = [(kind, body["metadata"]["name"]) for kind in kinds for body in api.list(kind)]
        return [known for known in names if known[1] != "kube-root-ca.crt"]

    for kind, name in left():
        api.delete(kind, name)
    until("the namespace is empty", lambda: not left(), 30)


def _restore(api: Api, stored: list[Object], pause: float) -> None:
    """As backup tools do: what is there already is brought to the stored content, unless it only follows from an
    owner that has another UID by now."""
    for body in stored:
        if body["kind"] == "MCSInstance" and not api.find("MCSInstance", body["metadata"]["name"]):
            until_room(api, body)
        try:
            api.apply(body)
        except Refused as refused:
            if refused.status != 422 or not body["metadata"].get("ownerReferences"):
                raise
        time.sleep(pause)


def _without_owners(stored: list[Object]) -> list[Object]:
    return [
        body | {"metadata": {k: v for k, v in body["metadata"].items() if k != "ownerReferences"}} for body in stored
    ]


def _is_as_before(api: Api, before: dict[str, Identity]) -> None:
    accepted(api, *LINKS)
    settled(api, timeout=120)
    assert identities(api) == before
    ca = files(api.get("Secret", "mcs-ca"))["ca.crt"]
    slots = slot_files(api)
    assert sorted(slots) == ["mcs-link-002", "mcs-link-003", "mcs-link-004"]
    for name in LINKS:
        slot = slots[f"mcs-link-{before[name].number:03d}"]
        assert slot["tls-crypt.key"].strip() == before[name].tls_crypt.strip(), name
        assert all(pin["sha256"] in slot["server.conf"] for pin in told(api, name)["fingerprints"]), name
        assert slot["ca.crt"].strip() == ca.strip(), name
        assert issued_by(slot["tls.crt"], ca), f"{name}: the server's certificate is of another CA"
        assert issued_by(before[name].certificate, ca), f"{name}: the client's certificate is of another CA"
    assert issued_by(files(api.get("Secret", "mcs-agent"))["tls.crt"], ca)


EVERYTHING = (*OURS, "Secret", "ConfigMap", "StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget")


@pytest.mark.parametrize(
    ("seed", "pause", "owners"),
    [
        pytest.param(0, 0.0, True, id="at once, with owners that are dead"),
        pytest.param(1, 0.0, False, id="at once, without owners", marks=pytest.mark.slow),
        pytest.param(2, 0.1, False, id="in quick succession, without owners"),
        pytest.param(3, 0.5, True, id="slowly, with owners that are dead", marks=pytest.mark.slow),
    ],
)
def test_a_restore_in_any_order_gives_everybody_the_same_identity(
    served: Api, operator: Operator, seed: int, pause: float, owners: bool
) -> None:
    """All of the namespace exported without status and UIDs, deleted, and applied again while the operator looks."""
    before, stored = identities(served), exported(served)
    operator.stop()
    _empty(served, EVERYTHING)
    operator.start()
    random.Random(seed).shuffle(stored)  # noqa: S311 - a repeatable order
    _restore(served, stored if owners else _without_owners(stored), pause)
    _is_as_before(served, before)


def test_identities_that_are_restored_after_everything_else_replace_the_ones_made_meanwhile(
    served: Api, operator: Operator
) -> None:
    before, stored = identities(served), exported(served)
    operator.stop()
    _empty(served, EVERYTHING)
    operator.start()
    late = [body for body in stored if body["kind"] == "Secret"]
    _restore(served, [body for body in stored if body["kind"] != "Secret"], 0.5)
    accepted(served, *LINKS)
    settled(served)
    _restore(served, late, 0.5)
    _is_as_before(served, before)


def test_a_restore_with_timestamps_reset_displaces_nobody(served: Api, operator: Operator) -> None:
    """A newcomer that is older than the restored holders does not get their place."""
    before, stored = identities(served), exported(served, [*OURS])
    operator.stop()
    for kind in OURS:
        for body in served.list(kind):
            served.delete(kind, body["metadata"]["name"], wait=15)
    served.create(a_link("aaaa-newcomer"))
    time.sleep(1.1)  # creation times are whole seconds
    until_room(served, next(body for body in stored if body["kind"] == "MCSInstance"))
    served.apply(*stored)
    operator.start()
    accepted(served, *LINKS, "aaaa-newcomer")
    settled(served)
    now = identities(served)
    assert {name: now[name] for name in LINKS} == before
    assert now["aaaa-newcomer"].number == 5


# --- copies, and labels that come and go ---


def copied(api: Api, secret: str, name: str, **labels: str) -> Object:
    """As `kubectl get -o yaml | sed | kubectl create` does it: another name, and all labels."""
    body = api.get("Secret", secret)
    known = body["metadata"]["labels"] | {f"mcs.tvox.io/{label}": value for label, value in labels.items()}
    return api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": api.namespace, "labels": known},
            "type": body["type"],
            "data": body["data"],
        }
    )


def of_the_operator(api: Api) -> dict[str, str]:
    """Versions of all Secrets but copies."""
    return {
        name: version for name, version in settled(api).items() if name.startswith("Secret/") and "copy" not in name
    }


def test_copies_of_identities_change_nothing_and_are_told(served: Api) -> None:
    before, versions = identities(served), of_the_operator(served)
    copied(served, "acme-profile", "acme-copy-profile")
    copied(served, "mcs-link-002", "mcs-link-002-copy")
    copied(served, "mcs-link-002", "mcs-link-005", slot="005")
    copied(served, "mcs-ca", "copy-ca")
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "ObjectsIgnored")
    assert "Secret" in message
    until("all are named or counted", lambda: "more" in served.condition("MCSInstance", "mcs", "Stalled")[2], 20)
    now = of_the_operator(served)
    assert {name: version for name, version in now.items() if name != "Secret/mcs-link-005"} == versions
    served.create(a_link("newcomer"))
    accepted(served, "newcomer")
    assert served.get("TVoxLink", "newcomer")["status"]["slot"] == 6, "5 is blocked by a copy"
    for name in ("acme-copy-profile", "mcs-link-002-copy", "mcs-link-005", "copy-ca"):
        served.delete("Secret", name)
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    assert {name: identity for name, identity in identities(served).items() if name != "newcomer"} == before


def test_a_copy_from_before_a_revocation_lets_nobody_in(served: Api) -> None:
    copied(served, "acme-profile", "acme-copy-profile")
    served.annotate("TVoxLink", "acme", revoke_requested_at=now_text())
    until("the slot stops", lambda: files(served.get("Secret", "mcs-link-002"))["enabled"] == "false", 20)
    copied(served, "acme-profile", "acme-copy-2-profile")
    served.annotate("TVoxLink", "acme", revoke_requested_at=None)
    settled(served)
    assert files(served.get("Secret", "mcs-link-002"))["enabled"] == "false"


@pytest.mark.parametrize("secret", ["mcs-ca", "acme-profile", "mcs-link-002", "mcs-agent"])
def test_the_users_label_on_a_secret_of_ours_takes_nothing_away(served: Api, secret: str) -> None:
    before, versions = identities(served), of_the_operator(served)
    label(served, secret, **{"mcs.tvox.io/users": "true"})
    settled(served)
    label(served, secret, **{"mcs.tvox.io/users": None})
    now = of_the_operator(served)
    assert identities(served) == before
    assert {name for name in versions if now[name] != versions[name]} <= {f"Secret/{secret}"}
    assert served.condition("MCSInstance", "mcs", "Stalled")[:2] == ("False", "NotStalled")
    assert served.condition("TVoxLink", "acme", "Stalled")[:2] == ("False", "NotStalled")
    served.create(a_link("new"))
    accepted(served, "new")


def label(api: Api, secret: str, **labels: str | None) -> None:
    api.merge("Secret", secret, {"metadata": {"labels": labels}})


def now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


MANAGED = "app.kubernetes.io/managed-by"


def test_secrets_restored_without_labels_are_told_and_are_ours_again_with_them(served: Api, operator: Operator) -> None:
    before, stored = identities(served), exported(served, ["Secret"])
    operator.stop()
    _empty(served, ("Secret",))
    bare = [body | {"metadata": {k: v for k, v in body["metadata"].items() if k != "labels"}} for body in stored]
    for body in _without_owners(bare):
        served.create(body)
    operator.start()
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "NameTaken")
    assert "Secret mcs-ca" in message and f"{MANAGED}=mcs-operator" in message
    settled(served)
    assert identities(served) == before, "nothing is written over"
    ours = {body["metadata"]["name"]: body["metadata"]["labels"] for body in stored}
    for name in ("mcs-ca", "acme-profile", "globex-profile", "initech-profile"):
        label(served, name, **ours[name])
    for name in LINKS:
        served.wait_condition("TVoxLink", name, "Stalled", "True", "NameTaken", 30)  # their slots have none either
    for name, labels in ours.items():
        label(served, name, **labels)
    accepted(served, *LINKS)
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    settled(served, timeout=180)
    assert identities(served) == before


def test_a_profile_that_a_tool_relabelled_is_told_and_heals(served: Api) -> None:
    before = identities(served)
    label(served, "acme-profile", **{MANAGED: "Helm"})
    message = served.wait_condition("TVoxLink", "acme", "Stalled", "True", "ProfileLost")
    assert f"{MANAGED}=mcs-operator" in message, message
    assert "is gone" not in message
    label(served, "acme-profile", **{MANAGED: "mcs-operator"})
    served.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    assert identities(served) == before


def test_a_ca_that_a_tool_relabelled_is_told_and_heals(served: Api) -> None:
    label(served, "mcs-ca", **{MANAGED: "Helm"})
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    assert f"{MANAGED}=mcs-operator" in message, message
    label(served, "mcs-ca", **{MANAGED: "mcs-operator"})
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    label(served, "mcs-ca", **{"mcs.tvox.io/instance": None})
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "IdentityLost")
    assert "mcs.tvox.io/instance" in message, message
    label(served, "mcs-ca", **{"mcs.tvox.io/instance": "mcs"})
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")


def test_profiles_of_an_earlier_operator_are_taken_over_without_a_write(served: Api, operator: Operator) -> None:
    """identity.json named neither link nor instance then."""
    operator.stop()
    for name in LINKS:
        told_before = told(served, name)
        del told_before["link"], told_before["instance"]
        text = json.dumps(told_before, sort_keys=True, separators=(",", ":"))
        body = served.get("Secret", f"{name}-profile")
        data = body["data"] | {"identity.json": base64.b64encode(text.encode()).decode()}
        metadata = {"name": f"{name}-profile", "namespace": served.namespace, "labels": body["metadata"]["labels"]}
        manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        annotations = {"mcs.tvox.io/applied": digest(canonical(manifest))}
        served.merge("Secret", f"{name}-profile", {"metadata": {"annotations": annotations}, "data": data})
    before = settled(served)
    operator.start()
    assert settled(served) == before


def test_a_stranger_with_our_label_in_another_namespace_ends_nobody(served: Api, operator: Operator) -> None:
    """The ConfigMap that ended the operator of the whole cluster, and worse ones."""
    mark, pid = operator.log.stat().st_size, operator.pid
    labels = {MANAGED: "mcs-operator", "mcs.tvox.io/instance": "mcs", "mcs.tvox.io/link": "acme"}
    deep = base64.b64encode(b"[" * 100_000).decode()
    for kind, name, more in (
        ("ConfigMap", "list", {"data": {"users-acme.yaml": "- name: anna.rossi\n"}}),
        ("ConfigMap", "mcs-manifest", {"data": {"links.json": "[" * 100_000}}),
        ("Secret", "mcs-link-099", {"data": {"fingerprints.json": deep}}),
        ("Secret", "mcs-link-copy", {"data": {"fingerprints.json": deep}}),
        ("Secret", "initech-2-profile", {"data": {"identity.json": deep}}),
    ):
        metadata = {"name": name, "namespace": served.namespace, "labels": labels | {"mcs.tvox.io/slot": "copy"}}
        if not served.find(kind, name):
            served.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, **more})
    served.create(a_link("new"))
    accepted(served, "new")
    operator.stop()
    operator.start()
    served.create(a_link("newer"))
    accepted(served, "newer")
    assert "Traceback" not in operator.since(mark)
    assert pid
