"""Certificates of the FQDNs: checked here, so that no browser has to; the last good one stays."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.shards import (
    ServedCertificate,
    ServedCommunity,
    ServedLink,
    certificates_files,
    packed,
)
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import Authority
from mcs_operator.domain.facts.world import TlsSecret
from mcs_operator.domain.keyring import Serving
from mcs_operator.domain.plan import Kept
from mcs_operator.pki import mint_ca, mint_client
from mcs_operator.pki.foreign import ForeignError
from mcs_operator.pki.inspect import load_certificate
from mcs_operator.pki.leaf import pem
from mcs_operator.pki.mint import mint_https
from mcs_operator.pki.serving import _check_key, _read, check_certificate, serving
from mcs_operator.settings import certificate_secret
from support import certificates
from support.certificates import CASES_BEGIN, COMPOSITE, PEM, case_pair, key, text_of
from support.worlds import NOW, community, given, identity, instance, link, links


def chain(
    *names: str, of: Any = None, begins: datetime = NOW - timedelta(days=1), ends: datetime = NOW + timedelta(days=90)
) -> str:
    """A certificate for these names that is good at NOW."""
    return certificates.chain(*names, of=of, begins=begins, ends=ends)


def problem(certificate: str, secret: str | None = None, domain: str = "acme.mcs.test", now: datetime = NOW) -> str:
    return check_certificate(certificate, text_of(key()) if secret is None else secret, domain, now)


# --- one pair ---


@pytest.mark.parametrize(
    "names",
    [
        ("acme.mcs.test",),
        ("mcs.test", "acme.mcs.test"),
        ("*.mcs.test",),
        ("ACME.mcs.TEST",),
    ],
)
def test_a_certificate_for_the_domain_is_served(names: tuple[str, ...]) -> None:
    assert problem(chain(*names)) == ""


@pytest.mark.parametrize(
    "names",
    [
        ("mcs.test",),
        ("*.acme.mcs.test",),
        ("*.test",),
        ("*.*.test",),
        ("*",),
        ("*cme.mcs.test",),
        ("xacme.mcs.test",),
        ("acme.mcs.test.evil.example",),
    ],
)
def test_a_certificate_for_another_domain_is_refused_and_names_its_own(names: tuple[str, ...]) -> None:
    told = problem(chain(*names))
    assert "not for acme.mcs.test" in told
    assert names[0] in told


def test_of_a_certificate_for_others_the_first_five_names_are_told() -> None:
    names = [f"c{number}.example.com" for number in range(6)]
    five = ", ".join(names[:5])
    assert problem(chain(*names)) == f"the certificate is for {five}, not for acme.mcs.test"
    assert problem(chain(names[0])) == "the certificate is for c0.example.com, not for acme.mcs.test"
    assert problem(chain()) == "the certificate is for no DNS name, not for acme.mcs.test"


def test_a_wildcard_stands_for_exactly_one_label() -> None:
    assert problem(chain("*.mcs.test"), domain="mcs.test")
    assert problem(chain("*.mcs.test"), domain="a.b.mcs.test")


def test_a_common_name_alone_counts_for_nothing() -> None:
    """No browser has looked at it since 2017."""
    assert "no DNS name" in problem(chain(), domain="mcs.test")


def test_a_hundred_names_make_no_endless_message() -> None:
    assert len(problem(chain(*(f"c{n}.example.com" for n in range(100))))) < 300


def test_what_stands_in_a_certificate_as_a_name_is_told_on_one_line_and_cut() -> None:
    told = problem(chain("acme.mcs.test\0.evil\x1b[2J\n", "x" * 9000))
    assert told == f"the certificate is for acme.mcs.test?.evil?[2j?, {'x' * 79}…, not for acme.mcs.test"


@pytest.mark.parametrize(
    "make",
    [lambda: rsa.generate_private_key(65537, 2048), lambda: ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_every_usual_kind_of_key_is_served(make: Any) -> None:
    secret = make()
    assert problem(chain("acme.mcs.test", of=secret), text_of(secret)) == ""


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(ed25519.Ed25519PrivateKey.generate, "neither EC nor RSA", id="Ed25519"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP521R1()), "secp521r1", id="P-521, which Chromium lacks"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1", id="the curve of Bitcoin"),
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), "1024 bits", id="RSA 1024"),  # noqa: S505
    ],
)
def test_a_key_that_browsers_do_not_take_is_refused_by_its_name(make: Any, says: str) -> None:
    secret = make()
    assert says in problem(chain("acme.mcs.test", of=secret), text_of(secret))


@pytest.mark.parametrize(
    ("case", "says"), [("k1", "secp256k1"), ("rsa1024", "1024 bits"), ("sha1", "MD5 or SHA-1, which no browser takes")]
)
def test_web_certificates_that_only_the_appliance_refused(case: str, says: str) -> None:
    pair = case_pair(case)
    assert says in problem(pair.cert_pem, pair.key_pem, now=datetime(2027, 1, 1, tzinfo=UTC))


def test_a_certificate_that_is_for_clients_alone_is_refused() -> None:
    ca = mint_ca("web", NOW)
    client = mint_client(ca, "acme", NOW)
    assert "serverAuth" in check_certificate(client.cert_pem, client.key_pem, None, NOW)


def test_a_certificate_with_its_issuer_is_verified_by_it() -> None:
    ca = mint_ca("web", NOW)
    pair = mint_https(ca, "acme", ["acme.mcs.test"], NOW, 90)
    assert problem(pair.cert_pem + ca.cert_pem, pair.key_pem) == ""
    assert problem(pair.cert_pem, pair.key_pem) == "", "a root need not come along"


@pytest.mark.parametrize(
    ("issuer", "says"),
    [
        ("critx", "unhandled critical extension"),
        ("ekuclient", "unsuitable certificate purpose"),
        ("namecon", "permitted subtree violation"),
    ],
)
def test_a_certificate_that_its_issuer_may_not_sign_is_refused_in_openssls_words(issuer: str, says: str) -> None:
    ca = case_pair(issuer)
    pair = mint_https(Authority(ca.cert_pem, ca.key_pem), "acme", ["acme.mcs.test"], CASES_BEGIN, 90)
    assert says in problem(pair.cert_pem + ca.cert_pem, pair.key_pem, now=CASES_BEGIN)


def test_who_issued_a_certificate_that_browsers_refuse_is_named_where_it_came_along() -> None:
    ca = case_pair("critx")
    pair = mint_https(Authority(ca.cert_pem, ca.key_pem), "acme", ["acme.mcs.test"], CASES_BEGIN, 90)
    assert problem(pair.cert_pem + ca.cert_pem, pair.key_pem, now=CASES_BEGIN) == (
        "the certificate in tls.crt, issued by 'CN=critx intermediate', would be refused by browsers "
        "(OpenSSL refuses it: unhandled critical extension)"
    )
    alone = pem(load_certificate(ca.cert_pem))
    assert problem(alone, ca.key_pem, now=CASES_BEGIN) == (
        "the certificate in tls.crt would be refused by browsers (OpenSSL refuses it: unhandled critical extension)"
    )


@pytest.mark.parametrize(
    ("bits", "says"),
    [(2047, "has 2047 bits; browsers take 2048 to 8192"), (2048, ""), (8192, ""), (8193, "has 8193 bits")],
)
def test_an_rsa_key_is_measured_at_both_ends(bits: int, says: str) -> None:
    found = told_of_a_key(rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key())
    assert says in found if says else found == ""


def told_of_a_key(public: Any) -> str:
    try:
        _check_key(public)
    except ForeignError as error:
        return str(error)
    return ""


def test_whose_key_it_is_is_found_out_without_a_search_for_primes() -> None:
    """That takes a second for a large key, in which everybody else waits."""
    assert "not the key of the first certificate" in problem(chain("acme.mcs.test"), COMPOSITE)


def test_the_text_around_a_certificate_and_a_key_is_not_passed_on() -> None:
    bundle = {"own": TlsSecret("own", "Bag Attributes\n" + chain("acme.mcs.test") + "note\n", "x\n" + text_of(key()))}
    (served,) = found(instance(), ACME, link("acme", **OWN), secrets=bundle).certificates
    assert (served.chain, served.key) == (chain_of(bundle), text_of(key()))


def chain_of(bundle: dict[str, TlsSecret]) -> str:
    text = bundle["own"].chain
    return text[text.index("-----BEGIN") :].removesuffix("note\n")


def test_what_is_larger_than_the_contract_is_refused_before_it_is_read() -> None:
    good = chain("acme.mcs.test")
    fits = good + "#" * (30_000 - len(good))
    assert problem(fits) == ""
    assert "30,001 bytes" in problem(fits + "#")
    assert "tls.key has 30,001 bytes" in problem(good, text_of(key()).ljust(30_001, "#"))


def test_ten_certificates_are_a_chain_and_eleven_are_not() -> None:
    assert problem(chain("acme.mcs.test") * 10) == ""
    assert "11 certificates" in problem(chain("acme.mcs.test") * 11)


def test_a_certificate_for_a_passes_for_no_neighbour_of_the_same_length() -> None:
    assert problem(chain("a.example.com"), domain="b.example.com")
    secrets = pair("web", "mcs.test", "beta.mcs.test")
    assert list(domains(found(instance(**WEB), ACME, link("acme"), secrets=secrets))) == ["mcs.test"]


def test_what_was_looked_at_is_remembered_without_its_text_or_key() -> None:
    check_certificate(chain("once.mcs.test"), text_of(key("once")), None, NOW)
    assert all(len(digest) == 32 for digest in _read._known)
    assert "BEGIN" not in repr(list(_read._known.values()))


def test_six_hundred_versions_of_a_megabyte_leave_nothing_behind() -> None:
    before = len(_read)
    for version in range(600):
        assert "bytes" in problem(f"{version}".rjust(1_000_000, "#"))
    assert len(_read) == before


def test_a_key_in_the_older_form_is_served() -> None:
    old = key().private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    assert problem(chain("acme.mcs.test"), old.decode()) == ""


def test_the_chain_behind_the_leaf_may_be_anybodys() -> None:
    assert problem(chain("acme.mcs.test") + chain("some.ca", of=key("ca"))) == ""


def test_a_leaf_behind_its_issuer_is_refused() -> None:
    told = problem(chain("some.ca", of=key("ca")) + chain("acme.mcs.test"))
    assert "not the key of the first certificate" in told


def test_an_expired_certificate_says_since_when() -> None:
    told = problem(chain("acme.mcs.test", ends=NOW - timedelta(hours=1)))
    assert told == "the certificate has expired at 2026-03-01T11:00:00Z"


def test_a_certificate_ends_at_its_last_second() -> None:
    last = chain("acme.mcs.test", ends=NOW)
    assert problem(last, now=NOW - timedelta(seconds=1)) == ""
    assert problem(last, now=NOW) != ""


def test_a_certificate_of_the_future_is_refused_until_it_begins() -> None:
    soon = chain("acme.mcs.test", begins=NOW + timedelta(hours=1))
    assert problem(soon) == "the certificate is not valid before 2026-03-01T13:00:00Z"
    assert problem(soon, now=NOW + timedelta(hours=1)) == ""


def test_a_key_of_another_certificate_is_refused() -> None:
    assert "not the key" in problem(chain("acme.mcs.test"), text_of(key("another")))


def test_a_key_with_a_password_is_refused() -> None:
    assert "without a password" in problem(chain("acme.mcs.test"), text_of(key(), b"secret"))


UNKNOWN_CURVE = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49Awd/BG0wawIBAQQgAQEBAQEBAQEBAQEB
AQEBAQEBAQEBAQEBAQEBAQEBAQGhRANCAAQBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("certificate", "secret"),
    [
        pytest.param("", None, id="no certificate"),
        pytest.param("rubbish", None, id="rubbish for a certificate"),
        pytest.param("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, id="a hollow certificate"),
        pytest.param("\ufffd\x00\ufffd", None, id="bytes for a certificate"),
        pytest.param(None, "", id="no key"),
        pytest.param(None, "rubbish", id="rubbish for a key"),
        pytest.param(None, UNKNOWN_CURVE, id="a key that nobody knows"),
        pytest.param(None, chain("acme.mcs.test"), id="a certificate for a key"),
    ],
)
def test_garbage_is_refused_in_words_that_quote_nothing_of_it(certificate: str | None, secret: str | None) -> None:
    told = problem(chain("acme.mcs.test") if certificate is None else certificate, secret)
    assert told.startswith(("tls.crt is not", "tls.key is not"))
    assert "rubbish" not in told
    assert "BEGIN" not in told


# --- everybody's ---


def pair(name: str, *names: str, **options: Any) -> dict[str, TlsSecret]:
    return {name: TlsSecret(name, chain(*names, **options), text_of(options.get("of") or key()))}


WEB = {"tls": {"secretRef": {"name": "web"}}}
OWN = {"tls": {"secretRef": {"name": "own"}}}
ACME = [community(), identity("acme", 17)]


def found(*things: Any, secrets: dict[str, TlsSecret], before: Serving | None = None) -> Serving:
    shards = packed(certificates_files(before.certificates)) if before else {}
    world = given(*things, tls_secrets=secrets, shards=shards)
    return serving(world, decide(world))


def domains(result: Serving) -> dict[str, str]:
    return {certificate.domain: certificate.chain for certificate in result.certificates}


def told(result: Serving) -> dict[tuple[str, str], str]:
    return {(kind.value, name): verdict.reason.value for (kind, name), verdict in result.problems.items()}


def test_without_an_instance_or_a_reference_there_is_none() -> None:
    assert found(link("acme"), secrets={}) == Serving()
    assert found(instance(), ACME, link("acme"), secrets=pair("web", "mcs.test")) == Serving()


def test_the_instances_certificate_is_for_the_instance_and_for_each_link_that_it_covers() -> None:
    secrets = pair("web", "mcs.test", "*.mcs.test")
    result = found(instance(**WEB), ACME, link("acme"), secrets=secrets)
    assert domains(result) == {"mcs.test": secrets["web"].chain, "acme.mcs.test": secrets["web"].chain}
    assert told(result) == {}


def test_a_link_that_the_instances_certificate_does_not_cover_goes_without_and_is_no_problem() -> None:
    """An instance with a plain certificate is the usual case: 250 links must not be called broken for it."""
    result = found(instance(**WEB), ACME, link("acme"), secrets=pair("web", "mcs.test"))
    assert list(domains(result)) == ["mcs.test"]
    assert told(result) == {}


def test_a_links_own_certificate_goes_before_the_instances() -> None:
    secrets = pair("web", "mcs.test", "*.mcs.test") | pair("own", "acme.mcs.test")
    result = found(instance(**WEB), ACME, link("acme", **OWN), secrets=secrets)
    assert domains(result)["acme.mcs.test"] == secrets["own"].chain


def test_a_links_own_certificate_needs_none_of_the_instance() -> None:
    result = found(instance(), ACME, link("acme", **OWN), secrets=pair("own", "acme.mcs.test"))
    assert list(domains(result)) == ["acme.mcs.test"]


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        pytest.param({}, "CertificateNotFound", id="missing"),
        pytest.param(pair("own", "acme.mcs.test", ends=NOW), "CertificateInvalid", id="expired"),
        pytest.param(pair("own", "other.mcs.test"), "CertificateInvalid", id="for another domain"),
        pytest.param({"own": TlsSecret("own", "", "")}, "CertificateInvalid", id="empty"),
    ],
)
def test_a_links_own_certificate_that_is_wrong_is_told_to_that_link_alone(
    secrets: dict[str, TlsSecret], reason: str
) -> None:
    web = pair("web", "mcs.test", "*.mcs.test")
    others = [link("beta"), identity("beta", 18)]
    result = found(instance(**WEB), ACME, others, link("acme", **OWN), secrets=web | secrets)
    assert told(result) == {("TVoxLink", "acme"): reason}
    assert sorted(domains(result)) == ["beta.mcs.test", "mcs.test"]
    assert "'own'" in result.problems[Kind.LINK, "acme"].message


def test_an_instances_certificate_that_is_wrong_is_told_at_the_instance_and_not_at_250_links() -> None:
    many = [community(), links(250)]
    assert told(found(instance(**WEB), many, secrets={})) == {("MCSInstance", "mcs"): "CertificateNotFound"}
    expired = pair("web", "mcs.test", "*.mcs.test", ends=NOW)
    assert told(found(instance(**WEB), many, secrets=expired)) == {("MCSInstance", "mcs"): "CertificateInvalid"}


def test_the_last_good_certificates_stay_for_the_instance_and_its_links() -> None:
    things = [instance(**WEB), ACME, link("acme"), link("beta", **OWN), identity("beta", 18)]
    good = found(things, secrets=pair("web", "mcs.test", "acme.mcs.test") | pair("own", "beta.mcs.test"))
    broken = found(things, secrets=pair("own", "wrong.mcs.test"), before=good)
    assert set(broken.certificates) == set(good.certificates)
    assert told(broken) == {
        ("MCSInstance", "mcs"): "CertificateNotFound",
        ("TVoxLink", "beta"): "CertificateInvalid",
    }


def test_a_certificate_that_has_expired_since_stays_as_well() -> None:
    """A warning that can be clicked away is more than a port that answers nothing."""
    things = [instance(**WEB)]
    good = found(things, secrets=pair("web", "mcs.test"))
    expired = {"web": replace(pair("web", "mcs.test", ends=NOW)["web"])}
    assert found(things, secrets=expired, before=good).certificates == good.certificates


def test_a_last_good_certificate_is_for_its_domain_and_no_other() -> None:
    before = found(instance(), ACME, link("acme", **OWN), secrets=pair("own", "acme.mcs.test"))
    moved = found(instance(), ACME, link("acme", domain="new.mcs.test", **OWN), secrets={}, before=before)
    assert moved.certificates == ()


def test_a_reference_that_is_taken_away_takes_the_certificate_with_it() -> None:
    before = found(instance(), ACME, link("acme", **OWN), secrets=pair("own", "acme.mcs.test"))
    assert found(instance(), ACME, link("acme"), secrets={}, before=before) == Serving()


def test_a_renewed_certificate_takes_the_place_of_the_one_before() -> None:
    before = found(instance(**WEB), secrets=pair("web", "mcs.test"))
    renewed = pair("web", "mcs.test", ends=NOW + timedelta(days=180))
    assert domains(found(instance(**WEB), secrets=renewed, before=before)) == {"mcs.test": renewed["web"].chain}


def test_a_link_that_lost_its_community_keeps_its_tunnel_and_its_certificate() -> None:
    result = found(instance(), identity("acme", 17), link("acme", **OWN), secrets=pair("own", "acme.mcs.test"))
    assert list(domains(result)) == ["acme.mcs.test"]


def test_a_link_that_is_refused_gets_no_certificate_and_no_second_complaint() -> None:
    refused = link("acme", domain="mcs.test", **OWN)
    assert found(instance(), community(), refused, secrets={}) == Serving()


# --- portals ---


def a_portal(**more: Any) -> Any:
    return community(portalDomain="meet.mcs.test", **more)


def of_portals(result: Serving) -> dict[str, str]:
    return {certificate.domain: certificate.chain for certificate in result.portals}


def test_of_a_portal_it_is_as_of_a_link() -> None:
    web, own = pair("web", "mcs.test", "*.mcs.test"), pair("own", "meet.mcs.test")
    covered = found(instance(**WEB), a_portal(), secrets=web)
    assert of_portals(covered) == {"meet.mcs.test": web["web"].chain}
    assert of_portals(found(instance(**WEB), a_portal(**OWN), secrets=web | own)) == {"meet.mcs.test": own["own"].chain}
    plain = found(instance(**WEB), a_portal(), secrets=pair("web", "mcs.test"))
    assert (of_portals(plain), told(plain)) == ({}, {})
    assert list(domains(covered)) == ["mcs.test"], "those of portals are by themselves: links have the room first"


@pytest.mark.parametrize(
    ("secrets", "reason"),
    [
        pytest.param({}, "CertificateNotFound", id="missing"),
        pytest.param(pair("own", "meet.mcs.test", ends=NOW), "CertificateInvalid", id="expired"),
        pytest.param(pair("own", "acme.mcs.test"), "CertificateInvalid", id="for another domain"),
    ],
)
def test_a_portals_certificate_that_is_wrong_is_told_there_and_the_last_good_one_stays(
    secrets: dict[str, TlsSecret], reason: str
) -> None:
    things = [instance(), a_portal(**OWN), link("acme")]
    good = found(things, secrets=pair("own", "meet.mcs.test"))
    broken = found(things, secrets=secrets, before=Serving(good.portals))
    assert told(broken) == {("Community", "acme"): reason}
    assert broken.portals == good.portals
    assert broken.certificates == ()


def test_a_portal_that_is_refused_gets_no_certificate_and_no_second_complaint() -> None:
    assert found(instance(), community(portalDomain="mcs.test", **OWN), secrets={}) == Serving()
    assert found(instance(), community(**OWN), secrets={}) == Serving(), "without a portal there is nothing to certify"


def test_a_portal_whose_community_cannot_be_read_keeps_its_certificate() -> None:
    before = found(instance(), a_portal(**OWN), secrets=pair("own", "meet.mcs.test")).portals
    world = given(instance(), shards=packed(certificates_files(before)))
    kept = Kept(communities=(ServedCommunity("acme", "Acme", True, "meet.mcs.test"), ServedCommunity("b", "B", True)))
    assert serving(world, replace(decide(world), kept=kept)).portals == before


# --- two ---


def test_of_two_links_with_one_domain_the_first_has_the_certificate() -> None:
    first, second = link("acme", age=9, **OWN), link("late", domain="acme.mcs.test", **OWN)
    both = [community(), identity("acme", 17), identity("late", 18)]
    result = found(instance(), both, first, second, secrets=pair("own", "acme.mcs.test"))
    assert [c.domain for c in result.certificates] == ["acme.mcs.test"]


def test_what_a_link_that_cannot_be_read_was_served_with_last_stays_and_is_nobody_elses() -> None:
    """Its Secret is named in what cannot be read; of others nothing of the last time is taken."""
    things = [instance(**WEB), ACME, link("acme"), link("beta", **OWN), identity("beta", 18)]
    secrets = pair("web", "mcs.test", "acme.mcs.test") | pair("own", "beta.mcs.test")
    before = found(things, secrets=secrets)
    lines = [ServedLink(name, 18, f"{name}.mcs.test", "198.18.254.18", "acme", True) for name in ("beta", "new")]
    for there, known in ((secrets, 3), ({}, 3), (pair("web", "mcs.test"), 2)):
        world = given(instance(**WEB), ACME, link("acme"), tls_secrets=there)
        world = replace(world, shards=packed(certificates_files(before.certificates)))
        result = serving(world, replace(decide(world), kept=Kept(links=tuple(lines))))
        assert len(result.certificates) == known
        assert result.certificates[-1] == next(c for c in before.certificates if c.domain == "beta.mcs.test")
    assert "beta.mcs.test" not in domains(found(instance(**WEB), ACME, link("acme"), secrets=secrets, before=before))


def test_what_is_wrong_with_a_reference_is_told_with_its_field() -> None:
    missing = found(instance(**WEB), ACME, link("acme", **OWN), secrets={}).problems
    where = "spec.tls.secretRef: there is no Secret {!r} of type kubernetes.io/tls"
    assert missing[Kind.INSTANCE, "mcs"].message.startswith(where.format("web"))
    assert missing[Kind.LINK, "acme"].message.startswith(where.format("own"))
    expired = pair("own", "acme.mcs.test", ends=NOW)
    verdict = found(instance(), ACME, link("acme", **OWN), secrets=expired).problems[Kind.LINK, "acme"]
    why = "the certificate has expired at 2026-03-01T12:00:00Z"
    assert verdict.message == f"spec.tls.secretRef: Secret 'own': {why}; replace its content"


def test_no_key_shows_up_in_a_repr() -> None:
    result = found(instance(**WEB), secrets=pair("web", "mcs.test"))
    assert "PRIVATE" not in repr(result)
    assert "PRIVATE" not in repr(ServedCertificate("d", "c", "PRIVATE KEY"))


def test_one_certificate_of_250_links_is_looked_at_once() -> None:
    """An RSA key takes a millisecond or two to load; 250 of them at every change would hold up everybody."""
    secret = rsa.generate_private_key(65537, 2048)
    secrets = pair("web", "mcs.test", "*.mcs.test", of=secret)
    world = given(instance(**WEB), community(), links(250), tls_secrets=secrets)
    plan = decide(world)
    serving(world, plan)
    begun = time.process_time()
    assert len(serving(world, plan).certificates) == 251
    assert time.process_time() - begun < 0.1


# --- what is ordered by ACME ---

SERVER = {"server": "https://acme.example.com/directory"}


def served(of: dict[str, Any], *secrets: TlsSecret, **options: Any) -> Serving:
    """Of an instance with link `acme` of acme.mcs.test."""
    world = given(
        instance(tls=of),
        community(),
        link("acme", **options),
        identity("acme", 17),
        tls_secrets={secret.name: secret for secret in secrets},
    )
    return serving(world, decide(world))


def issued(domain: str = "acme.mcs.test", **dates: Any) -> TlsSecret:
    return TlsSecret(certificate_secret("mcs", domain), chain(domain, **dates), text_of(key()), NOW)


def test_names_for_which_nobody_brings_a_certificate_are_ordered_for_the_instances_first() -> None:
    found = served({"acme": SERVER})
    assert [(one.kind, one.domain, one.expires) for one in found.issuable] == [
        (Kind.INSTANCE, "mcs.test", None),
        (Kind.LINK, "acme.mcs.test", None),
    ]
    assert found.problems == {}


def test_nothing_is_ordered_where_no_server_is_named() -> None:
    assert served({}).issuable == ()


def test_what_was_issued_is_served_as_one_that_is_brought_and_tells_its_dates() -> None:
    found = served({"acme": SERVER}, issued())
    assert [one.domain for one in found.certificates] == ["acme.mcs.test"]
    (_, one) = found.issuable
    assert (one.begins, one.expires) == (NOW - timedelta(days=1), NOW + timedelta(days=90))
    assert found.issued == {"acme.mcs.test": NOW}


def of_a_name_that_is_gone(at: datetime | None = NOW, **other: Any) -> TlsSecret:
    domain = "gone.mcs.test"
    return replace(issued(domain), **{"created": at, "domain": domain, **other})


@pytest.mark.parametrize(
    ("secret", "counted"),
    [
        pytest.param(of_a_name_that_is_gone(), {"gone.mcs.test": NOW}, id="issued now"),
        pytest.param(of_a_name_that_is_gone(NOW - timedelta(days=7)), {}, id="a week ago"),
        pytest.param(
            of_a_name_that_is_gone(NOW - timedelta(days=6, hours=23)),
            {"gone.mcs.test": NOW - timedelta(days=6, hours=23)},
            id="within the week",
        ),
        pytest.param(of_a_name_that_is_gone(None), {"gone.mcs.test": NOW - timedelta(days=1)}, id="not kept yet"),
        pytest.param(
            of_a_name_that_is_gone(chain=chain("gone.mcs.test", begins=NOW - timedelta(days=6))),
            {"gone.mcs.test": NOW - timedelta(days=6)},
            id="restored now from a backup",
        ),
        pytest.param(of_a_name_that_is_gone(chain="damaged"), {"gone.mcs.test": NOW}, id="made now, and damaged"),
        pytest.param(of_a_name_that_is_gone(None, chain="damaged"), {}, id="without any date"),
        pytest.param(of_a_name_that_is_gone(name="ours-acme-tls"), {}, id="a Secret that somebody else made"),
        pytest.param(of_a_name_that_is_gone(domain="other.mcs.test"), {}, id="one that says another name"),
    ],
)
def test_what_was_issued_for_a_name_that_is_gone_is_counted_for_a_week(
    secret: TlsSecret, counted: dict[str, datetime]
) -> None:
    assert served({"acme": SERVER}, secret).issued == counted
    assert served({}, secret).issued == {}, "nothing is ordered, nothing is counted"


def test_a_certificate_that_was_restored_is_counted_from_when_it_was_issued() -> None:
    found = served({"acme": SERVER}, issued(begins=NOW - timedelta(days=40)))
    assert found.issued == {"acme.mcs.test": NOW - timedelta(days=40)}


def test_a_certificate_that_was_renewed_is_counted_from_when_its_secret_was_made() -> None:
    made = NOW - timedelta(days=60)
    assert served({"acme": SERVER}, replace(issued(), created=made)).issued == {"acme.mcs.test": made}


def test_what_was_issued_is_served_on_when_the_server_is_named_no_more() -> None:
    found = served({}, issued())
    assert [one.domain for one in found.certificates] == ["acme.mcs.test"]
    assert found.issuable == ()


def test_a_name_with_a_secret_of_its_own_is_not_ordered_for_be_it_there_or_not() -> None:
    own = {"tls": {"secretRef": {"name": "own"}}}
    for secrets in ([], [TlsSecret("own", chain("acme.mcs.test"), text_of(key()))]):
        found = served({"acme": SERVER}, *secrets, **own)
        assert [one.domain for one in found.issuable] == ["mcs.test"]


def test_what_the_instances_certificate_covers_is_not_ordered_for() -> None:
    wildcard = TlsSecret("wildcard", chain("mcs.test", "*.mcs.test"), text_of(key()))
    assert served({"acme": SERVER, "secretRef": {"name": "wildcard"}}, wildcard).issuable == ()
    other = TlsSecret("wildcard", chain("mcs.test", "*.other.test"), text_of(key()))
    found = served({"acme": SERVER, "secretRef": {"name": "wildcard"}}, other)
    assert [one.domain for one in found.issuable] == ["acme.mcs.test"]


def test_a_wildcard_that_is_missing_for_a_moment_is_no_reason_to_order_one_for_each_name() -> None:
    assert served({"acme": SERVER, "secretRef": {"name": "wildcard"}}).issuable == ()


@pytest.mark.parametrize(
    ("secret", "expires"),
    [
        (issued(ends=NOW - timedelta(hours=1), begins=NOW - timedelta(days=90)), NOW - timedelta(hours=1)),
        (replace(issued(), chain=chain("other.mcs.test")), None),
        (replace(issued(), key=text_of(key("another"))), None),
        (replace(issued(), chain="damaged"), None),
    ],
    ids=["expired", "another name's", "another key's", "damaged"],
)
def test_what_was_issued_and_cannot_be_served_is_ordered_anew(secret: TlsSecret, expires: object) -> None:
    found = served({"acme": SERVER}, secret)
    assert found.certificates == ()
    assert found.problems == {}, "nobody brought it, so nobody has to put it right"
    assert found.issuable[1].expires == expires
