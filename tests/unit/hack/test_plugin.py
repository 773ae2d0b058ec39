"""The plugin of a checkout: installed by one command, and on the PATH of whoever uses the cluster of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from support.api import ROOT

PROGRAMS = ("kubectl-mcs", "kubectl_complete-mcs")


def test_the_plugin_is_installed_by_one_command(tmp_path: Path) -> None:
    subprocess.run(["make", "-s", "plugin", f"PREFIX={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    assert all(os.access(tmp_path / "bin" / name, os.X_OK) for name in PROGRAMS)
    told = subprocess.run([tmp_path / "bin" / "kubectl-mcs", "--help"], check=True, capture_output=True, text=True)
    assert "rotate" in told.stdout


def test_the_environment_of_the_cluster_has_the_plugin_on_the_path(
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, kindcluster = mcscluster("environment"), mcscluster("kindcluster")
    monkeypatch.setattr(kindcluster, "known", lambda: True)
    monkeypatch.setattr(kindcluster, "environment", lambda: {"PATH": "/somewhere"})
    first, folder = environment.of_cluster()["PATH"].split(":")
    assert first == "/somewhere"
    assert all(os.access(Path(folder) / name, os.X_OK) for name in PROGRAMS)
