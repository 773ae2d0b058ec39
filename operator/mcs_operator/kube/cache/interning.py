"""Objects as JSON gives them, with every text that recurs held once.

Each answer of the API server brings its own copy of every key, reason and message: of 25,000 links, that is more than
all that tells them apart.
"""

from __future__ import annotations

import sys
from typing import TypeVar, cast

T = TypeVar("T")

_LONGEST = 128
"""Characters of a value that is looked for among the others: longer ones (users' data) are nobody else's."""


def interned(value: T) -> T:
    """An equal value of new dictionaries and lists."""
    found: object = value
    if isinstance(value, dict):
        found = {sys.intern(key): interned(item) for key, item in value.items()}
    elif isinstance(value, list):
        found = [interned(item) for item in value]
    elif isinstance(value, str) and len(value) <= _LONGEST:
        found = sys.intern(value)
    return cast(T, found)
