"""MOUNTED FILES: their bytes and what JSON they are, with an end to each, and how one can be at fault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes of one mounted file; Kubernetes takes 1 MiB for a whole Secret."""

_DNS_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class SetError(Exception):
    """The mounted set cannot be taken as it is; the message says why, in words for an operator's status."""


class ContentError(SetError):
    """So it is for as long as the manifest is the same: the files are those that it vouches for."""


class EntryError(Exception):
    """One entry is at fault; the message says why and never holds a secret."""


def content(path: Path) -> bytes:
    """The file's bytes. Raises FileNotFoundError, and SetError for what cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise
    except OSError as why:
        raise SetError(f"{path.name} cannot be read: {why.strerror}") from None
    if len(found) > LARGEST_FILE:
        raise SetError(f"{path.name} is larger than {LARGEST_FILE} bytes")
    return found


def document(name: str, found: bytes) -> dict[str, Any]:
    """A JSON object of version 1. Raises SetError."""
    try:
        parsed = json.loads(found)
    except (ValueError, RecursionError):
        raise SetError(f"{name} is not JSON") from None
    if not isinstance(parsed, dict) or parsed.get("version") != 1:
        raise SetError(f"{name} is not of version 1")
    return parsed


def text(value: object) -> str:
    """The text that it is, else an empty one. JSON may have half a character in it: nothing that one could write."""
    return value if isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value) else ""


def dns_name(value: object) -> str:
    """Raises EntryError for what is none."""
    name = value.lower().rstrip(".") if isinstance(value, str) else ""
    if not _DNS_NAME.fullmatch(name):
        raise EntryError("its domain is not a DNS name")
    return name
