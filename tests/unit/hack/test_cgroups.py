"""What `cluster down` finds of the control groups of pods that end while it looks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def cgroups(mcscluster: Callable[[str], ModuleType]) -> ModuleType:
    return mcscluster("cgroups")


def test_groups_that_go_meanwhile_are_left_out(tmp_path: Path, cgroups: ModuleType) -> None:
    for pod in ("one", "two"):
        (tmp_path / pod / "container").mkdir(parents=True)

    found = cgroups.groups(tmp_path)
    assert next(found) == tmp_path
    shutil.rmtree(tmp_path / "one")

    assert [group for group in found if group.exists()] == [tmp_path / "two", tmp_path / "two" / "container"]


def test_none_are_found_where_there_is_no_group(tmp_path: Path, cgroups: ModuleType) -> None:
    assert not list(cgroups.groups(tmp_path / "none"))


def test_each_node_has_a_root_of_its_own_in_every_hierarchy(
    tmp_path: Path, cgroups: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` kills what is below a node's roots, and nothing else."""
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    for hierarchy in ("cpu", "memory"):
        (tmp_path / hierarchy).mkdir()
        (tmp_path / hierarchy / "cgroup.procs").touch()

    first, second = cgroups.detect(), cgroups.detect("/mcs-node-2")
    assert first.roots == (tmp_path / "cpu" / "mcs-node", tmp_path / "memory" / "mcs-node")
    assert second.roots == (tmp_path / "cpu" / "mcs-node-2", tmp_path / "memory" / "mcs-node-2")
    assert (first.kubelet_root, second.kubelet_root) == ("/mcs-node", "/mcs-node-2")
