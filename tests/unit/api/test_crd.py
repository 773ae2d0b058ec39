"""The CRDs are structural, say everything that the models know, and are what is checked in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcs_operator.api import KINDS, Community, KubernetesObject, MCSInstance, TVoxLink, impacts
from mcs_operator.api.crd import build_crd, root_schema, structural
from mcs_operator.api.schema import plain_schema

ROOT = Path(__file__).parents[3]
SENTENCE = re.compile(r"(Changing it: [a-z]|Immutable.*\.$)")

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below one, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from nodes(schema[key], path + mark)


@every_kind
def test_no_spec_field_has_a_default_because_gitops_tools_read_it_as_drift(kind: type[KubernetesObject]) -> None:
    assert [path for path, node in nodes(root_schema(kind)["properties"]["spec"]) if "default" in node] == []


@every_kind
def test_status_begins_as_ready_unknown_pending(kind: type[KubernetesObject]) -> None:
    (condition,) = root_schema(kind)["properties"]["status"]["default"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "Unknown", "Pending")


@every_kind
def test_every_field_is_described(kind: type[KubernetesObject]) -> None:
    silent = [
        path
        for path, node in nodes(root_schema(kind))
        if not node.get("description") and not path.endswith(("[]", "{}")) and not path.startswith(".metadata")
    ]
    assert silent == []


@every_kind
def test_every_spec_field_ends_with_what_changing_it_costs(kind: type[KubernetesObject]) -> None:
    spec = root_schema(kind)["properties"]["spec"]
    described = {path: node["description"] for path, node in nodes(spec, "spec") if "description" in node}
    leaves = [path.removesuffix("[]") for path in impacts(kind)]
    assert [path for path in leaves if not SENTENCE.search(described[path])] == []


@every_kind
def test_every_text_list_and_map_has_a_limit_or_the_rules_would_be_too_dear(kind: type[KubernetesObject]) -> None:
    spec = root_schema(kind)["properties"]["spec"]
    for path, node in nodes(spec, "spec"):
        if node.get("type") == "string":
            assert "maxLength" in node or "enum" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
            assert "x-kubernetes-list-type" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


@every_kind
def test_only_words_of_the_structural_dialect_are_used(kind: type[KubernetesObject]) -> None:
    text = yaml.safe_dump(root_schema(kind))
    for word in ("$ref", "$defs", "allOf", "oneOf", "nullable", "title:", "x-mcs"):
        assert word not in text
    assert text.count("anyOf") == (2 if kind is MCSInstance else 0)  # cpu, twice


@every_kind
def test_the_files_checked_in_are_what_the_models_say(kind: type[KubernetesObject]) -> None:
    crd = build_crd(kind)
    stored = ROOT / "crds" / f"{crd['metadata']['name']}.yaml"
    assert yaml.safe_load(stored.read_text()) == crd, "run `make generate`"


def test_what_a_person_looks_at_first_of_a_link_fits_into_80_columns_and_tells_of_stalled() -> None:
    columns = [column.name.upper() for column in TVoxLink.columns if not column.wide]
    row = {"NAME": "customer", "SLOT": "250", "READY": "False", "REASON": "Programmed", "STALLED": "False"}
    row |= {"TUNNEL": "Established", "SINCE": "41s", "AGE": "52s"}
    assert ["NAME", *columns] == list(row)
    assert sum(max(len(name), len(value)) + 3 for name, value in row.items()) - 3 <= 80


def test_people_can_say_mcs_tvl_community_and_tvox() -> None:
    names = {kind.kind: build_crd(kind)["spec"]["names"] for kind in (MCSInstance, TVoxLink, Community)}
    assert names["MCSInstance"]["shortNames"] == ["mcs"]
    assert names["TVoxLink"]["shortNames"] == ["tvl"]
    assert names["Community"]["singular"] == "community"
    assert all(value["categories"] == ["tvox"] for value in names.values())


def test_defaults_units_and_costs_are_in_the_text() -> None:
    vpn = root_schema(MCSInstance)["properties"]["spec"]["properties"]["vpn"]["properties"]
    assert "Default: 250. Changing it: restarts the media pod" in vpn["slots"]["description"]
    assert vpn["basePort"]["description"].endswith("Default: 21000. Immutable.")
    link = root_schema(TVoxLink)["properties"]["spec"]["properties"]
    assert "Default: true. Changing it: restarts this link's tunnel only" in link["enabled"]["description"]


def test_a_field_inherits_the_cost_of_the_object_that_it_is_in() -> None:
    network = root_schema(MCSInstance)["properties"]["spec"]["properties"]["network"]["properties"]
    assert "restarts the media pod" in network["mode"]["description"]


def test_absent_and_null_are_the_same() -> None:
    size = plain_schema(MCSInstance)["properties"]["spec"]["properties"]["storage"]["properties"]["size"]
    assert size["type"] == "string"
    assert "anyOf" not in size


def test_a_keyword_that_cannot_be_carried_over_is_an_error_and_not_lost() -> None:
    with pytest.raises(ValueError, match="uniqueItems"):
        structural({"type": "array", "uniqueItems": True}, is_spec=True)


def test_a_union_other_than_int_or_string_is_an_error() -> None:
    with pytest.raises(ValueError, match="no union but int-or-string"):
        structural({"anyOf": [{"type": "string"}, {"type": "object"}]}, is_spec=True)


def test_every_rule_has_a_message_that_says_what_to_do() -> None:
    for kind in KINDS:
        for path, node in nodes(root_schema(kind)):
            for rule in node.get("x-kubernetes-validations", []):
                assert rule["message"], (path, rule)
                assert "\n" not in rule["rule"]
                assert len(rule["message"]) < 200


def test_the_samples_parse() -> None:
    kinds = {kind.kind: kind for kind in KINDS}
    parsed = []
    for path in sorted((ROOT / "manifests" / "samples").rglob("*.yaml")):
        for body in yaml.safe_load_all(path.read_text()):
            if body["kind"] in kinds:
                parsed.append(kinds[body["kind"]].from_object(body))
    assert {type(subject) for subject in parsed} == set(KINDS)
