"""An operator process whose metrics, CPU time and memory are read from outside."""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from support.api import Api
from support.operator import Operator
from support.ports import free_port
from support.scraping import Reader
from support.waiting import until

_TICKS = os.sysconf("SC_CLK_TCK")
_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
RECONCILES = "mcs_operator_reconciles_total"
DEPTH = "mcs_operator_queue_depth"
QUIET_SECONDS = 2.0


class Measured(Operator):
    """The operator, with the ports of its health and its metrics open."""

    def __init__(self, kubeconfig: Path, log: Path, options: Sequence[str] = (), **environment: str) -> None:
        self._port, self._metrics_port = free_port(), free_port()
        self._reader: Reader | None = None
        ports = [f"--health-port={self._port}", f"--metrics-port={self._metrics_port}"]
        super().__init__(kubeconfig, log, [*ports, *options], **environment)

    @contextmanager
    def running(self) -> Iterator[Measured]:
        """Started, ready, and ended with the block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the series of a metric that have these labels."""
        total = 0.0
        for line in self._metrics().splitlines():
            found = _SERIES.match(line)
            if found and found[1] == name:
                pairs = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if labels.items() <= pairs.items():
                    total += float(found[3])
        return total

    def is_ready(self) -> bool:
        """Whether the world is listed, by its own word."""
        try:
            return self._get("/readyz") == "ok"
        except OSError:
            return False

    def wait_reconciled(self, namespaces: int, timeout: float) -> float:
        """Wait until so many runs were done since the start, and nothing is left to do; when that was, as
        `time.monotonic`.

        By the process's CPU time and not by asking all the time: the answer is megabytes for 25,000 links.
        """
        until("the operator is ready", self.is_ready, timeout)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            quiet_since = self._quiet_since(deadline)
            if self.metric(RECONCILES, outcome="done") >= namespaces and self.metric(DEPTH) == 0:
                return quiet_since
        raise AssertionError(f"not reconciled within {timeout:.0f} s: {self.since(0)[-2000:]}")

    def _quiet_since(self, deadline: float) -> float:
        """Wait for two seconds that cost no more than a timer here and there; when they began."""
        since, cpu = time.monotonic(), self.cpu
        while (now := time.monotonic()) < deadline and now - since < QUIET_SECONDS:
            time.sleep(0.1)
            if self.cpu - cpu > 0.05 * QUIET_SECONDS:
                since, cpu = time.monotonic(), self.cpu
        return since

    @property
    def cpu(self) -> float:
        """Seconds of CPU time since the process began."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]  # the command's name, before it, may have spaces
        return (int(user) + int(system)) / _TICKS

    @property
    def resident(self) -> float:
        """MiB in memory now."""
        return self._memory("VmRSS")

    @property
    def peak(self) -> float:
        """The most MiB in memory so far."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024

    def _metrics(self) -> str:
        """As Prometheus reads them, with an account that stays: the next operator is asked with the same."""
        if self._reader is None:
            self._reader = Reader(Api(self.kubeconfig))
        return self._reader.read(self._metrics_port)

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as answer:
                return str(answer.read().decode())
        except URLError as error:
            raise OSError(str(error)) from error
