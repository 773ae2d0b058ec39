"""The commit that a release is made of."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def version() -> str:
    """As pyproject.toml has it."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def moment() -> int:
    """When it was committed, in seconds since 1970; SOURCE_DATE_EPOCH says otherwise."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))


def tracked(folder: str) -> list[Path]:
    """The files below it that git knows, relative to the root."""
    return [Path(name) for name in _git("ls-files", "-z", "--", folder).split("\0") if name]


def commit() -> str:
    """Its hash."""
    return _git("rev-parse", "HEAD").strip()


def is_changed() -> bool:
    """Whether the tree holds something else than the commit."""
    return bool(_git("status", "--porcelain").strip())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
