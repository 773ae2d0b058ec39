"""TCP ports for programs that a test starts."""

from __future__ import annotations

import secrets
import socket

_RANGE = range(12_000, 20_000)
"""Below those that the kernel gives to connections, and away from those of `hack/cluster`. The product has some of
these numbers, in UDP."""
_given: set[int] = set()


def free_port() -> int:
    """One that nobody listens on now, and that was not given before: it is used a while later."""
    while True:
        port = secrets.choice(_RANGE)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
