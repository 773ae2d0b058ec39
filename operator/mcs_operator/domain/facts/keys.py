"""Keys as PEM texts, ready for a Secret, whose private half never shows up in a log."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, weakref_slot=True)
class KeyPair:
    """A certificate and its private key, both PEM; ``repr`` leaves the key out, since objects end up in logs. What is
    found out about one may be remembered for as long as it is there."""

    cert_pem: str
    key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AcmeAccount:
    """The private key of an account at an ACME server. ``thumbprint``: of its public half (RFC 7638), by which the
    appliance answers every challenge; empty where the key cannot be used."""

    key_pem: str = field(repr=False)
    thumbprint: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that may sign: ``cert_pem`` begins with the signing certificate.

    Where that is an intermediate CA, its issuers up to the root follow it. OpenSSL 1.0.2 accepts only a chain that
    ends in a self-signed root, so a TVox has to get all of them.
    """

    cert_pem: str
    key_pem: str = field(repr=False)
