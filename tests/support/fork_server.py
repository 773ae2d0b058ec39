"""Runs of a program that do not import it each time: processes forked from one that has done that already.

Three quarters of the operator's start are its imports (1.6 s of processor), and the tests start it some 150 times. A
forked one is as real as another one: its own process, environment, command line and log. That it starts from nothing
as well is seen where it runs from its image.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from support.api import ROOT

_MOST_BYTES = 128 * 1024
"""Of an order: arguments and an environment; a socket takes that much at once."""


class Forked:
    """A process of a fork server's, with what tests need of a ``subprocess.Popen``."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.pid = int(told.recv(32))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, as of a Popen (a signal's is negative); None while it runs."""
        return self.returncode if self._ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """The same, once it has ended; subprocess.TimeoutExpired where that takes longer than so many seconds."""
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended: its number may be another one's by now."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> bool:
        if self.returncode is None:
            self._told.settimeout(timeout)
            with suppress(TimeoutError, BlockingIOError):
                self.returncode = int(self._told.recv(32) or -signal.SIGKILL)
                self._told.close()
        return self.returncode is not None


class ForkServer:
    """Of a module with a ``main`` that takes arguments and returns an exit code. It ends with whoever made it, and so
    does what it has forked."""

    def __init__(self, module: str, within: Sequence[str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            subprocess.Popen(
                [*within, sys.executable, "-m", "support.fork_server", module, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'tests'}"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def begin(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """Run it, with both outputs at the end of a file."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = json.dumps([list(arguments), dict(environment)]).encode()
        assert len(order) <= _MOST_BYTES
        with theirs, log.open("ab") as output:
            socket.send_fds(self._orders, [order], [output.fileno(), theirs.fileno()])
        return Forked(ours)


@cache
def fork_server(module: str, within: Sequence[str]) -> ForkServer:
    """The one of this process; ``within``: see ``Operator``."""
    return ForkServer(module, within)


class _Server:
    """The other end: forks for each order, and tells what becomes of it."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._running: dict[int, tuple[int, socket.socket]] = {}
        """By a file that can be read once the process has ended: its id, and where that is to be told."""

    def serve(self) -> list[str]:
        """Returns in each child, with its arguments; ends with who gives the orders."""
        while True:
            for ready in select.select([self._orders, *self._running], [], [])[0]:
                if ready is not self._orders:
                    self._tell_the_end(ready)
                elif (arguments := self._fork(*socket.recv_fds(self._orders, _MOST_BYTES, 2)[:2])) is not None:
                    return arguments

    def _fork(self, order: bytes, files: list[int]) -> list[str] | None:
        if not order:
            for pid, _ in self._running.values():
                os.kill(pid, signal.SIGKILL)
            sys.exit(0)
        output, told = files[0], socket.socket(fileno=files[1])
        if not (pid := os.fork()):
            told.close()
            return self._become(order, output)
        os.close(output)
        told.send(str(pid).encode())
        self._running[os.pidfd_open(pid)] = (pid, told)
        return None

    def _tell_the_end(self, ended: int) -> None:
        pid, told = self._running.pop(ended)
        os.close(ended)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with told, suppress(BrokenPipeError):  # it may be that nobody waits for it any more
            told.send(str(status).encode())

    def _become(self, order: bytes, output: int) -> list[str]:
        self._orders.close()
        for ended, (_, told) in self._running.items():
            os.close(ended)
            told.close()
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        arguments, environment = json.loads(order)
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return list(arguments)


if __name__ == "__main__":
    main = importlib.import_module(sys.argv[1]).main
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    sys.exit(main(_Server(socket.socket(fileno=int(sys.argv[2]))).serve()))
