"""Users files on their way in: what is fetched, what is read, what is kept, and that nobody has to wait for it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from typing import Any

import pytest

from mcs_operator.api.usersfile import UsersFile
from mcs_operator.domain.facts.world import World
from mcs_operator.kube import observe as observing
from mcs_operator.kube import usersfiles
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.observe import observe
from mcs_operator.kube.resources import BY_KIND, COMMUNITIES, CONFIG_MAPS, SECRETS, Resource
from mcs_operator.settings import LABEL_USERS
from support.objects import a_community, an_instance
from support.worlds import NOW


class Cluster:
    """ConfigMaps and Secrets that anybody may change, and how often each was fetched."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[Resource, str], Any] = {}
        self.fetched: list[str] = []
        self.version = 1
        self.store = Store(wake=lambda _: None)
        self.ours(an_instance())

    def ours(self, body: Any, age: str = "0") -> None:
        """An object of our kinds."""
        self.version += 1
        body["metadata"] |= {
            "namespace": "demo",
            "uid": f"u-{body['metadata']['name']}",
            "resourceVersion": str(self.version),
            "creationTimestamp": f"2026-03-01T12:00:0{age}Z",
        }
        self.store.put(BY_KIND[body["kind"]], body)

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        self.fetched.append(name)
        return self.bodies.get((resource, name))

    def put(
        self, name: str, text: str | bytes, *, resource: Resource = CONFIG_MAPS, label: str = "true", **more: Any
    ) -> None:
        self.version += 1
        metadata = {
            "name": name,
            "namespace": "demo",
            "uid": f"u-{name}",
            "resourceVersion": str(self.version),
            "labels": {LABEL_USERS: label},
        }
        raw = text if isinstance(text, bytes) else text.encode()
        data = {"users.yaml": base64.b64encode(raw).decode() if resource is SECRETS else raw.decode()}
        self.bodies[resource, name] = {"metadata": metadata, "data": data} | more
        self.store.put(resource, {"metadata": metadata})

    def community(
        self, name: str, files: Sequence[str], *, age: str = "0", field: str = "configMapRef", **more: Any
    ) -> None:
        self.ours(a_community(name, usersFrom=[{field: {"name": file}} for file in files], **more), age)

    def look(self) -> World:
        self.fetched.clear()
        return asyncio.run(observe(self, self.store, "demo", NOW, None))  # type: ignore[arg-type]


def names(file: UsersFile) -> list[str] | None:
    return None if file.users is None else [user.name for user in file.users]


@pytest.fixture
def demo() -> Cluster:
    return Cluster()


@pytest.mark.parametrize(("resource", "field"), [(CONFIG_MAPS, "configMapRef"), (SECRETS, "secretRef")])
def test_a_file_that_a_community_names_is_read_once(demo: Cluster, resource: Resource, field: str) -> None:
    demo.put("staff", "- name: ann", resource=resource)
    demo.community("acme", ["staff"], field=field)
    assert names(demo.look().users_files[resource.kind, "staff"]) == ["ann"]
    assert demo.fetched == ["staff"]
    assert names(demo.look().users_files[resource.kind, "staff"]) == ["ann"]
    assert demo.fetched == []


def test_a_file_that_nobody_names_is_never_fetched_and_forgotten_when_it_is_not_named_any_more(demo: Cluster) -> None:
    """Anybody may label any number of ConfigMaps, 1 MiB each."""
    demo.put("staff", "- name: ann")
    assert (demo.look().users_files, demo.fetched) == ({}, [])
    demo.community("acme", ["staff"])
    assert demo.look().users_files
    demo.community("acme", ["other"])
    assert (demo.look().users_files, demo.fetched) == ({}, [])
    assert all(child.users is None for child in demo.store.cache("demo").children.values())


@pytest.mark.parametrize("more", [{"instance": "nobody"}, {"enabled": False}], ids=["no instance", "switched off"])
def test_files_of_a_community_that_is_not_served_are_not_fetched(demo: Cluster, more: Any) -> None:
    demo.put("staff", "- name: ann")
    demo.community("acme", ["staff"])
    assert demo.look().users_files
    demo.community("acme", ["staff"], **more)
    assert (demo.look().users_files, demo.fetched) == ({}, [])


def test_a_file_without_the_label_is_not_fetched(demo: Cluster) -> None:
    demo.put("staff", "- name: ann", label="false")
    demo.community("acme", ["staff"])
    assert (demo.look().users_files, demo.fetched) == ({}, [])


def test_what_changes_is_read_again_and_what_only_has_a_new_version_is_not(
    demo: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    known = usersfiles.take_users_file
    monkeypatch.setattr(
        usersfiles, "take_users_file", lambda kind, name, text: read.append(name) or known(kind, name, text)
    )
    demo.community("acme", ["staff"])
    for text in ("- name: ann", "- name: ann", "- name: bob"):
        demo.put("staff", text)
        assert names(demo.look().users_files["ConfigMap", "staff"]) == [text[8:]]
    assert read == ["staff", "staff"]


def test_what_is_wrong_with_a_file_is_told_and_a_file_that_is_gone_is_gone(demo: Cluster) -> None:
    demo.community("acme", ["staff", "old"])
    demo.put("staff", "[" * 60_000)
    demo.put("old", b"", data={}, binaryData={"users.yaml": base64.b64encode("- name: a".encode("utf-16")).decode()})
    found = demo.look().users_files
    assert found["ConfigMap", "staff"].problem.startswith("line 1: [0]: must be a user")
    assert found["ConfigMap", "old"].problem.startswith("it is not UTF-8 but UTF-16")
    demo.put("staff", "- name: ann")
    del demo.bodies[CONFIG_MAPS, "staff"]
    assert set(demo.look().users_files) == {("ConfigMap", "old")}


def listed(count: int, prefix: str) -> str:
    return "".join(f"- name: {prefix}{n}\n" for n in range(count))


def test_of_one_namespace_so_many_users_are_held_and_whoever_came_first_is_not_set_aside(demo: Cluster) -> None:
    demo.community("elder", ["a", "b"], age="1")
    demo.community("younger", ["c", "d"], age="2")
    for name, count in (("a", 9_000), ("b", 9_000), ("c", 2_001), ("d", 2_000)):
        demo.put(name, listed(count, name))
    found = demo.look().users_files
    held = {name: file.users and len(file.users) for (_, name), file in found.items()}
    assert held == {"a": 9_000, "b": 9_000, "c": None, "d": 2_000}
    assert "more than 20000 users together" in found["ConfigMap", "c"].problem
    demo.look()
    assert demo.fetched == [], "it is not fetched again and again for that"

    demo.put("b", listed(1, "b"))
    found = demo.look().users_files
    assert demo.fetched == ["b", "c"], "now it fits"
    assert {name: file.users and len(file.users) for (_, name), file in found.items()} == {
        "a": 9_000,
        "b": 1,
        "c": 2_001,
        "d": 2_000,
    }


@pytest.mark.parametrize(
    "users", [None, [], "x", {"users": 7}, [None, 7, {"configMapRef": 7}, {"configMapRef": {"name": 7}}]]
)
def test_a_community_that_is_stored_oddly_names_nothing(demo: Cluster, users: Any) -> None:
    demo.community("acme", [])
    body = demo.store.cache("demo").ours[COMMUNITIES, "acme"]
    body["spec"]["usersFrom"] = users
    demo.store.put(COMMUNITIES, body)
    assert list(usersfiles._named(demo.store.cache("demo"))) == []


class Turns:
    """How long the turns of the event loop take, in seconds of its own thread: others work on the machine as well."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.longest = 0.0
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.events.Handle) -> None:
            begun = time.thread_time()
            run(handle)
            self.longest = max(self.longest, time.thread_time() - begun)

        monkeypatch.setattr(asyncio.events.Handle, "_run", timed)


def test_the_event_loop_does_not_wait_for_the_largest_file(demo: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MiB with 10,000 users kept everybody waiting for most of a second, at every reconciliation."""
    line = "- {{name: user.{n:05d}, displayName: 'Somebody Or Other {n}', functions: [Audio, Video, Chat]}}\n"
    demo.put("staff", "".join(line.format(n=n) for n in range(10_000)))
    demo.community("acme", ["staff"])
    turns = Turns(monkeypatch)
    assert len(demo.look().users_files["ConfigMap", "staff"].users or ()) == 10_000
    assert turns.longest < 0.05


def test_the_event_loop_does_not_wait_for_a_hundred_thousand_users_inline(
    demo: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"name": f"u{n}", "displayName": f"Somebody {n}", "functions": ["Audio"]} for n in range(1000)]
    for n in range(100):
        demo.community(f"c{n}", [], users=people)
    turns = Turns(monkeypatch)
    assert sum(len(community.spec.users) for community in demo.look().communities) == 100_000
    assert turns.longest < 0.05


def test_what_is_changed_while_a_world_is_made_is_in_the_next_one(
    demo: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made in a thread of its own, and the watches go on."""
    monkeypatch.setattr(observing, "_MANY_INLINE", 0)
    demo.community("acme", [], users=["ann"])
    known = observing._world

    def slowly(*asked: Any) -> World:
        demo.community("beta", [])
        return known(*asked)

    monkeypatch.setattr(observing, "_world", slowly)
    assert [community.name for community in demo.look().communities] == ["acme"]
    assert [community.name for community in demo.look().communities] == ["acme", "beta"]
