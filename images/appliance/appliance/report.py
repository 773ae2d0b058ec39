"""WHAT IS TOLD: parts of the report, each with an end. The link agent reads 64 KiB and takes more for no answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from appliance.config import ConfigSet
from appliance.talk import numbers

_MOST_CERTIFICATES, _BYTES_OF_CERTIFICATES, _BYTES_OF_PORTALS = 251, 30_000, 20_000
_MOST_COMMUNITIES, _BYTES_OF_USAGE, _MOST = 250, 60_000, 2**53
_Value = TypeVar("_Value")


def within(entries: Mapping[str, _Value], most: int) -> dict[str, _Value]:
    """As many of them as fit into so many bytes."""
    told: dict[str, _Value] = {}
    size = 0
    for name, value in entries.items():
        size += len(json.dumps({name: value}))
        if size > most:
            break
        told[name] = value
    return told


def portals_told(
    current: ConfigSet | None, certified: Collection[str], logins: Mapping[str, int] | None
) -> dict[str, dict[str, int]]:
    """The communities whose portal is served: open, with a certificate, and by a portal that says who can log in."""
    if current is None or logins is None:
        return {}
    served = [c.name for c in current.people.portals if c.open and c.portal in certified]
    return within({name: {"logins": logins.get(name, 0)} for name in sorted(served)}, _BYTES_OF_PORTALS)


def usage_told(
    current: ConfigSet | None, said: Mapping[str, Any], participants: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """What each community with a portal uses, of the set in force and of no other, and what goes for all of them."""
    found = said.get("communities")
    used = found if isinstance(found, dict) else {}
    names = sorted(community.name for community in current.people.portals) if current else []
    told = {
        name: numbers(used.get(name), _MOST) | {"participants": participants.get(name, 0)}
        for name in names[:_MOST_COMMUNITIES]
    }
    of_all = {part: numbers(said.get(part), _MOST) for part in ("refused", "quota", "retention")}
    return {"communities": within(told, _BYTES_OF_USAGE), **of_all}


def refused_certificates(left_out: Mapping[str, str], own: str) -> list[dict[str, str]]:
    """The instance's own first: where it stands in for all links, its fault is told there, and not at each."""
    told, size = [], 0
    for domain, why in sorted(left_out.items(), key=lambda item: (item[0] != own, item))[:_MOST_CERTIFICATES]:
        entry = {"domain": domain, "problem": why}
        size += len(json.dumps(entry))
        if size <= _BYTES_OF_CERTIFICATES:
            told.append(entry)
    return told
