"""The manifest by which krew, kubectl's manager of plugins, installs `kubectl mcs`."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

_DESCRIPTION = (
    "Shows the health of TVox MCS on Kubernetes and of its customers' tunnels, fetches profiles, tells whom a change "
    "would interrupt before it is made, rotates and revokes keys."
)


def manifest(version: str, base: str, digests: Mapping[str, str]) -> str:
    """``base``: where the archives will be; ``digests``: each one's SHA-256, by platform."""
    plugin = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "mcs"},
        "spec": {
            "version": f"v{version}",
            "shortDescription": "Look at TVox MCS, fetch profiles, plan changes",
            "description": _DESCRIPTION,
            "caveats": "Needs Python 3.11 to 3.14 as python3, or beside it, on the PATH.",
            "platforms": [_platform(name, base, version, digests[name]) for name in sorted(digests)],
        },
    }
    return yaml.safe_dump(plugin, sort_keys=False, width=120)


def archive_name(version: str, platform: str) -> str:
    """Of the archive that krew fetches."""
    return f"kubectl-mcs-{version}-{platform}.tar.gz"


def _platform(name: str, base: str, version: str, digest: str) -> dict[str, object]:
    os, _, arch = name.partition("-")
    return {
        "selector": {"matchLabels": {"os": os, "arch": arch}},
        "uri": f"{base.rstrip('/')}/{archive_name(version, name)}",
        "sha256": digest,
        "bin": "kubectl-mcs",
        "files": [{"from": "kubectl-mcs", "to": "."}],
    }
