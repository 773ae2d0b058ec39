"""What is known of a namespace: what of it is much, and what of it is never shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcs_operator.domain.facts.world import AgentCredentials, TlsSecret
from support.worlds import PAIR, community, given, profile, slot, users_file


def listing(count: int) -> str:
    return "".join(f"- name: u{n}\n" for n in range(count))


def inline(name: str, count: int) -> object:
    return community(name, users=[f"u{n}" for n in range(count)])


def test_more_than_a_thousand_users_are_many_wherever_they_are_listed() -> None:
    assert not given().has_many_users
    assert not given(inline("a", 1000)).has_many_users
    assert given(inline("a", 999), inline("b", 2)).has_many_users
    assert not given(users_file("staff", listing(1000))).has_many_users
    assert given(users_file("staff", listing(1001))).has_many_users
    assert not given(inline("a", 500), users_file("staff", listing(500))).has_many_users
    assert given(inline("a", 500), users_file("staff", listing(501))).has_many_users


def test_users_whose_file_cannot_be_read_are_many_by_what_the_appliance_was_given() -> None:
    assert not given(shards={"users-00": b"x" * 16384}).has_many_users
    assert given(shards={"users-00": b"x" * 16384, "users-01": b"x"}).has_many_users
    assert not given(shards={"users-00": b"x", "links-00": b"x" * 99999}).has_many_users


@pytest.mark.parametrize(
    "thing",
    [
        AgentCredentials(PAIR, "hunter2"),
        TlsSecret("web", "chain", "hunter2"),
        slot(17, "acme", tls_crypt="hunter2"),
        replace(profile("acme", 17), tls_crypt="hunter2"),
    ],
)
def test_what_is_secret_is_not_shown_with_the_world_that_holds_it(thing: object) -> None:
    assert not given().has_many_users
    assert "hunter2" not in repr(thing)
