"""A users file: bytes in, users or one named problem out. Anybody may write one, so nothing is ever built of it whole.

It is read as a stream of YAML events, three levels deep and no further, and the first thing that is wrong ends it. A
parser that builds the document first would follow 60,000 brackets down its own stack, and copy what merge keys say as
often as they say it. Messages tell the place and the rule. They never quote the file: it is about people.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from mcs_operator.api import Function

USERS_KEY = "users.yaml"
LARGEST_FILE = 1024 * 1024
"""Bytes: what a ConfigMap or a Secret holds."""
MOST_USERS = 10_000
"""In one file: as many as the largest tier has."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # for its events alone: both parsers keep their own stack
_RESOLVER: Any = yaml.resolver.Resolver()
_FIELDS = ("name", "displayName", "enabled", "functions")
_KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "empty", "timestamp": "a date"}
_YES, _NO = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")
_FUNCTIONS = {function.value: function for function in Function}
_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%")
LONGEST_USER_NAME, LONGEST_DISPLAY_NAME = 64, 128
_NAME = re.compile(r"[a-z0-9]([a-z0-9._@+-]*[a-z0-9])?")
_NOT_ON_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, halves of characters, and what turns the direction of a text, so that it reads as another one."""
_ESCAPED = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)


def is_user_name(text: str) -> bool:
    """Whether a user may have this name."""
    return len(text) <= LONGEST_USER_NAME and bool(_NAME.fullmatch(text))


class ListedUser(NamedTuple):
    """One user of a users file. Of None, the Community's default holds."""

    name: str
    display_name: str | None
    enabled: bool
    functions: tuple[Function, ...] | None


@dataclass(frozen=True, slots=True)
class UsersFile:
    """A ConfigMap or Secret that a Community names, with the users label. ``users`` is None where there are none to be
    had: then ``problem`` says why, or it is empty, and the key users.yaml is missing.

    ``count``: how many it lists, also where they are not held. ``version`` is the object's, ``digest`` its content's.
    """

    kind: str
    name: str
    users: tuple[ListedUser, ...] | None = field(default=None, repr=False)
    problem: str = ""
    count: int = 0
    version: str = ""
    digest: bytes = b""


class UsersFileError(ValueError):
    """Why a users file cannot be taken: line, place and rule, nothing of what it says."""


def content_of(kind: str, body: Mapping[str, Any]) -> bytes | None:
    """The bytes under key users.yaml of a ConfigMap or a Secret; None where it has no such key.

    What is no UTF-8 kubectl puts under binaryData: it is there all the same.
    """
    for part in ("stringData", "data", "binaryData"):
        entries = body.get(part)
        text = entries.get(USERS_KEY) if isinstance(entries, Mapping) else None
        if not isinstance(text, str):
            continue
        try:
            plain = part == "stringData" or (kind, part) == ("ConfigMap", "data")
            return text.encode() if plain else base64.b64decode(text, validate=True)
        except ValueError:
            raise UsersFileError("it is not text in UTF-8; save it as UTF-8") from None
    return None


def take_users_file(kind: str, name: str, content: bytes | None) -> UsersFile:
    """What is in a users file; never fails, whatever that is."""
    try:
        users = None if content is None else read_users(content)
    except UsersFileError as error:
        return UsersFile(kind, name, problem=str(error))
    return UsersFile(kind, name, users, count=len(users or ()))


def users_file_of(kind: str, name: str, body: Mapping[str, Any]) -> UsersFile:
    """The same of a whole object."""
    try:
        return take_users_file(kind, name, content_of(kind, body))
    except UsersFileError as error:
        return UsersFile(kind, name, problem=str(error))


def read_users(content: bytes) -> tuple[ListedUser, ...]:
    """The users of a file. UsersFileError with the first thing that is wrong; no other error whatever is in it."""
    text = _decoded(content)
    if found := _DIRECTIVE.search(text):  # the parser compares each with all others
        _fail(text.count("\n", 0, found.end()) + 1, "", "lines that begin with % are not taken in a users file")
    try:
        try:
            return _Reader(text).users()
        except yaml.YAMLError:
            joined = _ESCAPED.sub(_joined, text)  # how JSON writes an emoji, which YAML does not know
            if joined == text:
                raise
            return _Reader(joined).users()
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        _fail(mark.line + 1 if mark else 0, "", f"not YAML: {problem or 'a character that no text has'}")
    except (ValueError, OverflowError) as error:
        if isinstance(error, UsersFileError):
            raise
        _fail(0, "", "not YAML: a character that no text has")


def _decoded(content: bytes) -> str:
    if len(content) > LARGEST_FILE:
        raise UsersFileError(f"it has {len(content)} bytes, and may have {LARGEST_FILE}; make several files of it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        known = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding, such as Latin-1"
        raise UsersFileError(f"it is not UTF-8 but {known}; save it as UTF-8") from None


def _joined(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    high, low = int(match[1], 16), int(match[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _fail(line: int, place: str, rule: str) -> NoReturn:
    raise UsersFileError(": ".join(filter(None, (f"line {line}" if line else "", place, rule))))


class _Reader:
    """Takes the events one by one. ``place`` is where it is, for a message: ``[3].functions``."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._place = ""
        self._known: dict[tuple[Function, ...], tuple[Function, ...]] = {}

    def users(self) -> tuple[ListedUser, ...]:
        """All of them."""
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            _fail(0, "", "it must be a list of users, and is empty; write [] where there are none")
        first = self._next()
        if not isinstance(first, yaml.SequenceStartEvent):
            said = self._what(first)
            self._wrong(first, f"must be a list of users, such as '- name: anna', and is {said}")
        users: list[ListedUser] = []
        seen: dict[str, tuple[int, int]] = {}
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            self._place = f"[{len(users)}]"
            if len(users) == MOST_USERS:
                self._wrong(event, f"a users file may have {MOST_USERS} users; make several files of it")
            user = self._user(event)
            if there := seen.get(user.name):
                self._place += ".name"
                self._wrong(event, f"the same name as at [{there[0]}], line {there[1]}; take one of them out")
            seen[user.name] = len(users), _line(event)
            users.append(user)
        self._next()  # the document ends
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            self._place = ""
            self._wrong(event, "a second document begins here; a users file is one list")
        return tuple(users)

    def _user(self, begin: Any) -> ListedUser:
        if not isinstance(begin, yaml.MappingStartEvent):
            said = self._what(begin)
            self._wrong(begin, f"must be a user, such as {{name: anna, functions: [Audio]}}, and is {said}")
        entry, found = self._place, dict[str, Any]()
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            self._place = entry
            field = key.value if isinstance(key, yaml.ScalarEvent) else ""
            if field not in _FIELDS:
                merge = "merge keys (<<) are not taken; " if field == "<<" else ""
                self._wrong(key, f"{merge}unknown field; a user has {', '.join(_FIELDS)}")
            if field in found:
                self._wrong(key, f"a second {field} in one entry; is the dash (-) of a new one missing?")
            self._place = f"{entry}.{field}"
            found[field] = getattr(self, f"_{field}")(self._next())
        self._place = entry
        if "name" not in found:
            self._place += ".name"
            self._wrong(begin, "is missing; each user has a name")
        return ListedUser(found["name"], found.get("displayName"), found.get("enabled", True), found.get("functions"))

    def _name(self, event: Any) -> str:
        name = self._text(event)
        if name is None:
            self._wrong(event, "is empty; each user has a name")
        if len(name) > LONGEST_USER_NAME:
            self._wrong(event, f"has {len(name)} characters, and may have {LONGEST_USER_NAME}")
        if not _NAME.fullmatch(name):
            if event.end_mark.line > event.start_mark.line:
                self._wrong(event, "goes on in the next line; is a bracket or a quote missing?")
            hint = "write it in lower case" if _NAME.fullmatch(name.lower()) else "choose another"
            rule = "may have lower case letters, digits and . _ @ + -, and begins and ends with a letter or digit"
            self._wrong(event, f"{rule}; {hint}")
        return name

    def _displayName(self, event: Any) -> str | None:  # noqa: N802 - found by the field's name
        text = self._text(event)
        if text is None:
            return None
        if not 1 <= len(text) <= LONGEST_DISPLAY_NAME:
            self._wrong(event, f"has {len(text)} characters, and may have 1 to {LONGEST_DISPLAY_NAME}")
        if _NOT_ON_A_LINE.search(text):
            self._wrong(event, "must be on one line, without control characters or ones that turn the direction")
        return text

    def _enabled(self, event: Any) -> bool:
        said = event.value.lower() if isinstance(event, yaml.ScalarEvent) else ""
        if said not in _YES + _NO:
            self._wrong(event, f"must be true or false, and is {self._what(event)}")
        return said in _YES

    def _functions(self, event: Any) -> tuple[Function, ...] | None:
        if isinstance(event, yaml.ScalarEvent) and self._kind(event) == "null":
            return None
        place, found = self._place, list[Function]()
        if not isinstance(event, yaml.SequenceStartEvent):
            self._wrong(event, f"must be a list, such as [Audio, Chat], and is {self._what(event)}")
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            self._place = f"{place}[{len(found)}]"
            function = _FUNCTIONS.get(item.value) if isinstance(item, yaml.ScalarEvent) else None
            if function is None:
                self._wrong(item, f"must be one of {', '.join(_FUNCTIONS)}")
            if function in found:
                self._wrong(item, f"{function.value} is in the list already; take one of them out")
            found.append(function)
        functions = tuple(found)
        return self._known.setdefault(functions, functions)  # one copy of what 10,000 users have

    def _text(self, event: Any) -> str | None:
        """A text, or None for null; what YAML takes for something else wants quotes."""
        kind = self._kind(event) if isinstance(event, yaml.ScalarEvent) else ""
        if kind == "null":
            return None
        if kind != "str":
            quotes = "; put it in quotes" if kind else ""
            self._wrong(event, f"must be a text, and is {self._what(event)}{quotes}")
        text: str = event.value
        return text

    def _kind(self, event: Any) -> str:
        """What YAML takes a value for: str, int, bool, null…"""
        if not event.implicit[0] or len(event.value) > LONGEST_DISPLAY_NAME:
            return "str"
        tag: str = _RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))
        return tag.rpartition(":")[2]

    def _what(self, event: Any) -> str:
        if isinstance(event, yaml.ScalarEvent):
            return _KINDS.get(self._kind(event), "a text")
        return "a list" if isinstance(event, yaml.SequenceStartEvent) else "a map"

    def _next(self) -> Any:
        event = next(self._events)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._wrong(event, "anchors and aliases (& and *) are not taken in a users file; write each user out")
        if getattr(event, "tag", None):
            self._wrong(event, "tags (!) are not taken in a users file; put a text in quotes")
        return event

    def _wrong(self, event: Any, rule: str) -> NoReturn:
        _fail(_line(event), self._place, rule)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
