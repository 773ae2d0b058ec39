"""Background processes: started apart from this command, found again by their recorded id, ended by it.

A record is `{pid, started, signature, since}`. `started` is the kernel's start time of that id, so a recycled id is
never mistaken for ours; `signature` covers the command and its configuration, so a changed one is restarted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .shell import ClusterError, clean_environment, say, wait_until, write_if_changed

STOP_LIMIT = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Record:
    """What is known about a started process; `since` is a Unix time."""

    pid: int
    started: str
    signature: str
    since: float


@dataclass(frozen=True)
class Component:
    """One process of a cluster. `healthy` asks it, and is not called unless it runs."""

    name: str
    argv: list[str]
    healthy: Callable[[], bool]
    config: dict[Path, str] = field(default_factory=dict)  # files it reads at start
    env: dict[str, str] = field(default_factory=dict)
    start_limit: float = 90
    nice: int = 0  # added to that of who starts it; below 0: precedence over everything else on this machine

    def command(self) -> list[str]:
        return ["nice", "-n", str(self.nice), *self.argv] if self.nice else self.argv

    def signature(self) -> str:
        parts = [*self.command(), *self.config.values(), *(f"{name}={value}" for name, value in self.env.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Supervisor:
    """Starts, finds and stops components; keeps its records in `folder`/run and their output in `folder`/log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ensure(self, component: Component) -> None:
        """Start the component, or restart it when it died, changed or does not answer; returns without waiting."""
        record = self.running(component.name)
        if record and record.signature == component.signature() and _answers(component, patience=5):
            return
        if record:
            reason = "changed" if record.signature != component.signature() else "does not answer"
            say(f"  {component.name} {reason}: restarting it")
            self.stop(component.name)
        self._start(component)

    def wait(self, component: Component) -> None:
        """Wait until the component answers; raises ClusterError with the end of its log when it died or never did."""

        def ready() -> bool:
            if not self.running(component.name):
                raise ClusterError(f"{component.name} died:\n{self.log_tail(component.name)}")
            return component.healthy()

        try:
            wait_until(component.name, ready, component.start_limit)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.log_tail(component.name)}") from error

    def running(self, name: str) -> Record | None:
        """The record of a component that lives, else None."""
        try:
            record = Record(**json.loads(self._record_file(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return record if start_time(record.pid) == record.started else None

    def names(self) -> list[str]:
        """Every component that has a record, in the order they were started."""
        files = (self.folder / "run").glob("*.json")
        return [file.stem for file in sorted(files, key=lambda file: file.stat().st_mtime)]

    def stop(self, name: str) -> None:
        """SIGTERM, 10 s, SIGKILL; then forget the record."""
        record = self.running(name)
        if record:
            end_process(record.pid, record.started)
        self._record_file(name).unlink(missing_ok=True)

    def stop_all(self) -> None:
        """Stop every component, the last started first."""
        for name in reversed(self.names()):
            self.stop(name)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of a component's log."""
        try:
            return "\n".join(self._log_file(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _start(self, component: Component) -> None:
        for path, content in component.config.items():
            write_if_changed(path, content)
        log = self._log_file(component.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                component.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**clean_environment(), **component.env},
                cwd=self.folder,
                start_new_session=True,  # survives this command and its terminal
                close_fds=True,
            )
        _be_nice(process.pid, os.nice(0) + component.nice)
        record = Record(process.pid, start_time(process.pid) or "", component.signature(), time.time())
        write_if_changed(self._record_file(component.name), json.dumps(dataclasses.asdict(record)))

    def _record_file(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.json"

    def _log_file(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"


def _be_nice(session: int, nice: int) -> None:
    """Where the kernel shares processors among sessions, a process's own value counts within its session alone."""
    if nice:
        with contextlib.suppress(OSError):
            Path(f"/proc/{session}/autogroup").write_text(str(nice))


def _answers(component: Component, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not component.healthy():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def start_time(pid: int) -> str | None:
    """The kernel's start time of a living process; None when it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def end_process(pid: int, started: str) -> None:
    """End one process that is still the one seen before."""
    for number, limit in ((signal.SIGTERM, STOP_LIMIT), (signal.SIGKILL, STOP_LIMIT)):
        deadline = time.monotonic() + limit
        if start_time(pid) == started:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
        while start_time(pid) == started:
            if time.monotonic() > deadline:
                break
            _reap(pid)
            time.sleep(0.05)
        else:
            return
    raise ClusterError(f"process {pid} does not end")


def _reap(pid: int) -> None:
    """Collect a child of this very command; others are collected by init."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
