"""The webhook's path: unguessable, one for all replicas, and written once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mcs_operator.handlers.route import _UNGUESSABLE, Route
from mcs_operator.kube.client import ApiError

Object = dict[str, Any]


class Stored:
    """The ValidatingWebhookConfiguration of an API server."""

    def __init__(self, *paths: str | None) -> None:
        services = [{"name": "x"} | ({"path": path} if path is not None else {}) for path in paths]
        self.body: Any = {
            "metadata": {"resourceVersion": "1"},
            "webhooks": [{"clientConfig": {"service": service}} for service in services],
        }
        self.writes = 0

    async def get(self, *_: Any) -> Any:
        return deepcopy(self.body)

    async def patch(self, _resource: Any, _name: str, operations: list[Object]) -> Object:
        test, *adds = operations
        if test["value"] != self.body["metadata"]["resourceVersion"]:
            raise ApiError(422, "Invalid", "changed meanwhile")
        self.writes += 1
        self.body["metadata"]["resourceVersion"] = str(self.writes + 1)
        for add in adds:
            _, kind, at, *where, field = add["path"].split("/")
            place = self.body[kind][int(at)]
            for step in where:
                place = place[step]
            place[field] = add["value"]
        return dict(self.body)

    def paths(self) -> list[str]:
        return [webhook["clientConfig"]["service"].get("path", "") for webhook in self.body["webhooks"]]


def route(stored: Stored, leads: bool = True) -> Route:
    return Route(stored, lambda: leads)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", [None, "", "/validate", "/validate/short", "/validate/" + "ü" * 64, "/validate/" + "A" * 64]
)
async def test_the_leader_registers_a_path_that_nobody_can_guess_and_the_others_follow(path: str | None) -> None:
    stored = Stored(path)
    follower, leader = route(stored, leads=False), route(stored)
    await follower.look()
    assert (follower.path, stored.writes) == ("", 0)
    await leader.look()
    await follower.look()
    assert _UNGUESSABLE.fullmatch(leader.path)
    assert stored.paths() == [leader.path] == [follower.path]
    await leader.look()
    assert stored.writes == 1, "what is registered is not written again"


async def test_another_installation_has_another_path() -> None:
    one, other = route(Stored(None)), route(Stored(None))
    await one.look()
    await other.look()
    assert one.path != other.path


async def test_a_path_that_is_taken_away_comes_back_the_same() -> None:
    stored = Stored(None, None)
    leader = route(stored)
    await leader.look()
    path = leader.path
    stored.body["webhooks"][1]["clientConfig"]["service"]["path"] = "/validate"
    await leader.look()
    assert stored.paths() == [path, path]


async def test_of_two_who_both_believe_to_lead_one_writes() -> None:
    stored = Stored(None)
    leader, stale = route(stored), route(stored)
    seen = deepcopy(stored.body)
    await leader.look()
    with pytest.raises(ApiError):
        await stale._register(seen, [0])
    await stale.look()
    assert stale.path == leader.path


@pytest.mark.parametrize(
    "webhooks",
    [None, [], "text", [None], [{}], [{"clientConfig": None}], [{"clientConfig": {"url": "https://x"}}], {"a": 1}],
)
async def test_whatever_a_configuration_says_it_is_no_failure(webhooks: Any) -> None:
    stored = Stored()
    stored.body["webhooks"] = webhooks
    leader = route(stored)
    await leader.look()
    assert (leader.path, stored.writes) == ("", 0)
    stored.body = None
    await leader.look()
    assert (leader.path, stored.writes) == ("", 0)
