"""`kubectl mcs` as one file for each platform, with all that it imports, for each Python that it runs in."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from mcsrelease.archives import write_zip
from mcsrelease.source import ROOT, tracked

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Those for which all that is locked has compiled modules."""
PLATFORMS = {
    "linux-amd64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_28",
    "darwin-arm64": "aarch64-apple-darwin",
}
"""By krew's words for them, uv's."""
_FIRST_LINE = b"#!/usr/bin/env python3\n"
_OF_THE_INSTALLATION = ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json", "sboms")
"""Of a package's metadata what says how it was built or came there, for which Python."""


class ConflictError(ValueError):
    """Two Pythons need different files of one name."""


def build_plugin(path: Path, platform: str, version: str) -> None:
    """Write the file for this platform."""
    with tempfile.TemporaryDirectory() as folder:
        trees = [_installed(Path(folder) / python, python, platform) for python in PYTHONS]
        write_plugin(path, merged([*trees, _own(version)]), PYTHONS, version)


def write_plugin(path: Path, modules: Mapping[str, bytes], pythons: Iterable[str], version: str) -> None:
    """Of these modules, by their path below the folder that Python searches."""
    site = {f"site/{name}": content for name, content in modules.items()}
    release = {"digest": _digest(site), "pythons": list(pythons), "version": version}
    start = (Path(__file__).parent / "bootstrap.py").read_bytes()
    files = {"__main__.py": start, "release.json": json.dumps(release).encode(), **site}
    write_zip(path, files, _FIRST_LINE)


def merged(trees: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
    """All of them in one: compiled modules have their Python in their name, and all else is the same for each."""
    found: dict[str, bytes] = {}
    for tree in trees:
        for name, content in tree.items():
            if found.setdefault(name, content) != content:
                raise ConflictError(f"{name} is not the same for Python {', '.join(PYTHONS)}")
    return found


def read_tree(folder: Path) -> dict[str, bytes]:
    """What was installed here, but for programs and for what says how it was."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.relative_to(folder): path for path in paths}
    return {
        str(name): path.read_bytes()
        for name, path in named.items()
        if name.parts[0] != "bin"
        and "__pycache__" not in name.parts
        and not name.name.startswith(".")
        and not (name.parts[0].endswith(".dist-info") and name.parts[1] in _OF_THE_INSTALLATION)
    }


def _installed(folder: Path, python: str, platform: str) -> dict[str, bytes]:
    """The locked dependencies, each by its hash."""
    command = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--target", folder, "--link-mode=copy"]
    command += ["--require-hashes", "--requirement", ROOT / "requirements" / "runtime.txt", "--only-binary=:all:"]
    command += ["--python-version", python, "--python-platform", PLATFORMS[platform]]
    subprocess.run(list(map(str, command)), check=True)
    return read_tree(folder)


def _own(version: str) -> dict[str, bytes]:
    code = {str(name.relative_to("operator")): (ROOT / name).read_bytes() for name in tracked("operator/mcs_operator")}
    metadata = f"Metadata-Version: 2.1\nName: mcs-operator\nVersion: {version}\n"
    return {**code, f"mcs_operator-{version}.dist-info/METADATA": metadata.encode()}


def _digest(files: Mapping[str, bytes]) -> str:
    known = hashlib.sha256()
    for name in sorted(files):
        known.update(f"{name}\0{len(files[name])}\0".encode())
        known.update(files[name])
    return known.hexdigest()[:16]
