"""What the appliance keeps on its volume, with Velero's node agent: saved with the namespace, and restored with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import node, operator_process, server
from e2e.portal import ALL, with_portal
from ecosystem.kept_data import as_user, documented, put_back, run, served, talk
from support.api import Api, remove_namespaces
from support.cluster import Node
from support.lab import bridge_of
from support.levels import left_out_if_missing
from support.operator import Operator
from support.programs import built
from support.velero import PAGE, Velero, node_agent
from support.velero import velero as running_velero

__all__ = ["node", "operator_process", "server"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NEEDS = "a node; Velero, which is built the first time: 20 minutes on two very busy cores. Then 3 minutes."
MARK = "kubectl --namespace mcs-demo annotate pod"


@pytest.fixture(scope="module")
def velero(node: Node, server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Velero]:
    """Its server as a process, and its agent on the node. Nothing of it is left."""
    if bridge_of(node.ip) is None:
        pytest.skip("the node is not this machine")
    with left_out_if_missing():
        programs = built("velero")
    folder = tmp_path_factory.mktemp("velero")
    try:
        with running_velero(server, programs, folder, node.ip) as found, node_agent(found, node, folder):
            yield found
    finally:
        server.kubectl("delete", "--ignore-not-found", "-f", f"{programs}/crds", "-f", f"{programs}/crds-v2")


def test_messages_and_files_come_back_with_the_namespace(
    node: Node, server: Api, operator_process: Operator, velero: Velero, tmp_path: Path
) -> None:
    with with_portal(node, server, {"ada": ALL, "bob": ALL}, vpn={"slots": 2}) as mcs:
        as_user(mcs, "ada", talk)
        (mark,) = [line for line in PAGE.read_text().splitlines() if line.startswith(MARK)]
        for line in (documented("> data.tar")[0], mark):
            run(line, mcs, tmp_path)
        velero.backed_up(mcs.api.namespace)
        remove_namespaces(server, mcs.api.namespace)
        velero.restored(mcs.api.namespace)
        served(mcs)
        put_back(mcs, tmp_path, documented("< data.tar")[1:])
