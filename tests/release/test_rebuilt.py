"""Images that are built anew have the same digests. Takes minutes and root: `make release REBUILD=1` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.api import ROOT

RELEASE = Path(os.environ.get("MCS_RELEASE", ROOT / "build" / "release"))


@pytest.mark.timeout(1800)
def test_images_that_are_built_anew_have_the_same_digests(tmp_path: Path) -> None:
    """From nothing but the packages of Debian, Python, npm and Go, in another folder and at another time."""
    told = json.loads((RELEASE / "images.json").read_text())
    command = [ROOT / "hack" / "images" / "build", "--engine", "buildah", "--cache", tmp_path / "anew", *told]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    again = tmp_path / "again"
    command = [sys.executable, ROOT / "hack" / "release" / "release", again, "--platform", "linux-amd64"]
    command += [f"--archive={name}={path}" for name, path in zip(told, built, strict=True)]
    subprocess.run(command, check=True)
    assert json.loads((again / "images.json").read_text()) == told
