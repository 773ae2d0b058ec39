"""YAML and JSON as kubectl reads them, within bounds, and strict where kubectl is silent: a key that stands twice.

PyYAML's own loader is of no use for files of strangers: merge keys grow without bound, deep nesting ends the process
in C, `2026-03-01` is a date that no JSON has, and of two equal keys the last one wins without a word. Here its parser's
events alone are taken, one by one, so that a file is given up as soon as it is too much.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

MAX_DEPTH = 100
MAX_VALUES = 500_000
"""Values of one text, those that aliases and merge keys repeat included: 250 customers are about 5,000."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STANDARD = "tag:yaml.org,2002:"
_TRUE = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"}
_FALSE = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}
_NULL = {"", "~", "null", "Null", "NULL"}
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]{0,19})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SHOWN = 60
_JSON_LIMIT = 2 * 2**20
"""Characters that are given to the JSON decoder, which counts nothing; the YAML reader takes most of JSON, too."""


class TextError(ValueError):
    """A text that is not taken; the message says in which line, and why."""


def documents(text: str) -> Iterator[Any]:
    """Every document of a text, as the plain values that JSON has."""
    if len(text) <= _JSON_LIMIT and text.lstrip().startswith("{"):
        try:
            yield from list(_json_stream(text))
        except (json.JSONDecodeError, RecursionError):
            pass  # a flow mapping of YAML, or a template: its parser says it better
        else:
            return
    yield from _Reader(text).documents()


def _json_stream(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_json, parse_float=_number, parse_int=_int)
    place = len(text) - len(text.lstrip())
    while place < len(text):
        value, end = decoder.raw_decode(text, place)
        if _is_too_deep(value):
            raise TextError(f"nested deeper than {MAX_DEPTH}")
        yield value
        place = end + len(text[end:]) - len(text[end:].lstrip())


def _is_too_deep(value: Any) -> bool:
    """The decoder itself goes as deep as Python does, and what comes after it is not made for that."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [one for many in inner for one in many], depth + 1
    return bool(level)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise TextError(f"the key {_cut(twice)} stands twice in one object; take one away")
    return found


def _no_json(word: str) -> Any:
    raise TextError(f"{word} is no value that JSON has")


def _int(digits: str) -> Any:
    return int(digits) if len(digits) < len(str(2**63)) else _number(digits)


def _number(digits: str) -> Any:
    """As the API server keeps a number: whole where it is whole."""
    value = float(digits)
    if math.isinf(value):
        raise TextError(f"{_cut(digits)} is too large a number")
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


class _Reader:
    """Composes the events of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._left = MAX_VALUES
        self._anchors: dict[str, tuple[Any, int] | None] = {}

    def documents(self) -> Iterator[Any]:
        """Every document; TextError for the first thing that is wrong."""
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self._anchors = {}
                    yield self._value(next(self._events), 0)
        except yaml.YAMLError as error:
            raise TextError(self._explained(error)) from None

    def _value(self, event: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._left
        self._spend(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = None
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(depth)
        else:
            value = self._mapping(depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, before - self._left)
        return value

    def _spend(self, event: Any, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise self._error(event, f"more than {MAX_VALUES:,} values, those that aliases repeat counted each time")

    def _alias(self, event: Any) -> Any:
        if (known := self._anchors.get(event.anchor)) is None:
            raise self._error(event, f"the alias *{_cut(event.anchor)} has no anchor before it, or is inside of it")
        value, size = known
        self._spend(event, size)
        return value

    def _sequence(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merged: list[Any] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            is_merge = _is_plain(event) and event.value == "<<"
            key = "<<" if is_merge else self._key(event, depth)
            line = event.start_mark.line + 1
            value = self._value(following := next(self._events), depth + 1)
            if is_merge:
                merged.append((following, value))
            elif key in lines:
                raise self._error(
                    event, f"the key {_cut(key)} stands here again, first in line {lines[key]}; take one away, or "
                    "begin a new entry of the list with a dash (-)",
                )  # fmt: skip
            else:
                found[key], lines[key] = value, line
        for event, value in merged:
            self._merge(event, found, value)
        return found

    def _merge(self, event: Any, into: dict[str, Any], value: Any) -> None:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise self._error(event, "<< takes an alias of a mapping, or a list of them")
            self._spend(event, len(source))
            for key, inner in source.items():
                into.setdefault(key, inner)

    def _key(self, event: Any, depth: int) -> str:
        key = self._value(event, depth + 1)
        if isinstance(key, str):
            return key
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, int | float):
            return str(key)
        if self._is_template():
            raise self._error(event, _TEMPLATE)
        raise self._error(event, "a key must be a text")

    def _scalar(self, event: Any) -> Any:
        tag, text = event.tag, event.value
        if _is_plain(event):
            return self._plain(event, text)
        if tag in (f"{_STANDARD}int", f"{_STANDARD}float", f"{_STANDARD}bool", f"{_STANDARD}null"):
            return self._plain(event, text)
        if tag == f"{_STANDARD}binary":
            try:
                return base64.b64decode(text, validate=False).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise self._error(event, "!!binary takes base64 of a text") from None
        return text

    def _plain(self, event: Any, text: str) -> Any:
        """What an unquoted scalar means to kubectl: YAML 1.1, but that dates and 1:30 are texts."""
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if _NO_NUMBER.fullmatch(text):
            raise self._error(event, f"{text} is no value that JSON has")
        if text[0] not in "+-.0123456789":
            return text
        digits = text.replace("_", "")
        if _INT.fullmatch(digits) and abs(value := _integer(digits)) < 2**64:
            return value
        if _FLOAT.fullmatch(digits) and len(digits) < _SHOWN and not math.isinf(float(digits)):
            return _number(digits)
        return text

    def _is_template(self) -> bool:
        return "{{" in self._text

    def _explained(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        if self._is_template():
            return where + _TEMPLATE
        return f"{where}no YAML: {getattr(error, 'problem', None) or 'it has characters that YAML does not take'}"

    def _error(self, event: Any, problem: str) -> TextError:
        return TextError(f"line {event.start_mark.line + 1}: {problem}")


_TEMPLATE = "a template of Helm ({{ … }}); render it first: helm template CHART | kubectl mcs validate -f -"


def _is_plain(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and bool(event.implicit[0]) and event.tag is None


def _integer(digits: str) -> int:
    sign, bare = (-1 if digits[0] == "-" else 1), digits.lstrip("+-")
    if len(bare) > 1 and bare[0] == "0" and bare[1].isdigit():
        return sign * int(bare, 8)
    return sign * int(bare, 0)


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
