"""Pods without a kubelet: a network namespace each, on one bridge, which this machine reaches as the world does.

::

    namespace node: the bridge, 10.81.0.1, with the cluster's DNS
      ├── namespace of each pod: 10.81.0.10 …
      └── this machine: 10.81.0.2
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.cluster import MissingError
from support.cluster_dns import ClusterDns, cluster_dns
from support.lab import Namespace, missing, sh
from support.levels import left_out_if_missing

NETWORK = "10.81.0"
_BRIDGE, _HARDWARE = "pods", "02:00:00:00:00:01"
_AS_A_POD = 'mount --bind "$0" /etc/resolv.conf; mount --bind "$1" /etc/nsswitch.conf; shift; exec "$@"'


class PodNetwork:
    """``dns``: what the pods' resolver knows."""

    def __init__(self, node: Namespace, dns: ClusterDns, folder: Path, closing: ExitStack) -> None:
        self.dns = dns
        self._node, self._folder, self._closing = node, folder, closing
        (folder / "nsswitch.conf").write_text("hosts: dns\n")

    def plug_in(self, number: int, purpose: str) -> Namespace:
        """The namespace of one more pod, whose address ends with the number. Its ``close`` ends the pod."""
        pod, device = Namespace(purpose), f"pod{number}"
        self._closing.callback(pod.close)
        self._node.ip(*f"link add {device} master {_BRIDGE} type veth peer name eth0 netns {pod.name}".split())
        self._node.ip("link", "set", device, "up")
        pod.ip("address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        pod.ip("link", "set", "eth0", "up")
        return pod

    def within(self, pod: Namespace, kubernetes_namespace: str) -> list[str]:
        """A command prefix: what it starts runs in the pod, and resolves as pods of this namespace do."""
        resolver, search = self._folder / "resolv.conf", f"{kubernetes_namespace}.svc.cluster.local svc.cluster.local"
        resolver.write_text(f"nameserver {NETWORK}.1\nsearch {search} cluster.local\noptions ndots:5 timeout:1\n")
        files = [str(resolver), str(self._folder / "nsswitch.conf")]
        return ["ip", "netns", "exec", pod.name, "sh", "-euc", _AS_A_POD, *files]


@contextmanager
def pod_network(folder: Path) -> Iterator[PodNetwork]:
    """As root, where there are network namespaces; with no pod yet."""
    with left_out_if_missing():
        if reason := missing():
            raise MissingError(reason)
    with ExitStack() as closing:
        node = Namespace("node")
        closing.callback(node.close)
        # An address of its own: else it takes that of a pod, another one whenever one comes or goes, and for some
        # seconds nobody reaches the DNS there.
        node.ip(*f"link add {_BRIDGE} address {_HARDWARE} type bridge".split())
        node.ip("address", "add", f"{NETWORK}.1/24", "dev", _BRIDGE)
        node.ip("link", "set", _BRIDGE, "up")
        device = f"mcs{os.getpid() % 10**7}"
        node.ip(*f"link add world master {_BRIDGE} type veth peer name {device}".split())
        node.ip("link", "set", "world", "up")
        node.ip("link", "set", device, "netns", str(os.getpid()))
        sh("ip", "address", "add", f"{NETWORK}.2/24", "dev", device)
        sh("ip", "link", "set", device, "up")
        dns = closing.enter_context(cluster_dns(node, f"{NETWORK}.1"))
        yield PodNetwork(node, dns, folder, closing)
