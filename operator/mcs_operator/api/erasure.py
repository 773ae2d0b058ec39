"""Requests to erase what is kept of a user: lines of a passwords Secret, which alone may name him.

They are acted upon once each, by their id, which is drawn at random and says nothing of anybody: so it may stand where
names may not. What is no such line asks for nothing: nothing is erased for a mistake.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from mcs_operator.api.usersfile import is_user_name
from mcs_operator.settings import ERASURE_ID

ERASE_KEY = ".erase"
LARGEST = 64 * 1024
MOST = 50
"""Requests in one Secret, and as many of an instance are confirmed at a time: each is taken away when it is done."""


class Erasure(NamedTuple):
    """A user of the Secret's Community, and the id of the request."""

    name: str
    id: str

    def __repr__(self) -> str:
        return f"Erasure(…, {self.id})"


def erasures_in(body: Mapping[str, Any]) -> tuple[Erasure, ...]:
    """The requests under key .erase of a Secret, lines of name:id. Never fails. An id that stands at two users asks for
    nothing: it would say of both what is done for one."""
    data = body.get("data")
    encoded = data.get(ERASE_KEY) if isinstance(data, Mapping) else None
    if not isinstance(encoded, str) or len(encoded) > 2 * LARGEST:
        return ()
    try:
        lines = base64.b64decode(encoded, validate=True).decode().split("\n")
    except ValueError:
        return ()
    pairs = (line.partition(":") for line in lines)
    found = dict.fromkeys(
        Erasure(name, id_) for name, _, id_ in pairs if is_user_name(name) and ERASURE_ID.fullmatch(id_)
    )
    users = Counter(erasure.id for erasure in found)
    return tuple(erasure for erasure in found if users[erasure.id] == 1)[:MOST]
