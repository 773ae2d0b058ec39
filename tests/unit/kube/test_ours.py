"""Spec and status of our three kinds: each field that others read has its shape, or is not there."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.world import Unreadable
from mcs_operator.kube.parse.ours import named, passwords_sources, public_name, read, shaped, users_sources
from support.objects import a_community, a_link, an_instance

TOP: dict[str, Any] = {
    **{key: {} for key in ("instanceRef", "communityRef", "tls", "vpn", "network", "nodeSelector", "authentication")},
    **dict.fromkeys(("domain", "portalDomain", "vpnAddress", "publicAddress", "tier"), "text"),
    **{key: [] for key in ("users", "usersFrom")},
    "enabled": False,
}
BELOW: dict[tuple[str, str], Any] = {
    ("instanceRef", "name"): "text",
    ("communityRef", "name"): "text",
    ("tls", "secretRef"): {},
    ("vpn", "caSecretRef"): {},
    ("vpn", "cidr"): "text",
    ("vpn", "basePort"): 1194,
    ("vpn", "slots"): 250,
    ("network", "mode"): "text",
    ("authentication", "passwordsFrom"): [],
}
WRONG = ({"a": 1}, "text", 7.5, [1])


def spec_of(spec: Any) -> Any:
    return shaped({"spec": spec})["spec"]


def status_of(status: Any) -> Any:
    return shaped({"status": status})["status"]


@pytest.mark.parametrize("key", TOP)
def test_a_field_of_a_spec_is_of_its_type_or_not_there(key: str) -> None:
    good = TOP[key]
    assert spec_of({key: good, "other": None}) == {key: good, "other": None}
    assert [spec_of({key: wrong}) for wrong in WRONG if type(wrong) is not type(good)] == [{}] * (
        4 if key == "enabled" else 3
    )


@pytest.mark.parametrize(("key", "below"), BELOW)
def test_a_field_further_down_is_of_its_type_or_not_there(key: str, below: str) -> None:
    good = BELOW[key, below]
    assert spec_of({key: {below: good, "other": None}}) == {key: {below: good, "other": None}}
    assert [spec_of({key: {below: wrong}}) for wrong in WRONG if type(wrong) is not type(good)] == [{key: {}}] * (
        4 if isinstance(good, int) else 3
    )


def test_of_the_users_of_a_spec_those_are_counted_that_are_enabled_or_not() -> None:
    good = [{"name": "a"}, {"name": "b", "enabled": False}, {"name": "c", "enabled": True}]
    assert spec_of({"users": [*good, {"name": "d", "enabled": "yes"}, "e"]}) == {"users": good}


def test_a_spec_that_has_its_shape_is_not_kept_twice() -> None:
    good = {"spec": {"tier": "text"}, "metadata": {}}
    assert shaped(good) == good | {"status": {}}
    assert shaped({"spec": {"tier": 7}}) == {"spec": {}, "storedSpec": {"tier": 7}, "status": {}}
    assert shaped({}) == {"spec": {}, "storedSpec": None, "status": {}}


# --- status ---


def test_a_condition_has_a_type_a_status_and_a_reason_or_is_left_out() -> None:
    whole = {"type": "Ready", "status": "True", "reason": "Served", "message": "m"}
    odd = [whole | {key: 7} for key in ("type", "status", "reason")]
    assert status_of({"conditions": [*odd, whole, "none"]}) == {"conditions": [whole]}
    assert len(status_of({"conditions": [whole] * 65})["conditions"]) == 64
    assert status_of({"conditions": 7}) == {"conditions": []}


@pytest.mark.parametrize("part", ["links", "users", "bandwidth"])
def test_what_a_status_counts_are_numbers_from_zero_and_a_total_in_words(part: str) -> None:
    counted = {"used": 0, "max": 250, "below": -1, "text": "7", "true": True, "total": "1 Gbit/s"}
    assert status_of({part: counted}) == {part: {"used": 0, "max": 250, "total": "1 Gbit/s"}}
    assert status_of({part: {"total": 7}}) == status_of({part: "none"}) == {part: {}}


@pytest.mark.parametrize(("slot", "kept"), [(1, False), (2, True), (251, True), (252, False), ("17", False)])
def test_a_status_has_one_of_250_slots_or_none(slot: Any, kept: bool) -> None:
    assert status_of({"slot": slot, "other": 1}) == {"other": 1} | ({"slot": slot} if kept else {})


# --- names ---


def test_a_name_is_found_at_the_end_of_its_path() -> None:
    spec = {"tls": {"secretRef": {"name": "tls"}}, "vpn": {"caSecretRef": 7}}
    assert named(spec, "tls", "secretRef", "name") == "tls"
    assert named(spec, "vpn", "caSecretRef", "name") == named(spec, "other") == named(spec, "tls") == ""


def test_the_users_files_that_a_community_names_are_told_by_kind_and_name() -> None:
    listed = [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}, {"secretRef": {"name": ""}}, {}, "c"]
    assert users_sources({"usersFrom": listed}) == {("ConfigMap", "a"), ("Secret", "b")}


def test_the_secrets_with_passwords_that_a_community_names_are_told_by_name() -> None:
    listed = [{"secretRef": {"name": "b"}}, {"secretRef": {"name": ""}}, {"configMapRef": {"name": "a"}}, {}, "c"]
    assert passwords_sources({"authentication": {"passwordsFrom": listed}}) == {"b"}
    for spec in ({}, {"authentication": 5}, {"authentication": {"passwordsFrom": {}}}):
        assert passwords_sources(spec) == set()


def test_the_public_name_of_a_community_is_its_portals() -> None:
    spec = {"domain": "a.test", "portalDomain": "meet.a.test"}
    assert public_name("Community", spec) == "meet.a.test"
    assert public_name("TVoxLink", spec) == public_name("MCSInstance", spec) == "a.test"
    assert public_name("Community", {"domain": "a.test"}) == ""
    assert public_name("TVoxLink", {"domain": 5}) == ""


# --- models ---

METADATA = {"namespace": "demo", "uid": "u", "resourceVersion": "1", "generation": 3}
TIME = {"creationTimestamp": "2026-01-01T00:00:00Z"}


def stored(body: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return body | {"metadata": METADATA | TIME | body["metadata"], "spec": body["spec"] | spec}


def test_each_kind_is_read_by_its_own_model() -> None:
    assert isinstance(read(Kind.INSTANCE, shaped(stored(an_instance()))), MCSInstance)
    assert isinstance(read(Kind.COMMUNITY, shaped(stored(a_community()))), Community)
    assert isinstance(read(Kind.LINK, shaped(stored(a_link("acme")))), TVoxLink)


def test_what_cannot_be_served_is_told_with_its_generation() -> None:
    found = read(Kind.LINK, shaped(stored(a_link("acme"), domain=7)))
    assert isinstance(found, Unreadable)
    assert (found.kind, found.name, found.generation) == (Kind.LINK, "acme", 3)
    assert "spec.domain" in found.problem


@pytest.mark.parametrize(
    "error", [ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, OverflowError, RecursionError]
)
def test_what_a_rule_of_the_models_fails_at_is_told_by_the_objects_name_and_quotes_nothing(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(body: object) -> TVoxLink:
        raise error("its text")

    monkeypatch.setattr(TVoxLink, "from_object", fail)
    found = read(Kind.LINK, shaped(stored(a_link("acme"))))
    assert found == Unreadable(Kind.LINK, "acme", 3, f"TVoxLink acme: cannot be read ({error.__name__})")
