"""What a shell needs to use a cluster: lines for `eval`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from . import binaries, kindcluster, node, settings
from .controlplane import ControlPlane

PLUGIN = Path(__file__).resolve().parents[2] / "plugin"
"""Where kubectl finds the plugin `kubectl mcs`."""


def of_plane(plane: ControlPlane, *extra_path: Path) -> dict[str, str]:
    """Variables for an own control plane: kubeconfig, programs, audit log."""
    return {
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": ":".join(map(str, (plane.binaries, *extra_path))),
        "NO_PROXY": plane.address,
        "MCS_AUDIT_LOG": str(plane.audit_log),
    }


def of_cluster() -> dict[str, str]:
    """Variables for the cluster that is up: the plane's, and where its node is. Raises ClusterError without one."""
    if kindcluster.known():
        found = kindcluster.environment()
        return found | {"PATH": f"{found['PATH']}:{PLUGIN}"}
    this = node.require()
    folders = (binaries.folder_of(module) for module in (binaries.CONTAINERD, binaries.HELM))
    return {
        **of_plane(this.plane, *folders, PLUGIN),
        "MCS_NODE_IP": settings.FIRST.ip,
        "MCS_NODE_NAME": settings.FIRST.name,
        "MCS_TEST_ZONE": settings.TEST_ZONE,
        "CONTAINERD_ADDRESS": str(this.runtime.socket),
        "CONTAINERD_NAMESPACE": "k8s.io",
        "MCS_REGISTRIES": str(this.runtime.registries),
    }


def exports(variables: dict[str, str]) -> str:
    """Export lines. PATH is put before the present one; NO_PROXY is added where a proxy is set."""
    lines = []
    for name, value in variables.items():
        if name == "PATH":
            lines.append(f'export PATH={shlex.quote(value)}:"$PATH"')
        elif name == "NO_PROXY":
            if any(key.lower() in ("http_proxy", "https_proxy", "all_proxy") for key in os.environ):
                lines.append(f'export NO_PROXY={shlex.quote(value)}"${{NO_PROXY:+,$NO_PROXY}}"')
        else:
            lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join(lines)
