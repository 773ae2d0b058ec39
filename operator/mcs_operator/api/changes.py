"""What a change of an object costs: the impacts of the fields, put to use."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from mcs_operator.api.base import KubernetesObject
from mcs_operator.api.impact import IMPACT_KEY, Impact
from mcs_operator.api.instance import MCSInstance
from mcs_operator.api.schema import Schema, leaves, plain_schema


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs between two versions of an object. Values as in JSON; None where it is not set."""

    path: str
    impact: Impact
    before: Any
    after: Any


@cache
def _spec_schema(kind: type[KubernetesObject]) -> Schema:
    schema: Schema = plain_schema(kind)["properties"]["spec"]
    return schema


def impacts(kind: type[KubernetesObject]) -> dict[str, Impact]:
    """Impact of every leaf of the spec: ``{"spec.vpn.slots": Impact.RESTART, "spec.users[].name": …}``.

    ValueError for a field without one: to forget it would hide a restart from whoever plans a change.
    """
    found = {}
    for path, impact in leaves(_spec_schema(kind), "spec"):
        if impact is None:
            raise ValueError(f"{kind.kind}: {path} declares no impact")
        found[path] = impact
    return found


def changes(before: KubernetesObject, after: KubernetesObject) -> tuple[Change, ...]:
    """Fields of the spec that differ, defaults filled in: spelling out a default is no change."""
    schema = _spec_schema(type(before))
    return tuple(_differences(schema, "spec", _values(before), _values(after), None))


def restart_fields(instance: MCSInstance) -> dict[str, Any]:
    """The part of the spec whose change restarts the pod, as nested JSON values with defaults filled in.

    Canonical: two specs that mean the same give equal results, so a hash of it (keys sorted) changes only where the
    user asked for a restart.
    """
    return _only(_spec_schema(MCSInstance), _values(instance), {Impact.RESTART}, None)


def template_fields(instance: MCSInstance) -> dict[str, Any]:
    """The same with what changes in place: all that the user put into the pod template."""
    in_the_template = {Impact.RESTART, Impact.MEDIA_RESTART, Impact.IN_PLACE}
    return _only(_spec_schema(MCSInstance), _values(instance), in_the_template, None)


def _values(subject: KubernetesObject) -> dict[str, Any]:
    dumped: dict[str, Any] = subject.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]
    return dumped


def _impact_of(schema: Schema, above: Impact | None) -> Impact | None:
    return Impact(schema[IMPACT_KEY]) if IMPACT_KEY in schema else above


def _only(
    schema: Schema, values: dict[str, Any], wanted: Container[Impact | None], above: Impact | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in schema["properties"].items():
        if name not in values:
            continue
        impact = _impact_of(inner, above)
        if "properties" in inner:
            if below := _only(inner, values[name], wanted, impact):
                found[name] = below
        elif impact in wanted and values[name] not in ([], {}):
            found[name] = values[name]
    return found


def _differences(schema: Schema, path: str, before: Any, after: Any, above: Impact | None) -> Iterator[Change]:
    impact = _impact_of(schema, above)
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            old, new = (side.get(name) if side else None for side in (before, after))
            yield from _differences(inner, f"{path}.{name}", old, new, impact)
    elif _comparable(schema, before) != _comparable(schema, after):
        if impact is None:
            raise ValueError(f"{path} declares no impact")
        yield Change(path, impact, before, after)


def _comparable(schema: Schema, value: Any) -> Any:
    """A set has no order, and nothing is the same as an empty list or map."""
    if not value and isinstance(value, list | dict):
        return None
    return sorted(value) if schema.get("x-kubernetes-list-type") == "set" and value else value
