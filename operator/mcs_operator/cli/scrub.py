"""Texts without keys, tokens, passwords and names of users: messages, Events, logs. Pure.

It goes by form, for a text has no fields. What has fields is redacted by them before it becomes a text: a key that YAML
has folded, or a value that JSON has quoted twice, has no form any more that a pattern knows.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

LEFT_OUT = "<left out>"
_MARK = "\ue000"
"""Stands for it while a text is worked on: one letter, of which no pattern takes a part."""
A_USER = "<a user>"

_WORDS = (
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|token|credential|api[-_.]?key|access[-_.]?key|private[-_.]?key"
    r"|client[-_.]?key|encryption[-_.]?key|authorization|auth[-_.]?(?:key|data|pass)|cookie|signature|sig|psk|otp"
)
_SECRET = re.compile(rf"(?i){_WORDS}")
_REFERENCE = re.compile(
    r"(?i)(ref|refs|names?|path|dir|file|mounts?|source|seconds|expiry|kind|namespace|secrets|uid|policy|mode|count"
    r"|type|version|id|status|algorithm)$"
)
_KNOWN = {
    "profileSecret",
    "automountServiceAccountToken",
    "passwordsFrom",
    "spec.authentication.passwordsFrom",
    ".htpasswd",
}
"""Fields and keys that name a Secret or what is in it, or say whether there is a token, and are no secret."""

_BLOCK = re.compile(
    r"(?is)-----\s*BEGIN[\s\w%+\\]{0,60}?(?:PRIVATE[\s%+\\\d]*KEY|STATIC[\s%+\\\d]*KEY).*?(?:-----\s*END[^-]{0,80}-----|\Z)"
)
_INLINE = re.compile(
    r"(?is)<(key|secret|tls-auth|tls-crypt|tls-crypt-v2|pkcs12|auth-user-pass|http-proxy-user-pass)>.*?(?:</\1>|\Z)"
)
_END = re.compile(r"(?i)-----\s*END[^-\n]{0,60}(?:PRIVATE|STATIC)[\s%+\\\d]*KEY[^-\n]{0,20}-----")
_PASSWORD_HASH = re.compile(r"\$(?:argon2(?:id|i|d)|scrypt|pbkdf2[\w-]{0,16}|apr1|2[abxy]|[1567y])\$[\w./+=,$-]{8,}")
"""As a file of passwords has it; guessing goes on for as long as the hash lies about."""
_JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_LOGIN = re.compile(r"(://|%3A%2F%2F)(?:[^\s/@\"']{0,256}+|[^\s/@\"':]{0,128}:[^\s@\"']{0,256}+)@", re.IGNORECASE)
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-(?:[a-z]{1,20}-){0,3}(?:token|key|auth))"
    r"([\\\"']{0,4}\s{0,3}(?:[:=]|%3A|%3D)\s{0,3})(?P<q>\\{0,3}[\"'])?(?(q)(?:(?!(?P=q))(?:\\.|.)){0,4096}|[^\r\n]*)"
)
_SCHEME = re.compile(r"(?i)\b(bearer|negotiate|apikey|digest|basic)(\s{1,3}|%20|\+)([^\s\"',;]{4,})")
_ASSIGNED = re.compile(
    rf"(?is)(?P<name>(?:{_WORDS})[\w.-]{{0,64}}+)(?P<sep>[\\\"']{{0,4}}\s{{0,3}}(?:=>|:=|[:=]|%3D|%3A)\s{{0,3}})"
    r"(?P<q>\\{0,3}[\"'])?(?P<value>(?(q)(?:(?!(?P=q))(?:\\.|.)){0,4096}|[^\s,;&}\"'\])]+))"
)
_PAIR = re.compile(
    r"(?i)(?P<before>\bname[\\\"']{0,4}\s{0,3}[:=]\s{0,3}[\\\"']{0,4}(?P<name>[\w.-]{1,128}+)[\\\"']{0,4}(?:,\s{0,40}|\s{1,40})[\\\"']{0,4}"
    r"value[\\\"']{0,4}\s{0,3}[:=]\s{0,3})(?P<q>\\{0,3}[\"'])?(?P<value>(?(q)(?:(?!(?P=q))(?:\\.|.)){0,4096}|[^\s,;&}\"'\])]+))"
)
"""A variable of a container, as a list of them has it: its name stands in a field of its own."""
_OPTION = re.compile(r"(?<![\w-])(--?[a-zA-Z][\w-]{0,80}+)(\s{1,3})(?!-)(\S+)")
_SAID = re.compile(
    r"(?i)\b(passw(?:or)?d|passphrase)(\s{1,3}(?:is|was)\s{1,3}|\s{1,3}(?=[\"']))(\"[^\"\n]*\"|'[^'\n]*'|\S+)"
)
_VENDORS = re.compile(
    r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{12,}|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{8,}"
    r"|sk[-_](?:live_|test_|proj-|ant-)?[\w-]{16,}|AIza[\w-]{20,})"
)
_BLOB = re.compile(
    r"[\w+/-]{40,}(?:(?:\\r|\\n|\r?\n[ \t]*)+[\w+/-]{16,})*(?:(?:\\r|\\n|\r?\n[ \t]*)+[\w+/-]{1,76}(?==))?={0,3}"
)
_PADDED = re.compile(r"(?<![\w+/=-])[\w+/-]{5,}={1,2}(?![\w=+/\ue000-])")
_QUOTED_USER = re.compile(r"(?i)(\b(?:users?|login|from)\W{1,3})(['\"])([^'\"\n]{1,128})\2")
_TOKEN = re.compile(r"[\w.@+-]+|[^\s\w]")
_BARE = re.compile(r"[A-Za-z0-9+/=\\]+")
_NAME_BEFORE = re.compile(r"[\w.-]*\Z")
_TAIL_LINES = 100


def is_secret_name(name: str) -> bool:
    """Whether a field, a variable or an option of this name has a secret for a value."""
    return name not in _KNOWN and bool(_SECRET.search(name)) and not _REFERENCE.search(name)


def scrubbed(text: str) -> str:
    """A text without private keys, whole or in part, and without tokens and passwords, in the forms they are met in."""
    text = _INLINE.sub(_MARK, _BLOCK.sub(_MARK, text.replace(LEFT_OUT, _MARK)))
    text = _without_tails(text)
    text = _PASSWORD_HASH.sub(_MARK, text)
    text = _LOGIN.sub(rf"\g<1>{_MARK}@", _JSON_WEB_TOKEN.sub(_MARK, text))
    text = _PAIR.sub(_paired, text)
    text = _HEADER.sub(rf"\g<1>\g<2>\g<q>{_MARK}", text)
    text = _SCHEME.sub(_scheme, text)
    text = _ASSIGNED.sub(_assigned, text)
    text = _OPTION.sub(_option, text)
    text = _SAID.sub(rf"\g<1>\g<2>{_MARK}", text)
    text = _BLOB.sub(_blob, _VENDORS.sub(_MARK, text))
    return _PADDED.sub(_padded, text).replace(_MARK, LEFT_OUT)


def _without_tails(text: str) -> str:
    """Without the rest of a key whose beginning the text does not have: the last lines of a log begin anywhere."""
    kept, done = [], 0
    for found in _END.finditer(text):
        kept += [_without_tail(text[done : found.start()]), _MARK]
        done = found.end()
    return "".join([*kept, text[done:]])


def _without_tail(text: str) -> str:
    """Without the last lines that are base64, whatever a log has put before them."""
    *rows, last = text.rsplit("\n", _TAIL_LINES)
    rows.append(last)
    while rows and (not (row := rows[-1].strip()) or _BARE.fullmatch(row.split()[-1])):
        rows.pop()
    return "\n".join([*rows, ""]) if rows else ""


def _scheme(found: re.Match[str]) -> str:
    """`basic` is a word of English, too."""
    scheme, between, value = found.groups()
    if scheme.lower() in ("basic", "digest") and not re.search(r"[=\d%]|[a-z][A-Z]", value):
        return found[0]
    return f"{scheme}{between}{_MARK}"


def _assigned(found: re.Match[str]) -> str:
    before = _NAME_BEFORE.search(found.string, max(0, found.start() - 64), found.start())
    if not is_secret_name((before[0] if before else "") + found["name"]) or found["value"].startswith(_MARK):
        return found[0]
    return f"{found['name']}{found['sep']}{found['q'] or ''}{_MARK}"


def _paired(found: re.Match[str]) -> str:
    return f"{found['before']}{found['q'] or ''}{_MARK}" if is_secret_name(found["name"]) else found[0]


def _option(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{_MARK}" if is_secret_name(found[1]) else found[0]


def _blob(found: re.Match[str]) -> str:
    """Base64 of something; digests and ids, which are hexadecimal, stay, and so do long words of one kind."""
    text = found[0]
    has_both_cases, has_digits = re.search("[a-z]", text) and re.search("[A-Z]", text), re.search("[0-9]", text)
    # Base64 may have no digit by chance. A name has one abbreviation at most, and ends before the 64th letter.
    is_no_name = has_digits or len(re.findall("[A-Z]{2,}", text)) > 1 or len(text) >= 64
    return _MARK if (has_both_cases and is_no_name) or text.endswith("=") else text


def _padded(found: re.Match[str]) -> str:
    """Short base64, which its padding gives away, if it is base64 of anything."""
    try:
        base64.b64decode(found[0].translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        return found[0]
    return _MARK


_URL_SAFE = str.maketrans("-_", "+/")


class Scrubber:
    """Scrubs texts of one namespace, whose users are known. ``others``: words that are no secret, such as the names of
    objects, which may be somebody's name as well."""

    def __init__(self, users: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        self._others = kept = frozenset(others)
        self._by_token: dict[str, list[str]] = {}
        for name in {form for user in users if len(user) > 2 for form in _forms(user)} - kept:
            if first := _TOKEN.search(name):
                self._by_token.setdefault(first[0], []).append(name)
        for names in self._by_token.values():
            names.sort(key=len, reverse=True)

    def text(self, text: str) -> str:
        """Without secrets, and without names of users."""
        return self._without_users(scrubbed(text))

    def _without_users(self, text: str) -> str:
        text = _QUOTED_USER.sub(self._quoted, text)
        if not self._by_token:
            return text
        found, done = [], 0
        for token in _TOKEN.finditer(text):
            if token.start() < done:
                continue
            for start, name in self._named(token):
                if text.startswith(name, start) and not _goes_on(text, start, name):
                    found += [text[done:start], A_USER]
                    done = start + len(name)
                    break
        return "".join([*found, text[done:]])

    def _quoted(self, found: re.Match[str]) -> str:
        """The accounts of Kubernetes itself are nobody."""
        kept = found[3] in self._others or found[3].startswith("system:")
        return found[0] if kept else f"{found[1]}{A_USER}"

    def _named(self, token: re.Match[str]) -> Iterable[tuple[int, str]]:
        """Names that may begin here: with the whole token, or with what is left without a final dot or a sign."""
        for word in dict.fromkeys((token[0], token[0].rstrip(".@+-"), *token[0].split("@")[:1])):
            for name in self._by_token.get(word, ()):
                yield token.start(), name


def _goes_on(text: str, start: int, name: str) -> bool:
    """Whether the word is longer than the name: `anna` is not in `annalena`."""
    end = start + len(name)
    return end < len(text) and name[-1].isalnum() and (text[end].isalnum() or text[end] == "_")


def _forms(name: str) -> set[str]:
    """A name as it stands in a text, in JSON and in an address."""
    return {name, json.dumps(name)[1:-1], quote(name), quote(name, safe=""), name.replace(" ", "+")}


def users_in(bodies: Iterable[Mapping[str, Any]]) -> set[str]:
    """Names and display names of the users that Communities list."""
    found: set[str] = set()
    for body in bodies:
        spec = body.get("spec")
        users = spec.get("users") if isinstance(spec, dict) else None
        for user in users if isinstance(users, list) else []:
            if isinstance(user, dict):
                found |= {value for key in ("name", "displayName") if isinstance(value := user.get(key), str)}
    return found
