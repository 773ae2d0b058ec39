"""WHAT STRANGERS SEND: total functions. Each gives a value or None, in bounded time and memory, and never raises."""

from __future__ import annotations

import json
import re
from typing import Any

_USER = re.compile(r"[a-z0-9]([a-z0-9._@+-]{0,62}[a-z0-9])?", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff/\\]")
"""Also what turns the writing direction: `gpj.exe` must not look like `exe.jpg`."""


def document(content: bytes | str) -> dict[str, Any] | None:
    """A JSON object. However deep it is nested, the reader gives up before the stack does."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def text(value: object, most: int) -> str | None:
    """A text of 1 to `most` characters that can be stored and sent: no half of a character, no NUL."""
    if not isinstance(value, str) or not 0 < len(value) <= most or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def user_name(value: object) -> str | None:
    """What can be the name of a user; whether there is one, the set says."""
    return value if isinstance(value, str) and _USER.fullmatch(value) else None


def random_id(value: object) -> str | None:
    """What can be the id of a call, a file or a message."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def file_name(value: object, most: int) -> str | None:
    """A name to save a file under: without folders and without characters that mislead."""
    name = text(value, most * 4)
    cleaned = _UNPRINTABLE.sub("_", name).strip(" .")[:most] if name else ""
    return cleaned or None
