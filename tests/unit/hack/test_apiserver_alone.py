"""API servers without a node: several start side by side on one machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from types import ModuleType

import pytest


def test_two_that_start_at_once_choose_no_port_twice(
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = mcscluster("apiserver_alone")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chosen = []
    for name in ("mcs-tests-a", "mcs-tests-b"):
        # Nobody listens yet, so both are offered the same ones.
        free = iter(range(26000, 26100))
        monkeypatch.setattr(alone, "free_port", lambda free=free: next(free))
        chosen.append({port for port in astuple(alone._ports(tmp_path / name / "apiserver")) if port})
    assert [len(ports) for ports in chosen] == [4, 4]
    assert not chosen[0] & chosen[1]
    assert astuple(alone._ports(tmp_path / "mcs-tests-a" / "apiserver"))[0] in chosen[0], "remembered"


def test_only_the_api_server_is_of_the_version_that_is_chosen(
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = mcscluster("apiserver_alone")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MCS_CLUSTER_DIR", str(tmp_path))
    started = {}
    for chosen in (None, "oldest"):
        if chosen:
            monkeypatch.setenv("MCS_KUBERNETES", chosen)
        plane = alone._plane(tmp_path / "apiserver", alone.CONTROLLERS)
        started[chosen] = {c.name: Path(c.argv[0]).parent.name.rpartition("-")[0] for c in alone.components(plane)}
    assert started[None]["kube-apiserver"] == "kubernetes"
    assert started["oldest"] == started[None] | {"kube-apiserver": "kubernetes-oldest"}


def test_a_version_that_there_is_not_is_refused_with_those_that_there_are(
    mcscluster: Callable[[str], ModuleType],
) -> None:
    with pytest.raises(mcscluster("shell").ClusterError, match=r"MCS_KUBERNETES=1\.30: it is one of oldest, newest"):
        mcscluster("ecosystem").kubernetes("1.30")


def test_a_node_that_is_up_stays_of_the_version_that_it_was_started_with(
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """etcd has objects in versions that an older API server may not know."""
    node, refused = mcscluster("node"), mcscluster("shell").ClusterError
    monkeypatch.setenv("MCS_CLUSTER_DIR", str(tmp_path))
    monkeypatch.setenv("MCS_KUBERNETES", "newest")
    assert node._age() == "newest", "none is up"
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "before.json").touch()
    with pytest.raises(refused, match=r"another Kubernetes is up \(the usual one\)"):
        node._refuse_another_version()
    (tmp_path / "node" / node.AGE).write_text("newest")
    node._refuse_another_version()
    monkeypatch.delenv("MCS_KUBERNETES")
    with pytest.raises(refused, match=r"\(newest\)"):
        node._refuse_another_version()
    assert node._age() == "newest"


def test_a_version_of_which_no_kubelet_is_built_is_for_an_api_server_alone(
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCS_CLUSTER_DIR", str(tmp_path))
    monkeypatch.setenv("MCS_KUBERNETES", "oldest")
    with pytest.raises(mcscluster("shell").ClusterError, match="no kubelet"):
        mcscluster("node")._refuse_another_version()
