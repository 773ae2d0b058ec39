"""The pinned Prometheus and promtool, where they are built."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.api import ROOT


def prometheus_folder() -> Path:
    """Where promtool and Prometheus are; what needs them is left out, also in CI, where they are not built: that takes
    minutes, and is `make alerts`' to do."""
    command = [str(ROOT / "hack" / "prometheus")]
    done = subprocess.run(command, env={**os.environ, "MCS_NO_BUILD": "1"}, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("Prometheus is not built here; `make alerts` builds it")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
