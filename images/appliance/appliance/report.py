"""WHAT IS TOLD: parts of the report, each with an end. The link agent reads 64 KiB and takes more for no answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TypeVar

from appliance.config import ConfigSet

_MOST_CERTIFICATES, _BYTES_OF_CERTIFICATES, _BYTES_OF_PORTALS = 251, 30_000, 20_000
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


def refused_certificates(left_out: Mapping[str, str], own: str) -> list[dict[str, str]]:
    """The instance's own first: where it stands in for all links, its fault is told there, and not at each."""
    told, size = [], 0
    for domain, why in sorted(left_out.items(), key=lambda item: (item[0] != own, item))[:_MOST_CERTIFICATES]:
        entry = {"domain": domain, "problem": why}
        size += len(json.dumps(entry))
        if size <= _BYTES_OF_CERTIFICATES:
            told.append(entry)
    return told
