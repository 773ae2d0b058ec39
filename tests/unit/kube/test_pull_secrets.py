"""Pull secrets are told of by no watch: they are looked for by their names, and not often."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.observe import MISSED_SECONDS, observe
from mcs_operator.kube.resources import INSTANCES
from support.objects import an_instance
from support.worlds import NAMESPACE, NOW


class Pulling:
    """An API server that has some Secrets that nobody watches, or says nothing about them."""

    def __init__(self, *names: str) -> None:
        self.names, self.fails = set(names), False
        self.asked: list[str] = []

    async def list(self, *_: Any, fields: str, metadata_only: bool, **__: Any) -> tuple[list[Any], str]:
        assert metadata_only, "a password for a registry is nothing that we have to know"
        name = fields.removeprefix("metadata.name=")
        self.asked.append(name)
        if self.fails:
            raise ApiError(403, "Forbidden", "no")
        body = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": name, "resourceVersion": "1"}}
        return [body] if name in self.names else [], "1"


def missing_for(api: Pulling, store: Store, *of_the_operator: str) -> Any:
    world = asyncio.run(observe(api, store, NAMESPACE, NOW, None, of_the_operator))  # type: ignore[arg-type]
    return world.missing_pull_secrets


def with_an_instance(**spec: Any) -> Store:
    store, body = Store(lambda _: None), an_instance(**spec)
    body["metadata"] |= {"namespace": NAMESPACE, "uid": "u", "resourceVersion": "1"}
    store.take(INSTANCES, body)
    return store


def test_pull_secrets_that_are_not_there_are_known_by_name_and_not_asked_for_at_every_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api, store = Pulling("there"), with_an_instance(imagePullSecrets=[{"name": "there"}, {"name": "gone"}])
    for _ in range(3):
        assert missing_for(api, store, "chart", "there") == {"mcs": ("chart", "gone")}
    assert sorted(api.asked) == ["chart", "gone", "there"]
    api.names |= {"chart", "gone"}
    later = time.monotonic() + MISSED_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert missing_for(api, store, "chart", "there") == {}


def test_of_a_pull_secret_that_nobody_may_look_for_nothing_is_said() -> None:
    api = Pulling()
    api.fails = True
    store = with_an_instance(imagePullSecrets=[{"name": "registry"}])
    assert missing_for(api, store) == missing_for(api, store) == {}
    assert api.asked == ["registry"]


def test_who_has_no_pull_secrets_costs_no_request() -> None:
    api = Pulling()
    assert missing_for(api, with_an_instance()) == {}
    assert api.asked == []
