"""API servers for the benches of the control plane, and the sheet that their figures go to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import Api, install_crds
from support.levels import left_out_if_missing
from support.sheet import Sheet, measured_on

ROWS = (
    "burst",
    "burst-seconds",
    "burst-floor",
    "requests",
    "one-p50",
    "one-p99",
    "restart-writes",
    "restart-seconds",
    "many-ready",
    "many-floor",
    "many-writes",
    "many-memory",
    "many-one-p50",
    "many-one-p99",
    "storm-cpu",
    "storm-writes",
    "admission",
    "admission-p50",
    "admission-max",
    "admission-through",
    "admission-direct",
    "start",
    "churn-growth",
    "churn-memory",
)


@pytest.fixture(scope="session")
def sheet() -> Iterator[Sheet]:
    """The table of the control plane."""
    yield from measured_on("control-plane", ROWS)


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    """An API server that has nothing but our three kinds."""
    with left_out_if_missing(), cluster.new_api_server() as kubeconfig:
        api = Api(kubeconfig)
        install_crds(api)
        yield api


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Kubeconfig of the API server for 25,000 links: MCS_BENCH_KUBECONFIG, where an earlier run may have left them, or
    one of our own."""
    if named := os.environ.get("MCS_BENCH_KUBECONFIG"):
        yield Path(named)
        return
    with left_out_if_missing(), cluster.new_api_server() as kubeconfig:
        yield kubeconfig
