"""Values that somebody else wrote, taken over by total functions: a value within its bounds, or None. None raises.

A slot is root in its container and a TVox is anybody's machine: what they say ends up in one report about all links,
so one value that cannot be written as JSON, or as a date, would silence the 249 others.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from mcs_operator.contract import linkstate
from mcs_operator.contract.linkstate import MAX_TOKEN

LATEST = 253_402_300_799.0
"""The last second of the year 9999: no later one can be written as a date."""
MOST = 2**53
"""The greatest count: Prometheus and JSON readers know numbers as floats."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parsed(raw: bytes) -> Any:
    """What this JSON says; None if it is none, or is nested so deeply that it cannot be read."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def plain(value: object, limit: int = MAX_TOKEN) -> str | None:
    """A text on one line without control characters, cut to the limit; None if it is no text, or an empty one."""
    return linkstate.plain(value, limit) or None if isinstance(value, str) else None


def whole(value: object, most: int = MOST) -> int | None:
    """A count: a whole number from 0 to ``most``, greater ones are cut."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, most)


def seconds(value: object) -> float | None:
    """A time in seconds since the epoch that can be written as a date."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before anything else: an integer may be greater than any float.
    return float(value) if 0 <= value <= LATEST and math.isfinite(value) else None


def sha256(value: object) -> str | None:
    """A SHA-256 in lower hex."""
    return value if isinstance(value, str) and _SHA256.fullmatch(value) else None
