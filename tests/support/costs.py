"""What a pod costs, read from the processes of its node: that has to be this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.api import Api, Object

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """``pss`` in MiB, each shared page counted in parts; ``cpu`` in seconds since the processes started."""

    processes: int
    pss: float
    cpu: float


def cost_of(pids: Iterable[int]) -> Cost:
    """What these processes cost in all; those that have ended meanwhile cost nothing."""
    found = [cost for pid in pids if (cost := _of_one(Path(f"/proc/{pid}")))]
    return Cost(len(found), sum(pss for pss, _ in found), sum(cpu for _, cpu in found))


def _of_one(process: Path) -> tuple[float, float] | None:
    try:
        rollup, stat = (process / "smaps_rollup").read_text(), (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    kibibytes = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    user, system = stat.rpartition(")")[2].split()[11:13]  # the command's name, before it, may have spaces
    return kibibytes / 1024, (int(user) + int(system)) / _TICKS


def processes_of(api: Api, pod: str) -> dict[str, list[int]]:
    """The processes of each container of a pod, by the container's name; empty where the node is another machine."""
    ids: dict[str, str] = {}
    body: Object = api.get("Pod", pod)
    for status in body["status"].get("containerStatuses", []):
        ids[status.get("containerID", "").rpartition("/")[2]] = status["name"]
    found: dict[str, list[int]] = {}
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            places = cgroup.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # .../pod<uid>/<container> with the driver cgroupfs, .../cri-containerd-<container>.scope with systemd
        last = {line.rpartition("/")[2].removesuffix(".scope").rpartition("-")[2] for line in places}
        for name in {ids[container] for container in last if container in ids}:
            found.setdefault(name, []).append(int(cgroup.parent.name))
    return found
