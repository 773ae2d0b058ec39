"""A manifest is one desired object of Kubernetes: what rendering makes, and applying brings about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON has it."""


class Wave(IntEnum):
    """Order of writing: an identity before what depends on it, a shard before the checksums of all shards."""

    AUTHORITY = 0
    IDENTITY = 1
    SLOT = 2
    SHARD = 3
    CHECKSUMS = 4
    WORKLOAD = 5


@dataclass(frozen=True, slots=True)
class Manifest:
    """One desired object.

    ``claim``: it is created, and a conflict means that somebody else holds the name; it is never taken over by a
    forced apply, because with the name goes a slot or an identity. ``link`` is the TVoxLink that suffers, and
    nobody else, when the object cannot be written. ``takes_away``: of a slot that is to accept a certificate less, or
    to stop: that goes before all else, and waits for nothing.
    """

    body: Object
    wave: Wave
    claim: bool = False
    link: str | None = None
    takes_away: bool = False

    @property
    def kind(self) -> str:
        """Kind of the object."""
        kind: str = self.body["kind"]
        return kind

    @property
    def name(self) -> str:
        """Name of the object."""
        name: str = self.body["metadata"]["name"]
        return name
