"""Control groups of the pods: cgroup v1 or v2, with or without systemd, kept apart from everybody else's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import settings
from .shell import succeeds

MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Layout:
    """How this machine does control groups.

    `driver` is the kubelet's and containerd's: `systemd` only on v2 under systemd, where both would fight over the
    tree; else `cgroupfs` below a root of our own. `roots` are our folders, one per hierarchy.
    """

    version: int
    driver: str
    roots: tuple[Path, ...]
    root: str = settings.FIRST.cgroup_root

    @property
    def kubelet_root(self) -> str:
        """The kubelet's `cgroupRoot`; empty leaves systemd's kubepods.slice."""
        return self.root if self.driver == "cgroupfs" else ""


def detect(root: str = settings.FIRST.cgroup_root) -> Layout:
    """Look at what is mounted, for a node with this root; changes nothing."""
    if (MOUNT / "cgroup.controllers").exists():
        # systemd has one slice of pods, the first node's.
        if Path("/run/systemd/system").is_dir() and root == settings.FIRST.cgroup_root:
            return Layout(2, "systemd", (MOUNT / "kubepods.slice",))
        return Layout(2, "cgroupfs", (MOUNT / root.strip("/"),), root)
    # With `unified` (v2 beside v1): runc puts its containers there as well.
    hierarchies = sorted(path for path in MOUNT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink())
    return Layout(1, "cgroupfs", tuple(path / root.strip("/") for path in hierarchies), root)


def prepare(layout: Layout) -> None:
    """Make our root in every hierarchy: the kubelet refuses a cgroupRoot that is not there. Raises OSError."""
    if layout.driver == "systemd":
        return
    for root in layout.roots:
        root.mkdir(exist_ok=True)
        if layout.version == 2:
            available = (root.parent / "cgroup.controllers").read_text().split()
            (root.parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))
        if root.parent.name.startswith("cpuset"):
            for file in ("cpuset.cpus", "cpuset.mems"):  # empty ones hold no process
                if not (root / file).read_text().strip():
                    (root / file).write_text((root.parent / file).read_text())


def kill_all(layout: Layout) -> None:
    """Kill every process in our groups: the containers, once nobody is left to restart them."""
    for _ in range(100):
        pids = {pid for root in layout.roots for group in groups(root) for pid in _pids(group / "cgroup.procs")}
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def groups(root: Path) -> Iterator[Path]:
    """The group and all below it, outermost first; those that go meanwhile, as containers end, are left out."""
    return (Path(folder) for folder, _, _ in os.walk(root))  # Path.rglob would raise


def _pids(file: Path) -> list[int]:
    try:
        return [int(line) for line in file.read_text().split() if line != "0"]
    except OSError:  # the group went meanwhile
        return []


def remove(layout: Layout) -> None:
    """Remove our groups, innermost first."""
    if layout.driver == "systemd":
        succeeds("systemctl", "stop", "kubepods.slice")
    for root in layout.roots:
        for group in reversed(list(groups(root))):
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()
