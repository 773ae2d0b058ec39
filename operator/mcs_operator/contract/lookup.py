"""What resolvers say about public names: the wire format of the link agent's ``POST /v1/resolve``, and what is known.

Shared by both ends; unknown fields are ignored, as in the agent's reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mcs_operator.settings import MAX_LINKS

MAX_NAMES = MAX_LINKS + 1
"""Names asked for at once: one of each link, and the instance's own. Those of portals are asked for after them."""
MAX_ADDRESSES = 8
"""Addresses that an answer tells: one is wanted, and a stranger's server may send thousands."""
RESOLVE_SECONDS = 20.0
"""What the agent takes at most for all names together; what is late has no answer."""


class Failure(StrEnum):
    """Why there is no address."""

    NOT_FOUND = "NotFound"
    """The name does not exist, or has no IPv4 address: the resolver is certain."""
    UNAVAILABLE = "Unavailable"
    """The resolver, or a name server behind it, does not answer: may be otherwise in a moment."""
    NOT_SUPPORTED = "NotSupported"
    """The link agent is of a version that cannot be asked; said by the operator."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(_Wire):
    """What one resolver says about one name: addresses, in order, or why there are none."""

    addresses: Annotated[tuple[IPv4Address, ...], Field(max_length=MAX_ADDRESSES)] = ()
    failure: Failure | None = None

    @property
    def is_certain(self) -> bool:
        """Whether the DNS itself has answered, be it that there is nothing."""
        return self.failure in (None, Failure.NOT_FOUND)

    def is_only(self, address: str) -> bool:
        """Whether it is this address, and no other."""
        return self.addresses == (IPv4Address(address),)


UNAVAILABLE = Answer(failure=Failure.UNAVAILABLE)


class Question(_Wire):
    """Body of ``POST /v1/resolve``."""

    names: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=253)]], Field(max_length=MAX_NAMES)]


class Resolution(_Wire):
    """Answer to it, by name."""

    answers: Mapping[str, Answer] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is known about one name; None where there is no answer yet."""

    pod: Answer | None = None
    operator: Answer | None = None

    def leads_to(self, address: str) -> bool:
        """Whether both say this address, and no other."""
        return all(answer is not None and answer.is_only(address) for answer in (self.pod, self.operator))
