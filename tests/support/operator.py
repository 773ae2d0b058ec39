"""The operator as users run it: a process of its own, known by nothing but its environment and its log."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from support.api import Api
from support.fork_server import Forked, fork_server
from support.names import knowing_only
from support.waiting import until

READY = "the world is listed"


class Operator:
    """One operator process at a time, against one API server. All its runs write to one log."""

    latest: ClassVar[Operator | None] = None
    """The one that was started last: whose log a failure shows."""

    def __init__(
        self,
        kubeconfig: Path,
        log: Path,
        options: Sequence[str] = (),
        within: Sequence[str] = (),
        **environment: str,
    ) -> None:
        """``within``: a command that becomes the operator's, such as one that changes its surroundings first."""
        self.kubeconfig = kubeconfig
        self._within = within
        self.log = log
        self._options = options
        self._environment = environment
        self._process: Forked | None = None

    def start(self, timeout: float = 60) -> float:
        """Start, and wait until it leads and has listed the world; the seconds that took."""
        begun = time.monotonic()
        before = self._text().count(READY)
        process = self.begin()

        def ready() -> bool:
            assert process.poll() is None or self._fail(process.returncode)
            return self._text().count(READY) > before

        until("the operator is ready", ready, timeout)
        return time.monotonic() - begun

    def ensure(self) -> None:
        """Start it again where a test left it dead."""
        if not self.runs:
            self.stop()
            self.start()

    def begin(self, *options: str) -> Forked:
        """Start, and wait for nothing."""
        assert self._process is None, "it runs already"
        Operator.latest = self
        self._process = fork_server("mcs_operator.__main__", tuple(self._within)).begin(
            ["run", *self._options, *options],
            {**os.environ, "KUBECONFIG": str(self.kubeconfig), **self._environment},
            self.log,
        )
        return self._process

    def stop(self) -> None:
        """End it as Kubernetes would: SIGTERM, and SIGKILL for one that does not listen."""
        self._end(signal.SIGTERM)

    @contextmanager
    def with_environment(self, **more: str) -> Iterator[None]:
        """What it is told when it is started in the block, besides."""
        before = self._environment
        self._environment = before | more
        try:
            yield
        finally:
            self._environment = before

    def kill(self) -> None:
        """Let it die in the midst of whatever it does."""
        self._end(signal.SIGKILL)

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; only while it runs."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def since(self, mark: int) -> str:
        """What was logged after that many bytes."""
        return self.log.read_bytes()[mark:].decode(errors="replace") if self.log.exists() else ""

    def _text(self) -> str:
        return self.since(0)

    def _fail(self, status: int) -> bool:
        raise RuntimeError(f"the operator ended with {status}:\n{self._text()[-3000:]}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def running(server: Api, folder: Path) -> Iterator[Operator]:
    """The operator of a session, or of a part of it, as long as the fixture that yields from here lives."""
    operator = Operator(server.kubeconfig, folder / "operator.log", within=knowing_only(server, folder))
    operator.start()
    yield operator
    operator.stop()
