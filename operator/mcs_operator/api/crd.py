"""The CustomResourceDefinitions, generated from the models.

A structural schema is a small dialect: no references, no unions, no ``additionalProperties: false``. What the converter
does not know it refuses, so that a rule of a model cannot get lost on its way to the API server.

No field of a spec has a default in the CRD: the operator fills in what is missing when it parses. A default written by
the API server into the user's object reads as drift to GitOps tools. Only ``status`` has one.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from mcs_operator.api.base import MAX_NAME, PENDING_STATUS, Column, KubernetesObject, Rule
from mcs_operator.api.impact import IMMUTABLE_KEY, IMPACT_KEY, Impact
from mcs_operator.api.schema import RULES_KEY, Schema, as_validation, plain_schema
from mcs_operator.api.wording import SAYS_KEY, plain_sentence
from mcs_operator.settings import GROUP, VERSION

CATEGORY = "tvox"

_KEPT = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
_TAKEN_OVER_ELSEWHERE = {
    "title",
    "default",
    "description",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "propertyNames",  # what keys may be is a CEL rule: structural schemas have no word for it
    "anyOf",
    IMPACT_KEY,
    IMMUTABLE_KEY,
    RULES_KEY,
    SAYS_KEY,
}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

_API_VERSION_TEXT = f"Group and version of the schema that this object follows: {GROUP}/{VERSION}."
_KIND_TEXT = "Kind of this object, in CamelCase."


def build_crd(kind: type[KubernetesObject]) -> dict[str, Any]:
    """The CustomResourceDefinition (apiextensions.k8s.io/v1) of one kind."""
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": list(kind.short_names),
        "categories": [CATEGORY],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "mcs", "app.kubernetes.io/component": "crd"},
        },
        "spec": {
            "group": GROUP,
            "names": {key: value for key, value in names.items() if value},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": root_schema(kind)},
                }
            ],
        },
    }


def _printer_column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return shown | ({"priority": 1} if column.wide else {})


def root_schema(kind: type[KubernetesObject]) -> Schema:
    """The structural schema of a whole object."""
    spec = structural(plain_schema(kind)["properties"]["spec"], is_spec=True)
    status = structural(plain_schema(kind.status_model), is_spec=False)
    return {
        "type": "object",
        "description": _docstring(kind),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION_TEXT},
            "kind": {"type": "string", "description": _KIND_TEXT},
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
            "spec": spec,
            "status": {**status, "default": PENDING_STATUS},
        },
        RULES_KEY: [as_validation(rule) for rule in (*_name_rules(kind), *kind.rules)],
    }


def _name_rules(kind: type[KubernetesObject]) -> tuple[Rule, ...]:
    return (
        Rule(
            cel=f"size(self.metadata.name) <= {MAX_NAME}",
            message=f"must have at most {MAX_NAME} characters; choose a shorter name",
            message_cel=f"self.metadata.name + ' has more than {MAX_NAME} characters; choose a shorter name'",
            field_path=".metadata.name",
        ),
        Rule(
            cel=f"self.metadata.name.matches('{kind.name_pattern}')",
            message="lower case letters, digits and - only, "
            + ("with a letter first; " if kind.name_pattern.startswith("^[a-z]") else "no dots; ")
            + "choose another",
            field_path=".metadata.name",
        ),
    )


def structural(node: Schema, *, is_spec: bool, cost: str = "") -> Schema:
    """A plain schema in the structural dialect. ValueError for a keyword that it cannot carry over.

    ``cost`` is what changing the field above costs; a field without a word of its own inherits it.
    """
    if unknown := set(node) - set(_KEPT) - _TAKEN_OVER_ELSEWHERE:
        raise ValueError(f"no place in a structural schema for {sorted(unknown)} of {node.get('title', node)}")
    cost = _cost(node) or cost
    result: Schema = {"description": text} if (text := _description(node, is_spec=is_spec, cost=cost)) else {}
    result |= {key: node[key] for key in _KEPT if key in node}
    if "anyOf" in node:
        if not node.get("x-kubernetes-int-or-string") or node["anyOf"] != _INT_OR_STRING:
            raise ValueError(f"no union but int-or-string in a structural schema: {node['anyOf']}")
        result["anyOf"] = node["anyOf"]
    for key in ("additionalProperties", "items"):
        if isinstance(node.get(key), Mapping):
            result[key] = structural(dict(node[key]), is_spec=is_spec, cost=cost)
    if "properties" in node:
        result["properties"] = {
            name: structural(inner, is_spec=is_spec, cost=cost) for name, inner in node["properties"].items()
        }
    for key in ("required", RULES_KEY):
        if key in node:
            result[key] = node[key]
    return _with_sentence(result, node) if is_spec else result


def _with_sentence(result: Schema, node: Schema) -> Schema:
    """A pattern as a rule: of a pattern the API server says nothing but the regular expression."""
    if SAYS_KEY not in node or "pattern" not in node:
        return result
    fits = f"matches(r'{node['pattern']}')"
    may_be_number = node.get("x-kubernetes-int-or-string")
    cel = f"type(self) == int || string(self).{fits}" if may_be_number else f"self.{fits}"
    form = Rule(cel=cel, message=plain_sentence(node[SAYS_KEY]))
    rules = [as_validation(form), *result.get(RULES_KEY, [])]
    return {key: value for key, value in result.items() if key != "pattern"} | {RULES_KEY: rules}


def _cost(node: Schema) -> str:
    if since := node.get(IMMUTABLE_KEY):
        return "Immutable." if since == "always" else f"Immutable {since}."
    return Impact(node[IMPACT_KEY]).sentence if IMPACT_KEY in node else ""


def _description(node: Schema, *, is_spec: bool, cost: str) -> str:
    """What `kubectl explain` shows: the text, the default that the operator fills in, and what a change costs."""
    if "description" not in node:
        return ""
    parts = [_paragraphs(node["description"])]
    default = node.get("default")
    if is_spec and isinstance(default, str | int):
        parts.append(f"Default: {default if isinstance(default, str) else json.dumps(default)}.")
    return " ".join([*parts, cost] if cost else parts)


def _docstring(kind: type[KubernetesObject]) -> str:
    return _paragraphs(kind.__doc__ or "")


def _paragraphs(text: str) -> str:
    """A docstring without its line breaks, which are the editor's; empty lines stay, they are the author's."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
