"""WHO IS SERVED: the set that the supervisor writes into the run directory, read again whenever it is another file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes; ten thousand users are one megabyte."""

OF_ONE = 60_000 * 8
"""Bits in a second that a participant takes, on average."""
FOR_PICTURES = 0.85
"""Share of the line up to which somebody may begin to send a picture."""


@dataclass(frozen=True)
class Community:
    """A customer. `portal` is the host of its pages; one that is not `open` is served to nobody."""

    name: str
    portal: str | None
    open: bool


@dataclass(frozen=True)
class Served:
    """The set in force: `public_address` is how browsers reach this pod, empty for its own address; `bandwidth` what
    the line carries, in Mb/s, 0 where nobody says."""

    public_address: str = ""
    bandwidth: int = 0
    communities: Mapping[str, Community] = field(default_factory=dict)
    users: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """Functions by community and user."""

    def is_crowded(self, participants: int) -> bool:
        """Whether so many take so much of the line that no more pictures fit."""
        return self.bandwidth > 0 and participants * OF_ONE >= self.bandwidth * 1_000_000 * FOR_PICTURES

    def portal(self, community: str) -> str | None:
        """The host of an open community's pages, None where there is none to be served."""
        found = self.communities.get(community)
        return found.portal if found and found.open else None

    def functions(self, community: str, user: str) -> frozenset[str] | None:
        """What a user may do now; None when he is not served (any more)."""
        return self.users.get((community, user)) if self.portal(community) else None


def understand(content: bytes) -> Served | None:
    """What the file says, None when it is not what is expected: then what was read before stays."""
    try:
        document = json.loads(content)
        communities = {c.name: c for c in map(_community, document["communities"])}
        users = {(_word(u[0]), _word(u[1])): frozenset(map(_word, u[3])) for u in document["users"]}
        own = document["instance"]
        bandwidth = own.get("bandwidthMbps")
        return Served(
            _word(own.get("publicAddress") or ""), bandwidth if type(bandwidth) is int else 0, communities, users
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _community(entry: Mapping[str, Any]) -> Community:
    portal = entry.get("portal")
    return Community(_word(entry["name"]), None if portal is None else _word(portal), entry.get("open") is True)


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


@dataclass
class Watched:
    """A file that is replaced whole; look() is cheap as long as it is the same."""

    path: Path
    _seen: tuple[int, int, int] | None = None

    def look(self) -> bytes | None:
        """The bytes of a file that is new since the last look, None otherwise and when it cannot be read."""
        try:
            now = self.path.stat()
            version = now.st_mtime_ns, now.st_size, now.st_ino
            if version == self._seen:
                return None
            with self.path.open("rb") as file:
                content = file.read(LARGEST_FILE)
        except OSError:
            return None
        self._seen = version
        return content
