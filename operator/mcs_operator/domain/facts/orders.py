"""What is known of certificates that are ordered by ACME: for which public names, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.keys import KeyPair


@dataclass(frozen=True, slots=True)
class Issuable:
    """A public name for which nobody brings a certificate. ``kind`` and ``name`` of its object; ``secret``: where what
    is issued is kept. ``begins`` and ``expires`` of what was issued last, None where nothing was, or nothing usable;
    ``chain``: that one, in PEM form."""

    kind: Kind
    name: str
    domain: str
    secret: str
    begins: datetime | None = None
    expires: datetime | None = None
    chain: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a server said of the certificate that begins then (ARI, RFC 9773): when it would have it renewed, None where
    it does not say; and when it is asked again."""

    begins: datetime
    at: datetime | None
    again: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """Orders for one public name that failed in a row: how many, the server's words, and when the next is due."""

    tries: int
    due: datetime
    problem: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was issued, and the Secret that it is to be kept in."""

    secret: str
    pair: KeyPair


@dataclass(frozen=True, slots=True)
class Orders:
    """What this process has found out by ordering. ``failed`` and ``issued`` by domain; a name that is in neither was
    not ordered for. ``issued`` is what is not known to be in its Secret yet. ``issuer``: why the server cannot be used
    at all; empty where it can, None where it was not asked yet. ``begun``: when an order was begun last for each new
    name that an object has had within a week, by the object's kind and name. ``suggested``: renewals, by domain."""

    failed: Mapping[str, Attempt] = field(default_factory=dict)
    issued: Mapping[str, Issued] = field(default_factory=dict)
    tried: frozenset[str] = frozenset()
    issuer: str | None = None
    begun: Mapping[tuple[Kind, str], Mapping[str, datetime]] = field(default_factory=dict)
    suggested: Mapping[str, Suggestion] = field(default_factory=dict)
