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
    mcscluster: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCS_KUBERNETES", "1.30")
    with pytest.raises(mcscluster("shell").ClusterError, match=r"MCS_KUBERNETES=1\.30: it is one of oldest, newest"):
        mcscluster("apiserver_alone")._apiserver()
