"""Many participants without a browser, who talk by the media server of an appliance that runs on this machine.

All of them run here as well, on the same cores: of the media server only its own time and memory are counted, and
nothing gets lost that these cores can carry together.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contract.subject import Subject
from support.api import ROOT
from support.costs import cost_of
from support.lab import eventually

LINE = 480
"""kbit/s: the 60 KB/s that a connection takes."""


@dataclass(frozen=True)
class MediaServer:
    """The running one: where it listens, its key, and its process."""

    pid: int
    url: str
    key: str
    secret: str


@dataclass(frozen=True)
class Load:
    """Of each: `processor` in % of a core, `memory` in MiB, packets `heard` in a second; `lost`: of a million."""

    processor: float
    memory: float
    heard: float
    lost: float


def the_media_server_of(appliance: Subject) -> MediaServer:
    """Wait until it runs: where a portal is served."""
    pid = eventually("it runs", lambda: _process_of(appliance))
    variables = dict(
        word.partition("=")[::2] for word in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in word
    )
    said = json.loads(variables["LIVEKIT_CONFIG"])
    ((key, secret),) = said["keys"].items()
    return MediaServer(pid, f"http://127.0.0.1:{said['port']}", key, secret)


def _process_of(appliance: Subject) -> int | None:
    """It knows no folder of ours: it is the child of the appliance."""
    assert appliance.process is not None
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == appliance.process.pid and b"livekit-server" in (entry / "cmdline").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    return None


def under_load(server: MediaServer, rooms: int, size: int, video: int, seconds: int) -> Load:
    """What it costs and loses for so long; `video` in kbit/s of each one's picture."""
    idle = cost_of([server.pid])
    with _talking(server, rooms, size, video, seconds) as load:
        there = _said(load)["participants"]
        begin, begun = cost_of([server.pid]), time.monotonic()
        heard = _said(load)
        end, took = cost_of([server.pid]), time.monotonic() - begun
    return Load(
        processor=100 * (end.cpu - begin.cpu) / took / there,
        memory=(end.pss - idle.pss) / there,
        heard=heard["packets"] / took / there,
        lost=1e6 * heard["lost"] / (heard["packets"] + heard["lost"]),
    )


@contextmanager
def _talking(server: MediaServer, rooms: int, size: int, video: int, seconds: int) -> Iterator[subprocess.Popen[str]]:
    command = [ROOT / "hack" / "tool", "load", "-url", server.url, "-rooms", str(rooms), "-size", str(size)]
    command += ["-video", str(video), "-seconds", str(seconds)]
    environment = os.environ | {"LOAD_KEY": server.key, "LOAD_SECRET": server.secret}
    load = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        yield load
        assert load.wait(20) == 0
    finally:
        load.kill()
        load.wait()


def _said(load: subprocess.Popen[str]) -> dict[str, int]:
    assert load.stdout is not None
    found: dict[str, int] = json.loads(load.stdout.readline())
    return found
