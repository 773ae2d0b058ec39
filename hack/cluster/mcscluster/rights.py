"""What a machine must allow before a node can run on it."""

from __future__ import annotations

import os
from pathlib import Path

from . import cgroups, packages, settings
from .shell import MissingRightsError, run, succeeds

SYS_ADMIN, NET_ADMIN = 21, 12


def require_node() -> None:
    """Raise MissingRightsError with a list of everything that is missing, each with its remedy."""
    gaps = _identity_gaps()
    if not gaps:
        # Only now: installing needs root, and the tries below need the packages.
        packages.install(packages.FOR_NODE)
        gaps = _machine_gaps()
    if gaps:
        lines = "\n".join(f"  - {gap}" for gap in gaps)
        raise MissingRightsError(
            f"a node cannot run here; missing:\n{lines}\n"
            "Without them: `cluster apiserver-up` (no node), or a Docker engine, with which `cluster up` uses kind."
        )


def require_root(why: str) -> None:
    """Raise MissingRightsError for anybody else."""
    if os.getuid() != 0:
        raise MissingRightsError(f"this needs root: {why}")


def _identity_gaps() -> list[str]:
    gaps = []
    if os.getuid() != 0:
        gaps.append("root: run it as root, in a machine or container of its own")
    for name, number in (("CAP_SYS_ADMIN", SYS_ADMIN), ("CAP_NET_ADMIN", NET_ADMIN)):
        if not _effective() >> number & 1:
            gaps.append(f"{name}: a container needs --privileged for it")
    return gaps


def _effective() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _machine_gaps() -> list[str]:
    gaps = []
    if not Path(f"/sys/class/net/{settings.NODE_BRIDGE}").exists():
        for network in (settings.NODE_NETWORK, *settings.POD_NETWORKS, settings.SERVICE_NETWORK):
            taken = run("ip", "-4", "route", "show", "root", network).strip()
            if taken:
                gaps.append(f"addresses: {network} is in use here: {taken.splitlines()[0]}")
        if succeeds("ip", "link", "add", "mcsprobe0", "type", "bridge"):
            succeeds("ip", "link", "delete", "mcsprobe0")
        else:
            gaps.append("bridges: `ip link add mcsprobe0 type bridge` fails; the kernel needs the module bridge")
    if not succeeds("nft", "list", "tables"):
        gaps.append("nftables: `nft list tables` fails; the kernel needs the module nf_tables")
    if not Path("/dev/net/tun").exists():
        gaps.append("/dev/net/tun: load the module tun, or `mknod /dev/net/tun c 10 200`; every VPN needs it")
    try:
        cgroups.prepare(cgroups.detect())
    except OSError as error:
        gaps.append(f"control groups: {error}; /sys/fs/cgroup must be writable")
    return gaps
