"""Manifests from files, folders and standard input, as `kubectl -f` reads them."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mcs_operator.api.wording import kind_of
from mcs_operator.cli.yamltext import TextError, documents
from mcs_operator.settings import API_VERSION, GROUP

_SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """One object and where it was found."""

    source: str
    body: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it is an MCSInstance, a Community or a TVoxLink."""
        return self.body.get("apiVersion") == API_VERSION

    @property
    def is_of_our_group(self) -> bool:
        """The same in a version that may not be there."""
        return str(self.body.get("apiVersion")).partition("/")[0] == GROUP

    @property
    def kind(self) -> str:
        """Its kind; "" where there is none."""
        kind = self.body.get("kind")
        return kind if isinstance(kind, str) else ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata; empty where it has none, or something else in its place."""
        metadata = self.body.get("metadata")
        return metadata if isinstance(metadata, dict) else {}

    @property
    def name(self) -> str:
        """Its name; "" where there is none."""
        name = self.metadata.get("name")
        return name if isinstance(name, str) else ""

    @property
    def namespace(self) -> str:
        """Its namespace; "" is the one that the file leaves to kubectl."""
        namespace = self.metadata.get("namespace")
        return namespace if isinstance(namespace, str) else ""

    @property
    def title(self) -> str:
        """Kind and name, for messages."""
        return f"{self.kind or 'object'}/{self.name}" if self.name else self.kind or "object"


def read(paths: Iterable[str]) -> list[Document]:
    """All objects of these files, folders (not recursive) and ``-``; an error that names the file and the line."""
    found = []
    for path in paths:
        for source, raw in _files(path):
            try:
                for body in documents(_decoded(raw)):
                    found += [Document(source, one) for one in _unpacked(body, "the document")]
            except TextError as error:
                raise click.ClickException(f"{source}: {error}") from None
    if not found:
        raise click.ClickException("no object found in the files that were named")
    return found


def read_text(path: str) -> tuple[str, str]:
    """One file, or standard input, as text, and what it is called in messages."""
    if path != "-" and Path(path).is_dir():
        raise click.ClickException(f"{click.format_filename(path)}: is a folder, not a file")
    ((source, raw),) = _files(path)
    try:
        return source, _decoded(raw)
    except TextError as error:
        raise click.ClickException(f"{source}: {error}") from None


def _files(path: str) -> Iterator[tuple[str, bytes]]:
    if path == "-":
        yield "standard input", _bounded("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
        return
    if path.startswith(("http://", "https://")):
        raise click.ClickException(f"{path}: files and folders only; fetch it first: curl … | kubectl mcs … -f -")
    place, named = Path(path), click.format_filename(path)
    try:
        files = sorted(f for f in place.iterdir() if f.suffix in _SUFFIXES) if place.is_dir() else [place]
        for file in files:
            if not (file.is_dir() and place.is_dir()):
                with file.open("rb") as opened:
                    yield click.format_filename(file), _bounded(named, opened.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise click.ClickException(f"{named}: no such file or folder") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise click.ClickException(f"{named}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _bounded(source: str, raw: bytes) -> bytes:
    if len(raw) > MAX_BYTES:
        raise click.ClickException(f"{source}: larger than {MAX_BYTES // 2**20} MiB, no manifests are")
    return raw


def _decoded(raw: bytes) -> str:
    """As kubectl: UTF-8 unless a byte order mark says UTF-16. What is not UTF-8 it would store with question marks."""
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TextError(f"line {line}: is not UTF-8; save the file as UTF-8") from None
    if "\0" in text:
        raise TextError("is no text, or UTF-16 without its byte order mark; save the file as UTF-8")
    return text


def _unpacked(body: Any, what: str) -> Iterator[dict[str, Any]]:
    """A document's objects: those of a List, or itself; nothing where it is empty, as between two lines of ---."""
    if body is None and what == "the document":
        return
    if not isinstance(body, dict):
        raise TextError(f"{what} is {kind_of(body)}, not an object with apiVersion, kind and metadata")
    kind, items = body.get("kind"), body.get("items")
    if isinstance(kind, str) and kind.endswith("List") and (items is None or isinstance(items, list)):
        for number, item in enumerate(items or []):
            yield from _unpacked(item, f"items[{number}]")
    else:
        yield body
