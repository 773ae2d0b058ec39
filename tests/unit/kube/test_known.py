"""What admission asks the store."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.pod.prediction import NO_SIZE
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.known import Known, absent_of
from mcs_operator.kube.names import Names
from mcs_operator.kube.resources import COMMUNITIES, CONFIG_MAPS, INSTANCES, LINKS, SECRETS, Resource
from mcs_operator.settings import LABEL_LINK, LABEL_MANAGED_BY, LABEL_PASSWORDS, LABEL_USERS, OPERATOR
from support.worlds import given, profile, slot


def known() -> Known:
    store = Store(wake=lambda _: None)
    return Known(store, Names(store, lambda namespace: given()))


def secret(there: Known, name: str, detail: Any, **metadata: Any) -> None:
    body = {"metadata": {"namespace": "demo", "name": name, "uid": name, "resourceVersion": "1", **metadata}}
    there.store.put(SECRETS, body)
    there.store.cache("demo").children[SECRETS, name].detail = detail


def owned_by(kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": "mcs.tvox.io/v1alpha1", "kind": kind, "name": "x", "uid": "u"}]}


def test_identities_are_those_of_the_instance_that_do_not_go_with_it() -> None:
    there = known()
    kept, held = profile("kept", 17), slot(18, "held")
    secret(there, "kept-profile", kept)
    secret(there, "mcs-link-018", held, **owned_by("TVoxLink"))
    secret(there, "goes-profile", profile("goes", 19), **owned_by("MCSInstance"))
    secret(there, "far-profile", profile("far", 20, owner="other"))
    secret(there, "unread-profile", None)
    assert list(there.identities("demo", "mcs")) == [kept, held]
    assert list(there.identities("elsewhere", "mcs")) == []


def test_a_domain_of_this_namespace_is_told_with_its_holder_and_one_of_another_is_not() -> None:
    there = known()
    for namespace, name in (("demo", "acme"), ("other", "bolt")):
        metadata = {"namespace": namespace, "name": name, "uid": namespace, "resourceVersion": "1"}
        there.store.put(LINKS, {"metadata": metadata, "spec": {"domain": "x.test"}})
    assert list(there.domain_holders("demo", "x.test")) == [(Kind.LINK, "acme")]
    assert list(there.domain_holders("other", "x.test")) == [(Kind.LINK, "bolt")]
    assert not there.is_domain_owned_elsewhere("demo", "x.test", Kind.LINK, "acme"), "a wish owns nothing"


def test_whether_a_domain_is_owned_elsewhere_is_asked_about_this_very_object() -> None:
    asked: list[tuple[str, ...]] = []

    class Owned:
        def is_owned_elsewhere(self, *about: str) -> bool:
            asked.append(about)
            return about == ("x.test", "demo", Kind.LINK, "acme")

    there = Known(known().store, cast("Names", Owned()))
    assert there.is_domain_owned_elsewhere("demo", "x.test", Kind.LINK, "acme") is True
    assert there.is_domain_owned_elsewhere("other", "x.test", Kind.LINK, "acme") is False


def test_passwords_are_those_whose_label_names_the_community() -> None:
    there = known()
    put(there, SECRETS, "demo", "hashes", **{LABEL_PASSWORDS: "acme"})
    put(there, SECRETS, "demo", "users", **{LABEL_USERS: "true"})
    asked = (("acme", "hashes"), ("other", "hashes"), ("acme", "users"), ("acme", "none"))
    assert [there.has_passwords("demo", *one) for one in asked] == [True, False, False, False]


def test_the_clusters_networks_are_none_unless_somebody_reads_them() -> None:
    assert list(known().networks()) == []


# --- what is known by name ---


def put(there: Known, resource: Any, namespace: str, name: str, **labels: str) -> None:
    metadata = {"namespace": namespace, "name": name, "uid": f"{namespace} {name}", "resourceVersion": "1"}
    there.store.put(resource, {"metadata": metadata | {"labels": labels}, "spec": {}})


def names(bodies: Any) -> list[tuple[str, str]]:
    return [(body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies]


def test_an_object_is_found_by_its_kind_its_namespace_and_its_name() -> None:
    there = known()
    for kind, resource in ((Kind.INSTANCE, INSTANCES), (Kind.COMMUNITY, COMMUNITIES), (Kind.LINK, LINKS)):
        put(there, resource, "demo", f"the-{kind.lower()}")
    for kind in Kind:
        found = there.find(kind, "demo", f"the-{kind.lower()}")
        assert found is not None and found["metadata"]["name"] == f"the-{kind.lower()}"
        assert there.find(kind, "other", f"the-{kind.lower()}") is None
        assert [there.find(other, "demo", f"the-{kind.lower()}") for other in Kind if other != kind] == [None, None]


def test_objects_are_listed_by_kind_of_one_namespace_and_instances_of_all() -> None:
    there = known()
    for namespace in ("demo", "other"):
        for resource in (INSTANCES, COMMUNITIES, LINKS):
            put(there, resource, namespace, resource.plural)
    assert names(there.instances()) == [("demo", INSTANCES.plural), ("other", INSTANCES.plural)]
    assert names(there.instances("other")) == [("other", INSTANCES.plural)]
    assert names(there.communities("demo")) == [("demo", COMMUNITIES.plural)]
    assert names(there.links("demo")) == [("demo", LINKS.plural)]
    assert list(there.instances("")) == list(there.links("nowhere")) == []


def test_who_holds_a_slot_is_told_by_the_names_of_the_secrets_that_are_ours() -> None:
    there, ours = known(), {LABEL_MANAGED_BY: OPERATOR}
    put(there, SECRETS, "demo", "mcs-link-017", **ours, **{LABEL_LINK: "acme"})
    put(there, SECRETS, "demo", "mcs-link-018", **ours)
    put(there, SECRETS, "demo", "other-link-019", **ours, **{LABEL_LINK: "far"})
    put(there, SECRETS, "demo", "mcs-link-020", **{LABEL_LINK: "copy", LABEL_USERS: "true"})
    put(there, SECRETS, "demo", "mcs-ca", **ours)
    put(there, CONFIG_MAPS, "demo", "mcs-link-021", **ours)
    put(there, SECRETS, "elsewhere", "mcs-link-022", **ours)
    assert there.slots("demo", "mcs") == {17: "acme", 18: ""}
    assert there.slots("demo", "other") == {19: "far"}


def test_the_clusters_networks_are_those_that_were_read() -> None:
    there = known()
    network = Network("10.42.0.0/16", "pods")
    assert list(Known(there.store, there.names, lambda: [network]).networks()) == [network]
    assert Known(there.store, there.names, cluster_resizing=lambda: NO_SIZE).resizing() is NO_SIZE


def test_texts_of_128_characters_that_recur_are_held_once_and_longer_ones_are_nobody_elses() -> None:
    there = known()
    for name in ("one", "other"):
        metadata = {"namespace": "demo", "name": name, "uid": name, "resourceVersion": "1"}
        spec = {"short": "".join(["x"] * 128), "long": "".join(["x"] * 129), "list": ["".join(["y"] * 128)]}
        there.store.put(LINKS, {"metadata": metadata, "spec": spec})
    one, other = (there.find(Kind.LINK, "demo", name) for name in ("one", "other"))
    assert one is not None and other is not None
    assert one["spec"]["short"] is other["spec"]["short"]
    assert one["spec"]["list"][0] is other["spec"]["list"][0]
    assert one["spec"]["long"] is not other["spec"]["long"]


class Asked:
    """An API server that is asked for objects, by their names. ``answer``: what it has of them."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def list(self, resource: Resource, *, namespace: str, fields: str, metadata_only: bool) -> object:
        assert (namespace, metadata_only) == ("demo", True), "no key is asked for"
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "silence":
            await asyncio.sleep(3600)
        has = f"{resource.kind} {fields.removeprefix('metadata.name=')}" in cast(Any, self.answer)
        return ([{"metadata": {}}] if has else []), ""


A, B = ("Service", "a"), ("Secret", "b")


@pytest.mark.parametrize(
    ("answer", "absent"),
    [
        (["Secret a"], {("Service", "demo", "a"), ("Secret", "demo", "b")}),
        (["Service a"], {("Secret", "demo", "b")}),
        (["Service a", "Secret b"], set()),
        (ApiError(403, "Forbidden", "no"), set()),
        ("silence", set()),
    ],
    ids=["none", "one", "both", "nobody may look", "silence"],
)
async def test_what_is_looked_for_is_absent_where_the_api_server_says_so_and_in_no_other_case(
    answer: object, absent: set[object]
) -> None:
    api: Any = Asked(answer)
    assert await absent_of(api, "demo", {A, B}, asyncio.Semaphore(1), seconds=0.05) == absent


async def test_of_many_that_ask_at_once_a_few_wait_for_an_answer_and_the_others_go_without() -> None:
    silent, none, turns = cast(Any, Asked("silence")), cast(Any, Asked([])), asyncio.Semaphore(2)
    waiting = [asyncio.create_task(absent_of(silent, "demo", {A}, turns, seconds=30)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(absent_of(none, "demo", {A}, turns), 1) == set()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await absent_of(none, "demo", {A}, turns) == {("Service", "demo", "a")}


def test_only_what_somebody_looked_for_is_not_there() -> None:
    there = replace(known(), absent={("Service", "demo", "a"), ("Secret", "demo", "b")})
    places = (("demo", "a"), ("demo", "b"), ("other", "a"))
    assert [there.has_service(*place) for place in places] == [False, True, True]
    assert [there.has_secret(*place) for place in places] == [True, False, True]
