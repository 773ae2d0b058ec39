"""What is ordered from, and how an order can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from mcs_operator.domain.facts.keys import AcmeAccount, KeyPair
from mcs_operator.domain.facts.orders import Attempt, Issuable


@dataclass(frozen=True, slots=True)
class Issuer:
    """An ACME server, and the account there. ``key_id`` and ``key_secret``: of an external account, and the Secret that
    has its key; empty without one."""

    server: str
    account: AcmeAccount
    email: str = ""
    ca_pem: str = ""
    key_id: str = ""
    key_secret: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be ordered in a namespace: the names that may be ordered for, and what failed of them before.
    ``issued``: when names got their first certificate, also those that may not be ordered for."""

    issuer: Issuer
    names: tuple[Issuable, ...]
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    per_week: int = 50
    issued: Mapping[str, datetime] = field(default_factory=dict)


class RefusedError(Exception):
    """There is no certificate for this name; the text has the server's words. ``again``: when it may be asked again."""

    def __init__(self, words: str, again: datetime | None = None) -> None:
        super().__init__(words)
        self.again = again


class IssuerError(Exception):
    """The server cannot be used at all, for no name: it does not answer, or does not take the account."""


class Client(Protocol):
    """Orders from one issuer; called in threads, several at a time."""

    def order(self, domain: str) -> KeyPair:
        """A new key and its certificate. Raises RefusedError and IssuerError; ends in bounded time."""

    def renewal(self, chain: str) -> tuple[datetime | None, datetime]:
        """When the server would have this certificate renewed, None where it does not say; and when it may be asked
        again. Raises whatever may be wrong with its answer; ends in bounded time."""

    def stop(self) -> None:
        """Nothing is sent any more: what is under way ends at its next request."""
