"""What belongs together is there together: operator/README.md, "What to touch", names the files; this fails until all
of them know of what is new."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from mcs_operator.cli.main import cli
from mcs_operator.contract.linkstate import LinkReport, LinkState, MediaState, TunnelState
from mcs_operator.domain.decide import decide
from mcs_operator.kube.resources import BY_KIND, CHILDREN
from mcs_operator.kube.rights import IN_ALL_NAMESPACES
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.api import ROOT
from support.worlds import community, given, identity, instance, keys_for, link

OPERATOR = ROOT / "operator" / "mcs_operator"
ONLY_SHOWN = {"draining", "error", "links", "users"}
"""What the appliance says for whoever reads the report itself."""


def code(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((OPERATOR / folder).rglob("*.py")))


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_every_verb_of_the_plugin_is_documented(verb: str) -> None:
    page = (ROOT / "docs" / "kubectl-mcs.md").read_text()
    assert re.search(rf"^\| `{verb}\b", page, re.MULTILINE)


@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork", "LoadBalancer"])
def test_every_kind_that_is_rendered_is_watched_and_may_be_written(mode: str) -> None:
    world = given(instance(network={"mode": mode}), community(users=("a",)), link("a"), identity("a", 17))
    plan = decide(world)
    kinds = {manifest.kind for manifest in render(world, plan, keys_for(plan), Settings()).manifests}
    written = {right.resource.kind for right in IN_ALL_NAMESPACES if "patch" in right.verbs}
    assert {BY_KIND[kind] for kind in kinds} <= set(CHILDREN)
    assert kinds <= written


def fields_of(*models: type[BaseModel]) -> Iterator[str]:
    return (name for model in models for name in model.model_fields)


def test_every_field_that_the_agent_tells_is_filled_by_it_and_read_by_the_operator() -> None:
    agent, reader = code("agent"), code("domain", "render", "media", "kube", "handlers")
    told = set(fields_of(TunnelState, LinkState, LinkReport))
    assert {name for name in told if not re.search(rf"\b{name}\b=?", agent)} == set()
    assert {name for name in told if not re.search(rf"\.{name}\b", reader)} == set()


def test_every_field_that_the_appliance_tells_is_read_by_the_operator() -> None:
    reader = code("domain", "render", "media", "kube", "handlers")
    assert {name for name in fields_of(MediaState) if not re.search(rf"\.{name}\b", reader)} <= ONLY_SHOWN
