"""Where everything lives: folders, addresses, ports and names. The only place that reads the environment."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

NODE_BRIDGE = "mcsnode0"
NODE_NETWORK = "10.89.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
TEST_ZONE = "mcs.test"
CNI_NETWORK = "mcsnode"
# A node's runtime and kubelet have their node to themselves. Here tests and builds share it, and a shim that starves
# while a pod of 250 containers stops falls behind for good: the pod then takes many minutes to go.
NODE_NICE = -10
PAUSE_IMAGE = "localhost/pause:dev"
KIND_CLUSTER = "mcs"

SOURCES = Path(__file__).resolve().parent.parent
ENTRY_POINT = SOURCES / "cluster"
MANIFESTS = SOURCES / "manifests"
GO_MODULES = SOURCES / "go"
APPLIANCE_MODULES = SOURCES.parents[1] / "images/appliance/go"
ECOSYSTEM_MODULES = SOURCES.parent / "ecosystem/go"


@dataclass(frozen=True)
class Host:
    """What one node has to itself. The other constants are the cluster's."""

    name: str
    ip: str
    pods: str
    cgroup_root: str
    probed_at: str
    """The address at which its kubelet and kube-proxy tell whether they are well."""
    certificates: str = ""
    """The end of the names of its kubelet's certificates."""


FIRST = Host(
    "mcs-node",
    "10.89.0.1",
    "10.244.0.0/24",
    os.environ.get("MCS_NODE_CGROUP", "/mcs-node"),  # of the one of another network on this machine (hack/beside)
    probed_at="127.0.0.1",
)
# Its loopback is out of reach from here: it has a network namespace of its own.
SECOND = Host("mcs-node-2", "10.89.0.2", "10.244.1.0/24", "/mcs-node-2", probed_at="10.89.0.2", certificates="-2")

POD_NETWORKS = (FIRST.pods, SECOND.pods)


@dataclass(frozen=True)
class Ports:
    """TCP ports of the control plane of one cluster. All but `api` listen on 127.0.0.1."""

    api: int
    etcd: int
    etcd_peer: int
    controller_manager: int
    scheduler: int = 0
    proxy_health: int = 0
    proxy_metrics: int = 0
    kubelet_health: int = 0


# Fixed, so that a saved kubeconfig stays valid. etcd is away from 2379: Debian's own etcd service may hold that.
NODE_PORTS = Ports(
    api=6443,
    etcd=23790,
    etcd_peer=23800,
    controller_manager=10257,
    scheduler=10259,
    proxy_health=10256,
    proxy_metrics=10249,
    kubelet_health=10248,
)


def base_dir() -> Path:
    """The folder of all state: MCS_CLUSTER_DIR, or one per user in /var/tmp (survives a reboot; no tmpfs)."""
    chosen = os.environ.get("MCS_CLUSTER_DIR")
    if chosen:
        return Path(chosen).resolve()
    return Path("/var/tmp/mcs-cluster" if os.getuid() == 0 else f"/var/tmp/mcs-cluster-{os.getuid()}")


def node_dir() -> Path:
    """State of the node (or of the kind cluster)."""
    return base_dir() / "node"


def worker_dir() -> Path:
    """State of the second node."""
    return base_dir() / "node-2"


def apiserver_dir() -> Path:
    """State of the API server that runs alone."""
    return base_dir() / "apiserver"


def forget_empty_base() -> None:
    """Remove the folder of all state when nothing is in it any more."""
    with contextlib.suppress(OSError):
        base_dir().rmdir()


def cache_dir() -> Path:
    """Caches, kept by `down`: everything in it is keyed by its content, but for locks."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "mcs-operator"


def kind_image() -> str | None:
    """Node image for kind (MCS_KIND_IMAGE); None is the one that belongs to kind's version."""
    return os.environ.get("MCS_KIND_IMAGE")


def kubernetes() -> str | None:
    """Which Kubernetes a node or an API server alone is of (MCS_KUBERNETES): oldest, newest; None is the usual one."""
    return os.environ.get("MCS_KUBERNETES")


def python() -> str:
    """The interpreter for our own helper processes."""
    return sys.executable or "/usr/bin/python3"
