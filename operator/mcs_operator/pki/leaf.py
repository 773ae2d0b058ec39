"""One leaf certificate, signed: what every certificate of ours but a CA's has in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.pki.privatekey import SigningKey


class Usage(Enum):
    """What a leaf is for; nothing else will take it."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def sign_leaf(
    issuer: x509.Certificate,
    signer: SigningKey,
    common_name: str,
    life: tuple[datetime, datetime],
    usage: Usage,
    alternative: Sequence[x509.GeneralName] = (),
) -> KeyPair:
    """A new key and its certificate, from the first moment of ``life`` to the last. Raises whatever the parser of the
    issuer's certificate likes to where that is malformed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        build_certificate(subject(common_name), issuer.subject, key, *life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    return KeyPair(cert_pem=pem(builder.sign(signer, hashes.SHA256())), key_pem=key_pem(key))


def build_certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, until: datetime
) -> x509.CertificateBuilder:
    """What a CA's certificate and a leaf have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(until)
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """For leaves digitalSignature with keyAgreement: ``remote-cert-tls`` of early OpenVPN 2.4 accepts no less."""
    return x509.KeyUsage(
        digital_signature=not ca,
        key_agreement=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )


def subject(common_name: str) -> x509.Name:
    """A name that is a common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem(certificate: x509.Certificate) -> str:
    """As text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """As text, PKCS #8, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own identifier where it has one: a CA brought by the user may compute it in its own way."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
