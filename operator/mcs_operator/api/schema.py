"""From a pydantic model to one plain schema: references put in place, "or null" taken away, rules attached.

Null needs no schema of its own: the API server drops null fields before it validates, so null and absent are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mcs_operator.api.base import Model, Rule
from mcs_operator.api.impact import IMPACT_KEY, Impact

Schema = dict[str, Any]
RULES_KEY = "x-kubernetes-validations"


def plain_schema(model: type[BaseModel]) -> Schema:
    """JSON schema of a model without $ref, $defs and nullable unions; rules of sub-models at their place."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, Schema] = raw.pop("$defs", {})
    for cls in models(model):
        target = raw if cls is model else definitions[cls.__name__]
        if issubclass(cls, Model) and cls.rules:
            target[RULES_KEY] = [as_validation(rule) for rule in cls.rules]
    plain: Schema = _inline(raw, definitions)
    return plain


def as_validation(rule: Rule) -> Schema:
    """A rule as the entry of x-kubernetes-validations."""
    entry = {"rule": rule.cel, "message": rule.message, "reason": rule.reason}
    if rule.message_cel:
        entry["messageExpression"] = rule.message_cel
    if rule.field_path:
        entry["fieldPath"] = rule.field_path
    return entry


def models(model: type[BaseModel], found: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """The model and all models below it."""
    found = set() if found is None else found
    if model not in found:
        found.add(model)
        for field in model.model_fields.values():
            for inner in _classes_in(field.annotation):
                models(inner, found)
    return found


def _classes_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _classes_in(argument)


def _inline(node: Any, definitions: Mapping[str, Schema]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions[node["$ref"].rsplit("/", 1)[1]], **rest}
    options = node.get("anyOf", [])
    if {"type": "null"} in options:
        (only,) = (option for option in options if option != {"type": "null"})
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        return _inline({**only, **rest}, definitions)
    if RULES_KEY in node:  # the texts of rules are not schemas
        inner = {key: value for key, value in node.items() if key != RULES_KEY}
        return {**_inline(inner, definitions), RULES_KEY: node[RULES_KEY]}
    return {key: _inline(value, definitions) for key, value in node.items()}


def leaves(schema: Schema, path: str, impact: Impact | None = None) -> Iterator[tuple[str, Impact | None]]:
    """Every leaf field below a schema with the impact that it or the nearest field above it declares.

    Paths are as in kubectl explain, with ``[]`` for the items of a list: ``spec.users[].name``. A map of free keys is
    one leaf.
    """
    impact = Impact(schema[IMPACT_KEY]) if IMPACT_KEY in schema else impact
    if schema.get("type") == "object" and "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from leaves(inner, f"{path}.{name}", impact)
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], f"{path}[]", impact)
    else:
        yield path, impact
