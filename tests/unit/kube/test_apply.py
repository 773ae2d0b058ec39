"""What is written where the store changed between the look at the world and the write."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest
from aiohttp import ServerDisconnectedError

from mcs_operator.contract.digest import digest
from mcs_operator.contract.shards import ServedUser, users_files
from mcs_operator.domain.decide import decide
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.kube import apply
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.observe import observe
from mcs_operator.kube.resources import SECRETS, SERVICES, Resource
from mcs_operator.render.render import render
from mcs_operator.render.wanted import unwritten_logins, unwritten_users
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR, Settings
from support.hostile.objects import good, stored
from support.memory import MemoryApi
from support.worlds import HASH, NAMESPACE, NOW, community, given, instance, keys_for, link, passwords, portal

LABELS = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs", LABEL_LINK: "acme"}


class FakeApi:
    """Takes what is created, gives it a version, and deletes what it is asked to."""

    def __init__(self) -> None:
        self.created: list[str] = []

    async def create(self, resource: Resource, body: Any) -> Any:
        self.created.append(body["metadata"]["name"])
        return body | {"metadata": body["metadata"] | {"uid": f"u{len(self.created)}", "resourceVersion": "9"}}

    async def delete(self, *_: object, **__: object) -> bool:
        return True


def a_secret(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "demo", "uid": "u0", "resourceVersion": "1", "labels": LABELS}
    return {"kind": "Secret", "metadata": metadata, "data": {}}


class Namespace:
    """Of one Secret, which the last World was made of."""

    def __init__(self, name: str) -> None:
        self.api: Any = FakeApi()
        self.store = Store(wake=lambda _: None)
        self.name = name
        self.store.take(SECRETS, a_secret(name))
        self.look()

    def look(self) -> None:
        asyncio.run(observe(self.api, self.store, "demo", NOW, None))

    def apply(self, wave: Wave, *, claim: bool = True) -> apply.Outcome:
        body = a_secret(self.name)
        body["metadata"] = {key: body["metadata"][key] for key in ("name", "namespace", "labels")}
        return asyncio.run(apply.apply_all(self.api, self.store, [Manifest(body, wave, claim=claim, link="acme")]))


@pytest.mark.parametrize("wave", [Wave.AUTHORITY, Wave.IDENTITY, Wave.SLOT])
def test_a_claim_that_was_deleted_while_it_was_decided_about_is_not_made_again(wave: Wave) -> None:
    """Whoever deletes a profile does not want those keys any more: what it means is the next World's to say."""
    demo = Namespace("acme-profile")
    demo.store.drop(SECRETS, "demo", "acme-profile", "u0", "2")

    outcome = demo.apply(wave)

    assert demo.api.created == []
    assert outcome.waiting == ["Secret acme-profile: went while it was decided about"]

    demo.look()
    assert demo.apply(wave).settled
    assert demo.api.created == ["acme-profile"]


def test_what_can_be_made_again_from_the_rest_is_made_at_once() -> None:
    demo = Namespace("mcs-links")
    demo.store.drop(SECRETS, "demo", "mcs-links", "u0", "2")
    assert demo.apply(Wave.SHARD, claim=False).settled
    assert demo.api.created == ["mcs-links"]


def test_a_slot_that_we_took_away_ourselves_is_the_next_ones_at_once() -> None:
    demo = Namespace("mcs-link-001")
    assert asyncio.run(apply.drop_slots(demo.api, demo.store, "demo", ["mcs-link-001"])) == 1
    assert demo.apply(Wave.SLOT).settled
    assert demo.api.created == ["mcs-link-001"]


# --- a shard that cannot be written ---


class Refusing:
    """An API server with a quota, or a limit of size: what has a name in ``refused`` it does not take."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.stored: dict[str, Any] = {}
        self.versions = 0

    async def create(self, resource: Resource, body: Any) -> Any:
        name = body["metadata"]["name"]
        if name in self.refused:
            raise ApiError(403, "Forbidden", "exceeded quota: few")
        self.versions += 1
        metadata = body["metadata"] | {"uid": f"u-{name}", "resourceVersion": str(self.versions)}
        self.stored[name] = body | {"metadata": metadata}
        return self.stored[name]

    async def apply(self, resource: Resource, body: Any, **_: Any) -> Any:
        return await self.create(resource, body)

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return self.stored.get(name)


class Mounts:
    """What the pod has mounted of one world after another."""

    def __init__(self) -> None:
        self.api: Any = Refusing()
        self.store = Store(wake=lambda _: None)

    def bring(self, *things: Any) -> apply.Outcome:
        shards = {name: blob for c in self.store.cache("demo").children.values() for name, blob in c.shard.items()}
        world = self.world = given(instance(), *things, shards=shards)
        plan = decide(world)
        manifests = [
            m
            for m in render(world, plan, keys_for(plan), Settings()).manifests
            if m.wave in (Wave.SHARD, Wave.CHECKSUMS)
        ]
        return asyncio.run(apply.apply_all(self.api, self.store, manifests))

    def checksums(self) -> dict[str, str]:
        files: dict[str, str] = json.loads(self.api.stored["mcs-manifest"]["data"]["manifest.json"])["files"]
        return files

    def is_complete(self) -> bool:
        """Whether the appliance would take the set: every file is there and as the manifest says."""
        files: dict[str, bytes] = {}
        for body in self.api.stored.values():
            for name, text in body["data"].items():
                files[name] = base64.b64decode(text) if body["kind"] == "Secret" else text.encode()
        return all(hashlib.sha256(files[name]).hexdigest() == sha for name, sha in self.checksums().items())


def shard_of(name: str) -> str:
    return next(iter(users_files([ServedUser("acme", name, name, ())]))).removesuffix(".json")


def test_a_shard_that_is_refused_keeps_nobody_elses_change_from_the_appliance() -> None:
    """The checksum manifest listed a shard that was not there, and the configuration of everybody stood still."""
    mounts = Mounts()
    assert mounts.bring(community(users=("ann",))).settled
    before = mounts.checksums()
    refused = shard_of("ann")
    mounts.api.refused = {f"mcs-{refused}"}

    outcome = mounts.bring(community(users=[{"name": "ann", "displayName": "Ann"}]), community("beta"), link("a"))

    assert [manifest.name for manifest in outcome.unwritten] == [f"mcs-{refused}"]
    assert "exceeded quota" in outcome.failures[f"Secret mcs-{refused}"]
    assert mounts.is_complete()
    assert mounts.checksums()[f"{refused}.json"] == before[f"{refused}.json"], "what was served before still is"
    assert mounts.checksums()["links.json"] != before["links.json"]
    assert outcome.checksums == digest(mounts.api.stored["mcs-manifest"]["data"]["manifest.json"])
    assert unwritten_users(mounts.world, outcome) == {"acme": f"Secret mcs-{refused}: Forbidden: exceeded quota: few"}

    mounts.api.refused = set()
    healed = mounts.bring(community(users=[{"name": "ann", "displayName": "Ann"}]), community("beta"), link("a"))
    assert healed.settled
    assert unwritten_users(mounts.world, healed) == {}
    assert mounts.is_complete()
    assert mounts.checksums()[f"{refused}.json"] != before[f"{refused}.json"]


def test_passwords_that_are_refused_keep_the_old_ones_and_everybody_elses_change_arrives() -> None:
    """They are a second file of the users' Secret: the set names of both what there is."""
    old, new = (passwords("passwords", f"ada:{hashed}") for hashed in (HASH, HASH.replace("aa", "bb")))
    mounts = Mounts()
    assert mounts.bring(portal(), old).settled
    before, number = mounts.checksums(), shard_of("ada").removeprefix("users-")
    assert {f"users-{number}.json", f"logins-{number}.json"} <= set(before)
    mounts.api.refused = {f"mcs-users-{number}"}

    outcome = mounts.bring(portal(), new, community("beta"))

    assert mounts.is_complete()
    assert mounts.checksums()[f"logins-{number}.json"] == before[f"logins-{number}.json"]
    assert mounts.checksums()["communities.json"] != before["communities.json"]
    assert (set(unwritten_users(mounts.world, outcome)), set(unwritten_logins(mounts.world, outcome))) == (
        set(),
        {"acme"},
    )
    mounts.api.refused = set()
    assert mounts.bring(portal(), new, community("beta")).settled
    assert mounts.is_complete()
    assert mounts.checksums()[f"logins-{number}.json"] != before[f"logins-{number}.json"]


def test_the_first_password_that_is_refused_leaves_its_user_in_the_set() -> None:
    mounts = Mounts()
    assert mounts.bring(portal(), passwords("passwords", "")).settled
    before, number = mounts.checksums(), shard_of("ada").removeprefix("users-")
    mounts.api.refused = {f"mcs-users-{number}"}
    mounts.bring(portal(), passwords("passwords", f"ada:{HASH}"))
    assert mounts.is_complete()
    assert mounts.checksums() == before


def test_a_shard_that_was_never_written_is_not_listed() -> None:
    mounts = Mounts()
    refused = shard_of("ann")
    mounts.api.refused = {f"mcs-{refused}"}
    mounts.bring(community(users=("ann",)), link("a"))
    assert mounts.is_complete()
    assert f"{refused}.json" not in mounts.checksums()


def test_without_the_links_nothing_is_vouched_for() -> None:
    mounts = Mounts()
    assert mounts.bring(community()).settled
    before = mounts.checksums()
    mounts.api.refused = {"mcs-links"}
    outcome = mounts.bring(community(users=("ann",)), link("a"))
    assert "ConfigMap mcs-manifest: waits for ConfigMap mcs-links" in outcome.waiting
    assert mounts.checksums() == before
    assert mounts.is_complete()


def test_a_refused_shard_costs_no_write_of_the_manifest_again_and_again() -> None:
    mounts = Mounts()
    mounts.api.refused = {f"mcs-{shard_of('ann')}"}
    assert mounts.bring(community(users=("ann",))).writes == 2
    assert mounts.bring(community(users=("ann",))).writes == 0


# --- what goes wrong with one object ---


def a_manifest(name: str, wave: Wave, *, kind: str = "Secret", **options: Any) -> Manifest:
    labels = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"} | (
        {LABEL_LINK: options["link"]} if "link" in options else {}
    )
    metadata = {"name": name, "namespace": "demo", "labels": labels}
    return Manifest({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {}}, wave, **options)


FAILURES = {
    "refused": ApiError(403, "Forbidden", "exceeded quota"),
    "no answer": NoAnswerError(ServerDisconnectedError()),
    "what nobody thought of": ServerDisconnectedError(),
    "a defect": KeyError("spec"),
}


def applied(api: MemoryApi, *manifests: Manifest, store: Store | None = None) -> apply.Outcome:
    server: Any = api
    return asyncio.run(apply.apply_all(server, store or Store(wake=lambda _: None), manifests))


def names(api: MemoryApi) -> set[str]:
    return {name for _, _, name in api.objects}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_one_object_that_fails_keeps_no_other_from_being_written(error: Exception) -> None:
    api = MemoryApi()
    api.trouble = lambda verb, kind, name: error if name == "s-07" else None
    outcome = applied(api, *(a_manifest(f"s-{number:02d}", Wave.SHARD) for number in range(20)))
    assert len(names(api)) == 19
    assert not outcome.settled
    told = [*outcome.failures.values(), *outcome.waiting]
    assert len(told) == 1
    assert told[0].startswith("Secret s-07: ")


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_what_fails_for_one_link_is_told_of_it_alone_and_it_gets_no_slot(error: Exception) -> None:
    api = MemoryApi()
    api.trouble = lambda verb, kind, name: error if name == "a-profile" else None
    manifests = [a_manifest(f"{link}-profile", Wave.IDENTITY, link=link, claim=True) for link in "ab"]
    manifests += [a_manifest(f"mcs-link-{link}", Wave.SLOT, link=link, claim=True) for link in "ab"]
    outcome = applied(api, *manifests)
    assert names(api) == {"b-profile", "mcs-link-b"}
    assert set(outcome.errors) <= {"a"} and not outcome.failures
    assert not outcome.settled


def test_where_no_answer_came_nobodys_status_is_turned_over() -> None:
    api = MemoryApi()
    api.trouble = lambda verb, kind, name: FAILURES["no answer"]
    outcome = applied(api, a_manifest("mcs-link-a", Wave.SLOT, link="a", claim=True))
    assert (outcome.errors, outcome.failures, len(outcome.waiting)) == ({}, {}, 1)


def test_what_takes_something_away_goes_before_all_else_and_waits_for_nothing() -> None:
    """A revoked slot, while the CA's Secret was changed by somebody, and neither it nor the profile can be written."""
    api, store = MemoryApi(), Store(wake=lambda _: None)
    server: Any = api
    ca, identity = a_manifest("mcs-ca", Wave.AUTHORITY, claim=True), a_manifest("a-profile", Wave.IDENTITY, link="a")
    slot = a_manifest("mcs-link-a", Wave.SLOT, link="a", claim=True)
    assert applied(api, ca, identity, slot, store=store).settled
    asyncio.run(observe(server, store, "demo", NOW, None))
    found = api.find(SECRETS, "mcs-ca")
    assert found
    api.add(store, SECRETS, found | {"data": {"ca.crt": "AAAA"}})
    api.trouble = lambda verb, kind, name: FAILURES["refused"] if "link" not in name and verb != "get" else None
    api.writes.clear()

    stops = Manifest(slot.body | {"data": {"enabled": "ZmFsc2U="}}, Wave.SLOT, True, "a", takes_away=True)
    changed = [Manifest(m.body | {"data": {"x": "eA=="}}, m.wave, m.claim, m.link) for m in (ca, identity)]
    applied(api, *changed, stops, store=store)
    assert api.writes == ["apply Secret/mcs-link-a"]


def test_a_held_link_gets_nothing_and_the_others_do() -> None:
    api = MemoryApi()
    server: Any = api
    manifests = [a_manifest(f"mcs-link-{link}", Wave.SLOT, link=link, claim=True) for link in "ab"]
    asyncio.run(apply.apply_all(server, Store(wake=lambda _: None), manifests, held=["a"]))
    assert names(api) == {"mcs-link-b"}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_one_that_cannot_be_deleted_keeps_the_others_from_nothing(error: Exception) -> None:
    api, store, outcome = MemoryApi(), Store(wake=lambda _: None), apply.Outcome()
    server: Any = api
    for name in "abc":
        api.add(store, SECRETS, {"metadata": {"name": name, "namespace": "demo", "labels": LABELS}})
    api.trouble = lambda verb, kind, name: error if name == "a" else None
    assert asyncio.run(apply.drop_slots(server, store, "demo", "abc", outcome)) == 2
    assert names(api) == {"a"}
    assert not outcome.settled


@pytest.mark.parametrize("body", [{"roleRef": {"name": "x"}, "subjects": []}, {}], ids=["other fields", "none"])
def test_a_kind_without_a_spec_is_compared_by_what_it_has(body: dict[str, Any]) -> None:
    whole = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "annotations": {"a": "b"}}, "status": {}}
    assert apply._comparable(SERVICES, whole | body) == {"metadata": {"name": "x"}} | body


# --- names that are taken by what lacks our labels ---


class Restored(FakeApi):
    """An API server in which a Secret lies that bears other labels than ours."""

    def __init__(self, labels: dict[str, str]) -> None:
        super().__init__()
        self.labels = labels

    async def create(self, resource: Resource, body: Any) -> Any:
        raise ApiError(409, "AlreadyExists", "exists")

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        body = a_secret(name)
        return body | {"metadata": body["metadata"] | {"labels": self.labels}}

    async def list(self, *_: Any, fields: str = "", **__: Any) -> Any:
        return [await self.get(SECRETS, "demo", fields.removeprefix("metadata.name="))], "1"


def manifest(name: str, *, of: str | None = "acme", claim: bool = True) -> Manifest:
    labels = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"} | ({LABEL_LINK: of} if of else {})
    body = {"kind": "Secret", "metadata": {"name": name, "namespace": "demo", "labels": labels}, "data": {}}
    return Manifest(body, Wave.IDENTITY, claim=claim, link=of)


@pytest.mark.parametrize(
    ("labels", "lacks"),
    [
        ({}, "app.kubernetes.io/managed-by=mcs-operator, mcs.tvox.io/instance=mcs, mcs.tvox.io/link=acme"),
        (LABELS | {LABEL_MANAGED_BY: "Helm"}, "app.kubernetes.io/managed-by=mcs-operator"),
    ],
    ids=["restored without labels", "relabelled by a tool"],
)
def test_who_has_a_links_name_without_our_labels_is_left_alone_and_the_labels_are_told(
    labels: dict[str, str], lacks: str
) -> None:
    outcome = asyncio.run(apply.apply_all(Restored(labels), Store(lambda _: None), [manifest("acme-profile")]))  # type: ignore[arg-type]
    assert outcome.taken == {"acme": "acme-profile"}
    assert f"Secret acme-profile exists without label {lacks}," in outcome.foreign["Secret acme-profile"]
    assert outcome.writes == 0


@pytest.mark.parametrize("of", [None, "acme"], ids=["a CA", "a profile"])
@pytest.mark.parametrize("label", [LABEL_INSTANCE, LABEL_LINK])
def test_an_identity_that_lost_a_label_is_not_written_over(of: str | None, label: str) -> None:
    if of is None and label == LABEL_LINK:
        return  # a CA has none
    api, store = Restored({}), Store(lambda _: None)
    body = a_secret("x-profile")
    body["metadata"]["labels"] = {key: value for key, value in LABELS.items() if key != label}
    store.take(SECRETS, body)
    asyncio.run(observe(api, store, "demo", NOW, None))  # type: ignore[arg-type]
    outcome = asyncio.run(apply.apply_all(api, store, [manifest("x-profile", of=of)]))  # type: ignore[arg-type]
    assert f"without label {label}=" in outcome.foreign["Secret x-profile"]
    assert outcome.writes == 0
    assert outcome.taken == ({"acme": "x-profile"} if of else {})


def test_what_is_missed_is_looked_for_by_name_once_and_its_labels_are_told() -> None:
    asked: list[str] = []

    class Counting(Restored):
        async def list(self, *args: Any, fields: str = "", metadata_only: bool = False, **more: Any) -> Any:
            assert metadata_only, "what does not bear our label is not read"
            asked.append(fields)
            return await super().list(*args, fields=fields, **more)

    api, store = Counting({LABEL_MANAGED_BY: "Helm"}), Store(lambda _: None)
    for resource, body in good():
        if body["metadata"]["name"] not in ("mcs-ca", "acme-profile"):
            store.take(resource, stored(body, 1))
    for _ in range(3):
        world = asyncio.run(observe(api, store, NAMESPACE, NOW, None))  # type: ignore[arg-type]
        assert set(world.unlabelled) == {"mcs-ca", "acme-profile"}
        assert "app.kubernetes.io/managed-by=mcs-operator" in world.unlabelled["acme-profile"]
    assert sorted(asked) == ["metadata.name=acme-profile", "metadata.name=mcs-ca"]
