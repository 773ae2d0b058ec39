"""Secrets with passwords on their way in: what is fetched, whom it is believed of, and that nobody else pays for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from mcs_operator.api.erasure import Erasure
from mcs_operator.domain.facts.world import World
from mcs_operator.kube import passwords
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.cache.watch import PASSWORDS, SCOPES, Watcher
from mcs_operator.kube.client import WatchEvent
from mcs_operator.kube.observe import known_world, observe
from mcs_operator.kube.resources import BY_KIND, COMMUNITIES, SECRETS, Resource
from mcs_operator.settings import LABEL_PASSWORDS, LABEL_USERS
from support.objects import a_community, an_instance
from support.worlds import NOW

BCRYPT = "$2y$10$" + "a" * 53


def line(name: str) -> str:
    return f"{name}:{BCRYPT}\n"


def secret(name: str, text: str | None, version: int, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": f"u-{name}", "resourceVersion": str(version)}
    data = {} if text is None else {".htpasswd": base64.b64encode(text.encode()).decode()}
    return {"metadata": metadata | {"labels": labels}, "data": data}


def a_portal(name: str, secrets: Sequence[str], **more: Any) -> dict[str, Any]:
    sources = [{"secretRef": {"name": secret}} for secret in secrets]
    spec = {"portalDomain": f"meet.{name}.test", "authentication": {"passwordsFrom": sources}} | more
    return a_community(name, **spec)


class Cluster:
    """Secrets that anybody may change, and how often each was fetched."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}
        self.fetched: list[str] = []
        self.woken = 0
        self.version = 1
        self.store = Store(wake=self._wake)
        self.ours(an_instance())

    def _wake(self, _: str) -> None:
        self.woken += 1

    def ours(self, body: Any, age: int = 0) -> None:
        self.version += 1
        body["metadata"] |= {
            "namespace": "demo",
            "uid": f"u-{body['metadata']['name']}",
            "resourceVersion": str(self.version),
            "creationTimestamp": f"2026-03-01T12:00:{age:02d}Z",
        }
        self.store.put(BY_KIND[body["kind"]], body)

    def put(self, name: str, text: str | None, of: str | None = "acme", **labels: str) -> None:
        """A Secret with passwords of this Community; of None: without the label."""
        self.version += 1
        labels |= {} if of is None else {LABEL_PASSWORDS: of}
        self.bodies[name] = secret(name, text, self.version, **labels)
        self.store.put(SECRETS, {"metadata": self.bodies[name]["metadata"]})

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        self.fetched.append(name)
        return self.bodies.get(name)

    def look(self) -> World:
        self.fetched.clear()
        return asyncio.run(observe(self, self.store, "demo", NOW, None))  # type: ignore[arg-type]


@pytest.fixture
def demo() -> Cluster:
    there = Cluster()
    there.ours(a_portal("acme", ["acme-passwords"]))
    return there


def names(world: World, of: str = "acme-passwords") -> list[str] | None:
    logins = world.passwords[of].logins
    return None if logins is None else [login.name for login in logins]


def test_a_secret_that_a_community_names_is_read_once_and_again_when_it_changes(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    assert (names(demo.look()), demo.fetched) == (["ada"], ["acme-passwords"])
    assert (names(demo.look()), demo.fetched) == (["ada"], [])
    demo.put("acme-passwords", line("ada") + line("bob"))
    assert (names(demo.look()), demo.fetched) == (["ada", "bob"], ["acme-passwords"])


def test_a_request_to_erase_is_taken_up_and_taken_back_with_the_same_passwords(demo: Cluster) -> None:
    for text in (line("ada"), "ada:hunter2", None):
        demo.put("acme-passwords", text)
        assert demo.look().passwords["acme-passwords"].erasures == ()
        there = names(demo.look())
        demo.put("acme-passwords", text)
        demo.bodies["acme-passwords"]["data"][".erase"] = base64.b64encode(f"bob:{'b' * 32}".encode()).decode()
        found = demo.look()
        assert found.passwords["acme-passwords"].erasures == (Erasure("bob", "b" * 32),)
        assert names(found) == there


def test_one_that_is_labelled_for_another_community_is_not_even_fetched(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"), of="globex")
    assert (demo.look().passwords, demo.fetched) == ({}, [])
    demo.ours(a_portal("globex", ["acme-passwords"]))
    assert demo.look().passwords["acme-passwords"].community == "globex"


def test_a_label_that_is_set_to_another_community_wakes_whoever_names_it_and_counts(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    assert demo.look().passwords
    demo.woken = 0
    demo.put("acme-passwords", line("ada"), of="globex")
    assert demo.woken == 1
    assert demo.look().passwords == {}
    demo.put("acme-passwords", line("ada"))
    assert names(demo.look()) == ["ada"]


def test_without_its_label_it_is_nobodys(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    assert demo.look().passwords
    demo.put("acme-passwords", line("ada"), of=None, **{LABEL_USERS: "true"})
    assert (demo.look().passwords, demo.fetched) == ({}, [])


@pytest.mark.parametrize(
    "more",
    [{"portalDomain": None}, {"enabled": False}, {"instanceRef": {"name": "other"}}, {"authentication": {}}],
    ids=["without a portal", "switched off", "of no instance here", "without a source"],
)
def test_it_is_not_fetched_where_nobody_would_log_in_by_it(demo: Cluster, more: Any) -> None:
    demo.put("acme-passwords", line("ada"))
    demo.ours(a_portal("acme", ["acme-passwords"], **more))
    assert (demo.look().passwords, demo.fetched) == ({}, [])


def test_what_nobody_names_wakes_nobody_and_is_forgotten(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    demo.look()
    demo.woken = 0
    demo.put("other", line("bob"))
    assert demo.woken == 0
    demo.ours(a_portal("acme", ["elsewhere"]))
    assert demo.look().passwords == {}
    assert all(child.passwords is None for child in demo.store.cache("demo").children.values())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ada:hunter2\n", "line 1: the hash must be argon2id or bcrypt"),
        (line("ada") + line("ada"), "line 2: the same name as in line 1"),
        (None, ""),
    ],
    ids=["a password as it is", "a user twice", "no key"],
)
def test_what_cannot_be_taken_is_told_and_mended_by_the_next_version(
    demo: Cluster, text: str | None, problem: str
) -> None:
    demo.put("acme-passwords", text)
    found = demo.look().passwords["acme-passwords"]
    assert found.logins is None
    assert found.problem.startswith(problem)
    assert bool(found.problem) is bool(problem)
    assert demo.look() and demo.fetched == [], "until it changes"
    demo.put("acme-passwords", line("ada"))
    assert names(demo.look()) == ["ada"]


def test_no_base64_is_told_as_well(demo: Cluster) -> None:
    demo.put("acme-passwords", "")
    demo.bodies["acme-passwords"]["data"][".htpasswd"] = "%%%"
    assert demo.look().passwords["acme-passwords"].problem.startswith("it is not text in UTF-8")


def test_a_namespace_with_too_many_sets_the_younger_ones_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MOST_LISTED", 3)
    demo = Cluster()
    for age, name in enumerate(("old", "young")):
        demo.ours(a_portal(name, [f"{name}-passwords"]), age)
        demo.put(f"{name}-passwords", line("a") + line("b"), of=name)
    world = demo.look()
    assert names(world, "old-passwords") == ["a", "b"]
    assert world.passwords["young-passwords"].problem == passwords._TOO_MANY
    demo.put("old-passwords", line("a"), of="old")
    assert names(demo.look(), "young-passwords") == ["a", "b"]


def test_what_went_while_it_was_fetched_is_gone(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    demo.bodies.clear()
    assert demo.look().passwords == {}


def test_who_only_asks_for_names_reads_no_passwords(demo: Cluster) -> None:
    demo.put("acme-passwords", line("ada"))
    demo.look()
    known = known_world(demo.store, "demo", NOW)
    assert known.passwords == {}
    assert known.communities[0].spec.authentication.passwords_from == ()
    assert known.communities[0].spec.portal_domain == "meet.acme.test"


# --- lists and watches: none before a Community names such a Secret ---


class Server:
    """Which lists and watches are asked for, by their selectors of labels; tells of one event each."""

    def __init__(self, *listed: dict[str, Any]) -> None:
        self.listed, self.asked = list(listed), list[str]()
        self.events: asyncio.Queue[WatchEvent] = asyncio.Queue()

    async def pages(self, resource: Resource, *, labels: str = "", **_: Any) -> AsyncIterator[tuple[list[Any], Any]]:
        self.asked.append(f"list {labels}")
        yield (self.listed if labels == LABEL_PASSWORDS else []), "10"

    async def watch(self, resource: Resource, *, labels: str = "", **_: Any) -> AsyncIterator[WatchEvent]:
        self.asked.append(f"watch {labels}")
        while labels == LABEL_PASSWORDS:
            yield await self.events.get()
        await asyncio.sleep(60)

    def about_passwords(self) -> list[str]:
        return [asked for asked in self.asked if LABEL_PASSWORDS in asked]


@contextlib.asynccontextmanager
async def watching(server: Server, store: Store) -> AsyncIterator[Watcher]:
    watcher = Watcher(server, store)  # type: ignore[arg-type]
    task = asyncio.create_task(watcher.run())
    await asyncio.wait_for(watcher.ready.wait(), 2)
    await asyncio.sleep(0.05)
    yield watcher
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def community_of(store: Store, *secrets: str, version: int = 20) -> None:
    metadata = {"name": "acme", "namespace": "demo", "uid": "u-acme", "resourceVersion": str(version)}
    store.put(COMMUNITIES, a_portal("acme", secrets) | {"metadata": metadata})


async def test_where_nobody_has_passwords_nobody_asks_for_any() -> None:
    server, store = Server(), Store(lambda _: None)
    community_of(store)
    async with watching(server, store):
        assert server.about_passwords() == []
        assert len(server.asked) == 2 * len(SCOPES) - 3, "our kinds are watched by Kopf"


async def test_the_first_who_names_one_has_them_listed_and_watched() -> None:
    server, store = Server(secret("acme-passwords", None, 5, **{LABEL_PASSWORDS: "acme"})), Store(lambda _: None)
    async with watching(server, store):
        community_of(store, "acme-passwords")
        await asyncio.sleep(0.05)
        assert server.about_passwords() == [f"list {LABEL_PASSWORDS}", f"watch {LABEL_PASSWORDS}"]
        assert (SECRETS, "acme-passwords") in store.cache("demo").children
        community_of(store, "acme-passwords", "more", version=21)
        await asyncio.sleep(0.05)
        assert len(server.about_passwords()) == 2, "once is enough"
        gone = secret("acme-passwords", None, 30, **{LABEL_PASSWORDS: "acme"})
        server.events.put_nowait(WatchEvent("DELETED", gone))
        await asyncio.sleep(0.05)
        assert (SECRETS, "acme-passwords") not in store.cache("demo").children


async def test_after_a_restart_they_are_known_before_anything_is_decided() -> None:
    server, store = Server(secret("acme-passwords", None, 5, **{LABEL_PASSWORDS: "acme"})), Store(lambda _: None)
    community_of(store, "acme-passwords")
    watcher = Watcher(server, store)  # type: ignore[arg-type]
    task = asyncio.create_task(watcher.run())
    await asyncio.wait_for(watcher.ready.wait(), 2)
    assert server.about_passwords()[:1] == [f"list {LABEL_PASSWORDS}"]
    assert (SECRETS, "acme-passwords") in store.cache("demo").children
    await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert server.about_passwords() == [f"list {LABEL_PASSWORDS}", f"watch {LABEL_PASSWORDS}"]


async def test_who_looks_once_lists_them_if_they_are_named() -> None:
    server, store = Server(), Store(lambda _: None)
    await Watcher(server, store).list_once()  # type: ignore[arg-type]
    assert server.about_passwords() == []
    community_of(store, "acme-passwords")
    await Watcher(server, store).list_once()  # type: ignore[arg-type]
    assert server.about_passwords() == [f"list {LABEL_PASSWORDS}"]


def test_their_label_is_asked_for_with_any_value_and_a_list_covers_them_alone() -> None:
    assert PASSWORDS.selectors == {"labels": LABEL_PASSWORDS}
    assert PASSWORDS.covers({LABEL_PASSWORDS: ""})
    assert not PASSWORDS.covers({LABEL_USERS: "true"})
    tls = next(scope for scope in SCOPES if scope.field)
    assert not tls.covers({LABEL_PASSWORDS: "acme"})
