"""A CA brought by the user (``vpn.caSecretRef``): accepted only if every TVox out there could verify what it signs."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mcs_operator.domain.keys import Authority

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CURVES = ("secp256r1", "secp384r1", "secp521r1")
MIN_RSA_BITS = 2048
WEAK_HASHES = (hashes.MD5, hashes.SHA1)


class InvalidAuthorityError(ValueError):
    """This certificate and key cannot be an instance's CA; the message says what to change, without key material."""


def load_authority(cert_pem: str, key_pem: str, now: datetime | None = None) -> Authority:
    """Check a CA and take it over; raises InvalidAuthorityError with one clear sentence.

    ``cert_pem`` is the CA's certificate, followed by its issuers up to the root if it is an intermediate one.
    ``key_pem`` is its unencrypted EC (P-256, P-384, P-521) or RSA (2048 bits or more) key. With ``now`` the dates
    count too.
    """
    chain = _load_chain(cert_pem)
    signer = chain[0]
    key = load_signing_key(key_pem)
    if signer.public_key() != key.public_key():
        raise InvalidAuthorityError("the key does not belong to the CA's certificate")
    for certificate in chain:
        _check_is_ca(certificate)
    _check_reaches_root(chain)
    _check_path_length(chain)
    if now is not None:
        _check_dates(chain, now)
    pem = "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in chain)
    return Authority(cert_pem=pem, key_pem=key_pem)


def load_signing_key(key_pem: str) -> SigningKey:
    """The CA's private key; raises InvalidAuthorityError for an encrypted, unreadable, weak or unsuitable one."""
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except TypeError:
        raise InvalidAuthorityError("the CA's key is encrypted: store it without a passphrase") from None
    except Exception:  # the parser's message may quote its input, so nothing of it is passed on
        raise InvalidAuthorityError("the CA's key is not a private key in PEM form") from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise InvalidAuthorityError(f"the CA's key uses curve {key.curve.name}: P-256, P-384 or P-521 is needed")
        return key
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < MIN_RSA_BITS:
            raise InvalidAuthorityError(f"the CA's RSA key has {key.key_size} bits: {MIN_RSA_BITS} or more are needed")
        return key
    raise InvalidAuthorityError("the CA's key is neither EC nor RSA: OpenSSL 1.0.2 of a TVox could not verify it")


def _load_chain(cert_pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(cert_pem.encode())
    except ValueError:
        raise InvalidAuthorityError("the CA's certificate is not in PEM form") from None


def _check_is_ca(certificate: x509.Certificate) -> None:
    subject = certificate.subject.rfc4514_string()
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise InvalidAuthorityError(f"the certificate of {subject!r} is not a CA (basicConstraints CA:TRUE is missing)")
    try:
        signs = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return  # without the extension every use is allowed
    if not signs:
        raise InvalidAuthorityError(
            f"the certificate of {subject!r} may not sign certificates (keyUsage keyCertSign is missing)"
        )


def _check_reaches_root(chain: list[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        if not _signed_by(certificate, issuer):
            raise InvalidAuthorityError("the CA's certificates are not in order: each has to be signed by the next one")
        if isinstance(certificate.signature_hash_algorithm, WEAK_HASHES):
            raise InvalidAuthorityError(
                "the CA's certificate is signed with MD5 or SHA-1, which no current OpenSSL accepts"
            )
    if not _signed_by(chain[-1], chain[-1]):
        raise InvalidAuthorityError(
            "the CA's certificate is not self-signed: append its issuers up to the root, or no TVox can verify it"
        )


def _check_path_length(chain: list[x509.Certificate]) -> None:
    for below, certificate in enumerate(chain):
        limit = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if limit is not None and limit < below:
            subject = certificate.subject.rfc4514_string()
            raise InvalidAuthorityError(
                f"the certificate of {subject!r} allows {limit} CAs below it, but {below} follow"
            )


def _check_dates(chain: list[x509.Certificate], now: datetime) -> None:
    for certificate in chain:
        subject = certificate.subject.rfc4514_string()
        if certificate.not_valid_after_utc <= now:
            raise InvalidAuthorityError(
                f"the certificate of {subject!r} expired at {certificate.not_valid_after_utc:%FT%TZ}"
            )
        if certificate.not_valid_before_utc > now:
            raise InvalidAuthorityError(
                f"the certificate of {subject!r} begins at {certificate.not_valid_before_utc:%FT%TZ}"
            )


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
