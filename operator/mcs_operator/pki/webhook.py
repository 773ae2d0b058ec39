"""The admission webhook's certificate, and whom the API server trusts for it.

Each certificate comes with a CA of its own whose key is forgotten at once: nobody can sign another one, and there is
no CA to rotate. While the replicas change over, the API server trusts the former CA as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.pki.inspect import is_pair, issued_by, load_certificate, not_after, signed_at
from mcs_operator.pki.mint import mint_ca, mint_https

DAYS = 90


@dataclass(frozen=True, slots=True)
class WebhookCertificate:
    """``trusted``: the CA of ``serving`` and then the one before, PEM."""

    serving: KeyPair
    trusted: str


def issue(names: Sequence[str], now: datetime, former: WebhookCertificate | None = None) -> WebhookCertificate:
    """A new one for these DNS names."""
    ca = mint_ca("webhook", now)
    serving = mint_https(ca, "mcs-operator-webhook", names, now, DAYS)
    return WebhookCertificate(serving, ca.cert_pem + (_first(former.trusted) if former else ""))


def is_due(found: WebhookCertificate, names: Sequence[str], now: datetime) -> bool:
    """Whether a new one is needed: after two thirds of its life, for other names, or where it is no good."""
    certificate, ca = found.serving.cert_pem, found.trusted
    try:
        begin, end = signed_at(certificate), not_after(certificate)
        known = load_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usable = is_pair(certificate, found.serving.key_pem) and issued_by(certificate, ca)
    except (ValueError, x509.ExtensionNotFound):
        return True
    return (
        not usable or now >= begin + (end - begin) * 2 / 3 or set(known.get_values_for_type(x509.DNSName)) != {*names}
    )


def _first(bundle: str) -> str:
    """The first certificate of a bundle; nothing where it is none."""
    try:
        return load_certificate(bundle).public_bytes(Encoding.PEM).decode()
    except ValueError:
        return ""
