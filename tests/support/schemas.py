"""JSON schemas of what an API server serves, as kubeconform reads them: no schema is fetched from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.api import Api, Object

LOCATION = "{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
_PREFIX = "#/definitions/"


def write_schemas(server: Api, folder: Path) -> str:
    """Write a file for each kind that the server knows; where kubeconform finds them."""
    definitions: Object = json.loads(server.kubectl("get", "--raw", "/openapi/v2"))["definitions"]
    strict = {name: _strict(schema) for name, schema in definitions.items()}
    for name, schema in definitions.items():
        for known in schema.get("x-kubernetes-group-version-kind", []):
            group = known["group"] or known["version"]  # as kubeconform calls the group that has no name
            file = f"{known['kind'].lower()}-{group}-{known['version']}.json"
            closure = {used: strict[used] for used in _closure(name, strict)}
            (folder / file).write_text(json.dumps({"$ref": _PREFIX + name, "definitions": closure}))
    return str(folder / LOCATION)


def _strict(schema: Object) -> Object:
    """Where fields are listed, no other is allowed; what may be a number or a text may be both."""
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        made.pop("format", None)
        made["type"] = ["string", "integer"]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = _strict(schema[key])
    if "properties" in schema:
        made["properties"] = {name: _strict(field) for name, field in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    return made


def _closure(name: str, definitions: Object) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        if (current := todo.pop()) not in found:
            found.add(current)
            todo += _references(definitions[current])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
