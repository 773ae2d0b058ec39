"""Certificates for tests: valid, expired, for the wrong name, signed by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from mcs_operator.domain.facts.keys import KeyPair
from support.api import Object

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8

CASES = Path(__file__).parents[1] / "unit" / "pki" / "cases"
"""Strange certificates, each with its key, which is for tests alone."""
CASES_BEGIN = datetime(2026, 11, 29, tzinfo=UTC)
"""All of them are valid by then."""


def case_pair(name: str) -> KeyPair:
    """One of the strange ones."""
    return KeyPair((CASES / f"{name}.crt").read_text(), (CASES / f"{name}.key").read_text())


@cache
def key(name: str = "") -> ec.EllipticCurvePrivateKey:
    """A key, another one for each name."""
    return ec.generate_private_key(ec.SECP256R1())


def text_of(secret: Any, passphrase: bytes | None = None) -> str:
    """A private key as PEM."""
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return str(secret.private_bytes(PEM, PKCS8, how).decode())


def chain(*names: str, of: Any = None, begins: datetime | None = None, ends: datetime | None = None) -> str:
    """A certificate for these names, as PEM; without any it has a common name only. From yesterday to in 90 days."""
    now = datetime.now(UTC).replace(microsecond=0)
    secret = of or key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names or ("mcs.test",))[0])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - timedelta(days=1))
        .not_valid_after(ends or now + timedelta(days=90))
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    algorithm = None if isinstance(secret, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(secret, algorithm).public_bytes(PEM).decode()


def composite(bits: int) -> rsa.RSAPrivateKey:
    """An RSA key whose numbers are no primes: whoever looks for that refuses it, after a second for a large one."""
    p, q = (1 << bits // 2) - 1, (1 << bits - bits // 2) - 3
    numbers = rsa.RSAPrivateNumbers(p, q, 65537, 65537, 65537, 3, rsa.RSAPublicNumbers(65537, p * q))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def old_text_of(secret: rsa.RSAPrivateKey) -> str:
    """A private key as PEM, as OpenSSL wrote it before PKCS #8."""
    how = serialization.PrivateFormat.TraditionalOpenSSL
    return secret.private_bytes(PEM, how, serialization.NoEncryption()).decode()


COMPOSITE = old_text_of(composite(2048))


def tls_secret(name: str, certificate: str, of: str | None = None) -> Object:
    """A Secret of type kubernetes.io/tls. ``of``: its key as PEM, where that is not the usual one."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": text_of(key()) if of is None else of},
    }
