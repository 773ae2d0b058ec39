"""Kubernetes quantities: ``500m``, ``8G``, ``1.5Gi`` (api/resource, canonical forms vary, so compare parsed)."""

from __future__ import annotations

import re
from decimal import Decimal

_QUANTITY = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([eE][+-]?[0-9]+|[KMGTPE]i|[numkMGTPE])?$")
_SUFFIX = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str | int | float) -> Decimal:
    """The amount in base units (cores, bytes). ValueError for what is no quantity."""
    match = _QUANTITY.match(str(text))
    if not match:
        raise ValueError(f"{text!r} is not a quantity such as 500m or 8Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(2 ** _BINARY[suffix])
    if suffix in _SUFFIX:
        return number.scaleb(_SUFFIX[suffix])
    return number.scaleb(int(suffix[1:])) if suffix else number
