"""What a pod costs, read from the processes of its node: that has to be this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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
