"""One MCS per module on a real node, served by the operator as a process on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import Api, install_crds
from support.cluster import Node
from support.levels import left_out_if_missing
from support.mcs import Mcs, serving
from support.operator import Operator

FIRST = "acme"


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
    """The one operator of this module. It leads without a Lease, so no other one may be at work."""
    others = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in server.everywhere("Pod", "app.kubernetes.io/managed-by=mcs-operator")
    }
    assert not others, f"another MCS has the node's ports: {', '.join(others)} (of the demo? `make demo-clean`)"
    operator = Operator(server.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    operator.start()
    yield operator
    operator.stop()


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """A ready instance whose first customer, acme, has a tunnel: the one who must never notice anything."""
    with serving(node, server, first=FIRST) as mcs:
        yield mcs
