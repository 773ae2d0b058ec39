"""Waiting for something to become true, with a failure that says what was there instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, look: Callable[[], T], timeout: float = 30, pause: float = 0.1) -> T:
    """Call ``look`` until its answer is true; that answer. AssertionError after ``timeout`` seconds, with the last one.

    An AssertionError of ``look`` counts as "not yet" and is told at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: object = look()
            if last:
                return last  # type: ignore[return-value]
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {timeout:.0f} s; last seen: {str(last)[:2000]}")
        time.sleep(pause)


def best_of_three(seconds: Callable[[], float], limit: float) -> list[float]:
    """Measure until it is below the limit, three times at most: what a busy machine adds is not in each of them."""
    found: list[float] = []
    while len(found) < 3 and min(found, default=limit) >= limit:
        found.append(seconds())
    return found
