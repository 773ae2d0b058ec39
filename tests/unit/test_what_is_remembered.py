"""What the operator remembers has an end, however many objects come, change and go."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import mcs_operator

BY_HAND = "mcs_operator.cli."
"""Ends with its command."""


def caches() -> Iterator[tuple[str, object]]:
    for module in pkgutil.walk_packages(mcs_operator.__path__, "mcs_operator."):
        if module.name.startswith(BY_HAND) or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if hasattr(value, "cache_info") and value.__module__ == module.name:
                yield f"{module.name}.{name}", value


def test_whatever_is_remembered_by_what_somebody_wrote_is_so_for_the_last_ones_only() -> None:
    """Of our own kinds there are three; a text, a number or a list may be another one each time."""
    endless = {
        name: str(inspect.signature(cache))  # type: ignore[arg-type]
        for name, cache in caches()
        if cache.cache_info().maxsize is None  # type: ignore[attr-defined]
    }
    assert endless
    assert {name for name, takes in endless.items() if not takes.startswith(("() ", "(kind: 'type["))} == set()
