"""A real node of hack/cluster, whose pods have IPv4 alone: here those that are made meanwhile have IPv6 as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster import MissingError, Node

PODS_6 = "fd00:244::/64"
_FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")


@contextmanager
def dual_stack(node: Node) -> Iterator[None]:
    """The runtime takes the first configuration by name, as soon as it is there. The pods have to be gone before it."""
    folder = node.kubeconfig.parent / "cni" / "net.d"
    usual = folder / "10-mcsnode.conflist"
    if not usual.exists() or not _FORWARDING.exists():
        raise MissingError("its pods get no IPv6 where the node is not of hack/cluster, or the kernel has none")
    network = json.loads(usual.read_text())
    addresses = network["plugins"][0]["ipam"]
    addresses["ranges"].append([{"subnet": PODS_6}])
    addresses["routes"].append({"dst": "::/0"})
    before, both = _FORWARDING.read_text(), folder / "00-both.conflist"
    half_written = folder / "both.new"
    half_written.write_text(json.dumps(network))
    half_written.replace(both)
    try:
        _FORWARDING.write_text("1")
        yield
    finally:
        both.unlink()
        _FORWARDING.write_text(before)
