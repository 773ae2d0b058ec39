"""What is written where the store changed between the look at the world and the write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.kube import apply
from mcs_operator.kube.client import SECRETS, Resource
from mcs_operator.kube.observe import observe, take_body
from mcs_operator.kube.store import Store
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR
from support.worlds import NOW

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
