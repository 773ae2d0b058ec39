"""A secret that is planted in a log, in whatever form it is met in, is not there afterwards; what helps support is."""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from mcs_operator.cli.scrub import A_USER, LEFT_OUT, Scrubber, is_secret_name, scrubbed, users_in
from support.worlds import KEY

ROUNDS = int(os.environ.get("MCS_FUZZ", "1000"))
NAMES = (
    "password", "PASSWORD", "db_password", "passwd", "passphrase", "client_secret", "clientSecret",
    "AWS_SECRET_ACCESS_KEY",
    "api_key", "apiKey", "X-Api-Key", "access-token", "refresh_token", "id.token", "TOKEN", "secret", "private_key",
    "credential", "auth_token", "session_cookie", "signature", "encryption-key", "HTTP_PASSWORD", "pwd", "PSK",
)  # fmt: skip
ASSIGNMENTS: tuple[Callable[[str, str], str], ...] = (
    lambda name, value: f"{name}={value}",
    lambda name, value: f"{name}='{value}' user=me",
    lambda name, value: f'export {name}="{value}"',
    lambda name, value: f"{name}: {value}",
    lambda name, value: f'{name}: "{value}", more: 1',
    lambda name, value: json.dumps({"user": "me", name: value, "z": 1}),
    lambda name, value: json.dumps({"said": json.dumps({name: value, "z": 1})}),
    lambda name, value: json.dumps(json.dumps({"a": json.dumps({name: value})})),
    lambda name, value: f"https://example.com/?a=b&{name}={quote(value)}&c=d",
    lambda name, value: quote_plus(f"{name}={quote(value)}"),
    lambda name, value: f"{{'{name}': '{value}'}}",
    lambda name, value: f"{name} => {value};",
    lambda name, value: f"{name} := {value}",
    lambda name, value: f"run --{name.replace('_', '-').replace('.', '-')} {value} --verbose",
    lambda name, value: f"run --{name.replace('_', '-').replace('.', '-')}={value}",
    lambda name, value: json.dumps({"env": [{"name": name, "value": value}]}),
    lambda name, value: json.dumps({"said": json.dumps([{"name": name, "value": value}])}, indent=1),
    lambda name, value: f"- name: {name}\n  value: {value}\n",
)
FORMS: tuple[Callable[[str], str], ...] = (
    lambda value: f"Authorization: Basic {base64.b64encode(f'me:{value}'.encode()).decode()}",
    lambda value: f"authorization=Basic {base64.b64encode(f'me:{value}'.encode()).decode()}",
    lambda value: f"curl -H 'Authorization: Bearer {value}' https://x",
    lambda value: f'Proxy-Authorization: Digest username="me", response="{value}"',
    lambda value: f"Cookie: session={value}; theme=dark",
    lambda value: f"bearer {value}",
    lambda value: f"dialling https://me:{quote(value, safe='')}@proxy.example.com:3128/path",
    lambda value: f"clone https://{quote(value, safe='')}@git.example.com/x",
    lambda value: f"the password is {value}",
    lambda value: f"password '{value}' refused",
    lambda value: f"<auth-user-pass>\nme\n{value}\n</auth-user-pass>",
    lambda value: f"data: {base64.b64encode((value * 4).encode()).decode()}",
    lambda value: f"got eyJhbGciOiJSUzI1.eyJpc3MiOiJr.{base64.urlsafe_b64encode(value.encode()).decode().rstrip('=')}",
)
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
SPECIAL = "!$%*+-./:?@^_~#"


def planted(value: str) -> set[str]:
    """What of it must not be found: itself, and as base64, however it is aligned."""
    raw = value.encode()
    forms = {value, quote(value, safe=""), json.dumps(value)[1:-1]}
    return forms | {base64.b64encode(b" " * lead + raw).decode()[lead + 2 : -6] for lead in range(3)}


@pytest.mark.parametrize("name", NAMES)
def test_an_assignment_of_a_secret_is_known_in_every_spelling(name: str) -> None:
    for value in ("hunter2hunter2", "S3cr3t!Pass", "a.b-c_d~e"):
        for assigned in ASSIGNMENTS:
            text = f"2026-03-01T12:00:00Z level=info {assigned(name, value)}\nnext line"
            assert value not in scrubbed(text), text
            assert "next line" in scrubbed(text)


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_secret_is_known_by_what_it_stands_in(form: int) -> None:
    text = f"before\n{FORMS[form]('hunter2Hunter2')}\nafter"
    assert "hunter2Hunter2" not in scrubbed(text)
    assert base64.b64encode(b"me:hunter2Hunter2").decode() not in scrubbed(text)
    assert scrubbed(text).startswith("before\n")
    assert "after" in scrubbed(text)


def test_whatever_is_planted_wherever_is_gone() -> None:
    chance = random.Random(7)  # noqa: S311 - repeatable, and no secret
    for _ in range(ROUNDS):
        value = "".join(
            chance.choice(ALPHABET + SPECIAL * (chance.random() < 0.3)) for _ in range(chance.randint(8, 40))
        )
        value = chance.choice(ALPHABET) + value.strip(SPECIAL) + chance.choice(ALPHABET)
        place = chance.choice(FORMS)(value)
        if chance.random() < 0.6 and not set(value) & set("'\""):
            place = chance.choice(ASSIGNMENTS)(chance.choice(NAMES), value)
        noise = " ".join(
            chance.choice(("link-017", "info", "peer=198.51.100.24:1194", "{", '"', "'")) for _ in range(4)
        )
        text = f"{noise}\n{chance.choice(('', '2026-03-01 E ', '  '))}{place}\n{noise}\n"
        found = scrubbed(text)
        assert not [form for form in planted(value) if len(form) > 5 and form in found], (text, found)


def test_base64_that_has_no_digit_by_chance_is_gone_and_a_long_name_stays() -> None:
    by_chance = base64.b64encode(b"QgQY6TaqPZQc" * 4).decode()
    assert by_chance.isalpha()
    for text in (by_chance, by_chance[:41], "a" * 63 + "B"):
        assert scrubbed(f"data: {text}") == f"data: {LEFT_OUT}"
    for name in ("testThatTheLinkWhoseTLSCertificateHasExpiredIsToldSo", "a" * 62 + "B", "A" * 70, "a" * 70):
        assert scrubbed(f"data: {name}") == f"data: {name}"


KEYS = [
    pytest.param(KEY, id="as it is"),
    pytest.param(KEY.replace("\n", "\\n"), id="in JSON"),
    pytest.param(KEY.replace("\n", "\\\\n"), id="in JSON in JSON"),
    pytest.param(KEY.replace("\n", " "), id="on one line"),
    pytest.param(KEY.replace("\n", ""), id="joined"),
    pytest.param(KEY.replace("\n", "\r\n"), id="with CRLF"),
    pytest.param(KEY.replace("PRIVATE KEY", "PRIVATE\n    KEY"), id="folded by YAML"),
    pytest.param(KEY.replace("PRIVATE KEY", "PRIVATE\\\n  \\ KEY"), id="folded by YAML in quotes"),
    pytest.param(quote(KEY), id="in an address"),
    pytest.param(quote_plus(KEY), id="in a form"),
    pytest.param("".join(f"2026-03-01 I {line}\n" for line in KEY.splitlines()), id="a log's line each"),
    pytest.param(KEY.partition("-----END")[0], id="cut off"),
    pytest.param(KEY.partition("\n")[2], id="without its first line"),
    pytest.param(base64.b64encode(KEY.encode()).decode(), id="in base64"),
    pytest.param(base64.encodebytes(KEY.encode()).decode(), id="in base64 of several lines"),
    pytest.param(KEY.lower().replace("secret==", "SECRET=="), id="its words in lower case"),
]


@pytest.mark.parametrize("text", KEYS)
def test_a_private_key_is_gone_in_whole(text: str) -> None:
    found = scrubbed(f"before.\n{text}")
    lines = [line for line in KEY.splitlines() if not line.startswith("-")]
    assert "SECRET==" not in found
    assert not [line for line in lines if line in found]
    assert base64.b64encode(KEY.encode()).decode()[:60] not in found
    assert found.startswith("before")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01 link-017: peer 198.51.100.24:1194, fingerprint AA:BB, slot 17, revision 4f2a",
        "spec.vpn.caSecretRef: Secret 'acme-ca' is not there",
        "Secret acme-profile of namespace mcs-demo",
        "secretName: acme-profile",
        "pulled registry.example.com/mcs@sha256:" + "0123456789abcdef" * 4,
        "https://mcs.example.com:8443/connections?since=5",
        "basic constraints are missing; a bearer of news; digest mismatch",
        'level=info msg="reconciled" namespace=mcs-demo seconds=0.41 podUID=0f8fad5b-d9cb-469f-a165-70867728950e',
        "/apis/mcs.tvox.io/v1alpha1/namespaces/mcs-demo/tvoxlinks/acme",
        "tokenExpirationSeconds: 3600",
        "waiting for --operator-namespace mcs-system",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert scrubbed(text) == text
    assert Scrubber(["anna"], ["acme"]).text(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user 'anna' is listed twice", f"user {A_USER} is listed twice"),
        ("not served, from 'zoe' on", f"not served, from {A_USER} on"),
        ("anna logged in", f"{A_USER} logged in"),
        ("login of anna.", f"login of {A_USER}."),
        ("login of Anna Rossi today", f"login of {A_USER} today"),
        ('{"name": "J\\u00fcrgen M\\u00fcller"}', f'{{"name": "{A_USER}"}}'),
        ("to=J%C3%BCrgen%20M%C3%BCller&x", f"to={A_USER}&x"),
        ("annalena and hanna", "annalena and hanna"),
        ("anna@acme", f"{A_USER}@acme"),
        ("link bolt is up", "link bolt is up"),
        ('User "system:serviceaccount:a:b" cannot list', 'User "system:serviceaccount:a:b" cannot list'),
        ('User "jane" cannot list', f"User {A_USER} cannot list"),
        ("moved from 'bolt' to 'zoe'", f"moved from 'bolt' to '{A_USER}'"),
        ("al is short", "al is short"),
        ("user 'al' is short", f"user {A_USER} is short"),
    ],
)
def test_users_are_not_named_and_objects_are(text: str, said: str) -> None:
    users = ["anna", "zoe", "Anna Rossi", "Jürgen Müller", "bolt", "al"]
    assert Scrubber(users, others=["bolt"]).text(text) == said


def test_users_are_found_in_whatever_communities_are_there() -> None:
    bodies: list[dict[str, object]] = [
        {"spec": {"users": [{"name": "anna", "displayName": "Anna Rossi"}, "bea", None, {"name": 4}]}},
        {"spec": {"users": "anna"}},
        {"spec": None},
        {},
    ]
    assert users_in(bodies) == {"anna", "Anna Rossi"}


@pytest.mark.parametrize(
    "name", ["secretName", "caSecretRef", "tokenExpirationSeconds", "profileSecret", "node", "tokenPath"]
)
def test_what_points_to_a_secret_is_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----" * 20_000,
        "-----END PRIVATE KEY-----\n" * 2_000,
        "a" * 500_000,
        "aB3" * 200_000,
        "password" * 60_000,
        "password=" * 60_000,
        '"' * 300_000,
        "\\" * 300_000,
        "://" * 150_000,
        "bearer " * 70_000,
        "<key>" * 100_000,
        "-" * 300_000,
        "token: '" * 50_000,
        "user '" * 80_000,
        "anna " * 100_000,
        "x-" * 200_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    Scrubber(["anna", "Anna Rossi"]).text(text[:100_000])
    assert time.process_time() - begun < 3


def test_what_is_left_out_is_left_out_once() -> None:
    once = scrubbed("password=hunter2 Authorization: Basic bWU6aHVudGVyMg==")
    assert scrubbed(once) == once
    assert once.count(LEFT_OUT) == 2


@pytest.mark.parametrize(
    "hashed",
    [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$2y$10$" + "aB" * 26 + "c",
        "$2b$12$" + "x" * 53,
        "$apr1$abcdefgh$ijklmnopqrstuvwxyz0123",
        "$6$saltsalt$" + "y" * 86,
    ],
)
@pytest.mark.parametrize("form", ["ada:{}", '{{"name":"ada","hash":"{}"}}', "line '{}' refused", "{}"])
def test_the_hash_of_a_password_is_gone_in_whole(hashed: str, form: str) -> None:
    said = scrubbed(form.format(hashed))
    assert LEFT_OUT in said
    assert not any(part in said for part in hashed.split("$") if len(part) > 8)


def test_what_is_said_about_a_secret_with_passwords_stays() -> None:
    said = (
        "spec.authentication.passwordsFrom: Secret 'acme-passwords', key .htpasswd: line 2: the hash must be argon2id"
    )
    assert scrubbed(said) == said
