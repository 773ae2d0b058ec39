"""Who has which public name, over all namespaces, and who is to hear of a change."""

from __future__ import annotations

from typing import Any

from mcs_operator.domain.conditions import Kind
from mcs_operator.kube.client import LINKS, SECRETS
from mcs_operator.kube.domains import Domains
from mcs_operator.kube.known import domains_elsewhere
from mcs_operator.kube.store import Store

A, B, C = ("TVoxLink", "a", "x"), ("TVoxLink", "b", "x"), ("TVoxLink", "a", "y")


def test_a_second_holder_concerns_the_first_ones_namespace_and_not_its_own() -> None:
    domains = Domains()
    assert domains.put(A, "x.test") == set()
    assert domains.put(C, "x.test") == set()  # the same namespace, which is awake anyway
    assert domains.put(B, "x.test") == {"a"}
    assert set(domains.holders("x.test")) == {A, B, C}


def test_a_domain_that_is_given_up_concerns_those_who_wait_for_it() -> None:
    domains = Domains()
    domains.put(A, "x.test")
    domains.put(B, "x.test")
    assert domains.put(A, "y.test") == {"b"}
    assert domains.drop(A) == set()
    assert set(domains.holders("x.test")) == {B}


def test_the_same_again_concerns_nobody_and_nothing_is_left_of_the_gone() -> None:
    domains = Domains()
    domains.put(A, "x.test")
    assert domains.put(A, "x.test") == set()
    domains.drop(A)
    assert domains.drop(A) == set()
    assert domains.holders("x.test") == ()


def link(namespace: str, name: str, created: str, version: int = 1) -> dict[str, Any]:
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": f"{namespace}/{name}",
        "resourceVersion": str(version),
        "creationTimestamp": created,
    }
    return {"metadata": metadata, "spec": {"domain": "x.test"}}


def test_the_older_one_has_the_domain_and_the_younger_is_woken_when_it_goes() -> None:
    woken: list[str] = []
    store = Store(wake=woken.append)
    store.put(LINKS, link("a", "old", "2026-01-01T00:00:00Z"))
    store.put(LINKS, link("b", "new", "2026-01-02T00:00:00Z"))
    assert domains_elsewhere(store, "a") == {}
    assert domains_elsewhere(store, "b") == {"x.test": Kind.LINK}
    woken.clear()
    store.drop(LINKS, "a", "old", "a/old")
    assert "b" in woken
    assert domains_elsewhere(store, "b") == {}


def test_who_has_an_identity_comes_before_who_is_older() -> None:
    store = Store(wake=lambda _: None)
    store.put(LINKS, link("a", "old", "2026-01-01T00:00:00Z"))
    store.put(LINKS, link("b", "new", "2026-01-02T00:00:00Z"))
    secret = {"namespace": "b", "name": "new-profile", "uid": "s", "resourceVersion": "2"}
    store.put(SECRETS, {"metadata": secret})
    assert domains_elsewhere(store, "a") == {"x.test": Kind.LINK}
    assert domains_elsewhere(store, "b") == {}
