"""Strangers at public ports: many connections that say nothing, or half of a handshake, from a host of their own.

Bounded in number and time; what they opened is closed with them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from support.lab import Namespace

HALF = bytes.fromhex("16030100c8010000c40303")
"""The first bytes of a TLS ClientHello, or of anything."""


@dataclass
class Strangers:
    """``with Strangers(host, address, ports):`` they knock until the block ends, or all of their time is over."""

    host: Namespace
    address: str
    ports: Sequence[int]
    total: int = 10_000
    seconds: float = 20.0
    at_once: int = 900
    tried: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Strangers:
        self._thread = threading.Thread(target=self.host.inside, args=(self._knock,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def are_done(self) -> bool:
        """Whether all of them have been there, or their time is over: a busy machine has fewer."""
        return not self._thread.is_alive()

    def _knock(self) -> None:
        held: deque[socket.socket] = deque()
        began = time.monotonic()
        while self.tried < self.total and time.monotonic() - began < self.seconds and not self._over.is_set():
            # Evenly over the time, so that there is never a moment without new ones.
            due = min(self.total, int((time.monotonic() - began) / self.seconds * self.total) + 1)
            while self.tried < due:
                held.append(self._one(self.ports[self.tried % len(self.ports)], half=self.tried % 4 == 0))
                self.tried += 1
            while len(held) > self.at_once:
                held.popleft().close()
            for one in list(held)[-50:]:
                with suppress(OSError):
                    one.send(HALF[: self.tried % 2 * 11])
            self._over.wait(0.01)
        for one in held:
            one.close()

    def _one(self, port: int, half: bool) -> socket.socket:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((self.address, port))
        if half:
            with suppress(OSError):
                one.send(HALF)
        return one
