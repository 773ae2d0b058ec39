"""Questions about certificates that already exist; nothing here needs a private key."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

BACKDATE = timedelta(hours=1)
"""Every certificate of ours begins so much before it was signed: a TVox whose clock is slow must not refuse it."""
_CACHE = 1024
"""Certificates remembered as parsed: each reconciliation asks about every link's. Those of one appliance are 501; with
more, what has gone long since would fill the rest, and memory would grow for thousands of changes."""


@lru_cache(_CACHE)
def load_certificate(cert_pem: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raises ValueError (never quoting the text: it may hold a key)."""
    try:
        return x509.load_pem_x509_certificate(cert_pem.encode())
    except ValueError:
        raise ValueError("not a certificate in PEM form") from None


def fingerprint(cert_pem: str) -> str:
    """SHA-256 of the certificate in the form of OpenVPN's ``peer-fingerprint``: ``AA:BB:…``, upper-case hex."""
    return load_certificate(cert_pem).fingerprint(hashes.SHA256()).hex(":").upper()


def not_after(cert_pem: str) -> datetime:
    """The last moment of validity, timezone-aware (UTC)."""
    return load_certificate(cert_pem).not_valid_after_utc


def signed_at(cert_pem: str) -> datetime:
    """When a certificate of ours was signed, timezone-aware (UTC)."""
    return load_certificate(cert_pem).not_valid_before_utc + BACKDATE


@lru_cache(_CACHE)
def is_pair(cert_pem: str, key_pem: str) -> bool:
    """Whether this is a certificate and its private key; False as well for what is neither."""
    try:
        key = load_pem_private_key(key_pem.encode(), password=None)
        return load_certificate(cert_pem).public_key() == key.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def common_name(cert_pem: str) -> str:
    """The subject's common name; raises ValueError unless there is exactly one."""
    names = load_certificate(cert_pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise ValueError(f"the certificate has {len(names)} common names, one is needed")
    return str(names[0].value)


@lru_cache(_CACHE)
def issued_by(cert_pem: str, ca_pem: str) -> bool:
    """Whether the CA's key signed this certificate, dates aside; False as well for what is not a certificate.

    Only the first certificate of ``ca_pem`` counts: it is the one that signs.
    """
    try:
        load_certificate(cert_pem).verify_directly_issued_by(load_certificate(ca_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
