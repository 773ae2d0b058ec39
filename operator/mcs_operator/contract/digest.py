"""A value as bytes that depend on nothing else, and their checksum: what is compared, and what names a set."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> str:
    """JSON whose bytes depend on nothing but the value."""
    return _ENCODER.encode(value)


def digest(text: str) -> str:
    """SHA-256, lower hex."""
    return hashlib.sha256(text.encode()).hexdigest()
