"""A passwords file: whatever is in it, logins or one named problem come out, which names no user and no hash."""

from __future__ import annotations

import base64
import random

import pytest

from mcs_operator.api.passwords import (
    LARGEST_FILE,
    LONGEST_LINE,
    MOST_LOGINS,
    Login,
    PasswordsError,
    passwords_of,
    read_passwords,
    take_passwords,
)

ARGON = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
BCRYPT = "$2y$10$" + "a" * 22 + "b" * 31


def argon(m: object = 19456, t: object = 2, p: object = 1, version: object = 19, salt: str = "", tag: str = "") -> str:
    salt, tag = salt or "c29tZXNhbHRzb21lc2FsdA", tag or "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
    return f"$argon2id$v={version}$m={m},t={t},p={p}${salt}${tag}"


def b64(size: int) -> str:
    return base64.b64encode(b"x" * size).decode().rstrip("=")


def read(text: str) -> tuple[Login, ...]:
    return read_passwords(text.encode())


def problem(content: bytes) -> str:
    with pytest.raises(PasswordsError) as error:
        read_passwords(content)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("", [], id="nothing at all: nobody has a password"),
        pytest.param(f"ada:{ARGON}", ["ada"], id="one, without an end of the line"),
        pytest.param(f"ada:{ARGON}\nbob:{BCRYPT}\n", ["ada", "bob"], id="argon2id and bcrypt beside each other"),
        pytest.param(f"ada:{ARGON}\r\nbob:{BCRYPT}\r\n", ["ada", "bob"], id="lines as Windows ends them"),
        pytest.param(f"\ufeffada:{ARGON}\n", ["ada"], id="a mark of the byte order"),
        pytest.param(f"# ours\n\n  \nada:{ARGON}\n", ["ada"], id="comments and empty lines"),
        pytest.param(f"ada.l@acme-x+1:{BCRYPT}\n", ["ada.l@acme-x+1"], id="every sign that a user's name may have"),
    ],
)
def test_each_line_is_a_user_and_his_hash(text: str, names: list[str]) -> None:
    assert [login.name for login in read(text)] == names


def test_the_hash_is_taken_as_it_is() -> None:
    assert read(f"ada:{ARGON}\nbob:{BCRYPT}\n") == (Login("ada", ARGON), Login("bob", BCRYPT))


@pytest.mark.parametrize(
    "hashed",
    [
        pytest.param(argon(m=65536, t=4, p=4), id="the dearest that is taken"),
        pytest.param(argon(m=8, t=1, p=1), id="the cheapest that argon2 knows"),
        pytest.param(argon(salt=b64(8), tag=b64(16)), id="the shortest salt and hash"),
        pytest.param(argon(salt=b64(64), tag=b64(64)), id="the longest salt and hash"),
        pytest.param("$2y$04$" + "." * 53, id="bcrypt as htpasswd writes it, at its cheapest"),
        pytest.param("$2b$12$" + "/" * 53, id="bcrypt at its dearest"),
    ],
)
def test_what_a_portal_can_check_in_a_moment_is_taken(hashed: str) -> None:
    assert read(f"ada:{hashed}") == (Login("ada", hashed),)


@pytest.mark.parametrize(
    ("hashed", "words"),
    [
        pytest.param(argon(m=65537), "m (memory, KiB) must be 8 to 65536", id="a KiB more than 64 MiB"),
        pytest.param(argon(m=7), "m (memory, KiB) must be 8 to 65536", id="less than argon2 knows"),
        pytest.param(argon(m=31, p=4), "m (memory, KiB) must be 32 to 65536", id="less than 8 KiB for each lane"),
        pytest.param(argon(t=5), "t (passes) must be 1 to 4", id="five passes"),
        pytest.param(argon(t=0), "t (passes) must be 1 to 4", id="no pass"),
        pytest.param(argon(p=5), "p (lanes) must be 1 to 4", id="five lanes"),
        pytest.param(argon(p=0), "p (lanes) must be 1 to 4", id="no lane"),
        pytest.param(argon(m="9" * 400), "argon2id or bcrypt", id="a number of 400 digits"),
        pytest.param(argon(m="٣٣"), "argon2id or bcrypt", id="digits of another script"),
        pytest.param(argon(m="008"), "argon2id or bcrypt", id="a number with zeros before it"),
        pytest.param(argon(version=16), "argon2id or bcrypt", id="the argon2 of before 2016"),
        pytest.param(argon(salt=b64(7)), "the salt must have 8 to 64 bytes", id="a short salt"),
        pytest.param(argon(salt=b64(65)), "the salt must have 8 to 64 bytes", id="a long salt"),
        pytest.param(argon(tag=b64(15)), "the hash must have 16 to 64 bytes", id="a short hash"),
        pytest.param(argon(tag=b64(65)), "the hash must have 16 to 64 bytes", id="a long hash"),
        pytest.param(argon(salt="AAAAAAAAAAA-"), "argon2id or bcrypt", id="another base64"),
        pytest.param(argon(salt="A" * 13), "the salt", id="base64 that is none by its length"),
        pytest.param(argon(salt="c29tZXNhbHRzb21lc2FsdB"), "the salt", id="base64 that is none by its last bits"),
        pytest.param(ARGON.replace("argon2id", "argon2i"), "argon2id or bcrypt", id="argon2i"),
        pytest.param("$2y$13$" + "a" * 53, "the cost must be 4 to 12", id="bcrypt that takes a second"),
        pytest.param("$2y$31$" + "a" * 53, "the cost must be 4 to 12", id="bcrypt that takes days"),
        pytest.param("$2y$03$" + "a" * 53, "the cost must be 4 to 12", id="bcrypt that is none"),
        pytest.param("$2a$10$" + "a" * 53, "argon2id or bcrypt", id="bcrypt of before its mistake was mended"),
        pytest.param("$2y$10$" + "a" * 52, "argon2id or bcrypt", id="a bcrypt cut short"),
        pytest.param("$apr1$aaaaaaaa$bbbbbbbbbbbbbbbbbbbbbb", "argon2id or bcrypt", id="MD5, htpasswd's default"),
        pytest.param("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "argon2id or bcrypt", id="SHA-1"),
        pytest.param("secret", "argon2id or bcrypt", id="the password itself"),
        pytest.param("", "argon2id or bcrypt", id="nothing"),
        pytest.param(ARGON + " ", "argon2id or bcrypt", id="a space behind it"),
        pytest.param(ARGON + ":2", "argon2id or bcrypt", id="a third field"),
        pytest.param("é" * 60, "argon2id or bcrypt", id="letters that no hash has"),
    ],
)
def test_a_hash_that_costs_too_much_or_too_little_is_refused_by_its_line(hashed: str, words: str) -> None:
    said = problem(f"bob:{BCRYPT}\nada:{hashed}\n".encode())
    assert said.startswith("line 2: ")
    assert words in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("ada\n", "line 1: must be name:hash", id="no colon"),
        pytest.param(f":{ARGON}\n", "line 1: the name", id="no name"),
        pytest.param(f"Ada:{ARGON}\n", "line 1: the name", id="capitals"),
        pytest.param(f" ada:{ARGON}\n", "line 1: the name", id="a space before it"),
        pytest.param(f"{'a' * 65}:{ARGON}\n", "line 1: the name", id="too long a name"),
        pytest.param(f"ada:{ARGON}\n#\nada:{BCRYPT}\n", "line 3: the same name as in line 1", id="twice"),
        pytest.param(f"ada:{ARGON}\u2028bob:{BCRYPT}", "line 1: the hash must", id="what only looks like another line"),
        pytest.param("\0", "line 1: must be name:hash", id="a NUL"),
        pytest.param("a" * (LONGEST_LINE + 1), f"line 1: is longer than {LONGEST_LINE} characters", id="a long line"),
        pytest.param(
            "#" * (LONGEST_LINE + 1), f"line 1: is longer than {LONGEST_LINE} characters", id="a long comment"
        ),
    ],
)
def test_a_wrong_line_is_named_by_its_number_alone(text: str, said: str) -> None:
    assert problem(text.encode()).startswith(said)


def test_what_is_not_utf_8_is_told() -> None:
    assert problem("ada:é".encode("latin-1")) == "it is not text in UTF-8; save it as UTF-8"


def test_a_file_has_an_end() -> None:
    assert f"may have {LARGEST_FILE}" in problem(b"#" * (LARGEST_FILE + 1))
    lines = "".join(f"u{n}:{BCRYPT}\n" for n in range(MOST_LOGINS))
    assert len(read(lines)) == MOST_LOGINS
    assert problem(f"{lines}one:{BCRYPT}\n".encode()).startswith(f"line {MOST_LOGINS + 1}: ")


def test_a_megabyte_of_empty_lines_is_nothing() -> None:
    assert read_passwords(b"\n" * LARGEST_FILE) == ()


@pytest.mark.parametrize("seed", range(200))
def test_no_message_quotes_a_name_or_a_hash_whatever_the_file_says(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same texts each time
    text = list(f"hidden.name:{ARGON}\nother.name:{BCRYPT}\nsecret.three:hunter2\n")
    for _ in range(chance.randrange(1, 12)):
        text[chance.randrange(len(text))] = chance.choice(["", "\n", ":", "$", "\0", "\udc80", "é", "x", " "])
    content = "".join(text).encode(errors="surrogateescape")
    found = take_passwords("acme-passwords", "acme", content)
    assert (found.logins is None) == bool(found.problem)
    for word in ("hidden", "other", "secret", "three", "hunter", "c29tZ", "aaaa"):
        assert word not in found.problem


def test_neither_names_nor_hashes_are_in_what_is_printed_of_it() -> None:
    found = take_passwords("acme-passwords", "acme", f"ada:{ARGON}\n".encode())
    assert found.count == 1
    assert "ada" not in repr(found)
    assert "argon" not in repr(found)
    assert "ada" not in repr(Login("ada", ARGON))
    assert "argon" not in repr(Login("ada", ARGON))


@pytest.mark.parametrize(
    ("body", "count", "said"),
    [
        pytest.param({"data": {".htpasswd": base64.b64encode(f"ada:{ARGON}".encode()).decode()}}, 1, "", id="stored"),
        pytest.param({"stringData": {".htpasswd": f"ada:{ARGON}"}}, 1, "", id="as it is written into a file"),
        pytest.param({"data": {"auth": "YQ=="}}, 0, "", id="without the key"),
        pytest.param({}, 0, "", id="empty"),
        pytest.param({"data": "text"}, 0, "", id="of a wrong shape"),
        pytest.param({"data": {".htpasswd": "%%%"}}, 0, "it is not text in UTF-8; save it as UTF-8", id="no base64"),
        pytest.param({"data": {".htpasswd": 5}}, 0, "", id="a number"),
    ],
)
def test_it_is_read_from_the_key_of_a_secret(body: dict[str, object], count: int, said: str) -> None:
    found = passwords_of("acme-passwords", "acme", body)
    assert (found.count, found.problem) == (count, said)
    assert (found.logins is not None) is bool(count)
