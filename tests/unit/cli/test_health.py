"""`kubectl mcs status` of a namespace, and of all: what is well, and what only looks so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.health import Health, health_of
from mcs_operator.cli.main import cli
from mcs_operator.kube.resources import Resource
from support.objects import a_community, a_link, an_instance

Object = dict[str, Any]


def at(namespace: str, *bodies: Object) -> list[Object]:
    return [body | {"metadata": body["metadata"] | {"namespace": namespace}} for body in bodies]


def cluster_with(bodies: list[Object], everywhere: bool = False) -> Cluster:
    class Server:
        async def list(self, resource: Resource, *, namespace: str | None) -> tuple[list[Object], str]:
            found = [b for b in bodies if b["kind"] == resource.kind]
            return [b for b in found if namespace in (None, b["metadata"]["namespace"])], "1"

    return Cluster(Server(), "here", everywhere=everywhere)  # type: ignore[arg-type]


def health(*bodies: Object, everywhere: bool = False) -> Health:
    return asyncio.run(health_of(cluster_with(list(bodies), everywhere), None))


def test_an_empty_namespace_is_not_well() -> None:
    found = health()
    assert not found.is_well
    assert found.as_text() == "There is no MCSInstance in namespace here."


def test_an_instance_without_trouble_is_well() -> None:
    found = health(*at("here", an_instance(), a_community(), a_link("acme")))
    assert found.is_well
    assert found.as_text().endswith("nothing needs attention")


def test_customers_whose_instance_is_missing_are_named() -> None:
    found = health(*at("here", an_instance("other"), a_link("acme")))
    assert not found.is_well
    assert found.as_text().endswith(
        "Customers whose MCSInstance is not there:\n  ! TVoxLink/acme in namespace here: MCSInstance mcs"
    )


def test_a_namesake_in_another_namespace_serves_nobody_here() -> None:
    bodies = [*at("here", an_instance()), *at("there", a_link("acme"))]
    found = health(*bodies, everywhere=True)
    assert found.unserved == ["TVoxLink/acme in namespace there: MCSInstance mcs"]
    assert health(*bodies).is_well


def test_of_all_namespaces_there_is_one_answer_for_each_instance() -> None:
    bodies = [*at("b", an_instance(), a_link("acme")), *at("a", an_instance(), a_link("acme"))]
    assert [view["namespace"] for view in health(*bodies, everywhere=True).instances] == ["a", "b"]
    assert health(everywhere=True).as_text() == "There is no MCSInstance in any namespace."


@pytest.mark.parametrize("command", ["links", "interruptions"])
def test_of_all_namespaces_each_line_names_its_own(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    instance = an_instance() | {"status": {"interruptions": [{"cause": "SpecChanged"}]}}
    bodies = at("there", instance, a_link("acme"))
    monkeypatch.setattr(
        Access, "run", lambda access, work: asyncio.run(work(cluster_with(bodies, everywhere=access.of_all)))
    )
    everywhere = CliRunner().invoke(cli, [command, "-A"]).output.splitlines()
    assert everywhere[0].startswith("NAMESPACE ") and everywhere[1].startswith("there ")
    assert CliRunner().invoke(cli, [command]).output == "nothing found\n"


def test_one_instance_is_not_looked_for_everywhere() -> None:
    assert CliRunner().invoke(cli, ["status", "mcs", "-A"]).exit_code == 2
