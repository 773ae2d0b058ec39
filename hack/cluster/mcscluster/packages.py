"""Debian packages, installed only when missing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
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
    log = settings.cache_dir() / "log/apt.log"
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=600")  # another apt-get may be at work
    run_long("apt-get update", ["apt-get", *wait, "update"], log, env=env)
    with _no_daemons():
        command = ["apt-get", *wait, "install", "-y", "--no-install-recommends", *absent]
        run_long(f"apt-get install {' '.join(absent)}", command, log, env=env)


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """Keep packages from starting their services (Debian's etcd would): we run our own, and only while wanted."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():  # the machine has its own word on that
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
