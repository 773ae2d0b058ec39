"""A passwords file, as htpasswd writes it: bytes in, logins or one named problem out. A tenant writes it, so a line has
an end, and so has what it costs to check a password against it.

The first thing that is wrong ends it. Messages tell the line and the rule: never the user, and never the hash.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from mcs_operator.api.erasure import Erasure
from mcs_operator.api.usersfile import LONGEST_USER_NAME, is_user_name

PASSWORDS_KEY = ".htpasswd"
LARGEST_FILE = 1024 * 1024
"""Bytes: what a Secret holds."""
MOST_LOGINS = 10_000
"""In one file: as many as the largest tier has users."""
LONGEST_LINE = 512
"""Characters: the longest name and the longest hash have half of it."""

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,9}),t=(0|[1-9][0-9]{0,9}),p=(0|[1-9][0-9]{0,9})"
    r"\$([A-Za-z0-9+/]{1,128})\$([A-Za-z0-9+/]{1,128})"
)
_BCRYPT = re.compile(r"\$2[yb]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_MOST_MEMORY, _MOST_PASSES, _MOST_LANES = 64 * 1024, 4, 4
_SALT, _HASH = (8, 64), (16, 64)
_COST = (4, 12)


class Login(NamedTuple):
    """A user, and the hash of his password."""

    name: str
    hash: str

    def __repr__(self) -> str:
        return "Login(…)"


@dataclass(frozen=True, slots=True)
class PasswordsFile:
    """A Secret that a Community names, with a label that names that ``community``. ``logins`` is None where there are
    none to be had: then ``problem`` says why, or it is empty, and the key .htpasswd is missing.

    ``version`` is the object's, ``digest`` its content's.
    """

    name: str
    community: str
    logins: tuple[Login, ...] | None = field(default=None, repr=False)
    problem: str = ""
    count: int = 0
    version: str = ""
    digest: bytes = b""
    erasures: tuple[Erasure, ...] = field(default=(), repr=False)
    """Whose data is to be erased. Of a file with a problem as well: it has nothing to do with the passwords."""


class PasswordsError(ValueError):
    """Why a passwords file cannot be taken: line and rule, nothing of what it says."""


def passwords_in(body: Mapping[str, Any]) -> bytes | None:
    """The bytes under key .htpasswd of a Secret; None where it has no such key."""
    for part in ("stringData", "data"):
        entries = body.get(part)
        text = entries.get(PASSWORDS_KEY) if isinstance(entries, Mapping) else None
        if not isinstance(text, str):
            continue
        try:
            return text.encode() if part == "stringData" else base64.b64decode(text, validate=True)
        except ValueError:
            raise PasswordsError("it is not text in UTF-8; save it as UTF-8") from None
    return None


def take_passwords(name: str, community: str, content: bytes | None) -> PasswordsFile:
    """What is in a passwords file; never fails, whatever that is."""
    try:
        logins = None if content is None else read_passwords(content)
    except PasswordsError as error:
        return PasswordsFile(name, community, problem=str(error))
    return PasswordsFile(name, community, logins, count=len(logins or ()))


def passwords_of(name: str, community: str, body: Mapping[str, Any]) -> PasswordsFile:
    """The same of a whole Secret."""
    try:
        return take_passwords(name, community, passwords_in(body))
    except PasswordsError as error:
        return PasswordsFile(name, community, problem=str(error))


def read_passwords(content: bytes) -> tuple[Login, ...]:
    """The logins of a file. PasswordsError with the first thing that is wrong; no other error whatever is in it."""
    logins: list[Login] = []
    seen: dict[str, int] = {}
    for number, line in _lines(content):
        name, colon, hashed = line.partition(":")
        if not colon:
            _fail(number, "must be name:hash, such as `htpasswd -B` writes it")
        if not is_user_name(name):
            rule = f"the name must have 1 to {LONGEST_USER_NAME} lower case letters, digits and . _ @ + -"
            _fail(number, f"{rule}, and begin and end with a letter or digit")
        if wrong := wrong_hash(hashed):
            _fail(number, wrong)
        if name in seen:
            _fail(number, f"the same name as in line {seen[name]}; take one of them out")
        if len(logins) == MOST_LOGINS:
            _fail(number, f"a passwords file may have {MOST_LOGINS} users; make several files of it")
        seen[name] = number
        logins.append(Login(name, hashed))
    return tuple(logins)


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Lines that say something, with their numbers. Only what ends a line in a file ends one here."""
    if len(content) > LARGEST_FILE:
        raise PasswordsError(f"it has {len(content)} bytes, and may have {LARGEST_FILE}; make several files of it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PasswordsError("it is not text in UTF-8; save it as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            _fail(number, f"is longer than {LONGEST_LINE} characters")
        stripped = line.removesuffix("\r")
        if stripped.strip(" \t") and not stripped.startswith("#"):
            yield number, stripped


def wrong_hash(hashed: str) -> str:
    """Why a portal could not check a password against this hash, or not in a moment; empty where it can."""
    if found := _ARGON2ID.fullmatch(hashed):
        memory, passes, lanes = (int(digits) for digits in found.group(1, 2, 3))
        if not 1 <= lanes <= _MOST_LANES:
            return f"p (lanes) must be 1 to {_MOST_LANES}"
        if not 1 <= passes <= _MOST_PASSES:
            return f"t (passes) must be 1 to {_MOST_PASSES}"
        if not 8 * lanes <= memory <= _MOST_MEMORY:
            return f"m (memory, KiB) must be {8 * lanes} to {_MOST_MEMORY}"
        return _wrong_length("salt", found[4], _SALT) or _wrong_length("hash", found[5], _HASH)
    if found := _BCRYPT.fullmatch(hashed):
        return "" if _COST[0] <= int(found[1]) <= _COST[1] else f"the cost must be {_COST[0]} to {_COST[1]}"
    return "the hash must be argon2id or bcrypt ($argon2id$v=19$…, $2y$… or $2b$…), as `kubectl mcs password` makes it"


def _wrong_length(what: str, text: str, bounds: tuple[int, int]) -> str:
    """Of base64 without its padding. What is no base64 of anything, to its last bit, no argon2 decodes."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    is_base64 = base64.b64encode(raw).decode().rstrip("=") == text
    return (
        ""
        if is_base64 and bounds[0] <= len(raw) <= bounds[1]
        else f"the {what} must have {bounds[0]} to {bounds[1]} bytes"
    )


def _fail(line: int, rule: str) -> NoReturn:
    raise PasswordsError(f"line {line}: {rule}")
