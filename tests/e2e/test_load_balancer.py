"""An instance behind a load balancer, on a real node: its address is not the node's, as behind NAT 1:1.

No provider's load balancer runs here. What one does for a Service is to bring packets for its address to a
node; kube-proxy does the rest, and that is real. The domain leads to the node, where nobody listens in this mode, so a
TVox gets through by the second remote of its profile alone: `publicAddress`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Api
from support.cluster import Node
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE
from support.operator import Operator
from support.sites import get_from, profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"


def public_address(node: Node) -> str:
    """One that nobody has, beside the node's."""
    return f"{node.ip.rpartition('.')[0]}.200"


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with a public address of its own, given to its Service as a provider would."""
    address = public_address(node)

    def provide(mcs: Mcs) -> None:
        until("the public Service is there", lambda: mcs.api.find("Service", f"{INSTANCE}-public"), 15)
        mcs.api.merge_status("Service", f"{INSTANCE}-public", {"loadBalancer": {"ingress": [{"ip": address}]}})

    spec = {"network": {"mode": "LoadBalancer"}, "publicAddress": address}
    with serving(node, server, first=FIRST, prepare=provide, **spec) as mcs:
        yield mcs


def test_a_tvox_dials_in_at_the_public_address_and_is_known_by_its_own(mcs: Mcs) -> None:
    port = mcs.status(FIRST)["port"]
    remotes = [line for line in profile_of(mcs.api, FIRST).splitlines() if line.startswith("remote ")]
    assert remotes == [f"remote {mcs.node.zone} {port}", f"remote {public_address(mcs.node)} {port}"]
    peer = mcs.status(FIRST)["tunnel"]["peer"].rpartition(":")[0]
    assert peer == mcs.api.get("Pod", mcs.sites[FIRST].pod)["status"]["podIP"], "allowedSources would be about another"
    assert mcs.inside(f"http://{mcs.status(FIRST)['vpnAddress']}/")["tvox"] == FIRST


def test_the_web_is_at_the_public_address_and_not_at_the_node(mcs: Mcs) -> None:
    status, page = get_from(public_address(mcs.node), mcs.domain(FIRST))
    assert (status, page["tvox"]) == (200, FIRST)
    ports = [p for c in mcs.api.get("Pod", POD)["spec"]["containers"] for p in c.get("ports", [])]
    assert not [p for p in ports if "hostPort" in p]


def test_allowed_sources_are_about_the_tvoxs_own_address(mcs: Mcs) -> None:
    source = mcs.status(FIRST)["tunnel"]["peer"].rpartition(":")[0]
    mcs.api.change("TVoxLink", FIRST, allowedSources=["192.0.2.0/24"])
    mcs.programmed(FIRST)
    mcs.api.wait_condition("TVoxLink", FIRST, "Connected", "False", timeout=30)
    mcs.api.change("TVoxLink", FIRST, allowedSources=[f"{source}/32"])
    mcs.programmed(FIRST)
    mcs.connected(FIRST, timeout=60)
