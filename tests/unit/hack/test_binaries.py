"""Programs and files that come from Go modules: built once, and found without Go from then on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from support.api import ROOT

GO = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *"mod download"*) echo '{{"Dir": "{source}"}}' ;;
  *" -o "*) for last; do :; done; while [ "$1" != -o ]; do shift; done; echo built > "$2/$(basename "$last")" ;;
esac
"""


@pytest.fixture
def asked(mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What was asked of a Go that builds in no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    crds = tmp_path / "source" / "crds"
    crds.mkdir(parents=True)
    (crds / "one.yaml").write_text("kind: One")
    (crds / "README.md").write_text("no manifest")
    log, go = tmp_path / "asked", tmp_path / "go"
    go.write_text(GO.format(log=log, source=tmp_path / "source"))
    go.chmod(0o755)
    monkeypatch.setattr(mcscluster("toolchain"), "go", lambda: (go, "go1.26"))
    return log


def test_the_crds_of_a_module_come_with_its_programs_and_stay_without_go(
    asked: Path, mcscluster: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    binaries = mcscluster("binaries")
    (tmp_path / "tool").mkdir()
    for name in ("go.mod", "go.sum"):
        (tmp_path / "tool" / name).write_text("")
    module = binaries.Module("tool", {"tool": "example.com/tool"}, beside=tmp_path, files={"crds": "example.com//crds"})
    folder = binaries.build(module)
    assert {str(file.relative_to(folder)) for file in folder.rglob("*")} == {"tool", "crds", "crds/one.yaml"}
    assert "mod download -json example.com\n" in asked.read_text()
    asked.unlink()
    assert binaries.build(module) == folder
    assert not asked.exists()


def test_every_module_of_the_ecosystem_can_be_built_by_its_name(mcscluster: Callable[[str], ModuleType]) -> None:
    folders = {file.parent.name for file in (ROOT / "hack" / "ecosystem" / "go").glob("*/go.mod")}
    assert set(mcscluster("ecosystem").MODULES) == folders
