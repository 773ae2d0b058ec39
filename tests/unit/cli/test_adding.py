"""What becomes of new customers between the check and the day when all are accepted."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import pytest

from mcs_operator.cli import adding
from mcs_operator.cli.access import Cluster
from mcs_operator.cli.customers import Customer, Manifests
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import Object, Resource

THREE = [
    Customer(f"c.csv, line {n + 2}", {"name": name, "domain": f"{name}.mcs.test", "users": ("anna",)})
    for n, name in enumerate(("a", "b", "c"))
]
MADE = Manifests.of(THREE, "mcs", "demo")


class Server:
    """Takes objects until it fails; links as they are seen at each look."""

    def __init__(self, *failures: ApiError | None, looks: list[list[Object]] | None = None) -> None:
        self.failures, self.looks, self.created = list(failures), looks or [], list[str]()

    async def create(self, _: Resource, body: Object) -> Object:
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        assert body["metadata"]["namespace"] == "demo"
        self.created.append(f"{body['kind']}/{body['metadata']['name']}")
        return body

    async def list(self, _: Resource, *, namespace: str) -> tuple[list[Object], str]:
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]), "1"


def at(server: Server) -> Cluster:
    return Cluster(server, "demo")  # type: ignore[arg-type]


def created(*failures: ApiError | None) -> tuple[Server, list[str]]:
    server, told = Server(*failures), list[str]()
    asyncio.run(adding.create(at(server), MADE, MADE.all, told.append))
    return server, told


def test_a_community_is_there_before_its_link_and_each_is_told() -> None:
    server, told = created()
    assert server.created[:2] == ["Community/a", "TVoxLink/a"]
    assert told[-1] == "   6 of 6  TVoxLink/c"


def test_what_somebody_else_created_meanwhile_is_no_failure() -> None:
    server, told = created(ApiError(409, "AlreadyExists", "it exists"))
    assert (len(server.created), len(told)) == (5, 6)


def test_where_it_ends_early_it_says_where_and_how_far_it_has_come() -> None:
    with pytest.raises(click.ClickException) as ended:
        created(None, None, None, ApiError(403, "Forbidden", "exceeded quota"))
    assert ended.value.message == (
        "c.csv, line 3: exceeded quota; 3 of 6 objects are written; the same command goes on from there"
    )


def link(name: str, status: str, message: str = "") -> Object:
    condition = {"type": "Accepted", "status": status, "message": message}
    return {"metadata": {"name": name, "namespace": "demo"}, "status": {"conditions": [condition]}}


def waited(monkeypatch: pytest.MonkeyPatch, *looks: list[Object], timeout: int = 600) -> list[str]:
    monkeypatch.setattr(adding, "_LOOK_EVERY", 0)
    told: list[str] = []
    try:
        asyncio.run(adding.accepted(at(Server(looks=list(looks))), ["a", "b"], timeout, told.append))
    except click.ClickException as error:
        told.append(error.message)
    return [line.partition("s  ")[2] or line for line in told]


def test_it_is_over_when_all_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [link("a", "True"), link("b", "Unknown"), link("other", "False")]
    assert waited(monkeypatch, [], first, [link("a", "True"), link("b", "True")]) == [
        "0 of 2 accepted",
        "1 of 2 accepted",
        "2 of 2 accepted",
    ]


def test_a_refusal_of_a_moment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    early = [link("a", "True"), link("b", "False", "no Community yet")]
    assert waited(monkeypatch, early, early, [link("a", "True"), link("b", "True")])[-1] == "2 of 2 accepted"


@pytest.mark.parametrize("timeout", [600, -1])
def test_a_refusal_that_stays_is_told_in_the_operators_words(monkeypatch: pytest.MonkeyPatch, timeout: int) -> None:
    told = waited(monkeypatch, [link("a", "True"), link("b", "False", "no slot is free")], timeout=timeout)
    assert told[-2] == "TVoxLink/b: no slot is free"
    assert told[-1] == "1 of 2 accepted; `kubectl mcs links --namespace=demo` shows all"


def compared(document: int, spec: dict[str, Any], **status: Any) -> list[str]:
    stored = MADE.all[document].body["spec"] | spec
    return list(adding._differences(MADE, MADE.all[document], {"spec": stored, "status": status}))


def test_what_is_there_may_say_more_than_the_row() -> None:
    assert compared(0, {"users": [{"name": "anna"}, {"name": "bea"}], "defaultFunctions": ["Audio"]}) == []
    assert compared(0, {"users": [], "usersFrom": [{"configMapRef": {"name": "x"}}]}) == []
    assert compared(1, {"protocol": "TCP", "allowedSources": ["203.0.113.0/24"]}, vpnAddress="198.18.254.3") == []


def test_what_is_there_may_not_say_something_else() -> None:
    assert compared(0, {"users": []}) == ["spec.users: Community/a is there already, without anna; add them to it"]
    (told,) = compared(1, {"communityRef": {"name": "other"}})
    assert told == "spec.communityRef.name: TVoxLink/a is there already, with 'other'; change it, or take this one out"
