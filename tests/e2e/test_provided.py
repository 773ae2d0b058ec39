"""An instance of a cluster that provides for it, on a real node: a load balancer, whose address is not the node's, as
behind NAT 1:1, and a device plugin, of which the slots get their tun device instead of from a path of the node.

The plugin and the kubelet that asks it are real. No provider's load balancer runs here. What one does for a Service is
to bring packets for its address to a node; kube-proxy does the rest, and that is real. The domain leads to the node,
where nobody listens in this mode, so a TVox gets through by the second remote of its profile alone: `publicAddress`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import ROOT, Api
from support.cluster import Node
from support.lab import bridge_of, led_to
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE
from support.operator import Operator
from support.sites import get_from, profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.usefixtures("operator")]

FIRST = "acme"
RESOURCE = "example.com/tun"
SLOTS = 2
KUBELET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
PLUGIN = ROOT / "hack" / "tun-device-plugin"


def public_address(node: Node) -> str:
    """One that nobody has, beside the node's."""
    return f"{node.ip.rpartition('.')[0]}.200"


@pytest.fixture(scope="module")
def devices(node: Node, server: Api) -> Iterator[str]:
    """A plugin that offers the node exactly as many as there are slots: the resource's name. Empty where the node is
    not this machine, and so has no plugin of ours."""
    if not KUBELET.exists():
        yield ""
        return
    process = subprocess.Popen([PLUGIN, RESOURCE, str(SLOTS)])
    try:

        def offered() -> bool:
            assert process.poll() is None, f"the plugin ended with status {process.poll()}"
            return bool(server.get("Node", node.name)["status"]["allocatable"].get(RESOURCE) == str(SLOTS))

        until("the kubelet offers the devices", offered, 120)
        yield RESOURCE
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator, devices: str) -> Iterator[Mcs]:
    """An instance with a public address of its own, given to its Service as a provider would; its slots ask for the
    resource."""
    address = public_address(node)

    def provide(mcs: Mcs) -> None:
        until("the public Service is there", lambda: mcs.api.find("Service", f"{INSTANCE}-public"), 15)
        mcs.api.merge_status("Service", f"{INSTANCE}-public", {"loadBalancer": {"ingress": [{"ip": address}]}})

    vpn = {"slots": SLOTS} | ({"tunDevice": {"resourceName": devices}} if devices else {})
    spec = {"network": {"mode": "LoadBalancer"}, "publicAddress": address, "vpn": vpn}
    with serving(node, server, first=FIRST, prepare=provide, **spec) as mcs:
        yield mcs


def test_a_tvox_dials_in_at_the_public_address_and_is_known_by_its_own(mcs: Mcs) -> None:
    port = mcs.status(FIRST)["port"]
    remotes = [line for line in profile_of(mcs.api, FIRST).splitlines() if line.startswith("remote ")]
    assert remotes == [f"remote {mcs.node.zone} {port}", f"remote {public_address(mcs.node)} {port}"]
    peer = mcs.status(FIRST)["tunnel"]["peer"].rpartition(":")[0]
    assert peer == mcs.sites[FIRST].address(), "allowedSources would be about another"
    assert mcs.inside(f"http://{mcs.status(FIRST)['vpnAddress']}/")["tvox"] == FIRST


def test_the_web_is_at_the_public_address_and_not_at_the_node(mcs: Mcs) -> None:
    if bridge_of(mcs.node.ip) is None:
        pytest.skip("the node is not this machine: nobody brings it packets for that address")
    with led_to(public_address(mcs.node), mcs.node.ip):
        status, page = get_from(public_address(mcs.node), mcs.domain(FIRST))
    assert status == 200, page
    assert page["tvox"] == FIRST
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


@pytest.fixture
def resource(devices: str) -> str:
    """Its name, for tests that are about nothing else."""
    if not devices:
        pytest.skip(f"no {KUBELET}: the node is not this machine")
    return devices


def test_a_tunnel_works_over_a_device_that_a_plugin_gave(mcs: Mcs, resource: str) -> None:
    spec = mcs.api.get("Pod", POD)["spec"]
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    slots = [c for c in spec["containers"] if c["name"].startswith("link-")]
    assert [c["resources"]["requests"][resource] for c in slots] == ["1"] * SLOTS
    assert mcs.inside(f"http://{mcs.status(FIRST)['vpnAddress']}/")["tvox"] == FIRST


def test_only_slots_have_the_device(mcs: Mcs, resource: str) -> None:
    slot = f"link-{mcs.status(FIRST)['slot']:03d}"
    device = "import os, stat; print(stat.S_ISCHR(os.stat('/dev/net/tun').st_mode))"
    assert mcs.run(slot, "test", "-c", "/dev/net/tun") == ""
    refused = mcs.api.kubectl("exec", POD, "-c", "media", "--", "python3", "-c", device, check=False)
    assert "True" not in refused
