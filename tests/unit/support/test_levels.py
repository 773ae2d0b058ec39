"""A level of tests that cannot run here: told on a developer's machine, a failure in CI."""

from __future__ import annotations

import pytest

from support.cluster import MissingError
from support.levels import left_out_if_missing


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
