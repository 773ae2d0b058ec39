"""The page about GitOps says how Argo CD is set for what the operator keeps and for what people write by hand."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import yaml

from mcs_operator.domain.decide import decide
from mcs_operator.pki import complete
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.api import ROOT
from support.worlds import community, given, instance, link

PAGE = (ROOT / "docs" / "gitops.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)]


def without_owner() -> set[tuple[str, str]]:
    """What Argo CD takes for orphans."""
    world = given(instance(retain={}), community(users=("anna",)), link("acme"), ca=False)
    plan = decide(world)
    bodies = [manifest.body for manifest in render(world, plan, complete(world, plan), Settings()).manifests]
    return {(body["kind"], body["metadata"]["name"]) for body in bodies if not body["metadata"].get("ownerReferences")}


def test_what_outlives_its_owner_is_left_out_by_the_documented_project_and_nothing_else_is() -> None:
    (project,) = [block for block in BLOCKS if block["kind"] == "AppProject"]
    ignored = [(entry["kind"], entry["name"]) for entry in project["spec"]["orphanedResources"]["ignore"]]
    found = without_owner()
    assert found == {("Secret", "mcs-ca"), ("Secret", "acme-profile"), ("PersistentVolumeClaim", "mcs-data")}
    covered = {(kind, name) for kind, name in found for k, pattern in ignored if kind == k and fnmatch(name, pattern)}
    assert covered == found
    assert len(ignored) == len(found)


def test_the_defaults_that_are_to_be_written_into_git_are_what_is_served_without_them() -> None:
    stated = re.search(r"with its default: (.+?)\. Then", PAGE, re.DOTALL)
    assert stated
    fields = yaml.safe_load("\n".join(re.findall(r"`(.+?)`", stated[1])))
    assert fields
    assert link("acme", **fields).spec == link("acme").spec
