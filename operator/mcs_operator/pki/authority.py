"""A CA brought by the user (``vpn.caSecretRef``): accepted only if every TVox out there could verify what it signs.

A trial decides: a server's and a client's certificate are signed with it, and each verifies the other as OpenVPN's two
ends do. What OpenSSL refuses today, no tunnel comes up with; found out afterwards, each profile would be a visit. The
rules beside it are for what the OpenSSL 1.0.2 of a TVox cannot do, and for words that say what to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mcs_operator.domain.facts.keys import Authority, KeyPair
from mcs_operator.pki.foreign import ForeignError, attempt, certificates, remembered, subject_of, within_bounds
from mcs_operator.pki.inspect import signed_by
from mcs_operator.pki.leaf import Usage, sign_leaf
from mcs_operator.pki.privatekey import SigningKey, load_private_key
from mcs_operator.pki.verifier import verify_mutual

CURVES = ("secp256r1", "secp384r1", "secp521r1")
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 4096
"""A larger one signs for a tenth of a second and more, twice for each link, while everybody else waits."""
WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_TRIAL = "link-002.trial"
"""A name like those of links, so that a CA that may only sign for certain names shows it."""
_REMEMBERED = 64


class InvalidAuthorityError(ValueError):
    """This certificate and key cannot be an instance's CA; the message says what to change, without key material."""


@dataclass(frozen=True, slots=True)
class _Life:
    """Of one certificate of the chain."""

    subject: str
    begins: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class _Examined:
    """What is so of a CA whatever the time is; ``problem`` is empty where it can sign. No key is kept in it."""

    problem: str = ""
    chain_pem: str = ""
    lives: tuple[_Life, ...] = ()


def load_authority(cert_pem: str, key_pem: str, now: datetime | None = None) -> Authority:
    """Check a CA and take it over; raises InvalidAuthorityError with one clear sentence.

    ``cert_pem`` is the CA's certificate, followed by its issuers up to the root if it is an intermediate one.
    ``key_pem`` is its unencrypted EC (P-256, P-384, P-521) or RSA (2048 to 4096 bits) key. With ``now`` the dates
    count too.
    """
    examined = _examine(cert_pem, key_pem)
    if examined.problem:
        raise InvalidAuthorityError(examined.problem)
    for life in examined.lives:
        if now and life.expires <= now:
            raise InvalidAuthorityError(f"the certificate of {life.subject} expired at {life.expires:%FT%TZ}")
        if now and life.begins > now:
            raise InvalidAuthorityError(f"the certificate of {life.subject} begins at {life.begins:%FT%TZ}")
    return Authority(cert_pem=examined.chain_pem, key_pem=key_pem)


def load_signing_key(key_pem: str) -> SigningKey:
    """The CA's private key; raises InvalidAuthorityError for an encrypted, unreadable, weak or unsuitable one."""
    try:
        return _signing_key(key_pem)
    except ForeignError as error:
        raise InvalidAuthorityError(str(error)) from None


def _signing_key(key_pem: str) -> SigningKey:
    within_bounds(key_pem, "the CA's key")

    def load() -> object:
        try:
            return load_private_key(key_pem)
        except TypeError:
            raise ForeignError("the CA's key is encrypted: store it without a passphrase") from None

    key = attempt(load, "the CA's key is not a private key in PEM form")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise ForeignError(f"the CA's key uses curve {key.curve.name}: P-256, P-384 or P-521 is needed")
        return key
    if isinstance(key, rsa.RSAPrivateKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise ForeignError(f"the CA's RSA key has {key.key_size} bits: {MIN_RSA_BITS} to {MAX_RSA_BITS} are needed")
        return key
    raise ForeignError("the CA's key is neither EC nor RSA: OpenSSL 1.0.2 of a TVox could not verify it")


@remembered(_REMEMBERED)
def _examine(cert_pem: str, key_pem: str) -> _Examined:
    try:
        return attempt(lambda: _checked(cert_pem, key_pem), "the CA's certificate cannot be read")
    except ForeignError as error:
        return _Examined(str(error))


def _checked(cert_pem: str, key_pem: str) -> _Examined:
    chain = certificates(cert_pem, "the CA's certificate")
    key = _signing_key(key_pem)
    if attempt(chain[0].public_key, "the kind of key in the CA's certificate is not known") != key.public_key():
        raise ForeignError("the key does not belong to the CA's certificate")
    for certificate in chain:
        _check_is_ca(certificate)
    _check_reaches_root(chain)
    _check_path_length(chain)
    pem = "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in chain)
    _try(chain[0], key, pem)
    return _Examined("", pem, tuple(_life(certificate) for certificate in chain))


def _life(certificate: x509.Certificate) -> _Life:
    subject = subject_of(certificate)
    return attempt(
        lambda: _Life(subject, certificate.not_valid_before_utc, certificate.not_valid_after_utc),
        f"the dates of the certificate of {subject} cannot be read",
    )


def _check_is_ca(certificate: x509.Certificate) -> None:
    subject = subject_of(certificate)
    extensions = attempt(
        lambda: certificate.extensions, f"the extensions of the certificate of {subject} are malformed: make it anew"
    )
    try:
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise ForeignError(f"the certificate of {subject} is not a CA (basicConstraints CA:TRUE is missing)")
    try:
        signs = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return  # without the extension every use is allowed
    if not signs:
        raise ForeignError(f"the certificate of {subject} may not sign certificates (keyUsage keyCertSign is missing)")


def _check_reaches_root(chain: Sequence[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        if not signed_by(certificate, issuer):
            raise ForeignError("the CA's certificates are not in order: each has to be signed by the next one")
        if isinstance(certificate.signature_hash_algorithm, WEAK_HASHES):
            raise ForeignError("the CA's certificate is signed with MD5 or SHA-1, which no current OpenSSL accepts")
    if not signed_by(chain[-1], chain[-1]):
        raise ForeignError(
            "the CA's certificate is not self-signed: append its issuers up to the root, or no TVox can verify it"
        )


def _check_path_length(chain: Sequence[x509.Certificate]) -> None:
    for below, certificate in enumerate(chain):
        limit = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if limit is not None and limit < below:
            raise ForeignError(
                f"the certificate of {subject_of(certificate)} allows {limit} CAs below it, but {below} follow"
            )


def _try(issuer: x509.Certificate, key: SigningKey, chain_pem: str) -> None:
    """Sign for both ends of a tunnel, and let each verify the other."""

    def signed(usage: Usage) -> KeyPair:
        return sign_leaf(issuer, key, _TRIAL, (issuer.not_valid_before_utc, issuer.not_valid_after_utc), usage)

    server, client = attempt(
        lambda: (signed(Usage.SERVER), signed(Usage.CLIENT)),
        "nothing can be signed with the CA's certificate: an extension of it is malformed; make it anew",
    )
    try:
        verify_mutual(server, client, chain_pem)
    except ForeignError as error:
        raise ForeignError(f"what the CA signs would be refused by each TVox and slot ({error})") from None
