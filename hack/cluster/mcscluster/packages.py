"""Debian packages, installed only when missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from . import settings
from .shell import ClusterError, run_long

# Package -> the file that shows it is there. A file, not dpkg's word: who brings his own etcd or runc needs none.
FOR_APISERVER = {"etcd-server": Path("etcd"), "openssl": Path("openssl")}
FOR_NODE = {
    **FOR_APISERVER,
    "runc": Path("runc"),
    "nftables": Path("nft"),
    "iproute2": Path("ip"),
    "dnsmasq-base": Path("dnsmasq"),
    "gcc": Path("cc"),
    "libc6-dev": Path("/usr/include/stdio.h"),
}
PREPARE = Path(__file__).resolve().parents[2] / "prepare"
FOR_CHECK = {"busybox-static": Path("/bin/busybox")}


def program(name: str) -> str:
    """Path of a program that must be there."""
    path = shutil.which(name)
    if not path:
        raise ClusterError(f"{name} is missing")
    return path


def missing(wanted: Mapping[str, Path]) -> list[str]:
    """The packages whose file is not on this machine."""
    return [name for name, file in wanted.items() if not (file.exists() if file.is_absolute() else shutil.which(file))]


def install(wanted: Mapping[str, Path]) -> None:
    """Install what is missing by apt-get; without root or apt-get, say what to install."""
    absent = missing(wanted)
    if not absent:
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"please install (Debian's names): {' '.join(absent)}")
    command = [PREPARE, *absent]
    run_long(f"apt-get install {' '.join(absent)}", command, settings.cache_dir() / f"log/apt-{absent[0]}.log")
    if left := missing({name: wanted[name] for name in absent}):
        raise ClusterError(f"installed, and still not there: {' '.join(left)}")
