"""What admission asks the store."""

from __future__ import annotations

from typing import Any

from mcs_operator.domain.conditions import Kind
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import LINKS, SECRETS
from mcs_operator.kube.known import Known
from mcs_operator.kube.names import Names
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
    for namespace in ("demo", "other"):
        metadata = {"namespace": namespace, "name": "acme", "uid": namespace, "resourceVersion": "1"}
        there.store.put(LINKS, {"metadata": metadata, "spec": {"domain": "x.test"}})
    assert list(there.domain_holders("demo", "x.test")) == [(Kind.LINK, "acme")]
    assert not there.is_domain_owned_elsewhere("demo", "x.test", Kind.LINK, "acme"), "a wish owns nothing"


def test_the_clusters_networks_are_none_unless_somebody_reads_them() -> None:
    assert list(known().networks()) == []
