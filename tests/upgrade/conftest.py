"""A node as the end-to-end tests have it, on which the version of before is installed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from e2e.conftest import node
from support.api import Api, remove_namespaces
from support.cluster import Node
from support.mcs import Mcs, serving
from upgrade.before import IMAGES, TAG, Before, Installed, check_out, image, last_version

__all__ = ["node"]

CUSTOMERS = ("acme", "globex")


@pytest.fixture(scope="session")
def server(node: Node) -> Api:
    """A client of the cluster, which serves our kinds as far as a chart has brought them."""
    return Api(node.kubeconfig)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """The version of before, its images on the node."""
    version = check_out(tmp_path_factory.mktemp("before"), last_version())
    version.load(*IMAGES)
    print(f"the version of before: {version.commit}")
    return version


@pytest.fixture(scope="module")
def operator(server: Api, before: Before, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """Its operator, by its own chart."""
    name, failed = f"mcs-upgrade-{secrets.token_hex(3)}", request.session.testsfailed
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    operator = Installed(server.within(name))
    try:
        operator.install(before.chart, TAG)
        yield operator
    finally:
        if request.session.testsfailed > failed:
            print(operator.logs())
        operator.uninstall()
        remove_namespaces(server, name)


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator: Installed) -> Iterator[Mcs]:
    """An instance that it made, with two customers who have tunnels."""
    with serving(node, server, first=CUSTOMERS[0], image=image("appliance")) as mcs:
        mcs.link(CUSTOMERS[1])
        mcs.connect(CUSTOMERS[1])
        yield mcs
