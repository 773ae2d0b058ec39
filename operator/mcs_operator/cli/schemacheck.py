"""Whether the API server would take an object of ours: its metadata, and every field by the schema of the CRD.

As with `kubectl apply`, whose validation is strict: a field that the schema does not have is an error. The rules that
one field alone cannot say are the models' (`holds`), and are judged where the rest is right, as the API server does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from mcs_operator.api import InvalidObjectError, KubernetesObject, Problem
from mcs_operator.api.base import MAX_NAME, path_of, shown
from mcs_operator.api.schema import Schema, plain_schema
from mcs_operator.api.wording import (
    MISSING,
    NO_SUCH_FIELD,
    SAYS_KEY,
    choices,
    number_limit,
    sentence_of,
    too_many,
    wrong_type,
)

MAX_PROBLEMS = 100
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA: Mapping[str, str] = {
    "name": "str",
    "generateName": "str",
    "namespace": "str",
    "selfLink": "str",
    "uid": "str",
    "resourceVersion": "str",
    "generation": "int",
    "creationTimestamp": "str",
    "deletionTimestamp": "str",
    "deletionGracePeriodSeconds": "int",
    "labels": "dict",
    "annotations": "dict",
    "ownerReferences": "list",
    "finalizers": "list",
    "managedFields": "list",
}
_TYPES: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "dict": (dict,), "list": (list,)}
_OF_SCHEMA: Mapping[str, str] = {
    "string": "str",
    "integer": "int",
    "boolean": "bool",
    "object": "dict",
    "array": "list",
    "number": "float",
}
_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ANNOTATIONS_BYTES = 256 * 1024
Location = tuple[int | str, ...]


LARGEST_INTEGER = 2**63 - 1
"""What the API server can read; beyond it a number is none."""


def check(kind: type[KubernetesObject], body: Mapping[str, Any]) -> list[Problem]:
    """What the API server would refuse when the object is created; at most so many as anybody reads."""
    found = [*islice(_everything(kind, body), MAX_PROBLEMS)]
    if found:
        return found
    try:
        parsed(kind, body)
    except InvalidObjectError as error:
        return list(error.problems[:MAX_PROBLEMS])
    return []


def parsed(kind: type[KubernetesObject], body: Mapping[str, Any]) -> KubernetesObject:
    """The object as it is once the API server has it, without its nulls. InvalidObjectError where it does not fit."""
    return kind.from_object(_without_nulls(body))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _everything(kind: type[KubernetesObject], body: Mapping[str, Any]) -> Iterator[Problem]:
    for name in body:
        if name not in _TOP:
            yield _problem((name,), NO_SUCH_FIELD)
    yield from _metadata(kind, body.get("metadata"))
    spec, status = _schemas(kind)
    if body.get("spec") is None:
        yield _problem(("spec",), MISSING)
    else:
        yield from _value(spec, body["spec"], ("spec",))
    yield from _unknown(status, body.get("status"), ("status",))


@cache
def _schemas(kind: type[KubernetesObject]) -> tuple[Schema, Schema]:
    return plain_schema(kind)["properties"]["spec"], plain_schema(kind.status_model)


def _problem(location: Location, rule: str, value: Any = None) -> Problem:
    return Problem(path_of(location), shown(value), rule)


# ---- metadata, which has no schema in a CRD: the API server checks it by its own rules


def _metadata(kind: type[KubernetesObject], metadata: Any) -> Iterator[Problem]:
    if metadata is None:
        yield _problem(("metadata", "name"), MISSING)
        return
    if not isinstance(metadata, dict):
        yield _problem(("metadata",), wrong_type("dict", metadata), metadata)
        return
    for name, value in metadata.items():
        if name not in _METADATA:
            yield _problem(("metadata", name), NO_SUCH_FIELD)
        elif value is not None and not _is(_METADATA[name], value):
            yield _problem(("metadata", name), wrong_type(_METADATA[name], value), value)
    if isinstance(name := metadata.get("name"), str | None):
        yield from _name(kind, name or "")
    namespace = metadata.get("namespace")
    if isinstance(namespace, str) and namespace and not _NAMESPACE.fullmatch(namespace):
        rule = "must be a namespace: at most 63 lower case letters, digits and -, such as mcs-demo"
        yield _problem(("metadata", "namespace"), rule, namespace)
    yield from _pairs(metadata, "labels")
    yield from _pairs(metadata, "annotations")
    yield from _entries(metadata)


def _name(kind: type[KubernetesObject], name: str) -> Iterator[Problem]:
    where = ("metadata", "name")
    if not name:
        yield _problem(where, MISSING)
    elif len(name) > MAX_NAME:
        yield _problem(
            where, f"has {len(name)} characters, and may have at most {MAX_NAME}; choose a shorter name", name
        )
    elif not _matches(kind.name_pattern, name):
        first = "a letter" if kind.name_pattern.startswith("^[a-z]") else "a letter or a digit"
        yield _problem(where, f"must be lower case letters, digits and -, {first} first, such as acme; no dots", name)


def _pairs(metadata: Mapping[str, Any], field: str) -> Iterator[Problem]:
    """Labels and annotations: texts under keys such as example.com/team."""
    pairs = metadata.get(field)
    if not isinstance(pairs, dict):
        return
    size = 0
    for key, value in pairs.items():
        where = ("metadata", field, key)
        prefix = key.rpartition("/")[0]
        if not _KEY.fullmatch(key if field == "labels" else key.lower()) or len(prefix) > 253:
            yield _problem(where, "the key must be a name such as team or example.com/team")
        if value is not None and not isinstance(value, str):
            yield _problem(where, wrong_type("str", value), value)
        elif field == "labels" and value and not _LABEL_VALUE.fullmatch(value):
            yield _problem(
                where, "must be at most 63 letters, digits and - _ . with a letter or digit at both ends", value
            )
        size += len(key.encode()) + len((value if isinstance(value, str) else "").encode())
    if field == "annotations" and size > _ANNOTATIONS_BYTES:
        yield _problem(("metadata", field), f"has {size} bytes, and may have at most {_ANNOTATIONS_BYTES}")


def _entries(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    owners, finalizers = metadata.get("ownerReferences"), metadata.get("finalizers")
    for number, owner in enumerate(owners if isinstance(owners, list) else []):
        where: Location = ("metadata", "ownerReferences", number)
        if not isinstance(owner, dict):
            yield _problem(where, wrong_type("dict", owner), owner)
            continue
        for name in ("apiVersion", "kind", "name", "uid"):
            if not isinstance(owner.get(name), str) or not owner[name]:
                yield _problem((*where, name), MISSING)
    for number, finalizer in enumerate(finalizers if isinstance(finalizers, list) else []):
        if not isinstance(finalizer, str) or not _KEY.fullmatch(finalizer):
            rule = "must be a name such as example.com/cleanup"
            yield _problem(("metadata", "finalizers", number), rule, finalizer)


# ---- the spec, by the schema


def _value(schema: Schema, value: Any, where: Location) -> Iterator[Problem]:
    wanted = "int" if schema.get("x-kubernetes-int-or-string") else _OF_SCHEMA[schema["type"]]
    if not _is(wanted, value) and not (schema.get("x-kubernetes-int-or-string") and isinstance(value, str)):
        rule = sentence_of(schema[SAYS_KEY], value) if SAYS_KEY in schema else wrong_type(wanted, value)
        yield _problem(where, rule, value)
    elif isinstance(value, dict):
        yield from _object(schema, value, where)
    elif isinstance(value, list):
        yield from _list(schema, value, where)
    elif isinstance(value, str):
        yield from _text(schema, value, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, where)


def _object(schema: Schema, value: dict[str, Any], where: Location) -> Iterator[Problem]:
    """Null is as good as absent: the API server takes it away before it looks."""
    there = {name: inner for name, inner in value.items() if inner is not None}
    if len(there) > schema.get("maxProperties", len(there)):
        yield _problem(where, too_many(len(there), schema["maxProperties"]))
        return
    for name in schema.get("required", ()):
        if name not in there:
            yield _problem((*where, name), MISSING)
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in value:
        if name in known or isinstance(others, dict):
            if name in there:
                yield from _value(known.get(name, others), there[name], (*where, name))
        else:
            yield _problem((*where, name), NO_SUCH_FIELD)


def _list(schema: Schema, value: list[Any], where: Location) -> Iterator[Problem]:
    if len(value) > schema.get("maxItems", len(value)):
        yield _problem(where, too_many(len(value), schema["maxItems"]))
        return
    for number, item in enumerate(value):
        yield from _value(schema["items"], item, (*where, number))
    keys = schema.get("x-kubernetes-list-map-keys", [])
    if schema.get("x-kubernetes-list-type") in ("set", "map"):
        seen: dict[Any, int] = {}
        for number, item in enumerate(value):
            key = tuple(item.get(name) for name in keys) if keys and isinstance(item, dict) else item
            if isinstance(key, list | dict) or (isinstance(key, tuple) and not all(isinstance(k, str) for k in key)):
                continue
            if key in seen:
                told = f"{keys[0]} {shown(key[0])}" if keys else "it"
                yield _problem((*where, number), f"{told} stands twice, first at [{seen[key]}]; take one away")
            seen.setdefault(key, number)


def _text(schema: Schema, value: str, where: Location) -> Iterator[Problem]:
    if value not in schema.get("enum", [value]):
        yield _problem(where, choices(schema["enum"]), value)
    elif len(value) > schema.get("maxLength", len(value)):
        yield _problem(where, f"has {len(value)} characters, and may have at most {schema['maxLength']}", value)
    elif len(value) < schema.get("minLength", 0) or not _matches(schema.get("pattern", ""), value):
        says = sentence_of(schema[SAYS_KEY], value) if SAYS_KEY in schema else "must not be empty"
        yield _problem(where, says, value)


def _number(schema: Schema, value: float, where: Location) -> Iterator[Problem]:
    if value < schema.get("minimum", value):
        yield _problem(where, number_limit("least", schema["minimum"]), value)
    elif value > (most := schema.get("maximum", LARGEST_INTEGER)):
        yield _problem(where, number_limit("most", most), value)


def _unknown(schema: Schema, value: Any, where: Location) -> Iterator[Problem]:
    """Fields of a status that there are not. Its values do not matter: the API server drops them."""
    if isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from _unknown(schema["properties"][name], inner, (*where, name))
            else:
                yield _problem((*where, name), NO_SUCH_FIELD)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from _unknown(schema["items"], item, (*where, number))


def _is(wanted: str, value: Any) -> bool:
    if wanted == "bool":
        return isinstance(value, bool)
    if wanted == "int" and isinstance(value, float):
        return value.is_integer()  # 2.0 is 2 to the API server
    return isinstance(value, _TYPES[wanted]) and not isinstance(value, bool)


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""As Go and Rust read it: $ is the end, not the place before a last line break, and \x{61c} is a character."""
    python = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\u{found[1]:0>4}", pattern)
    return re.compile(python.removesuffix("$") + r"\Z" if python.endswith("$") else python)
