"""A run of tests that is cut off takes along what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.api import ROOT
from support.waiting import until

LONG = """
import pathlib, time, pytest

@pytest.fixture
def process():
    yield
    pathlib.Path("ended").touch()

def test_long(process):
    pathlib.Path("begun").touch()
    time.sleep(60)
"""

IN_A_TERMINAL = """
import signal, sys, pytest

signal.signal(signal.SIGINT, signal.default_int_handler)
for ending in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(ending, signal.SIG_DFL)
sys.exit(pytest.main(sys.argv[1:]))
"""
"""These tests may run where some of the signals are ignored, as in the background, which a program inherits."""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda ending: ending.name)
def test_fixtures_end_what_they_started_however_the_run_is_ended(ending: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(LONG)
    command = [sys.executable, "-c", IN_A_TERMINAL, "-p", "conftest", "-p", "no:cacheprovider", "test_long.py"]
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "operator"))

    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE) as run:
        until("the test runs", (tmp_path / "begun").exists, 30)
        run.send_signal(ending)
        assert run.wait(20) == pytest.ExitCode.INTERRUPTED

    assert (tmp_path / "ended").exists()
