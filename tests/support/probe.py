"""Probes through tunnels: from the media container to a TVox's UDP echo and back, 100 times a second as a rule."""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import Api

PER_SECOND = 100
MARGIN = 5.0
"""Seconds of probing before and after what is probed."""
_PROGRAM = (Path(__file__).parent / "udp_probe.py").read_text()


@dataclass(frozen=True)
class ProbeReport:
    """What the sender counted. ``longest_gap`` in seconds between two answers."""

    sent: int
    received: int
    lost: int
    lost_numbers: list[int]
    duplicated: int
    longest_gap: float
    worst_round_trip: float
    seconds: float


class Probe:
    """One running probe. `finish` ends it; leaving the `probing` block without it kills it."""

    def __init__(self, api: Api, pod: str, address: str, per_second: int = PER_SECOND) -> None:
        command = ["exec", "-i", pod, "-c", "media", "--", "python3", "-c", _PROGRAM, address, "7", str(per_second)]
        self._address = address
        self._process = subprocess.Popen(
            api.kubectl_command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def finish(self) -> ProbeReport:
        """End it, and its report."""
        out, err = self._process.communicate(timeout=30)
        assert self._process.returncode == 0, f"the probe failed: {err.decode()}"
        return ProbeReport(**json.loads(out.splitlines()[-1]))

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def await_first_answer(self) -> None:
        """Until the tunnel has carried one there and back; AssertionError where none comes in 15 s."""
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], 15)
        said = self._process.stdout.readline() if ready else b""
        if said.strip() != b"ready":
            self._process.kill()
            _, err = self._process.communicate()
            raise AssertionError(f"no answer from {self._address} by tunnel: {err.decode() or 'nothing in 15 s'}")


@contextmanager
def probing(api: Api, pod: str, address: str) -> Iterator[Probe]:
    """A probe from 5 s before the block on; `finish` it inside, at its end."""
    with probing_each(api, pod, [address], PER_SECOND) as (probe,):
        yield probe


@contextmanager
def probing_each(api: Api, pod: str, addresses: Sequence[str], per_second: int) -> Iterator[list[Probe]]:
    """One probe for each of these addresses, from 5 s before the block on; `finish` them inside, at its end."""
    probes: list[Probe] = []
    try:
        for address in addresses:
            probes.append(Probe(api, pod, address, per_second))
        for probe in probes:
            probe.await_first_answer()
        time.sleep(MARGIN)
        yield probes
    finally:
        for probe in probes:
            probe.close()
