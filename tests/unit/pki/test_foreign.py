"""Certificates and keys of others: whatever is in them, the answer is a sentence, soon, and quotes nothing."""

from __future__ import annotations

import base64
import os
import random
import re
import runpy
import ssl
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mcs_operator.pki import InvalidAuthorityError, foreign, load_authority, mint_ca, mint_client, mint_server, verifier
from mcs_operator.pki.foreign import (
    MAX_BYTES,
    ForeignError,
    Remembered,
    attempt,
    on_a_line,
    remembered_public,
    subject_of,
)
from mcs_operator.pki.inspect import is_certificate, is_pair, issued_by, load_certificate
from mcs_operator.pki.privatekey import load_private_key
from mcs_operator.pki.serving import check_certificate
from support.certificates import CASES_BEGIN, COMPOSITE, PEM, case_pair, chain, composite, key, old_text_of, text_of
from support.worlds import NOW

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # as the package does, about what others made


class PanicException(BaseException):
    """As Rust's panics arrive, by this name: derived from BaseException."""


@pytest.mark.parametrize(
    "error", [ValueError("x"), TypeError("x"), OverflowError("x"), ssl.SSLError("x"), PanicException("x")]
)
def test_whatever_a_parser_raises_becomes_a_sentence(error: BaseException) -> None:
    def parse() -> None:
        raise error

    with pytest.raises(ForeignError, match=r"^it is malformed$") as caught:
        attempt(parse, "it is malformed")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_is_about_the_process_goes_on(error: type[BaseException]) -> None:
    def parse() -> None:
        raise error

    with pytest.raises(error):
        attempt(parse, "it is malformed")


# --- CAs ---


def refusal(case: str) -> str:
    pair = case_pair(case)
    with pytest.raises(InvalidAuthorityError) as caught:
        load_authority(pair.cert_pem, pair.key_pem, CASES_BEGIN)
    return str(caught.value)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("ca-aki-without-serial", "are malformed: make it anew"),
        ("ekuserver", "unsuitable certificate purpose"),
        ("ekuclient", "unsuitable certificate purpose"),
        ("namecon", "permitted subtree violation"),
        ("critx", "unhandled critical extension"),
        ("under1024", "ca key too small"),
        ("k1", "secp256k1"),
        ("rsa1024", "1024 bits"),
        ("sha1", "is not a CA"),
    ],
)
def test_a_ca_that_openssl_would_not_verify_by_is_refused_with_its_reason(case: str, says: str) -> None:
    assert says in refusal(case)


@pytest.mark.parametrize("case", ["easyrsa", "ca-san-umlaut"])
def test_a_ca_that_is_merely_unusual_is_taken_and_signs(case: str) -> None:
    pair = case_pair(case)
    ca = load_authority(pair.cert_pem, pair.key_pem, CASES_BEGIN)
    for leaf in (mint_client(ca, "link-002.mcs", CASES_BEGIN), mint_server(ca, "link-002.mcs", CASES_BEGIN)):
        assert issued_by(leaf.cert_pem, ca.cert_pem)


def test_the_verdict_about_a_ca_does_not_depend_on_todays_date() -> None:
    """The trial is made without a clock: a CA of tomorrow is told its date, and nothing else."""
    pair = case_pair("easyrsa")
    assert load_authority(pair.cert_pem, pair.key_pem)
    with pytest.raises(InvalidAuthorityError, match="begins at"):
        load_authority(pair.cert_pem, pair.key_pem, NOW)


@pytest.mark.parametrize("year", [1990, 2090])
def test_a_trial_asks_no_clock(year: int) -> None:
    then = datetime(year, 3, 1, tzinfo=UTC)
    ca = mint_ca("demo", then)
    assert load_authority(ca.cert_pem, ca.key_pem, then) == ca


def test_where_there_are_no_files_in_memory_a_trial_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mcs_operator.pki.verifier.sys.platform", "darwin")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pair = case_pair("easyrsa")
    fresh = pair.cert_pem + "\n"  # nobody has asked about this text yet
    assert load_authority(fresh, pair.key_pem, CASES_BEGIN).key_pem == pair.key_pem
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_files_in_memory_no_key_is_written_anywhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object, **__: object) -> None:
        raise AssertionError("a key in a file")

    monkeypatch.setattr(verifier, "NamedTemporaryFile", write)
    before = set(Path("/proc/self/fd").iterdir())
    pair = mint_server(CA, "link-002.mcs", NOW)
    verifier.verify_mutual(pair, mint_client(CA, "link-002.mcs", NOW), CA.cert_pem)
    assert set(Path("/proc/self/fd").iterdir()) <= before, "and nothing is left open"


def test_a_ca_is_tried_once_and_not_at_each_reconciliation() -> None:
    ca = mint_ca("demo", NOW)
    load_authority(ca.cert_pem, ca.key_pem, NOW)
    begun = time.process_time()
    for _ in range(100):
        load_authority(ca.cert_pem, ca.key_pem, NOW)
    assert time.process_time() - begun < 0.05


def test_an_rsa_ca_of_4096_bits_is_taken_and_a_larger_one_would_hold_up_everybody() -> None:
    secret = rsa.generate_private_key(65537, 4096)
    text = text_of(secret)
    with pytest.raises(InvalidAuthorityError, match="is not a CA"):  # the key is not what is refused
        load_authority(chain("ca", of=secret), text)


@pytest.mark.parametrize(("bits", "taken"), [(2047, False), (2048, True), (4096, True), (4097, False)])
def test_the_rsa_key_of_a_ca_is_measured_at_both_ends(bits: int, taken: bool) -> None:
    """A larger one signs for a tenth of a second, in which everybody else waits."""
    measured = f"the CA's RSA key has {bits} bits: 2048 to 4096 are needed"
    assert _told(old_text_of(composite(bits))) == (
        "the key does not belong to the CA's certificate" if taken else measured
    )


def _told(key_pem: str) -> str:
    with pytest.raises(InvalidAuthorityError) as caught:
        load_authority(chain("ca"), key_pem)
    return str(caught.value)


def test_too_much_is_refused_before_it_is_parsed() -> None:
    ca = mint_ca("demo", NOW)
    assert "at most" in _refused(ca.cert_pem + "#" * MAX_BYTES, ca.key_pem)
    assert "at most" in _refused(ca.cert_pem, ca.key_pem + "#" * MAX_BYTES)
    assert "11 certificates" in _refused(ca.cert_pem * 11, ca.key_pem)


def test_a_certificate_and_its_key_are_read_up_to_their_bounds_and_not_beyond() -> None:
    """Also a single one, and where the answer is only yes or no."""
    certificate, secret = CA.cert_pem.ljust(MAX_BYTES, "#"), CA.key_pem.ljust(MAX_BYTES, "#")
    assert load_certificate(certificate) == load_certificate(CA.cert_pem)
    assert is_pair(certificate, secret)
    assert not is_pair(certificate, secret + "#")
    assert not is_pair(certificate + "#", secret)
    with pytest.raises(ForeignError, match=r"^the certificate has 30,001 bytes: 30,000 at most are read$"):
        load_certificate(certificate + "#")


def test_a_certificate_that_was_read_is_not_kept() -> None:
    """It has four kilobytes, and is parsed in five microseconds; what was asked about it is remembered."""
    assert load_certificate(CA.cert_pem) is not load_certificate(CA.cert_pem)


def test_whose_key_it_is_is_asked_without_a_search_for_primes() -> None:
    """That takes a second for a large key, in which everybody else waits."""
    assert is_pair(certified(composite(2048).public_key()), COMPOSITE)


def certified(public: Any) -> str:
    """A certificate for somebody's public key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public).serial_number(7)
    signed = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1)).sign(key(), hashes.SHA256())
    return signed.public_bytes(PEM).decode()


@pytest.mark.parametrize(
    ("length", "shown"),
    [(1, "'CN=" + "x" + "'"), (60, "'CN=" + "x" * 60 + "'"), (64, "'CN=" + "x" * 64 + "'")],
)
def test_whose_a_certificate_is_is_told_in_full(length: int, shown: str) -> None:
    assert subject_of(load_certificate(chain("x" * length))) == shown


@pytest.mark.parametrize(("text", "shown"), [("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…"), ("x", "x")])
def test_a_long_subject_is_cut_to_80_characters(text: str, shown: str) -> None:
    assert subject_of(SimpleNamespace(subject=SimpleNamespace(rfc4514_string=lambda: text))) == f"'{shown}'"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("x" * 80, "x" * 80), ("x" * 81, "x" * 79 + "…"), ("a\n" * 40, "a?" * 40), ("a\n" * 41, "a?" * 39 + "a…")],
)
def test_a_name_is_told_on_one_line_of_80_characters_at_most(name: str, shown: str) -> None:
    assert on_a_line(name) == shown


def test_what_others_made_is_none_of_our_logs_business_and_our_own_slips_are() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.resetwarnings()
        runpy.run_path(str(foreign.__file__))
        for module in ("mcs_operator.pki.inspect", "mcs_operator.kube.client", "cryptography.x509"):
            warnings.warn_explicit("serial number 0", UserWarning, module, 1, module)
            warnings.warn_explicit("goes away", DeprecationWarning, module, 1, module)
    assert [(str(one.message), one.filename) for one in told] == [
        ("goes away", "mcs_operator.pki.inspect"),
        ("serial number 0", "mcs_operator.kube.client"),
        ("goes away", "mcs_operator.kube.client"),
        ("serial number 0", "cryptography.x509"),
        ("goes away", "cryptography.x509"),
    ]


def test_a_handshake_that_does_not_end_is_no_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the two is not done: in TLS 1.2 the client ends after the server, in TLS 1.3 before it."""
    ca = mint_ca("demo", NOW)
    server = mint_server(ca, "link-002.mcs", NOW)
    monkeypatch.setattr(verifier, "_LEVEL", "DEFAULT:@SECLEVEL=2")
    for newest, rounds in ((ssl.TLSVersion.TLSv1_2, 2), (ssl.TLSVersion.TLSv1_3, 1)):
        monkeypatch.setattr(verifier, "_ROUNDS", rounds)
        servers = verifier._context(ssl.PROTOCOL_TLS_SERVER, ca.cert_pem, server)
        clients = verifier._context(ssl.PROTOCOL_TLS_CLIENT, ca.cert_pem, mint_client(ca, "link-002.mcs", NOW))
        clients.maximum_version = newest
        with pytest.raises(ForeignError, match=r"^OpenSSL refuses it: the handshake does not end$"):
            verifier._shake_hands(servers, clients)
        monkeypatch.setattr(verifier, "_ROUNDS", rounds + 1)
        verifier._shake_hands(servers, clients)


@pytest.mark.parametrize(
    ("reason", "says"), [(None, "unknown error"), ("EE_KEY_TOO_SMALL", "ee key too small"), ("", "unknown error")]
)
def test_a_reason_of_openssls_is_told_in_words_also_where_it_has_none(
    reason: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        error = ssl.SSLError()
        error.reason = reason  # type: ignore[assignment]
        raise error

    monkeypatch.setattr(verifier, "_step", fail)
    pair = mint_server(CA, "link-002.mcs", NOW)
    with pytest.raises(ForeignError, match=f"^OpenSSL refuses it: {says}$"):
        verifier.verify_server(pair, CA.cert_pem)


def test_a_ca_is_measured_by_the_same_level_also_where_the_systems_own_is_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A distribution may have lowered it; the OpenSSL of a TVox and of HAProxy knows nothing of that."""

    def lowered(protocol: int) -> ssl.SSLContext:
        made = ssl.SSLContext(protocol)
        made.set_ciphers("DEFAULT:@SECLEVEL=0")
        return made

    monkeypatch.setattr(verifier, "ssl", SimpleNamespace(**vars(ssl) | {"SSLContext": lowered}))
    pair = case_pair("under1024")
    assert "ca key too small" in _refused(pair.cert_pem + "\n", pair.key_pem)  # nobody has asked about this text yet


def _refused(cert_pem: str, key_pem: str) -> str:
    with pytest.raises(InvalidAuthorityError) as caught:
        load_authority(cert_pem, key_pem)
    return str(caught.value)


# --- garbage ---


def damaged(text: str, at: int, byte: int) -> str:
    """A PEM text with one byte of its content changed."""
    lines = text.splitlines()
    body = "".join(lines[1:-1])
    at %= len(body)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = body[:at] + letters[byte % 64] + body[at + 1 :]
    return "\n".join([lines[0], *(body[n : n + 64] for n in range(0, len(body), 64)), lines[-1], ""])


CA = mint_ca("demo", NOW)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 63), what=st.sampled_from(["ca", "key", "web"]))
def test_a_byte_that_is_wrong_anywhere_is_a_verdict_and_never_a_traceback(at: int, byte: int, what: str) -> None:
    certificate = damaged(CA.cert_pem, at, byte) if what != "key" else CA.cert_pem
    secret = damaged(CA.key_pem, at, byte) if what == "key" else CA.key_pem
    try:
        load_authority(certificate, secret, NOW)
    except InvalidAuthorityError as error:
        assert str(error)
    assert isinstance(check_certificate(certificate, secret, "acme.mcs.test", NOW), str)
    assert isinstance(issued_by(certificate, CA.cert_pem), bool)
    assert isinstance(is_pair(certificate, secret), bool)


COUNT = int(os.environ.get("MCS_FUZZ", "1000"))
SEEDS = ["ca-aki-without-serial", "ca-san-umlaut", "critx", "easyrsa", "ekuclient", "namecon", "k1", "sha1"]


def mutated(der: bytes, rng: random.Random) -> bytes:
    """A certificate or key with some of its bytes changed, left out, doubled or moved."""
    body = bytearray(der)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, length = rng.randrange(len(body)), rng.choice((1, 1, 2, 8, 40))
        part = body[at : at + length]
        body[at : at + length] = rng.choice((bytes(b ^ 1 << rng.randrange(8) for b in part), b"", part * 2, b"\xff"))
        body = body or bytearray(b"\x00")
    return bytes(body)


def as_pem(der: bytes, kind: str) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


def ders(pem: str) -> list[tuple[bytes, str]]:
    """The blocks of a PEM text, with their kinds."""
    found = re.findall(r"-----BEGIN ([A-Z ]+)-----\n(.*?)-----END", pem, re.DOTALL)
    return [(base64.b64decode(body), kind) for kind, body in found]


def test_whatever_becomes_of_its_bytes_a_certificate_is_a_verdict_in_time() -> None:
    """A thousand in make test, more by MCS_FUZZ; each is looked at in less than what the event loop may stand still."""
    rng = random.Random(int(os.environ.get("MCS_FUZZ_SEED", "13")))  # noqa: S311 - to be repeated, not to be secret
    pairs = [case_pair(name) for name in SEEDS] + [CA]
    slowest, reasons = 0.0, set()
    for _ in range(COUNT):
        pair = rng.choice(pairs)
        which = rng.choice(("cert", "key", "both"))
        cert = "".join(as_pem(mutated(d, rng) if which != "key" else d, kind) for d, kind in ders(pair.cert_pem))
        secret = "".join(as_pem(mutated(d, rng) if which != "cert" else d, kind) for d, kind in ders(pair.key_pem))
        begun = time.process_time()
        try:
            load_authority(cert, secret, CASES_BEGIN)
        except InvalidAuthorityError as error:
            reasons.add(str(error)[:40])
        reasons.add(check_certificate(cert, secret, "acme.mcs.test", CASES_BEGIN)[:40])
        assert isinstance(issued_by(cert, CA.cert_pem), bool)
        assert isinstance(is_pair(cert, secret), bool)
        slowest = max(slowest, time.process_time() - begun)
    assert len(reasons) > 10, "the inputs do not come far"
    assert slowest < 0.25, "50 ms, with four questions, and a machine that is busy"


@given(st.text(max_size=300))
def test_any_text_is_a_verdict(text: str) -> None:
    assert check_certificate(text, text, None, NOW)
    assert not is_certificate(text)
    assert not is_pair(text, text)
    with pytest.raises(InvalidAuthorityError):
        load_authority(text, text)


# --- what is remembered ---


def test_the_last_ones_are_remembered_and_no_more() -> None:
    asked: list[str] = []

    def say(text: str) -> str:
        asked.append(text)
        return text.upper()

    remember = Remembered(say, 2)
    assert [remember(text) for text in ("a", "b", "a", "c", "a", "b")] == ["A", "B", "A", "C", "A", "B"]
    assert asked == ["a", "b", "c", "b"], "b was the one that nobody had asked about for the longest time"
    assert len(remember) == 2


def test_two_texts_are_not_taken_for_their_concatenation() -> None:
    remember = Remembered(lambda *texts: texts, 8)
    assert remember("ab", "c") == ("ab", "c")
    assert remember("a", "bc") == ("a", "bc")


def test_an_error_and_what_is_too_large_are_not_remembered() -> None:
    asked: list[int] = []

    def fail(text: str) -> None:
        asked.append(len(text))
        if len(text) < MAX_BYTES:
            raise ForeignError("no")

    remember = Remembered(fail, 8)
    for text in ("a", "a"):
        with pytest.raises(ForeignError):
            remember(text)
    remember("a" * (MAX_BYTES + 1))
    assert (asked, len(remember)) == ([1, 1, MAX_BYTES + 1], 0)
    for text in ("a" * MAX_BYTES, "a" * MAX_BYTES):
        remember(text)
    assert (asked[3:], len(remember)) == ([MAX_BYTES], 1)


def test_a_small_certificate_is_remembered_by_itself_and_never_one_with_a_key_behind_it() -> None:
    asked: list[str] = []
    ask = remembered_public(8)(lambda *texts: asked.append(texts[0]))
    small, edge, large, with_key = CA.cert_pem, "#" * 4096, "#" * 4097, CA.cert_pem + CA.key_pem
    for text in (small, small, edge, edge, large, large, with_key, with_key):
        ask(text)
    assert asked == [small, edge, large, large, with_key, with_key]


def test_a_surrogate_is_no_reason_to_fail() -> None:
    assert not is_pair("\udcff", text_of(key()))


# --- keys that cost whoever loads them ---

MOMENT = datetime.now(UTC)
BITS = 12_000
HUGE = (1 << BITS) - 1
"""As a prime of a key whose whole text is 4 KB."""


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, len(body)] if len(body) < 0x80 else [tag, 0x80 | len(size), *size]) + body


def integer(number: int) -> bytes:
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def pem_of(label: str, content: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(content).decode()}-----END {label}-----\n"


def dsa_key() -> str:
    """In PKCS #8, which leaves it to the reader to reckon out the public half."""
    numbers = der(0x30, integer(HUGE), integer((1 << 256) - 189), integer(2))
    kind = der(0x30, bytes.fromhex("06072a8648ce380401"), numbers)
    return pem_of("PRIVATE KEY", der(0x30, b"\x02\x01\x00", kind, der(4, integer(HUGE))))


def rsa_key(good: rsa.RSAPrivateKey, **others: int) -> str:
    """A key with the modulus of a good one, and numbers beside it that are none of its own."""
    known = good.private_numbers()
    public = {"n": known.public_numbers.n, "e": known.public_numbers.e, "d": known.d}
    beside = {"p": known.p, "q": known.q, "dmp1": known.dmp1, "dmq1": known.dmq1, "iqmp": known.iqmp}
    numbers = ({"version": 0} | public | beside | others).values()
    return pem_of("RSA PRIVATE KEY", der(0x30, *map(integer, numbers)))


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
def test_a_key_of_another_kind_is_refused_before_anything_is_reckoned_with_it(label: str) -> None:
    """30 KB of it took minutes, with Python's lock held: a tenant stopped the operator of the whole cluster."""
    hostile = dsa_key().replace("PRIVATE KEY", label)
    begun = time.thread_time()
    told = check_certificate(chain(), hostile, None, MOMENT)
    assert told.startswith("tls.key is n")
    assert not is_pair(chain(), hostile)
    with pytest.raises(InvalidAuthorityError, match="the CA's key is n"):
        load_authority(mint_ca("demo", NOW).cert_pem, hostile)
    assert time.thread_time() - begun < 0.2


@pytest.mark.parametrize("other", [{"p": HUGE, "dmp1": HUGE}, {"dmq1": HUGE}, {"d": HUGE}, {"iqmp": HUGE}, {"q": 0}])
def test_an_rsa_key_with_numbers_that_are_not_its_own_is_refused_before_it_is_used(other: dict[str, int]) -> None:
    good = rsa.generate_private_key(65537, 2048)
    assert check_certificate(chain(of=good), rsa_key(good), None, MOMENT) == ""
    hostile = rsa_key(good, **other)
    begun = time.thread_time()
    assert check_certificate(chain(of=good), hostile, None, MOMENT).startswith("tls.key is not a private key")
    assert not is_pair(chain(of=good), hostile)
    with pytest.raises(InvalidAuthorityError, match="the CA's key is not a private key"):
        load_authority(mint_ca("demo", NOW).cert_pem, hostile)
    assert time.thread_time() - begun < 0.2


@pytest.mark.parametrize("other", ["d", "dmp1", "p"])
def test_an_rsa_key_may_have_numbers_as_large_as_its_modulus(other: str) -> None:
    """They cost no more than it does, and whether they are right shows when the key is used."""
    good = rsa.generate_private_key(65537, 2048)
    modulus = good.private_numbers().public_numbers.n
    edge = rsa_key(good, **{other: modulus} | ({"q": 1} if other == "p" else {}))
    assert is_pair(chain(of=good), edge)
    assert is_pair(chain(of=good), rsa_key(good, **{other: modulus + 1})) is False


def test_a_key_is_one_text_of_base64_and_nothing_is_left_out_of_it() -> None:
    """Else another key would be looked at than the one that a parser sees afterwards."""
    for whole in (dsa_key(), text_of(key())):
        spoilt = whole.replace("\nMI", "\n#MI")
        assert spoilt != whole
        with pytest.raises(ValueError):
            load_private_key(spoilt)
    assert load_private_key(dsa_key()) is None


def test_what_is_put_around_a_key_does_not_bring_another_one_before_the_parser() -> None:
    inner = dsa_key()
    for hostile in (
        f"-----BEGIN RSA PRIVATE KEY-----\n{inner}-----END RSA PRIVATE KEY-----\n",
        f"-----BEGIN DSA PRIVATE KEY-----\n{inner}",
        inner.replace("END", "STOP"),
        "-----BEGIN PRIVATE KEY-----\n" * 1000,
    ):
        begun = time.thread_time()
        assert check_certificate(chain(), hostile, None, MOMENT).startswith("tls.key is n")
        assert not is_pair(chain(), hostile)
        assert time.thread_time() - begun < 0.1
