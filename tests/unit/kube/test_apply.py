"""What is written where the store changed between the look at the world and the write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.kube import apply
from mcs_operator.kube.client import SECRETS, ApiError, Resource
from mcs_operator.kube.observe import observe, take_body
from mcs_operator.kube.store import Store
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR
from support.hostile.objects import good, stored
from support.worlds import NAMESPACE, NOW

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
    take_body(store, SECRETS, body)
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
            take_body(store, resource, stored(body, 1))
    for _ in range(3):
        world = asyncio.run(observe(api, store, NAMESPACE, NOW, None))  # type: ignore[arg-type]
        assert set(world.unlabelled) == {"mcs-ca", "acme-profile"}
        assert "app.kubernetes.io/managed-by=mcs-operator" in world.unlabelled["acme-profile"]
    assert sorted(asked) == ["metadata.name=acme-profile", "metadata.name=mcs-ca"]
