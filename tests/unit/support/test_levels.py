"""A level of tests that cannot run here: told on a developer's machine, a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.cluster import MissingError
from support.levels import left_out_if_missing, must_run

TESTS = Path(__file__).parents[2]


def test_it_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no node here"), left_out_if_missing():
        raise MissingError("no node here")


def test_in_ci_it_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no node here"), left_out_if_missing():
        raise MissingError("no node here")


def test_what_can_run_runs() -> None:
    with left_out_if_missing():
        ran = True
    assert ran


@pytest.mark.parametrize(
    "environment, expected",
    [
        pytest.param({}, False, id="a developer's machine may lack something"),
        pytest.param({"CI": "true"}, True, id="CI has all that hack/prepare installs"),
        pytest.param({"CI": "true", "KUBECONFIG": "k", "CONTAINERD_ADDRESS": "c"}, True, id="and a node of its own"),
        pytest.param(
            {"CI": "true", "KUBECONFIG": "k"}, False, id="but a cluster of somebody else's may lack something"
        ),
    ],
)
def test_in_ci_every_test_must_run(environment: dict[str, str], expected: bool) -> None:
    assert must_run(environment) is expected


@pytest.mark.parametrize("ci, line", [("true", "1 failed, 1 error"), ("false", "1 passed, 1 skipped")])
def test_a_skip_anywhere_is_a_failure_in_ci(tmp_path: Path, ci: str, line: str) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, pytest\n"
        "@pytest.mark.skipif(True, reason='haproxy is not installed')\n"
        "def test_a(): ...\n"
        "def test_b():\n"
        "    if os.environ['CI'] == 'true': pytest.skip('the node is not this machine')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-c", os.devnull, str(tmp_path)],
        env=environment | {"CI": ci, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'operator'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert line in done.stdout.splitlines()[-1], done.stdout + done.stderr
