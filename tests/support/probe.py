"""Probes through tunnels: from the media container to a TVox's UDP echo and back, 100 times a second as a rule."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.api import Api
from support.waiting import until

PER_SECOND = 100
MARGIN = 5.0
"""Seconds of probing before and after what is probed."""
_LATER = 2
"""It tells twice a second of what is a second old: two times later, it is about all that was sent until now."""
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

    def __init__(
        self, api: Api, pod: str, address: str, per_second: int = PER_SECOND, container: str = "media"
    ) -> None:
        program = ["python3", "-c", _PROGRAM, address, "7", str(per_second)]
        command = ["exec", "-i", pod, "-c", container, "--", *program]
        self._address = address
        self._process = subprocess.Popen(
            api.kubectl_command(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._said.append(line.decode().strip())

    def await_first_answer(self) -> None:
        """Until the tunnel has carried one there and back; AssertionError where none comes in 40 s."""
        until(f"an answer from {self._address} by tunnel", lambda: self._tells(0), 40)

    @property
    def told(self) -> int:
        """How often it has told how it goes."""
        return len(self._said)

    def sent_when(self, told: int) -> int:
        """Datagrams that it had sent when it had told so often, as is known a second later."""
        return int(self._said[told + _LATER].split()[0])

    def assert_lossless_so_far(self, told: int) -> None:
        """Everything came back that was sent before it had told so often, or does within 20 s."""

        def look() -> bool:
            assert self._tells(told + _LATER), "it has not told so yet"
            for line in self._said[told + _LATER :]:
                sent, missing = map(int, line.split())
                if not missing:
                    return True
            raise AssertionError(f"of {sent} datagrams to {self._address}, {missing} did not come back")

        until("all have come back", look, 20)

    def _tells(self, line: int) -> bool:
        """Whether that line is there; RuntimeError where it will never be."""
        if self.told <= line and self._process.poll() is not None:
            raise RuntimeError(f"the probe over {self._address} ended: {self._complaint()}")
        return self.told > line

    def finish(self) -> ProbeReport:
        """End it, and its report."""
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        status = self._process.wait(timeout=30)
        self._reader.join(timeout=10)
        assert status == 0, f"the probe failed: {self._complaint()}"
        return ProbeReport(**json.loads(self._said[-1]))

    def _complaint(self) -> str:
        assert self._process.stderr
        return self._process.stderr.read().decode()

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@contextmanager
def probing(api: Api, pod: str, address: str) -> Iterator[Probe]:
    """A probe from 5 s before the block on; `finish` it inside, at its end."""
    probe = Probe(api, pod, address)
    try:
        probe.await_first_answer()
        time.sleep(MARGIN)
        yield probe
    finally:
        probe.close()
