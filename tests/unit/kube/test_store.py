"""What the operator knows: events late and twice, namesakes, ghosts, and the list that ends them."""

from __future__ import annotations

import base64
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.domain.facts.keys import Authority
from mcs_operator.domain.facts.world import Pod, TlsSecret
from mcs_operator.kube.cache import store
from mcs_operator.kube.cache.namespace import Sighting
from mcs_operator.kube.cache.store import Covers, Store, place_of
from mcs_operator.kube.observe import known_world
from mcs_operator.kube.resources import (
    COMMUNITIES,
    CONFIG_MAPS,
    INSTANCES,
    LINKS,
    PODS,
    SECRETS,
    STATEFUL_SETS,
    Resource,
)
from mcs_operator.settings import LABEL_INSTANCE, LABEL_MANAGED_BY, OPERATOR
from support.worlds import NOW

OURS = {LABEL_MANAGED_BY: OPERATOR}
BOTH = pytest.mark.parametrize("resource", [LINKS, SECRETS], ids=["a link", "a Secret"])


class Known:
    """A store, and who was woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        self.store = Store(wake=self.woken.append)

    def names(self, namespace: str = "demo") -> set[str]:
        cache = self.store.cache(namespace)
        return {name for _, name in (*cache.ours, *cache.children)}

    def version(self, resource: Resource, name: str) -> str:
        cache = self.store.cache("demo")
        body: Any = cache.ours.get((resource, name))
        return str(body["metadata"]["resourceVersion"]) if body else cache.children[resource, name].version


def take_list(
    store: Store, resource: Resource, bodies: list[dict[str, Any]], version: str, covers: Covers = lambda labels: True
) -> None:
    """What a list brings, and what it lacks, as the watcher takes it in."""
    for body in bodies:
        store.put(resource, body)
    store.sweep(resource, {place_of(body) for body in bodies}, version, covers)


def seen(name: str = "a", version: int = 1, uid: str = "u1", namespace: str = "demo", **labels: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": OURS | labels,
    }
    return {"metadata": metadata, "data": {}, "spec": {}}


@pytest.fixture
def known() -> Known:
    return Known()


@BOTH
def test_a_change_wakes_its_namespace_and_no_other(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(namespace="one"))
    known.store.put(resource, seen(namespace="two", uid="u2"))
    assert known.woken == ["one", "two"]
    assert sorted(known.store.namespaces()) == ["one", "two"]


def test_a_change_of_a_child_has_a_low_priority() -> None:
    """The queue lets such a change wait for a moment; what people write it does not."""
    woken: list[str] = []
    low_priority: list[str] = []
    store = Store(wake=woken.append, wake_low_priority=low_priority.append)
    store.put(LINKS, seen(namespace="link"))
    store.put(SECRETS, seen(namespace="secret", uid="u2"))
    store.drop(SECRETS, "secret", "a", "u2")
    store.drop(LINKS, "link", "a", "u1")
    assert (woken, low_priority) == (["link"] * 2, ["secret"] * 2)


def test_of_our_objects_the_copies_that_others_keep_in_them_are_left_out(known: Known) -> None:
    """kubectl apply stores the whole object once more in an annotation, the API server its fields."""
    body = seen()
    body["metadata"] |= {
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mcs.tvox.io/x": "y"},
    }
    known.store.put(LINKS, body)
    kept = known.store.cache("demo").ours[LINKS, "a"]["metadata"]
    assert "managedFields" not in kept
    assert kept["annotations"] == {"mcs.tvox.io/x": "y"}


@BOTH
def test_the_same_event_twice_wakes_nobody(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(version=5))
    known.store.put(resource, seen(version=5))
    assert known.woken == ["demo"]


@BOTH
def test_a_late_event_changes_nothing(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(version=10))
    known.store.put(resource, seen(version=9))
    assert known.version(resource, "a") == "10"
    assert len(known.woken) == 1


@BOTH
def test_versions_are_numbers_and_not_texts(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(version=99))
    known.store.put(resource, seen(version=100))
    assert known.version(resource, "a") == "100"


@BOTH
def test_a_namesake_takes_the_place_of_the_one_before_it(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(version=5, uid="old"))
    known.store.put(resource, seen(version=9, uid="new"))
    known.store.drop(resource, "demo", "a", "old", "8")
    assert known.version(resource, "a") == "9"


@BOTH
def test_what_is_gone_is_forgotten(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen(version=5))
    known.store.drop(resource, "demo", "a", "u1", "6")
    assert known.names() == set()
    assert known.woken == ["demo", "demo"]
    assert known.store.namespaces() == []


@BOTH
def test_to_forget_what_nobody_knows_wakes_nobody(known: Known, resource: Resource) -> None:
    known.store.drop(resource, "demo", "a", "u1", "6")
    assert known.woken == []


@BOTH
@pytest.mark.parametrize("told", ["6", ""], ids=["by an event", "by an answer"])
def test_an_answer_that_comes_after_the_deletion_brings_back_no_ghost(
    known: Known, resource: Resource, told: str
) -> None:
    """The operator writes, somebody deletes; the event of the deletion overtakes the answer to the write."""
    known.store.put(resource, seen(version=5))
    known.store.drop(resource, "demo", "a", "u1", told)
    known.store.put(resource, seen(version=5))
    assert known.names() == set()


def test_who_went_is_remembered_for_a_minute_and_not_for_ever(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=lambda: now[0]))
    known.store.drop(SECRETS, "demo", "a", "u1", "6")
    now[0] = 60
    known.store.drop(SECRETS, "demo", "b", "u2", "6")
    known.store.put(SECRETS, seen(version=5))
    assert known.names() == set()
    now[0] = 61
    known.store.drop(SECRETS, "demo", "c", "u3", "6")
    known.store.put(SECRETS, seen("b", version=5, uid="u2"))
    assert known.names() == set()
    known.store.put(SECRETS, seen(version=5))
    assert known.names() == {"a"}, "nothing is so late, and the memory is needed"


def test_a_body_that_comes_after_the_deletion_is_put_nowhere(known: Known) -> None:
    known.store.drop(SECRETS, "demo", "a", "u1", "6")
    known.store.take(SECRETS, seen(version=5))
    assert known.names() == set()


def test_a_secret_that_lost_our_label_and_got_it_back_is_known_again(known: Known) -> None:
    """To a watch by label that is a deletion, of an object that lives on with its UID."""
    known.store.put(SECRETS, seen(version=5))
    known.store.drop(SECRETS, "demo", "a", "u1", "6")
    known.store.put(SECRETS, seen(version=7))
    assert known.version(SECRETS, "a") == "7"


@BOTH
def test_a_complete_list_ends_what_no_event_told_the_end_of(known: Known, resource: Resource) -> None:
    for name in ("stays", "went"):
        known.store.put(resource, seen(name, version=5, uid=name))
    take_list(known.store, resource, [seen("stays", version=5, uid="stays")], "10")
    assert known.names() == {"stays"}


@BOTH
def test_what_is_newer_than_the_list_stays(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen("new", version=11))
    take_list(known.store, resource, [], "10")
    assert known.names() == {"new"}


@BOTH
def test_a_list_ends_what_is_as_old_as_itself_of_its_kind_and_of_its_namespace(
    known: Known, resource: Resource
) -> None:
    known.store.put(resource, seen("here", version=10, uid="here"))
    known.store.put(resource, seen("there", version=10, uid="there", namespace="there"))
    for other in (COMMUNITIES, CONFIG_MAPS):
        known.store.put(other, seen(other.plural, version=10, uid=other.plural))
    known.store.sweep(resource, set(), "", within="demo")
    known.store.sweep(resource, set(), "9", within="demo")
    assert known.names() == {"here", COMMUNITIES.plural, CONFIG_MAPS.plural}
    known.store.sweep(resource, set(), "10", within="demo")
    assert known.names() == {COMMUNITIES.plural, CONFIG_MAPS.plural}
    assert known.names("there") == {"there"}
    known.store.sweep(resource, {("demo", "there")}, "10")
    assert known.names("there") == set(), "a namesake of another namespace is another object"


@BOTH
@pytest.mark.parametrize(("told", "last"), [("8", 8), ("", 5)], ids=["by an event", "by an answer"])
def test_who_went_comes_back_with_a_newer_version_only(known: Known, resource: Resource, told: str, last: int) -> None:
    known.store.put(resource, seen(version=5))
    known.store.drop(resource, "demo", "a", "u1", told)
    known.store.drop(resource, "demo", "a", "u1", "3")
    assert known.store.put(resource, seen(version=last)) is not None, "it is an object, if a late one"
    assert known.names() == set()
    known.store.put(resource, seen(version=last + 1))
    assert known.names() == {"a"}


@BOTH
def test_what_is_taken_in_comes_back_in_its_shape_and_what_is_no_object_does_not(
    known: Known, resource: Resource
) -> None:
    fit = known.store.put(resource, seen(version=5))
    assert fit is not None and fit["metadata"]["ownerReferences"] == []
    assert place_of(fit) == ("demo", "a")
    assert known.store.put(resource, {"metadata": {"name": "a"}}) is None
    assert known.woken == ["demo"]


def test_an_object_that_is_nested_without_end_is_left_out_and_wakes_nobody(known: Known) -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    known.store.put(LINKS, seen() | {"spec": {"other": deep}})
    assert known.names() == set()
    assert known.woken == []


def test_a_domain_that_is_wanted_or_freed_wakes_the_others_who_want_it(known: Known) -> None:
    for namespace in ("one", "two"):
        known.store.put(LINKS, seen(namespace=namespace, uid=namespace) | {"spec": {"domain": "x.test"}})
    assert known.woken == ["one", "two", "one"]
    known.woken.clear()
    known.store.put(LINKS, seen(namespace="one", uid="one", version=2) | {"spec": {"domain": "y.test"}})
    assert known.woken == ["one", "two"]
    known.store.put(LINKS, seen(namespace="one", uid="one", version=3) | {"spec": {"domain": "x.test"}})
    known.woken.clear()
    known.store.drop(LINKS, "two", "a", "two")
    assert known.woken == ["two", "one"]
    assert set(known.store.domains.holders("x.test")) == {("TVoxLink", "one", "a")}


def test_a_certificate_wakes_its_namespace_as_long_as_an_object_names_it(known: Known) -> None:
    def change(version: int) -> list[str]:
        """Who is woken when each of these changes; its name stands for it."""
        changed = []
        for resource, name in ((SECRETS, "tls"), (SECRETS, "ca"), (SECRETS, "other"), (CONFIG_MAPS, "tls")):
            before = len(known.woken)
            body = labelled(name, version, {})
            known.store.put(resource, body | {"metadata": body["metadata"] | {"uid": name}}, tls=True)
            changed += [f"{resource.kind} {name}"] * (len(known.woken) - before)
        return changed

    def names(version: int, **spec: Any) -> None:
        known.store.put(INSTANCES, seen("mcs", version, uid="i1") | {"spec": spec})

    assert change(1) == []
    names(2, tls={"secretRef": {"name": "tls"}}, vpn={"caSecretRef": {"name": "ca"}})
    assert change(3) == ["Secret tls", "Secret ca"]
    names(4, tls={"secretRef": {"name": "other"}})
    assert change(5) == ["Secret other"]
    names(6, tls={"acme": {"accountSecretRef": {"name": "ca"}}})
    assert change(7) == ["Secret ca"]
    known.store.drop(INSTANCES, "demo", "mcs", "i1")
    assert change(8) == []
    known.woken.clear()
    known.store.drop(SECRETS, "demo", "tls", "tls")
    assert known.woken == []


@pytest.mark.parametrize(
    ("uid", "version", "stays"),
    [("u1", 6, True), ("u2", 6, False)],
    ids=["a newer version of a certificate", "a namesake of a certificate"],
)
def test_of_a_certificate_its_type_is_remembered_and_not_of_its_namesake(
    known: Known, uid: str, version: int, stays: bool
) -> None:
    """Metadata do not tell the type: who is known as a certificate is watched by that as well."""
    known.store.put(SECRETS, labelled("tls", 5, USERS), tls=True)
    body = labelled("tls", version, USERS)
    known.store.put(SECRETS, body | {"metadata": body["metadata"] | {"uid": uid}})
    known.store.drop(SECRETS, "demo", "tls", uid, "7", "mcs.tvox.io/users")
    assert known.names() == ({"tls"} if stays else set())


def test_what_is_no_certificate_becomes_none_by_a_change(known: Known) -> None:
    for version in (5, 6):
        known.store.put(SECRETS, labelled("list", version, USERS))
    leave(known.store, "mcs.tvox.io/users", 7, "list")
    assert known.names() == set()


@pytest.mark.parametrize(("uid", "stays"), [("u1", True), ("u2", False)], ids=["of itself", "of a namesake"])
def test_the_list_of_certificates_tells_the_type_also_where_it_is_late(known: Known, uid: str, stays: bool) -> None:
    known.store.put(SECRETS, labelled("tls", 5, USERS))
    body = labelled("tls", 4, USERS)
    known.store.put(SECRETS, body | {"metadata": body["metadata"] | {"uid": uid}}, tls=True)
    leave(known.store, "mcs.tvox.io/users", 6, "tls")
    assert known.names() == ({"tls"} if stays else set())


@BOTH
def test_an_empty_list_ends_all(known: Known, resource: Resource) -> None:
    known.store.put(resource, seen("a", version=1))
    take_list(known.store, resource, [], "1")
    assert known.names() == set()


def test_a_list_by_label_says_nothing_about_others(known: Known) -> None:
    known.store.put(SECRETS, seen("users", version=5, **{"mcs.tvox.io/users": "true"}))
    known.store.put(SECRETS, seen("other", version=5, uid="u2"))
    take_list(known.store, SECRETS, [], "10", lambda labels: "mcs.tvox.io/users" in labels)
    assert known.names() == {"other"}


def test_a_list_that_says_nothing_new_wakes_nobody(known: Known) -> None:
    known.store.put(SECRETS, seen(version=5))
    take_list(known.store, SECRETS, [seen(version=5)], "10")
    assert known.woken == ["demo"]


def test_a_body_is_read_again_only_when_it_changed(known: Known) -> None:
    known.store.take(SECRETS, seen(version=5))
    child = known.store.cache("demo").children[SECRETS, "a"]
    assert not child.stale
    known.store.put(SECRETS, seen(version=6))
    assert child.stale


def test_an_old_body_does_not_pass_for_the_new_one(known: Known) -> None:
    known.store.put(SECRETS, seen(version=6))
    late = known.store.take(SECRETS, seen(version=5))
    assert late is not None and place_of(late) == ("demo", "a"), "who asked for it has an answer"
    assert known.store.cache("demo").children[SECRETS, "a"].stale


def test_of_a_secret_only_digests_are_kept(known: Known) -> None:
    body = seen() | {"data": {"tls.key": "c2VjcmV0"}}
    known.store.take(SECRETS, body)
    assert "c2VjcmV0" not in repr(known.store.cache("demo"))


def test_managed_fields_are_not_kept(known: Known) -> None:
    body = seen()
    body["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    known.store.put(LINKS, body)
    assert "managedFields" not in repr(known.store.cache("demo"))


# --- more than one label, more than one watch ---

USERS = {"mcs.tvox.io/users": "true"}


def labelled(name: str, version: int, labels: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    body = seen(name, version) | {"type": kind}
    body["metadata"]["labels"] = labels
    return body


def leave(store: Store, label: str, version: int, name: str = "mcs-ca") -> None:
    """What a watch by this label tells when an object of it is deleted, or loses the label."""
    store.drop(SECRETS, "demo", name, "u1", str(version), label)


@pytest.mark.parametrize("first", [True, False], ids=["the other watch tells first", "the other watch tells last"])
def test_to_lose_one_of_two_labels_is_not_to_be_deleted(known: Known, first: bool) -> None:
    """Somebody labels a CA as a users file, and takes the label away again."""
    known.store.take(SECRETS, labelled("mcs-ca", 5, OURS | USERS))
    if first:
        known.store.put(SECRETS, labelled("mcs-ca", 6, OURS))
    leave(known.store, "mcs.tvox.io/users", 6)
    assert known.names() == {"mcs-ca"}
    if not first:
        known.store.put(SECRETS, labelled("mcs-ca", 6, OURS))
    assert known.version(SECRETS, "mcs-ca") == "6"


@pytest.mark.parametrize(
    ("lost", "kept"),
    [("mcs.tvox.io/users", OURS), (LABEL_MANAGED_BY, USERS)],
    ids=["the users label", "the operator's label"],
)
def test_whichever_of_two_labels_is_lost_the_other_ones_watch_still_has_the_object(
    known: Known, lost: str, kept: dict[str, str]
) -> None:
    known.store.put(SECRETS, labelled("mcs-ca", 5, OURS | USERS))
    leave(known.store, lost, 6)
    assert known.names() == {"mcs-ca"}
    (other,) = kept
    leave(known.store, other, 7)
    assert known.names() == set()


def test_what_had_two_labels_is_gone_when_both_watches_say_so(known: Known) -> None:
    known.store.put(SECRETS, labelled("mcs-ca", 5, OURS | USERS))
    leave(known.store, "mcs.tvox.io/users", 6)
    leave(known.store, LABEL_MANAGED_BY, 6)
    assert known.names() == set()
    known.store.put(SECRETS, labelled("mcs-ca", 5, OURS | USERS))
    assert known.names() == set(), "a late answer brings back no ghost"


@pytest.mark.parametrize("listed", [True, False], ids=["known by its body", "known by the list of its type"])
def test_a_certificate_that_loses_the_users_label_stays_and_goes_with_its_own_watch(known: Known, listed: bool) -> None:
    kind = "Opaque" if listed else "kubernetes.io/tls"  # metadata do not tell the type
    known.store.put(SECRETS, labelled("tls", 5, USERS, kind), tls=listed)
    leave(known.store, "mcs.tvox.io/users", 6, "tls")
    assert known.names() == {"tls"}
    known.store.drop(SECRETS, "demo", "tls", "u1", "7")
    assert known.names() == set()


def test_one_write_that_takes_one_label_away_and_sets_the_other_loses_nothing(known: Known) -> None:
    known.store.put(SECRETS, labelled("mcs-ca", 5, USERS))
    leave(known.store, "mcs.tvox.io/users", 6)
    known.store.put(SECRETS, labelled("mcs-ca", 6, OURS))
    assert known.names() == {"mcs-ca"}


@pytest.mark.parametrize("version", [7, 8])
def test_a_label_that_came_back_meanwhile_makes_an_old_farewell_void(known: Known, version: int) -> None:
    known.store.put(SECRETS, labelled("mcs-ca", 8, OURS))
    leave(known.store, LABEL_MANAGED_BY, version)
    assert known.names() == {"mcs-ca"}


@pytest.mark.parametrize("labels", [OURS | USERS, OURS], ids=["with the users label", "without"])
def test_a_ca_is_a_ca_whatever_label_is_put_beside_ours(known: Known, labels: dict[str, str]) -> None:
    data = dict.fromkeys(("ca.crt", "ca.key"), "YQ==")
    body = labelled("mcs-ca", 5, labels | {"mcs.tvox.io/instance": "mcs"}) | {"data": data}
    known.store.take(SECRETS, body)
    assert isinstance(known.store.cache("demo").children[SECRETS, "mcs-ca"].detail, Authority)


# --- what is held ---


def a_community_that_names(*files: str) -> dict[str, Any]:
    body = seen("acme", uid="c1")
    return body | {"spec": {"usersFrom": [{"configMapRef": {"name": name}} for name in files]}}


def a_users_file(name: str, version: int = 5) -> dict[str, Any]:
    body = labelled(name, version, USERS)
    body["metadata"]["uid"] = f"u-{name}"
    return body | {"data": {"users.yaml": "- name: anna.rossi\n"}}


def test_a_users_file_that_nobody_names_is_not_held_and_wakes_nobody(known: Known) -> None:
    known.store.put(COMMUNITIES, a_community_that_names("named"))
    known.woken.clear()
    known.store.take(CONFIG_MAPS, a_users_file("stray"))
    assert "anna" not in repr(known.store.cache("demo").children[CONFIG_MAPS, "stray"])
    assert known.woken == []
    known.store.take(CONFIG_MAPS, a_users_file("named"))
    assert known.woken == ["demo"]


def test_of_a_child_no_more_is_kept_than_is_asked_for(known: Known) -> None:
    body = labelled("mcs-links", 5, OURS | {"team": "x" * 60})
    body["metadata"]["annotations"] = {"mcs.tvox.io/applied": "abc", "other": "y" * 200_000}
    known.store.put(CONFIG_MAPS, body)
    kept = known.store.cache("demo").children[CONFIG_MAPS, "mcs-links"].metadata
    assert kept["annotations"] == {"mcs.tvox.io/applied": "abc"}
    assert kept["labels"] == OURS


def test_of_the_metadata_of_a_child_is_kept_who_it_is_whose_and_whether_it_goes(known: Known) -> None:
    """Whoever is about to go is neither written to nor counted upon."""
    owner = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "o"}
    who = {"name": "mcs-links", "namespace": "demo", "uid": "u1", "resourceVersion": "5"}
    kept = who | {"deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [owner], "labels": OURS}
    beside = {"creationTimestamp": "2026-01-01T00:00:00Z", "generation": 3, "finalizers": ["x"], "annotations": {}}
    known.store.put(CONFIG_MAPS, {"metadata": kept | beside})
    assert known.store.cache("demo").children[CONFIG_MAPS, "mcs-links"].metadata == kept


def test_of_the_entries_of_ours_digests_are_kept_and_of_what_is_no_text_and_not_ours_nothing(known: Known) -> None:
    data = {"a": "1", "half": "\ud800", "none": 7}
    known.store.take(CONFIG_MAPS, labelled("mcs-links", 5, OURS) | {"data": data})
    kept = known.store.cache("demo").children[CONFIG_MAPS, "mcs-links"].data
    assert kept == {"a": sha256(b"1").digest(), "half": sha256(b"?").digest()}
    known.store.take(CONFIG_MAPS, a_users_file("stray"))
    assert known.store.cache("demo").children[CONFIG_MAPS, "stray"].data == {}


def test_an_object_is_read_by_a_name_of_ours_with_our_label_or_where_ours_name_it_as_a_certificate(
    known: Known,
) -> None:
    named = seen("mcs", uid="i1") | {"spec": {"tls": {"secretRef": {"name": "named"}}}}
    known.store.put(INSTANCES, named)
    files = {"data": dict.fromkeys(("ca.crt", "ca.key", "tls.crt", "tls.key"), "YQ==")}
    for name, labels, kind in (
        ("mcs-ca", OURS | {LABEL_INSTANCE: "mcs"}, "Opaque"),
        ("named", {}, "kubernetes.io/tls"),
        ("stray", OURS, "kubernetes.io/tls"),
        ("list", OURS, "Opaque"),
        ("old-ca", USERS, "kubernetes.io/tls"),
    ):
        body = labelled(name, 5, labels, kind) | files
        known.store.take(SECRETS, body | {"metadata": body["metadata"] | {"uid": name}})
    pod = labelled("mcs-0", 5, OURS)
    pod["metadata"] |= {"uid": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}
    known.store.take(PODS, pod)
    read = {name: type(child.detail) for (_, name), child in known.store.cache("demo").children.items()}
    nothing = type(None)
    expected = {"mcs-ca": Authority, "named": TlsSecret, "stray": nothing, "list": nothing, "old-ca": nothing}
    assert read == expected | {"mcs-0": Pod}


# --- what has to be read, or is let go of ---


def test_to_be_read_again_is_what_changed_and_somebody_reads(known: Known) -> None:
    def outdated() -> list[str]:
        return [child.name for child in known.store.outdated("demo")]

    known.store.put(SECRETS, labelled("mcs-ca", 5, OURS))
    known.store.put(SECRETS, labelled("list", 5, OURS) | {"metadata": seen("list", 5, "u2")["metadata"]})
    known.store.put(STATEFUL_SETS, seen("mcs", 5, "u3"))
    assert outdated() == ["mcs-ca"]
    known.store.take(SECRETS, labelled("mcs-ca", 5, OURS))
    assert outdated() == []
    known.store.put(SECRETS, labelled("mcs-ca", 6, OURS))
    assert outdated() == ["mcs-ca"]
    known.store.put(SECRETS, labelled("mcs-ca", 7, {}))
    assert outdated() == []


def test_a_certificate_is_read_once_it_is_named_and_let_go_of_once_it_is_not(known: Known) -> None:
    def name(version: int, secret: str) -> None:
        known.store.put(INSTANCES, seen("mcs", version, "i1") | {"spec": {"tls": {"secretRef": {"name": secret}}}})

    body = labelled("tls", 5, {}, "kubernetes.io/tls") | {"data": dict.fromkeys(("tls.crt", "tls.key"), "YQ==")}
    known.store.take(SECRETS, body)
    child = known.store.cache("demo").children[SECRETS, "tls"]
    assert known.store.outdated("demo") == []
    name(6, "tls")
    assert known.store.outdated("demo") == [child], "its body was seen, and not kept"
    known.store.take(SECRETS, body)
    assert (child.detail, known.store.outdated("demo")) == (TlsSecret("tls", "a", "a"), [])
    name(7, "other")
    assert (known.store.outdated("demo"), child.detail) == ([], None)


def test_of_a_pod_whose_annotations_we_changed_nothing_else_has_to_be_read(known: Known) -> None:
    def body(version: int, **annotations: str) -> dict[str, Any]:
        pod = seen("mcs-0", version)
        more = {"creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"mcs.tvox.io/x": "1"} | annotations}
        return pod | {"metadata": pod["metadata"] | more}

    known.store.put(INSTANCES, seen("mcs", 1, "i"))
    known.store.take(PODS, body(5))
    child = known.store.cache("demo").children[PODS, "mcs-0"]
    known.store.take_annotated(child, body(6, **{"mcs.tvox.io/y": "2"}))
    assert not child.stale
    assert child.detail.annotations == {"mcs.tvox.io/x": "1", "mcs.tvox.io/y": "2"}
    known.store.put(PODS, body(8))
    known.store.take_annotated(child, body(7, **{"mcs.tvox.io/y": "3"}))
    assert child.stale, "somebody changed it since: the answer to our change says nothing about that"
    assert child.detail.annotations["mcs.tvox.io/y"] == "2"


def test_of_pods_those_are_read_that_have_the_names_of_an_instance_that_exists(known: Known) -> None:
    def outdated() -> list[str]:
        return sorted(child.name for child in known.store.outdated("demo"))

    names = ("mcs-0", "mcs-pull-0123abcd", "mcs-1", "mcs-pull-x", "other-0", "other-pull-0123abcd", "web-7f9c")
    for name in names:
        pod = labelled(name, 5, OURS)
        pod["metadata"] |= {"uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
        known.store.take(PODS, pod)
    assert outdated() == []
    known.store.put(INSTANCES, seen("mcs", 6, "i"))
    assert outdated() == ["mcs-0", "mcs-pull-0123abcd"]


def test_an_object_that_fulfils_a_manifest_does_so_in_this_version_and_for_this_manifest(known: Known) -> None:
    known.store.put(CONFIG_MAPS, seen("mcs-links", 5))
    child = known.store.cache("demo").children[CONFIG_MAPS, "mcs-links"]
    assert child.fulfils("m1") is False
    known.store.note_in_sync(CONFIG_MAPS, "demo", "mcs-links", "m1")
    assert (child.fulfils("m1"), child.fulfils("m2")) == (True, False)
    known.store.put(CONFIG_MAPS, seen("mcs-links", 6))
    assert child.fulfils("m1") is False
    known.store.note_in_sync(CONFIG_MAPS, "demo", "gone", "m1")
    assert known.names() == {"mcs-links"}, "what was deleted meanwhile stays so"


def test_what_is_taken_away_by_others_is_a_surprise_and_by_us_it_is_not(known: Known) -> None:
    for name in ("ours", "theirs"):
        known.store.take(CONFIG_MAPS, seen(name, 5, name))
    here = known.store.snapshot("demo")
    assert here.observed == {(CONFIG_MAPS, "ours"): "5", (CONFIG_MAPS, "theirs"): "5"}
    known.store.gone(here.children[CONFIG_MAPS, "theirs"])
    known.store.gone(here.children[CONFIG_MAPS, "ours"], by_us=True)
    assert known.names() == set()
    assert set(known.store.cache("demo").observed) == {(CONFIG_MAPS, "theirs")}
    assert len(here.children) == 2, "what was seen then stays as it was"
    known.store.put(LINKS, seen("late", 9, "l"))
    assert here.ours == {}


def test_a_secret_that_was_looked_for_is_remembered_as_long_as_it_is_wanted(known: Known) -> None:
    known.store.put(LINKS, seen())
    found, not_found = Sighting(7.0, {"x": "y"}), Sighting(8.0, None)
    known.store.note_missed("demo", "a-profile", found)
    known.store.note_missed("demo", "b-profile", not_found)
    assert known.store.cache("demo").missed == {"a-profile": found, "b-profile": not_found}
    known.store.forget_missed("demo", ["b-profile", "c-profile"])
    assert known.store.cache("demo").missed == {"b-profile": not_found}


def test_of_a_thousand_labels_and_entries_no_more_is_kept_than_ours_have(known: Known) -> None:
    many = {f"app.kubernetes.io/a{number}": "x" for number in range(1000)}
    body = labelled("mcs-links", 5, many | OURS) | {"data": {f"k{number}": "" for number in range(100_000)}}
    body["metadata"]["annotations"] = {f"mcs.tvox.io/a{number}": "x" for number in range(1000)}
    known.store.take(CONFIG_MAPS, body)
    child = known.store.cache("demo").children[CONFIG_MAPS, "mcs-links"]
    assert child.labels == OURS
    assert len(child.data) <= 64
    assert len(child.metadata["annotations"]) <= 32


def test_of_ten_thousand_objects_that_only_bear_our_label_some_hundred_are_known(known: Known) -> None:
    for number in range(10_000):
        body = labelled(f"stray-{number}", 5, OURS)
        body["metadata"]["uid"] = f"u{number}"
        known.store.take(CONFIG_MAPS, body)
    assert len(known.names()) == 500
    known.store.take(SECRETS, labelled("mcs-ca", 5, OURS))
    assert "mcs-ca" in known.names(), "what has the name of ours finds its place"


@pytest.mark.parametrize(
    ("labels", "tls"),
    [(USERS, False), (OURS | USERS, False), (OURS, True)],
    ids=["users files", "both", "certificates"],
)
def test_what_an_object_may_name_tomorrow_has_room_however_much_of_it_there_is(
    known: Known, labels: dict[str, str], tls: bool
) -> None:
    """A Community that comes after its users file has to find it."""
    for number in range(501):
        body = labelled(f"stray-{number}", 5, labels)
        body["metadata"]["uid"] = f"u{number}"
        known.store.put(SECRETS, body, tls=tls)
    assert len(known.names()) == 501


def test_to_ask_about_a_namespace_does_not_keep_it(known: Known) -> None:
    for number in range(1000):
        known.store.cache(f"forged-{number}")
    assert len(known.store._entries) == 0


@pytest.mark.parametrize("decided", [False, True], ids=["by a replica that stands by", "by the one that leads"])
@BOTH
def test_of_a_thousand_namespaces_that_came_and_went_nothing_is_left(resource: Resource, decided: bool) -> None:
    woken: list[str] = []
    here = Store(wake=woken.append)
    for number in range(1000):
        body = seen("only", 5, f"u{number}")
        body["metadata"]["namespace"] = namespace = f"short-{number}"
        here.put(resource, body)
        if decided:
            here.snapshot(namespace)
        woken.clear()
        here.drop(resource, namespace, "only", f"u{number}")
        if decided:
            assert woken == [namespace]
            here.snapshot(namespace)
    assert len(here._entries) == 0


def test_what_went_while_it_was_decided_about_is_remembered_until_the_next_decision(known: Known) -> None:
    """Or the CA of a namespace that is emptied would be made again in the midst of it."""
    known.store.take(SECRETS, labelled("mcs-ca", 5, OURS))
    known.store.snapshot("demo")
    known.store.gone(known.store.cache("demo").children[SECRETS, "mcs-ca"])
    assert known.names() == set()
    assert set(known.store.cache("demo").observed) == {(SECRETS, "mcs-ca")}
    assert known.store.snapshot("demo").observed == {}


def test_a_label_that_goes_between_the_reading_and_the_deciding_ends_no_reconciliation() -> None:
    here = Known().store
    encoded = {name: base64.b64encode(b"text").decode() for name in ("ca.crt", "ca.key")}
    metadata = {"name": "mcs-ca", "namespace": "demo", "uid": "u1", "resourceVersion": "1"}
    labels = OURS | {LABEL_INSTANCE: "mcs"}
    here.take(SECRETS, {"metadata": metadata | {"labels": labels}, "type": "Opaque", "data": encoded})
    here.put(SECRETS, {"metadata": metadata | {"labels": OURS, "resourceVersion": "2"}})
    assert known_world(here, "demo", NOW).authorities == {"mcs": Authority("text", "text")}
