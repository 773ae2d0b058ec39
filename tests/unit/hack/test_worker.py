"""The second node of `hack/cluster`, as far as nothing has to run for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def worker(mcscluster: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("MCS_CLUSTER_DIR", str(tmp_path))
    return mcscluster("worker")


def test_two_nodes_share_nothing_that_one_of_them_has_to_itself(worker: ModuleType) -> None:
    first, second = (dataclasses.asdict(host) for host in (worker.FIRST, worker.SECOND))
    assert {name for name in first if first[name] == second[name]} == set()


def test_without_a_second_node_there_is_nothing_to_end(worker: ModuleType, tmp_path: Path) -> None:
    assert worker.known() is None
    worker.down()
    assert list(tmp_path.iterdir()) == []


def test_all_that_runs_on_it_enters_its_network_and_its_mounts(worker: ModuleType) -> None:
    namespaces, *agents = worker.describe().components()
    assert namespaces.argv[:5] == ["unshare", "--net", "--mount", "--propagation", "private"]
    assert [agent.name for agent in agents] == ["containerd", "kubelet", "kube-proxy"]
    assert all(agent.argv[:2] == ["nsenter", "--target"] for agent in agents)
    assert all(agent.argv[3:5] == ["--net", "--mount"] for agent in agents)
