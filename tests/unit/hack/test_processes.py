"""The processes of a node or an API server that this machine shares with whatever else runs on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel shares processors among processes, not sessions"
)


@pytest.fixture
def processes(mcscluster: Callable[[str], ModuleType]) -> ModuleType:
    return mcscluster("processes")


@pytest.fixture
def folder(processes: ModuleType, tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.Supervisor(tmp_path).stop_all()


@pytest.mark.skipif(os.geteuid() != 0, reason="precedence is root's to give")
@pytest.mark.parametrize("caller, own, expected", [(0, 0, 0), (5, 0, 5), (0, -10, -10), (5, -10, -5)])
def test_what_a_nice_caller_starts_is_nice_to_other_sessions_too(
    processes: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, caller: int, own: int, expected: int
) -> None:
    monkeypatch.setattr(os, "nice", lambda _: caller)
    component = processes.Component("sleeper", ["sleep", "60"], lambda: True, nice=own)

    processes.Supervisor(folder).ensure(component)

    pid = json.loads((folder / "run" / "sleeper.json").read_text())["pid"]
    assert Path(f"/proc/{pid}/autogroup").read_text().endswith(f" nice {expected}\n")
