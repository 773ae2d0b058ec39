"""What we sign: readable for a TVox of 2014, valid for as long as promised, and never in a log."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mcs_operator.pki import (
    Authority,
    InvalidAuthorityError,
    common_name,
    fingerprint,
    issued_by,
    load_authority,
    mint_agent,
    mint_ca,
    mint_client,
    mint_server,
    mint_tls_crypt,
    not_after,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CA = mint_ca("demo", NOW)


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def usages(pem: str) -> list[x509.ObjectIdentifier]:
    return list(parsed(pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_ca_lives_twenty_years_and_signs_leaves_only() -> None:
    certificate = parsed(CA.cert_pem)
    assert not_after(CA.cert_pem) == datetime(2046, 3, 1, 12, 0, tzinfo=UTC)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature
    assert issued_by(CA.cert_pem, CA.cert_pem)


def test_a_ca_minted_on_29_february_ends_on_28_february() -> None:
    leap = mint_ca("demo", datetime(2080, 2, 29, tzinfo=UTC))  # 2100 is no leap year
    assert not_after(leap.cert_pem) == datetime(2100, 2, 28, tzinfo=UTC)


def test_a_client_certificate_ends_with_the_ca_because_a_new_one_costs_a_visit() -> None:
    client = mint_client(CA, "link-017.demo", NOW + timedelta(days=4000))
    assert not_after(client.cert_pem) == not_after(CA.cert_pem)
    assert usages(client.cert_pem) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert common_name(client.cert_pem) == "link-017.demo"


def test_a_server_certificate_lives_about_a_year() -> None:
    server = mint_server(CA, "link-017.demo", NOW)
    assert not_after(server.cert_pem) == NOW + timedelta(days=397)
    assert usages(server.cert_pem) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_server_certificate_never_outlives_its_ca() -> None:
    server = mint_server(CA, "link-017.demo", not_after(CA.cert_pem) - timedelta(days=10))
    assert not_after(server.cert_pem) == not_after(CA.cert_pem)


@pytest.mark.parametrize("mint", [mint_server, mint_client])
def test_nothing_is_signed_by_a_ca_that_has_ended(mint: object) -> None:
    with pytest.raises(ValueError, match="the CA has ended"):
        mint(CA, "link-017.demo", not_after(CA.cert_pem))  # type: ignore[operator]


def test_every_certificate_begins_an_hour_early_for_a_tvox_whose_clock_is_slow() -> None:
    leaves = (mint_server(CA, "a", NOW), mint_client(CA, "a", NOW), mint_agent(CA, ["demo"], NOW))
    for pem in (CA.cert_pem, *(leaf.cert_pem for leaf in leaves)):
        assert parsed(pem).not_valid_before_utc == NOW - timedelta(hours=1)


@pytest.mark.parametrize("pair", [mint_server(CA, "a", NOW), mint_client(CA, "a", NOW)], ids=["server", "client"])
def test_openssl_1_0_2_can_read_it(pair: object) -> None:
    certificate = parsed(pair.cert_pem)  # type: ignore[attr-defined]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert {extension.oid._name for extension in certificate.extensions} == {
        "basicConstraints",
        "keyUsage",
        "extendedKeyUsage",
        "subjectKeyIdentifier",
        "authorityKeyIdentifier",
    }
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature, "remote-cert-tls of early OpenVPN 2.4 compares the bits"
    assert usage.key_agreement, "remote-cert-tls of early OpenVPN 2.4 compares the bits"


def test_the_agent_answers_to_names_and_addresses() -> None:
    agent = mint_agent(CA, ["demo.calls.svc", "10.244.0.7"], NOW)
    alternative = parsed(agent.cert_pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    names = alternative.value
    assert common_name(agent.cert_pem) == "mcs-link-agent"
    assert not alternative.critical, "beside a subject it need not be, and old clients refuse what they do not know"
    assert names.get_values_for_type(x509.DNSName) == ["demo.calls.svc"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.244.0.7"]
    with pytest.raises(ValueError, match="at least one name"):
        mint_agent(CA, [], NOW)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a b",
        "a\nb",
        "a/b",
        "../tls",
        "x" * 65,
        "DEFAULT",
        "revision",
        "enabled",
        "a.key",
        "a.crt",
        "a.conf",
        "a.nft",
    ],
)
def test_a_common_name_that_openvpn_would_misread_as_a_file_or_an_option_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="common name"):
        mint_client(CA, name, NOW)


@pytest.mark.parametrize("name", ["a", "9", "x" * 64, "link-017.demo", "a_b.C-9"])
def test_any_other_common_name_is_taken(name: str) -> None:
    assert common_name(mint_client(CA, name, NOW).cert_pem) == name


@pytest.mark.parametrize("ca", [True, False])
def test_a_key_may_do_what_it_is_for_and_nothing_else(ca: bool) -> None:
    pem = CA.cert_pem if ca else mint_server(CA, "a", NOW).cert_pem
    extensions = {type(e.value): e for e in parsed(pem).extensions}
    usage, constraints = extensions[x509.KeyUsage], extensions[x509.BasicConstraints]
    assert usage.value == x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
    assert constraints.value == x509.BasicConstraints(ca=ca, path_length=0 if ca else None)
    assert {kind.__name__ for kind, extension in extensions.items() if extension.critical} == {
        "KeyUsage",
        "BasicConstraints",
    }


def test_a_leaf_names_its_key_and_its_issuers_by_their_identifiers() -> None:
    """OpenSSL finds the issuer by it among several of one name, as after a CA was made anew."""
    leaf = parsed(mint_server(CA, "a", NOW).cert_pem)
    issuer = parsed(CA.cert_pem).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert named == x509.AuthorityKeyIdentifier(issuer.digest, None, None)
    assert own == x509.SubjectKeyIdentifier.from_public_key(leaf.public_key())  # type: ignore[arg-type]


def test_no_key_shows_up_in_a_repr() -> None:
    for thing in (CA, mint_client(CA, "a", NOW)):
        secret = thing.key_pem.splitlines()[1]
        assert secret not in repr(thing)
        assert secret not in str(thing)
        assert "PRIVATE" not in f"{thing}"


def test_a_fingerprint_is_what_openssl_says(tmp_path: Path) -> None:
    file = tmp_path / "a.crt"
    file.write_text(mint_client(CA, "a", NOW).cert_pem)
    said = subprocess.run(
        ["openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip().partition("=")[2] == fingerprint(file.read_text())


def test_issued_by_knows_its_ca_from_another_of_the_same_name() -> None:
    client = mint_client(CA, "a", NOW)
    assert issued_by(client.cert_pem, CA.cert_pem)
    assert not issued_by(client.cert_pem, mint_ca("demo", NOW).cert_pem)
    assert not issued_by("no certificate", CA.cert_pem)
    assert not issued_by(client.cert_pem, "no certificate")


def test_what_is_no_certificate_is_not_quoted_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"^not a certificate in PEM form$") as caught:
        fingerprint(CA.key_pem)
    assert caught.value.__cause__ is None


def test_a_tls_crypt_key_has_2048_bits_and_is_never_the_same() -> None:
    text = mint_tls_crypt()
    lines = text.splitlines()
    assert lines[:3] == ["#", "# 2048 bit OpenVPN static key", "#"]
    assert text.endswith("\n-----END OpenVPN Static key V1-----\n")
    begin = lines.index("-----BEGIN OpenVPN Static key V1-----")
    end = lines.index("-----END OpenVPN Static key V1-----")
    assert len(bytes.fromhex("".join(lines[begin + 1 : end]))) * 8 == 2048
    assert {len(line) for line in lines[begin + 1 : end]} == {32}
    assert text != mint_tls_crypt()


# --- a CA brought by the user ---


def own_ca(
    *,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None = None,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    ca: bool = True,
    path_length: int | None = None,
    name: str = "Acme CA",
    digest: hashes.HashAlgorithm | None = None,
) -> tuple[x509.Certificate, str]:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .sign(
            issuer[1] if issuer else key,
            None if isinstance(key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256(),
        )
    )
    return certificate, pem_of(key)


def pem_of(key: object, passphrase: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    text: bytes = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return text.decode()


def text_of(*certificates: x509.Certificate) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def test_our_own_ca_passes_its_own_check() -> None:
    assert load_authority(CA.cert_pem, CA.key_pem, NOW) == CA


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="EC P-256"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="EC P-384"),
        pytest.param(ec.generate_private_key(ec.SECP521R1()), id="EC P-521"),
        pytest.param(rsa.generate_private_key(65537, 2048), id="RSA 2048"),
    ],
)
def test_a_brought_ca_signs_certificates_that_verify(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    certificate, key_pem = own_ca(key=key)
    authority = load_authority(text_of(certificate), key_pem, NOW)
    client = mint_client(authority, "link-002", NOW)
    assert issued_by(client.cert_pem, authority.cert_pem)
    verified_by_openssl(tmp_path, authority, client.cert_pem)


def test_an_intermediate_ca_comes_with_its_root(tmp_path: Path) -> None:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root, _ = own_ca(key=root_key, name="Root")
    middle, key_pem = own_ca(issuer=(root, root_key), name="Middle")
    authority = load_authority(text_of(middle, root), key_pem, NOW)
    verified_by_openssl(tmp_path, authority, mint_client(authority, "link-002", NOW).cert_pem)
    with pytest.raises(InvalidAuthorityError, match="append its issuers up to the root"):
        load_authority(text_of(middle), key_pem)
    with pytest.raises(InvalidAuthorityError, match="not in order"):
        load_authority(text_of(middle, parsed(CA.cert_pem)), key_pem)


def verified_by_openssl(folder: Path, authority: Authority, cert_pem: str) -> None:
    (folder / "ca.crt").write_text(authority.cert_pem)
    (folder / "a.crt").write_text(cert_pem)
    at = str(int(NOW.timestamp()))
    purpose = ["-purpose", "sslclient", "-attime", at]
    command = ["openssl", "verify", *purpose, "-CAfile", folder / "ca.crt", folder / "a.crt"]
    subprocess.run(command, check=True, capture_output=True)


def refused(cert_pem: str, key_pem: str, now: datetime | None = None) -> str:
    with pytest.raises(InvalidAuthorityError) as caught:
        load_authority(cert_pem, key_pem, now)
    assert key_pem.splitlines()[-2:-1] == [] or key_pem.splitlines()[1] not in str(caught.value)
    return str(caught.value)


def test_a_certificate_that_is_no_ca_is_refused() -> None:
    certificate, key_pem = own_ca(ca=False)
    assert "is not a CA" in refused(text_of(certificate), key_pem)


def test_a_leaf_certificate_is_refused() -> None:
    leaf = mint_server(CA, "a", NOW)
    assert "is not a CA" in refused(leaf.cert_pem, leaf.key_pem)


def test_a_key_of_another_ca_is_refused() -> None:
    assert "does not belong" in refused(CA.cert_pem, mint_ca("demo", NOW).key_pem)


def test_an_encrypted_key_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, _ = own_ca(key=key)
    assert "without a passphrase" in refused(text_of(certificate), pem_of(key, b"secret"))


def test_a_key_that_old_openssl_cannot_verify_is_refused() -> None:
    certificate, key_pem = own_ca(key=ed25519.Ed25519PrivateKey.generate())
    assert "neither EC nor RSA" in refused(text_of(certificate), key_pem)
    certificate, key_pem = own_ca(key=ec.generate_private_key(ec.SECP256K1()))
    assert "secp256k1" in refused(text_of(certificate), key_pem)
    certificate, key_pem = own_ca(key=rsa.generate_private_key(65537, 1024))  # noqa: S505
    assert "1024 bits" in refused(text_of(certificate), key_pem)


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_rubbish_is_refused(text: str) -> None:
    assert "certificate is not in PEM form" in refused(text, CA.key_pem)
    assert "not a private key in PEM form" in refused(CA.cert_pem, text)


def test_a_ca_is_refused_before_and_after_its_time() -> None:
    end, begin, second = not_after(CA.cert_pem), NOW - timedelta(hours=1), timedelta(seconds=1)
    whose = "the certificate of 'CN=MCS CA demo'"
    assert refused(CA.cert_pem, CA.key_pem, end) == f"{whose} expired at 2046-03-01T12:00:00Z"
    assert refused(CA.cert_pem, CA.key_pem, begin - second) == f"{whose} begins at 2026-03-01T11:00:00Z"
    assert load_authority(CA.cert_pem, CA.key_pem, begin) == load_authority(CA.cert_pem, CA.key_pem, end - second)
    assert load_authority(CA.cert_pem, CA.key_pem) == CA, "without a clock the dates do not matter"


def test_a_path_length_that_forbids_the_chain_is_refused() -> None:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root, _ = own_ca(key=root_key, name="Root", path_length=0)
    middle, key_pem = own_ca(issuer=(root, root_key), name="Middle")
    assert "allows 0 CAs below it" in refused(text_of(middle, root), key_pem)
