"""Questions about certificates that already exist; nothing here needs a private key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from mcs_operator.pki.foreign import ForeignError, attempt, remembered, remembered_public, within_bounds
from mcs_operator.pki.privatekey import load_private_key

BACKDATE = timedelta(hours=1)
"""Every certificate of ours begins so much before it was signed: a TVox whose clock is slow must not refuse it."""
_CACHE = 1024
"""Answers of each kind: each reconciliation asks about every link's certificates, and those of one appliance are 501.
The certificates themselves are not kept: one has four kilobytes, and is parsed in five microseconds."""


_NO_CERTIFICATE = "not a certificate in PEM form"


def load_certificate(cert_pem: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raises ValueError (never quoting the text: it may hold a key)."""
    within_bounds(cert_pem, "the certificate")
    return attempt(lambda: x509.load_pem_x509_certificate(cert_pem.encode()), _NO_CERTIFICATE)


def is_certificate(text: str) -> bool:
    """Whether this begins with a certificate in PEM form."""
    return _holds(lambda: bool(load_certificate(text)))


def fingerprint(cert_pem: str) -> str:
    """SHA-256 of the certificate in the form of OpenVPN's ``peer-fingerprint``: ``AA:BB:…``, upper-case hex."""
    return load_certificate(cert_pem).fingerprint(hashes.SHA256()).hex(":").upper()


def not_after(cert_pem: str) -> datetime:
    """The last moment of validity, timezone-aware (UTC)."""
    return life(cert_pem)[1]


def not_before(cert_pem: str) -> datetime:
    """The first moment of validity, timezone-aware (UTC)."""
    return life(cert_pem)[0] - BACKDATE


def signed_at(cert_pem: str) -> datetime:
    """When a certificate of ours was signed, timezone-aware (UTC)."""
    return life(cert_pem)[0]


@remembered_public(_CACHE)
def life(cert_pem: str) -> tuple[datetime, datetime]:
    """`signed_at` and `not_after`; ValueError where they cannot be reckoned with."""
    found = load_certificate(cert_pem)
    return attempt(lambda: (found.not_valid_before_utc + BACKDATE, found.not_valid_after_utc), _NO_CERTIFICATE)


@remembered(_CACHE)
def is_pair(cert_pem: str, key_pem: str) -> bool:
    """Whether this is a certificate and its private key; False as well for what is neither."""

    def compare() -> bool:
        within_bounds(key_pem, "the key")
        key = load_private_key(key_pem)
        return key is not None and load_certificate(cert_pem).public_key() == key.public_key()

    return _holds(compare)


def has_dates(cert_pem: str) -> bool:
    """Whether `life` tells anything."""
    return _holds(lambda: bool(life(cert_pem)))


def common_name(cert_pem: str) -> str:
    """The subject's common name; raises ValueError unless there is exactly one."""
    certificate = load_certificate(cert_pem)
    names = attempt(lambda: certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME), _NO_CERTIFICATE)
    if len(names) != 1:
        raise ValueError(f"the certificate has {len(names)} common names, one is needed")
    return str(names[0].value)


@remembered_public(_CACHE)
def is_for(cert_pem: str, name: str) -> bool:
    """Whether this DNS name, in lower case, is among those of the certificate; False for what is none."""
    return _holds(lambda: name in dns_names(load_certificate(cert_pem)))


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """All that it is for, in lower case, wildcards as they are written; raises for a malformed extension."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in alternative.get_values_for_type(x509.DNSName))


@remembered_public(_CACHE)
def issued_by(cert_pem: str, ca_pem: str) -> bool:
    """Whether the CA's key signed this certificate, dates aside; False as well for what is not a certificate.

    Only the first certificate of ``ca_pem`` counts: it is the one that signs.
    """
    return _holds(lambda: signed_by(load_certificate(cert_pem), load_certificate(ca_pem)))


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key are those that this certificate is signed with; False where that cannot be
    found out."""

    def verify() -> bool:
        certificate.verify_directly_issued_by(issuer)
        return True

    return _holds(verify)


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return attempt(question, "")
    except ForeignError:
        return False
