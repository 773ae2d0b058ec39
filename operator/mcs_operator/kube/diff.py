"""Whether a live object fulfils a manifest: every field that we render is there with an equal value.

What the API server defaults, other controllers add or a person put beside it is not ours and makes no difference.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from mcs_operator.api.quantity import parse_quantity

_QUANTITY_PARENTS = {"requests", "limits", "capacity"}
_WHOLE = {"matchLabels"}
"""What somebody puts beside a label that selects makes another selection."""


def differences(desired: Any, live: Any, path: str = "") -> list[str]:
    """Paths at which the live value is not what is desired, e.g. ``spec.replicas``; empty where it fulfils it.

    A list is compared in its order. Lists of objects with a name (containers, volumes, ports) are matched by it, so
    that an injected sidecar is not a difference.
    """
    if path.rpartition(".")[2] in _WHOLE:
        return [] if desired == live else [path]
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return [] if not desired and live is None else [path]
        found = []
        for key, value in desired.items():
            below = f"{path}.{key}" if path else key
            if path.rpartition(".")[2] in _QUANTITY_PARENTS and key in live:
                found += [] if _same_quantity(value, live[key]) else [below]
            else:
                found += differences(value, live.get(key), below)
        return found
    if isinstance(desired, list):
        return _list_differences(desired, live, path)
    return [] if desired == live else [path]


def _list_differences(desired: list[Any], live: Any, path: str) -> list[str]:
    if not isinstance(live, list):
        return [] if not desired and live is None else [path]
    if desired and all(isinstance(item, dict) and "name" in item for item in desired):
        return _named_differences(desired, live, path)
    if len(desired) > len(live):
        return [path]
    return [found for at, item in enumerate(desired) for found in differences(item, live[at], f"{path}[{at}]")]


def _named_differences(desired: list[Any], live: list[Any], path: str) -> list[str]:
    """Each item has to be there; a name may come more than once, as that of a volume that is mounted twice."""
    by_name: defaultdict[Any, list[Any]] = defaultdict(list)
    for item in live:
        if isinstance(item, dict):
            by_name[item.get("name")].append(item)
    found: list[str] = []
    for item in desired:
        name = item["name"]
        tries = [differences(item, candidate, f"{path}[{name}]") for candidate in by_name[name] or [None]]
        fewest: list[str] = min(tries, key=len)
        found += fewest
    return found


def _same_quantity(desired: Any, live: Any) -> bool:
    try:
        return parse_quantity(desired) == parse_quantity(live)
    except ValueError:
        return bool(desired == live)
