"""What is written where the store changed between the look at the world and the write."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest

from mcs_operator.domain.decide import decide
from mcs_operator.domain.manifest import Manifest, Wave, digest
from mcs_operator.domain.shardfiles import ServedUser, users_files
from mcs_operator.kube import apply
from mcs_operator.kube.client import SECRETS, ApiError, Resource
from mcs_operator.kube.observe import observe, take_body
from mcs_operator.kube.store import Store
from mcs_operator.reconcile import unwritten_users
from mcs_operator.render.render import render
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR, Settings
from support.worlds import NOW, community, given, instance, keys_for, link

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
        take_body(self.store, SECRETS, a_secret(name))
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
        shards = {name: blob for c in self.store.shelf("demo").children.values() for name, blob in c.shard.items()}
        world = self.world = given(instance(), *things, shards=shards)
        plan = decide(world)
        manifests = [
            m for m in render(world, plan, keys_for(plan), Settings()).manifests if m.wave in (Wave.SHARD, Wave.VOUCHER)
        ]
        return asyncio.run(apply.apply_all(self.api, self.store, manifests))

    def vouched(self) -> dict[str, str]:
        files: dict[str, str] = json.loads(self.api.stored["mcs-manifest"]["data"]["manifest.json"])["files"]
        return files

    def is_complete(self) -> bool:
        """Whether the appliance would take the set: every file is there and as the manifest says."""
        files: dict[str, bytes] = {}
        for body in self.api.stored.values():
            for name, text in body["data"].items():
                files[name] = base64.b64decode(text) if body["kind"] == "Secret" else text.encode()
        return all(hashlib.sha256(files[name]).hexdigest() == sha for name, sha in self.vouched().items())


def shard_of(name: str) -> str:
    return next(iter(users_files([ServedUser("acme", name, name, ())]))).removesuffix(".json")


def test_a_shard_that_is_refused_keeps_nobody_elses_change_from_the_appliance() -> None:
    """The manifest vouched for a shard that was not there, and the configuration of everybody stood still."""
    mounts = Mounts()
    assert mounts.bring(community(users=("ann",))).settled
    before = mounts.vouched()
    refused = shard_of("ann")
    mounts.api.refused = {f"mcs-{refused}"}

    outcome = mounts.bring(community(users=[{"name": "ann", "displayName": "Ann"}]), community("beta"), link("a"))

    assert [manifest.name for manifest in outcome.unwritten] == [f"mcs-{refused}"]
    assert "exceeded quota" in outcome.failures[f"Secret mcs-{refused}"]
    assert mounts.is_complete()
    assert mounts.vouched()[f"{refused}.json"] == before[f"{refused}.json"], "what was served before still is"
    assert mounts.vouched()["links.json"] != before["links.json"]
    assert outcome.voucher == digest(mounts.api.stored["mcs-manifest"]["data"]["manifest.json"])
    assert unwritten_users(mounts.world, outcome) == {"acme": f"Secret mcs-{refused}: Forbidden: exceeded quota: few"}

    mounts.api.refused = set()
    healed = mounts.bring(community(users=[{"name": "ann", "displayName": "Ann"}]), community("beta"), link("a"))
    assert healed.settled
    assert unwritten_users(mounts.world, healed) == {}
    assert mounts.is_complete()
    assert mounts.vouched()[f"{refused}.json"] != before[f"{refused}.json"]


def test_a_shard_that_was_never_written_is_not_vouched_for() -> None:
    mounts = Mounts()
    refused = shard_of("ann")
    mounts.api.refused = {f"mcs-{refused}"}
    mounts.bring(community(users=("ann",)), link("a"))
    assert mounts.is_complete()
    assert f"{refused}.json" not in mounts.vouched()


def test_without_the_links_nothing_is_vouched_for() -> None:
    mounts = Mounts()
    assert mounts.bring(community()).settled
    before = mounts.vouched()
    mounts.api.refused = {"mcs-links"}
    outcome = mounts.bring(community(users=("ann",)), link("a"))
    assert "ConfigMap mcs-manifest: waits for ConfigMap mcs-links" in outcome.waiting
    assert mounts.vouched() == before
    assert mounts.is_complete()


def test_a_refused_shard_costs_no_write_of_the_manifest_again_and_again() -> None:
    mounts = Mounts()
    mounts.api.refused = {f"mcs-{shard_of('ann')}"}
    assert mounts.bring(community(users=("ann",))).writes == 2
    assert mounts.bring(community(users=("ann",))).writes == 0
