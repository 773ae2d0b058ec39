"""What `make ecosystem T=kind` is made of, without a Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ecosystem.test_kind import environment
from support.api import ROOT

WITHIN_BOUNDS = ROOT / "hack" / "ecosystem" / "runc-within-bounds"
ASKED = {
    "oomScoreAdj": -500,
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]},
}
GIVEN = {"oomScoreAdj": 0, "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []}}


@pytest.fixture
def runc(tmp_path: Path) -> dict[str, str]:
    """An environment in which runc only says what it was called with."""
    program = tmp_path / "bin" / "runc"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def called(runc: dict[str, str], *arguments: str | Path) -> str:
    return subprocess.run([WITHIN_BOUNDS, *arguments], env=runc, capture_output=True, text=True, check=True).stdout


def test_a_container_is_asked_for_without_what_this_machine_may_not_give(tmp_path: Path, runc: dict[str, str]) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"hostname": "x", "process": ASKED}))
    assert (
        called(runc, "--root", "/r", "create", "--bundle", tmp_path, "id")
        == f"--root /r create --bundle {tmp_path} id\n"
    )
    assert json.loads(config.read_text()) == {"hostname": "x", "process": GIVEN}


def test_a_process_that_is_executed_in_it_likewise(tmp_path: Path, runc: dict[str, str]) -> None:
    process = tmp_path / "process"
    process.write_text(json.dumps(ASKED))
    called(runc, "exec", "--process", process, "id")
    assert json.loads(process.read_text()) == GIVEN


def test_all_else_is_runcs_own(runc: dict[str, str]) -> None:
    assert called(runc, "delete", "--force", "id") == "delete --force id\n"


def test_a_step_of_the_workflow_is_not_told_which_part_of_ours_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("T", "MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "PYTEST_ADDOPTS", "MCS_FUZZ", "KUBECONFIG"):
        monkeypatch.setenv(name, "kind")
    told = environment("kindest/node:ours")
    assert [name for name, value in told.items() if value == "kind"] == []
    assert (told["MCS_KIND_IMAGE"], told["CI"]) == ("kindest/node:ours", "true")


def test_kubeadm_is_of_the_version_of_the_node_that_it_starts(mcscluster: Callable[[str], ModuleType]) -> None:
    node = mcscluster("binaries").KUBERNETES.required_version()
    assert mcscluster("ecosystem").KIND_NODE.required_version() == node
