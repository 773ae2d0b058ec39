"""What of the appliance is built: its programs from Go modules, and the portal's pages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support.api import ROOT
from support.cluster import MissingError
from support.levels import left_out_if_missing

APPLIANCE = ROOT / "images" / "appliance"


def program(name: str) -> Path:
    """`relay` or `livekit-server`, built the first time: in seconds, and in two minutes."""
    return Path(_programs(name))


def programs() -> Path:
    """The folder with both."""
    return Path(_programs())


def home_with_pages(folder: Path) -> Path:
    """A copy of what the image has, with the portal's pages."""
    built = _done(ROOT / "hack" / "images" / "pages")
    for name in ("appliance", "gate", "portal", "pages"):
        shutil.copytree(APPLIANCE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(APPLIANCE / "haproxy.cfg", folder)
    shutil.copytree(built, folder / "web" / "dist")
    return folder


def tested_programs() -> None:
    """Runs what these programs have of tests in Go."""
    _programs("--test")


def _programs(*asked: str) -> str:
    return _done(ROOT / "hack" / "images" / "programs", *asked)


def _done(*command: str | Path) -> str:
    """On a new machine others are built beside it, and two minutes get ten. Killed, it would leave Go's compiler
    running, and the next one would start another."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
