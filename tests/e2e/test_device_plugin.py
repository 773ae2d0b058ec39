"""Slots that get their tun device from a device plugin, not from a path of the node: with a real plugin and kubelet."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import ROOT, Api
from support.cluster import Node
from support.mcs import POD, SLOTS, Mcs, serving
from support.operator import Operator
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.usefixtures("operator")]

FIRST = "acme"
RESOURCE = "example.com/tun"
KUBELET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
PLUGIN = ROOT / "hack" / "tun-device-plugin"


@pytest.fixture(scope="module")
def plugin(node: Node, server: Api) -> Iterator[None]:
    """A plugin that offers the node exactly as many as there are slots."""
    if not KUBELET.exists():
        pytest.skip(f"no {KUBELET}: the node is not this machine")
    process = subprocess.Popen([PLUGIN, RESOURCE, str(SLOTS)])
    try:

        def offered() -> bool:
            assert process.poll() is None, f"the plugin ended with status {process.poll()}"
            return bool(server.get("Node", node.name)["status"]["allocatable"].get(RESOURCE) == str(SLOTS))

        until("the kubelet offers the devices", offered, 120)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator, plugin: None) -> Iterator[Mcs]:
    """An instance whose slots ask for the resource; its first customer has a tunnel."""
    vpn = {"slots": SLOTS, "tunDevice": {"resourceName": RESOURCE}}
    with serving(node, server, first=FIRST, vpn=vpn) as mcs:
        yield mcs


def test_a_tunnel_works_over_a_device_that_a_plugin_gave(mcs: Mcs) -> None:
    spec = mcs.api.get("Pod", POD)["spec"]
    assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
    slots = [c for c in spec["containers"] if c["name"].startswith("link-")]
    assert [c["resources"]["requests"][RESOURCE] for c in slots] == ["1"] * SLOTS
    assert mcs.inside(f"http://{mcs.status(FIRST)['vpnAddress']}/")["tvox"] == FIRST


def test_only_slots_have_the_device(mcs: Mcs) -> None:
    slot = f"link-{mcs.status(FIRST)['slot']:03d}"
    device = "import os, stat; print(stat.S_ISCHR(os.stat('/dev/net/tun').st_mode))"
    assert mcs.run(slot, "test", "-c", "/dev/net/tun") == ""
    refused = mcs.api.kubectl("exec", POD, "-c", "media", "--", "python3", "-c", device, check=False)
    assert "True" not in refused
