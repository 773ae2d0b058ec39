"""A real node, and the operator as a process on this machine. Each module has an MCS of its own kind; `running` holds
those that share one, and `isolation` the tests that two of them have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import Api, install_crds
from support.cluster import Node
from support.levels import left_out_if_missing
from support.operator import Operator

pytest.register_assert_rewrite("e2e.isolation")  # it has tests, but not the name of a file with tests


@pytest.fixture(scope="session")
def node() -> Node:
    """The cluster with a node: KUBECONFIG, or the one that `make cluster-up` left running."""
    with left_out_if_missing():
        return cluster.node()


@pytest.fixture(scope="session")
def node_kubeconfig(node: Node) -> Path:
    """Its kubeconfig."""
    return node.kubeconfig


@pytest.fixture(scope="session")
def server(node: Node) -> Api:
    """A client of that cluster, which serves our three kinds and has nothing of ours on its host ports."""
    server = Api(node.kubeconfig)
    install_crds(server)
    return server


@pytest.fixture(scope="module")
def operator_process(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The one operator of this module."""
    yield from operator_at_work(server, tmp_path_factory)


def operator_at_work(server: Api, folders: pytest.TempPathFactory) -> Iterator[Operator]:
    """One as a process on this machine. It leads without a Lease, so no other one may be at work."""
    others = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in server.everywhere("Pod", "app.kubernetes.io/managed-by=mcs-operator")
    }
    assert not others, (
        f"another MCS has the node's ports: {', '.join(others)} "
        "(of the demo? `make demo-clean`; of a run that was cut off? `make cluster-down`)"
    )
    operator = Operator(server.kubeconfig, folders.mktemp("operator") / "operator.log")
    operator.start()
    yield operator
    operator.stop()
