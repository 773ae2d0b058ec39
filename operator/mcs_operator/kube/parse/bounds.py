"""Bounds of what is taken in, and readers that keep to them."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

LONGEST_TEXT = 64 * 1024
"""Characters of one file of ours: the longest, a chain of certificates, is a tenth of it."""
LONGEST_JSON = 64 * 1024
LONGEST_DIGITS = 18
DEEPEST_JSON = 16
"""Our own are three deep. Python's reader ends at a thousand, with an error that is none of JSON."""

_MOST_BRACKETS, _MOST_QUOTES = 50_000, 300_000
"""Two and 24 for each user: all of an appliance's in one file of sixteen."""
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string of JSON, also one without an end. Possessive: a hostile text must not be gone through again and again."""
_HALF = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
_BRACKETS = re.compile(r"[\[\]{}]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class UnreadableError(ValueError):
    """A part that cannot be taken; the text is half a sentence that quotes nothing of it."""


def mapping(value: object) -> dict[str, Any]:
    """The value where it is a mapping; else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """The mappings of a list, without what is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object, longest: int = LONGEST_TEXT) -> str:
    """The value where it is a text, cut where it is too long; else an empty one."""
    return value[:longest] if isinstance(value, str) else ""


def texts(value: object, longest: int = LONGEST_TEXT) -> dict[str, str]:
    """The entries of a mapping that are texts and not too long."""
    found = mapping(value)
    return {key: item for key, item in found.items() if isinstance(item, str) and len(item) <= longest}


def decoded(value: object, longest: int = LONGEST_TEXT) -> str:
    """An entry of a Secret's data as text; UnreadableError where it is none, or longer than so many bytes."""
    if not isinstance(value, str):
        raise UnreadableError("is missing")
    if len(value) > longest * 4 // 3 + 4:
        raise UnreadableError(f"is longer than {longest} bytes")
    try:
        return base64.b64decode(value).decode()
    except ValueError:
        raise UnreadableError("is not UTF-8 text") from None


def files_in(data: object, names: tuple[str, ...]) -> dict[str, str]:
    """Those entries of a Secret's data that can be read; nothing else of it is decoded."""
    found, entries = {}, mapping(data)
    for name in names:
        try:
            found[name] = decoded(entries.get(name))
        except UnreadableError:
            continue
    return found


def load_json(content: str) -> Any:
    """JSON within the bounds; UnreadableError for anything else."""
    if len(content) > LONGEST_JSON:
        raise UnreadableError(f"is longer than {LONGEST_JSON} characters")
    if is_too_deep(content):
        raise UnreadableError(f"is nested more than {DEEPEST_JSON} deep")
    try:
        if has_half_characters(content):
            raise ValueError
        return json.loads(content, parse_constant=_refused, parse_float=_finite, parse_int=_short)
    except ValueError:
        raise UnreadableError("is not JSON") from None


def has_half_characters(content: str) -> bool:
    """Whether a text of JSON has, or spells, half of a character that takes two: no UTF-8 has it, so whoever passes it
    on fails. We spell none at all."""
    return bool(_HALF.search(content))


def is_too_deep(content: str) -> bool:
    """Whether brackets are nested too deep, or too many to count, without reading the text as JSON."""
    opening = content.count("[") + content.count("{")
    if opening > _MOST_BRACKETS or content.count('"') > _MOST_QUOTES:
        return True
    if opening <= DEEPEST_JSON:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", content)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > DEEPEST_JSON:
            return True
    return False


_LAST_YEAR = 9000
"""Whoever adds to a later one may come to the end of what Python can tell, and raise."""


def moment(value: object) -> datetime:
    """A time as Kubernetes and we write it; UnreadableError for anything else."""
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise UnreadableError("has a time that is none")
    try:
        found = datetime.fromisoformat(value)  # strptime takes half the time of a whole Secret
    except ValueError:
        raise UnreadableError("has a time that is none") from None
    if found.year > _LAST_YEAR:
        raise UnreadableError("has a time beyond any calendar")
    return found


def maybe_moment(value: object) -> datetime | None:
    """As `moment`; None for null, and for what is not there."""
    return None if value is None else moment(value)


def count(value: object, otherwise: int = 0) -> int:
    """The value where it is a whole number of a sane size."""
    sane = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**LONGEST_DIGITS
    return value if sane and isinstance(value, int) else otherwise


def entry(found: Mapping[str, Any], name: str) -> Any:
    """One entry; UnreadableError where it is missing."""
    try:
        return found[name]
    except KeyError:
        raise UnreadableError(f"has no {name}") from None


def _refused(constant: str) -> float:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError
    return number


def _short(digits: str) -> int:
    if len(digits) > LONGEST_DIGITS:
        raise ValueError
    return int(digits)
