"""At which bridge of this machine a host can be put beside a node."""

from __future__ import annotations

import json

import pytest

from support import lab

OURS = {"ifname": "mcsnode0", "addr_info": [{"local": "10.89.0.1", "prefixlen": 24}]}
KINDS = {"ifname": "br-0a1b2c", "addr_info": [{"local": "172.18.0.1", "prefixlen": 16}]}


@pytest.mark.parametrize(
    ("node", "bridge"),
    [
        pytest.param("10.89.0.1", "mcsnode0", id="the node's own, where the node is this machine"),
        pytest.param("172.18.0.2", "br-0a1b2c", id="Docker's, where the node is a container, as with kind"),
        pytest.param("192.0.2.10", None, id="none, where the node is another machine"),
    ],
)
def test_hosts_are_put_at_the_bridge_in_whose_network_the_node_is(
    monkeypatch: pytest.MonkeyPatch, node: str, bridge: str | None
) -> None:
    # iproute2 tells of what it leaves out by an empty object.
    monkeypatch.setattr(lab, "sh", lambda *_: json.dumps([{}, OURS, KINDS]))
    assert lab.bridge_of(node) == bridge
