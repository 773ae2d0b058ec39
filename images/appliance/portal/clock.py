"""The two clocks: what o'clock it is (kept, shown), and how long something lasts. Tests bring their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Clock:
    """`wall`: seconds since 1970, may jump. `steady`: seconds since some moment of this process, never goes back."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


def iso(wall: float) -> str:
    """The moment as pages take it."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
