"""HOW MUCH OF IT ONE MAY HAVE: how many connections there is room for, and the share of a source and of a link.

HAProxy that runs out of files or memory locks everybody out, or takes the container with it. So the places are counted
from what this container may have, and nobody gets all of them (haproxy.cfg says which limit is asked where).
"""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_FILES = 50_000
"""More is of no use: the large tier carries 2,083 connections."""
OTHER_FILES = 600
"""Files that are no client's: listeners, the runtime API, threads' queues, libraries."""
PLACE_BYTES = 100 * 1024
"""Memory of one place: TLS, and the buffers of both sides (measured: half a handshake takes 45 KiB)."""
LEAST_RATE = 200
"""Connections of one address in ten seconds, in the smallest container too. A handshake costs a millisecond of CPU."""
_CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Limits:
    """Numbers of connections; `source` and `known` are also those of requests that one address has open.

    `places`: in all. `source`: an address that no TVox has answered yet; `narrow`: the same when half of all places are
    taken; it gets very few from `crowded` on and none from `full` on. `known`: an address that was answered, an office
    with all its people for instance. `link`: one customer.
    """

    places: int
    memory: int | None = None
    """Bytes that these places were worked out from, where a limit is known."""

    @property
    def half(self) -> int:
        return self.places // 2

    @property
    def crowded(self) -> int:
        return self.places * 3 // 4

    @property
    def full(self) -> int:
        return self.places * 95 // 100

    @property
    def narrow(self) -> int:
        return max(self.places // 100, 10)

    @property
    def source(self) -> int:
        return max(self.places // 20, 50)

    @property
    def known(self) -> int:
        return max(self.places // 5, 50)

    @property
    def link(self) -> int:
        return max(self.places * 2 // 5, 50)

    def for_haproxy(self) -> dict[str, str]:
        """The variables of haproxy.cfg; a rate is of ten seconds."""
        return {
            "MCS_PLACES": str(self.places),
            "MCS_HALF": str(self.half),
            "MCS_CROWDED": str(self.crowded),
            "MCS_FULL": str(self.full),
            "MCS_NARROW_SHARE": str(self.narrow),
            "MCS_SOURCE_SHARE": str(self.source),
            "MCS_SOURCE_RATE": str(max(self.source, LEAST_RATE)),
            "MCS_KNOWN_SHARE": str(self.known),
            "MCS_KNOWN_RATE": str(max(self.known, LEAST_RATE)),
            "MCS_LINK_SHARE": str(self.link),
        }


def limits(files: int, memory: int | None) -> Limits:
    """What fits into so many files, and into half of the memory (None: no limit is known)."""
    places = (min(files, MOST_FILES) - OTHER_FILES) // 2
    if memory is not None:
        places = min(places, memory // 2 // PLACE_BYTES)
    return Limits(max(places, 100), memory)


def of_this_container() -> Limits:
    """The limits here: by the number of files that HAProxy may open, and by the memory of the control group."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return limits(MOST_FILES if files == resource.RLIM_INFINITY else files, memory(_CGROUP))


def memory(candidates: tuple[Path, ...]) -> int | None:
    """The limit in bytes that the first readable file tells; `max`, and what no machine has, are none."""
    for path in candidates:
        with suppress(OSError, ValueError):
            limit = int(path.read_text())
            return limit if 0 < limit < 1 << 50 else None
    return None
