"""`hack/test-e2e` where a node cannot run: the real script, beside a `hack/cluster/cluster` that says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.api import ROOT


@pytest.fixture
def no_rights(tmp_path: Path) -> Path:
    """A repository on a machine without the rights for a node."""
    cluster = tmp_path / "hack" / "cluster" / "cluster"
    cluster.parent.mkdir(parents=True)
    cluster.write_text("#!/bin/sh\necho 'cluster: needs root' >&2\nexit 3\n")
    cluster.chmod(0o755)
    shutil.copy(ROOT / "hack" / "test-e2e", tmp_path / "hack")
    return tmp_path


def run(repository: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "KUBECONFIG")}
    command = [repository / "hack" / "test-e2e", "echo", "the tests ran"]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


def test_it_says_what_was_left_out_and_why(no_rights: Path) -> None:
    done = run(no_rights)
    assert done.returncode == 0
    assert done.stdout == ""
    assert "needs root" in done.stderr and "e2e: not run" in done.stderr


def test_in_ci_it_is_a_failure(no_rights: Path) -> None:
    done = run(no_rights, CI="true")
    assert done.returncode == 3
    assert done.stdout == ""


def test_a_cluster_that_is_there_is_used_whatever_this_machine_may(no_rights: Path) -> None:
    assert run(no_rights, KUBECONFIG="/somewhere").stdout == "the tests ran\n"


def test_ci_is_what_the_command_of_ci_says() -> None:
    assert "export CI=true\n" in (ROOT / ".ci" / "run").read_text()


def test_ci_begins_with_a_new_node_whatever_a_run_before_it_left_here(no_rights: Path) -> None:
    ci, told = no_rights / ".ci" / "run", no_rights / "told"
    ci.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "run", ci)
    (no_rights / "hack" / "cluster" / "cluster").write_text(f"#!/bin/sh\necho cluster $1 >>{told}\n")
    (no_rights / "Makefile").write_text(f"test:\n\t@echo test >>{told}\n")

    subprocess.run([ci], check=True)

    assert told.read_text() == "cluster down\ntest\n"
