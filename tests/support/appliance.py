"""The programs of the appliance that are built from Go modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.api import ROOT
from support.cluster import MissingError
from support.levels import left_out_if_missing


def program(name: str) -> Path:
    """`relay` or `livekit-server`, built the first time: in seconds, and in two minutes."""
    return Path(_programs(name))


def tested_programs() -> None:
    """Runs what these programs have of tests in Go."""
    _programs("--test")


def _programs(asked: str) -> str:
    command = [str(ROOT / "hack" / "images" / "programs"), asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
