"""Manifests from files, folders and standard input, as `kubectl -f` reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from mcs_operator.settings import API_VERSION

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Document:
    """One object and where it was found."""

    source: str
    body: dict[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it is an MCSInstance, a Community or a TVoxLink."""
        return self.body.get("apiVersion") == API_VERSION


def read(paths: Iterable[str]) -> list[Document]:
    """All objects of these files, folders (not recursive) and ``-``; an error that names the file and the line."""
    found = []
    for path in paths:
        for source, text in _texts(path):
            try:
                found += [Document(source, one) for body in yaml.safe_load_all(text) for one in _unpacked(body)]
            except yaml.YAMLError as error:
                raise click.ClickException(f"{source}: no YAML: {error}") from None
    if not found:
        raise click.ClickException("no object found in the files that were named")
    return found


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "standard input", sys.stdin.read()
        return
    place = Path(path)
    if not place.exists():
        raise click.ClickException(f"{path}: no such file or folder")
    files = sorted(f for f in place.iterdir() if f.suffix in _SUFFIXES) if place.is_dir() else [place]
    for file in files:
        yield str(file), file.read_text()


def _unpacked(body: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(body, dict):
        if body is not None:
            raise click.ClickException(f"a document is {type(body).__name__}, not an object")
        return
    if body.get("kind") == "List":
        for item in body.get("items") or []:
            yield from _unpacked(item)
    else:
        yield body
