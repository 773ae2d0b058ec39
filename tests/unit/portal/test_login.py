"""Who gets in, and that the answer tells a stranger nothing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from unit.portal.running import HASH, PASSWORD, House, hashed, soon

pytestmark = pytest.mark.timeout(20)


async def test_with_the_right_password_one_is_in(house: House) -> None:
    ada = house.browser()
    answer = await ada.log_in("ada")
    assert (answer.status, answer.content) == (204, b"")
    me = (await ada.get("/api/me")).json
    assert me["user"] == "ada" and me["displayName"] == "Ada"
    assert me["community"] == {"name": "acme", "displayName": "Acme"}
    assert me["functions"] == ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"]
    assert me["limits"] == {"fileBytes": 100 * 1024 * 1024, "room": 8} and me["draining"] is False


async def test_the_cookie_is_this_hosts_alone_and_no_script_reads_it(house: House) -> None:
    cookie = (await house.browser().log_in("ada")).headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("ada", "wrong", id="wrong password"),
        pytest.param("nobody", PASSWORD, id="unknown user"),
        pytest.param("eve", PASSWORD, id="user of another community"),
        pytest.param("dan", PASSWORD, id="user without a password"),
        pytest.param("../../etc/passwd", PASSWORD, id="no name of a user"),
        pytest.param("ada", "x" * 1024, id="longest password"),
    ],
)
async def test_whoever_does_not_get_in_gets_the_same_answer(house: House, user: str, password: str) -> None:
    house.users["acme", "dan"] = ["Audio"]
    await house.told()
    answer = await house.browser().log_in(user, password)
    assert answer.error == (401, "wrong-credentials")
    assert "Set-Cookie" not in answer.headers


async def test_an_unknown_user_costs_one_verification_like_a_known_one(house: House) -> None:
    """The time is that of the hash: so it is the hashes that are compared, and no clock."""
    house.logins["acme", "bob"] = hashed("bob's", time=3)
    await house.told()
    verified: list[str] = []
    house.portal.verifier._check = lambda encoded, password: verified.append(encoded) or False  # type: ignore[func-returns-value]
    for user in ["ada", "bob", *(f"nobody{number}" for number in range(20)), "nobody7"]:
        await house.browser(source=f"192.0.2.{len(verified)}").log_in(user)
    costs = [encoded.split("$")[3] for encoded in verified]
    assert costs[:2] == ["m=8,t=1,p=1", "m=8,t=3,p=1"]
    assert set(costs[2:]) == set(costs[:2]), "each unknown user costs what some known one does"
    assert costs[-1] == costs[2 + 7], "the same each time"


async def test_a_community_without_logins_answers_as_slowly(house: House) -> None:
    del house.logins["globex", "eve"]
    await house.told()
    verified: list[str] = []
    house.portal.verifier._check = lambda encoded, password: verified.append(encoded) or False  # type: ignore[func-returns-value]
    await house.browser("globex").log_in("eve")
    assert verified[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "encoded",
    [
        "$argon2id$v=19$m=65537,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=1024,t=5,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2id$v=19$m=1024,t=1,p=5$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$argon2i$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
        "$2b$13$" + "A" * 53,
        "$2b$03$" + "A" * 53,
        "$6$rounds=999999999$salt$digest",
        "correct horse",
        "",
    ],
)
async def test_a_hash_that_costs_too_much_or_is_none_is_no_login(house: House, encoded: str) -> None:
    house.logins["acme", "bob"] = encoded
    await house.told()
    assert (await house.browser().log_in("bob")).status == 401
    assert (await house.inner("GET", "/counts")).json["logins"] == {"acme": 2, "globex": 1}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"ada"', b"[" * 60_000, b'{"user": "ada"}', b'{"user": ["ada"], "password": {}}', b"\xff",
             b'{"user": "ada", "password": "\\ud800"}', b'{"user": "", "password": ""}', b'{"user":' + b"9" * 5000]
)  # fmt: skip
async def test_what_is_no_login_is_refused(house: House, body: bytes) -> None:
    assert (await house.browser().ask("POST", "/api/login", data=body)).error == (400, "bad-request")


async def test_a_large_body_is_refused(house: House) -> None:
    assert (await house.browser().ask("POST", "/api/login", data=b" " * 70_000)).error == (413, "too-large")


@pytest.mark.parametrize("what", ["user", "password"])
async def test_who_is_taken_out_while_the_password_is_verified_does_not_get_in(house: House, what: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(encoded: str, password: str) -> bool:
        begun.set()
        return go_on.wait(10)

    house.portal.verifier._check = slowly
    login = asyncio.create_task(house.browser().log_in("ada"))
    await soon(begun.is_set)
    if what == "user":
        del house.users["acme", "ada"]
    else:
        house.logins["acme", "ada"] = hashed("another")
    await house.told()
    go_on.set()
    assert (await login).error == (401, "wrong-credentials")


# ---- how often


async def test_who_guesses_from_one_address_is_held_up_there_and_nowhere_else(house: House) -> None:
    for _ in range(10):
        assert (await house.browser().log_in("ada", "guess")).status == 401
    held_up = await house.browser().log_in("ada")
    assert held_up.error == (429, "too-many") and 1 <= int(held_up.headers["Retry-After"]) <= 300
    assert (await house.browser(source="192.0.2.2").log_in("ada")).status == 204, "at home she gets in"
    assert (await house.browser().log_in("bob")).status == 204, "others of that office, too"
    await house.passes(301)
    assert (await house.browser().log_in("ada")).status == 204


async def test_an_unknown_user_is_held_up_like_a_known_one(house: House) -> None:
    answers = [[(await house.browser().log_in(user, "guess")).status for _ in range(11)] for user in ("ada", "nobody")]
    assert answers[0] == answers[1] == [401] * 10 + [429]


async def test_guesses_from_many_addresses_hold_up_strangers_and_not_where_she_logs_in(house: House) -> None:
    assert (await house.browser(source="198.51.100.1").log_in("ada")).status == 204
    for number in range(50):
        assert (await house.browser(source=f"192.0.2.{number}").log_in("ada", "guess")).status == 401
    assert (await house.browser(source="192.0.2.77").log_in("ada", "guess")).status == 429
    assert (await house.browser(source="198.51.100.1").log_in("ada")).status == 204


async def test_who_logs_in_often_is_not_held_up(house: House) -> None:
    assert {(await house.browser().log_in("ada")).status for _ in range(30)} == {204}


async def test_one_ipv6_network_is_one_source(house: House) -> None:
    for number in range(10):
        await house.browser(source=f"2001:db8:1:2::{number:x}").log_in("ada", "guess")
    assert (await house.browser(source="2001:db8:1:2:ffff::1").log_in("ada")).status == 429
    assert (await house.browser(source="2001:db8:1:3::1").log_in("ada")).status == 204


async def test_the_address_is_the_one_that_haproxy_adds(house: House) -> None:
    for number in range(10):
        await house.browser(source=f"198.51.100.{number}, 192.0.2.9").log_in("ada", "guess")
    assert (await house.browser(source="203.0.113.5, 192.0.2.9").log_in("ada")).status == 429


# ---- from where


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(None, id="none"),
        pytest.param("null", id="a sandboxed page"),
        pytest.param("https://meet.globex.example.com", id="another customer's page"),
        pytest.param("https://acme.example.com", id="the page of the customer's own TVox"),
        pytest.param("http://meet.acme.example.com", id="plain HTTP"),
        pytest.param("https://meet.acme.example.com.evil.example", id="a longer name"),
        pytest.param("https://meet.acme.example.com:8443", id="another port"),
    ],
)
async def test_no_foreign_page_logs_anybody_in(house: House, origin: str | None) -> None:
    ada = house.browser()
    ada.origin = origin
    assert (await ada.log_in("ada")).error == (403, "not-allowed")


async def test_a_community_that_is_not_there_or_not_open_has_no_portal(house: House) -> None:
    assert (await house.browser("initech").log_in("ada")).error == (404, "not-found")
    nobodys = house.browser()
    nobodys.community = None
    assert (await nobodys.log_in("ada")).error == (404, "not-found")
    house.communities["globex"]["open"] = False
    house.communities["acme"]["portal"] = None
    await house.told()
    assert (await house.browser("globex").log_in("eve")).error == (503, "closed")
    assert (await house.browser().log_in("ada")).error == (404, "not-found")


async def test_before_the_first_set_everybody_waits(house: House) -> None:
    await house.stop()
    for name in ("set.json", "logins.json"):
        (house.folder / name).unlink()
    await house.start()
    answer = await house.browser().log_in("ada")
    assert answer.error == (503, "waiting") and answer.headers["Retry-After"]
    await house.told()
    assert (await house.browser().log_in("ada")).status == 204


async def test_a_password_of_bcrypt_is_taken_as_htpasswd_writes_it(house: House) -> None:
    import bcrypt

    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    house.logins["acme", "ada"] = made.replace("$2b$", "$2y$")
    house.logins["acme", "bob"] = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    await house.told()
    assert (await house.browser().log_in("ada")).status == 204
    assert (await house.browser().log_in("ada", "wrong")).status == 401
    assert (await house.browser().log_in("bob", "x" * 100)).status == 204, "72 bytes count"


async def test_a_new_password_ends_the_sessions_of_the_old_one(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    house.logins["acme", "ada"] = hashed("another")
    await house.told()
    assert (await ada.get("/api/me")).status == 401
    assert (await bob.get("/api/me")).status == 200
    assert house.logins["acme", "bob"] == HASH
