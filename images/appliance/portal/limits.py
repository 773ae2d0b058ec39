"""HOW MUCH OF IT ONE MAY HAVE. Each number bounds what a browser, a user or a community can take from the others."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from dataclasses import dataclass, replace

HOUR, DAY = 3600.0, 86400.0
MIB = 1024 * 1024

BODY_BYTES = 64 * 1024
"""Of a JSON body. A message of 4,000 characters, escaped, has 48 KB."""
BODY_SECONDS = 10.0
MESSAGE_CHARACTERS = 4000
PAGE = 50
"""Entries of one answer: users, messages, files, missed calls."""

SOCKET_BYTES = 32 * 1024
"""Of one message that a browser sends: 200 names of 64 characters, quoted."""
WATCHED = 200
SOCKETS_OF_SESSION = 8
SOCKETS_OF_USER = 4
"""On average: a community has places for so many sockets per user, and never more than half of all."""
SOCKETS = 10_000
SOCKET_MEMORY = 40 * 1024
"""Bytes of one, with 50 users that it shows (measured: 34 KiB)."""
FILES_OF_OTHERS = 500
"""Open files that are no socket: libraries, database, transfers, requests."""
ADDRESSES_OF_OTHERS = 360 * MIB
"""What is no socket, with 10,000 users and two logins at once by the dearest hashes (measured)."""
QUEUED = 256
"""Messages that wait for one slow reader before he is closed, and comes back to the state of then."""

ROOM = 8
MEMBERS = 64
"""Of one call, with those who left it or refused."""
CALLS_OF_COMMUNITY = 500
REQUESTS_AT_ONCE = 200
"""Of one community, without sockets and transfers."""
TRANSFERS_OF_USER, TRANSFERS_OF_COMMUNITY, TRANSFERS = 3, 8, 128
FILE_NAME_CHARACTERS = 200

RETENTION = 3600, 87_600 * 3600
"""Seconds that an instance may declare: an hour to ten years."""
QUOTA = MIB, 1024 * 1024 * MIB

SESSIONS_OF_USER = 8
SESSION_IDLE, SESSION_LIFE = 7 * DAY, 30 * DAY


_ARENA_MAX = -8
"""Of malloc.h."""


@dataclass(frozen=True)
class Quota:
    """What is kept, for how long and how much. The same for every community of the instance, which may declare it."""

    chat_seconds: float = 30 * DAY
    file_seconds: float = 7 * DAY
    gone_seconds: float = 30 * DAY
    """How long after a user was last in a set in force: a broken file or a prune must not erase history."""
    file_bytes: int = 100 * MIB
    community_bytes: int = 1024 * MIB
    """Files of one community."""
    chat_bytes: int = 256 * MIB
    """Messages of one community."""
    upload_free: float = 0.20
    """Part of the file system that uploads leave free: where storage is local, a full volume is a full node."""
    chat_free: float = 0.10

    def declared(self, said: object) -> Quota:
        """With what the instance declares (`portals` of instance.json) in place of this. Total, within bounds.

        What cannot be understood, or nobody can have meant, such as no time at all, is kept as long as anything can be:
        a broken file must not erase history.
        """
        if said is None:
            return self
        found = said if isinstance(said, dict) else dict.fromkeys(("chatSeconds", "fileSeconds"))
        quota = found.get("quotaBytes")
        files = within(quota, QUOTA) if type(quota) is int else self.community_bytes
        return replace(
            self,
            chat_seconds=_kept(found, "chatSeconds", self.chat_seconds),
            file_seconds=_kept(found, "fileSeconds", self.file_seconds),
            file_bytes=min(self.file_bytes, files),
            community_bytes=files,
            chat_bytes=self.chat_bytes if files == self.community_bytes else files // 4,
        )


def within(number: int, bounds: tuple[int, int]) -> int:
    return min(max(number, bounds[0]), bounds[1])


def _kept(found: dict[str, object], name: str, default: float) -> float:
    if name not in found:
        return default
    said = found[name]
    return min(said, RETENTION[1]) if type(said) is int and said >= RETENTION[0] else RETENTION[1]


def keep_address_space_small() -> None:
    """Each thread would reserve 64 MiB of addresses, and the supervisor limits those: two logins at once with the
    dearest hashes would take 810 MiB of them instead of 360 (measured)."""
    with suppress(OSError, AttributeError):  # another C library than Debian's
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def sockets() -> int:
    """How many sockets there is room for, with as many files and addresses as this process may have."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return places(files, resource.getrlimit(resource.RLIMIT_AS)[0])


def places(files: int, addresses: int) -> int:
    """The same for these limits."""
    found = SOCKETS
    if files != resource.RLIM_INFINITY:
        found = min(found, files - FILES_OF_OTHERS)
    if addresses != resource.RLIM_INFINITY:
        found = min(found, (addresses - ADDRESSES_OF_OTHERS) // SOCKET_MEMORY)
    return max(50, found)


def sockets_of_community(users: int, places: int) -> int:
    """At least 50: a customer of one user may have a few devices and many tabs."""
    return min(places // 2, max(50, users * SOCKETS_OF_USER))
