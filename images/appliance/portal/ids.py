"""NAMES OF THINGS: ids that nobody can guess, and that tell in which order messages were written."""

from __future__ import annotations

import secrets
from collections.abc import Callable


class OrderedIds:
    """128 bits as 32 digits: 56 bits of microseconds, which never go back, and 72 of chance."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._last = 0

    def next(self) -> str:
        self._last = max(self._last + 1, int(self._wall() * 1_000_000))
        return f"{self._last:014x}{secrets.token_hex(9)}"


def pair(one: str, other: str) -> str:
    """The conversation of two users: no name has a blank."""
    return " ".join(sorted((one, other)))


def in_call(call_id: str) -> str:
    """The conversation of a call: no name has a slash."""
    return f"calls/{call_id}"
