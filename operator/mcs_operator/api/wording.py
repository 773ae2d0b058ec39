"""What is said of a value that does not fit: for a person who wrote YAML, by the models and by `kubectl mcs validate`.

A field type has a sentence of its own (`Says`); everything else is said here. Pydantic's own words are Python's: "a
valid tuple", "instance of User".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

SAYS_KEY = "x-mcs-says"
Hint = Callable[[str], str]

_SENTENCES: dict[str, tuple[str, Hint | None]] = {}
_NAME_LIMIT = 253


@dataclass(frozen=True, slots=True)
class Says:
    """The sentence of a field type: instead of pydantic's message, and in the schema under its ``key``.

    ``hint`` looks at a text that does not fit and says what is wrong with this one; "" where it does not know.
    """

    key: str
    sentence: str
    hint: Hint | None = None

    def __post_init__(self) -> None:
        _SENTENCES[self.key] = (self.sentence, self.hint)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source), custom_error_type=self.key, custom_error_message=self.sentence
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(handler(schema)) | {SAYS_KEY: self.key}


@dataclass(frozen=True, slots=True)
class AtMost:
    """At most so many entries of a list or a map, counted before any of them is looked at.

    Pydantic counts only what is right: a megabyte of wrong entries would be half a million errors, and seconds.
    """

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = {**handler(source), "max_length": self.limit}
        return core_schema.no_info_before_validator_function(self._counted, inner)

    def _counted(self, value: Any) -> Any:
        if isinstance(value, list | tuple | Mapping) and len(value) > self.limit:
            raise PydanticCustomError("entries", "{said}", {"said": too_many(len(value), self.limit)})
        return value


def sentence_of(key: str, value: Any) -> str:
    """What a field type says of a value that does not fit it."""
    sentence, hint = _SENTENCES[key]
    if not isinstance(value, str):
        return f"{sentence}; this is {kind_of(value)}" + (
            "; put it in quotes" if isinstance(value, int | float) else ""
        )
    hinted = hint(value) if hint and len(value) <= 4 * _NAME_LIMIT else ""
    return f"{sentence}: {hinted}" if hinted else sentence


def plain_sentence(key: str) -> str:
    """What a field type says of any value that does not fit it."""
    return _SENTENCES[key][0]


def explain(kind: str, message: str, value: Any, context: Mapping[str, Any]) -> str:
    """One error of pydantic, in a sentence; ``kind`` is its type. What has no sentence here keeps its message."""
    if kind in _SENTENCES:
        return sentence_of(kind, value)
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return wrong_type(kind, value)
    if (said := _SAID.get(kind)) is not None:
        return said(context)
    return message


def wrong_type(kind: str, value: Any) -> str:
    """A value of another kind than the field's; ``kind`` begins with the one that is wanted."""
    wanted = next((words for start, words in _WANTED.items() if kind.startswith(start)), "another value")
    quotes = "; put it in quotes" if kind.startswith("str") and isinstance(value, int | float) else ""
    return f"must be {wanted}, and is {kind_of(value)}{quotes}"


def kind_of(value: Any) -> str:
    """What a value is, as a person who writes YAML would call it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list | tuple) else "an object"


def choices(allowed: list[str]) -> str:
    """The values that a field may have."""
    *others, last = allowed
    return f"choose {', '.join(others)} or {last}" if others else f"must be {last}"


def too_many(found: int, limit: int) -> str:
    """A list or a map that is too long."""
    return f"has {found} entries, and may have at most {limit}"


def number_limit(word: str, limit: Any) -> str:
    """A number beyond its limit; ``word`` is least or most."""
    return f"must be at {word} {limit}"


NO_SUCH_FIELD = "unknown field; check its spelling, and how far it is indented"
MISSING = "is missing"
_WANTED = {
    "str": "a text",
    "int": "a whole number",
    "bool": "true or false",
    "float": "a number",
    "list": "a list (lines that begin with -)",
    "tuple": "a list (lines that begin with -)",
    "datetime": "a time such as 2026-03-01T12:00:00Z",
    "model": "an object (lines of key: value)",
    "dict": "an object (lines of key: value)",
    "mapping": "an object (lines of key: value)",
    "object": "an object (lines of key: value)",
}
_SAID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: MISSING,
    "extra_forbidden": lambda _: NO_SUCH_FIELD,
    "enum": lambda c: choices(re.findall(r"'([^']*)'", str(c.get("expected", "")))),
    "greater_than_equal": lambda c: number_limit("least", c["ge"]),
    "less_than_equal": lambda c: number_limit("most", c["le"]),
    "string_too_long": lambda c: f"has more than {c['max_length']} characters",
    "string_too_short": lambda c: f"must have at least {c['min_length']} character{'s' * (c['min_length'] > 1)}",
}


def domain_hint(text: str) -> str:
    """What is wrong with a domain name, and how it is written if that can be known."""
    found = []
    if "://" in text or "/" in text:
        return "write the name alone, without https:// and without a path"
    if "*" in text:
        return "no wildcard; write the one name that browsers open"
    if text != text.strip() or " " in text:
        found.append("no spaces")
    if text.endswith("."):
        found.append("no final dot")
    if "_" in text:
        found.append("no underscore")
    if not text.isascii():
        found.append("no letters but a to z; a name with others has a form that begins with xn--")
    elif text != text.lower():
        found.append("lower case only")
    written = _as_ascii(text.strip().rstrip(".").lower())
    if found and written and _FQDN.fullmatch(written):
        return f"{'; '.join(found)}; write {written}"
    if not found and re.fullmatch(r"[0-9.]+", text):
        return "a name, not an address"
    if not found and "." not in text:
        return "at least two parts with a dot between them"
    if not found and any(len(part) > _LABEL_LIMIT for part in text.split(".")):
        return f"at most {_LABEL_LIMIT} characters between two dots"
    return "; ".join(found)


def name_hint(text: str) -> str:
    """What is wrong with the name of an object."""
    if not text:
        return "it is empty"
    if len(text) > _NAME_LIMIT:
        return f"it has {len(text)} characters, {_NAME_LIMIT} at most"
    if text.isascii() and text != text.lower() and _NAME.fullmatch(text.lower()):
        return f"lower case only; write {text.lower()}"
    return "no underscore" if "_" in text else ""


_LABEL_LIMIT = 63
_PART = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_FQDN = re.compile(rf"({_PART}\.)+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?")
_NAME = re.compile(rf"{_PART}(\.{_PART})*")
_DEVIATING = "ßς\u200c\u200d"
"""What the two standards of international names write differently: no advice about them is better than a wrong one."""


def _as_ascii(name: str) -> str:
    """A name with its xn-- parts; "" where it has none that all agree on."""
    if len(name) > _NAME_LIMIT or any(letter in name for letter in _DEVIATING):
        return ""
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""
