"""WHAT WE ARE TOLD: the set in force, the logins and the mode, as the supervisor writes them to the run directory.

A file that cannot be read or understood keeps the content of before; one entry that is at fault is left out alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from portal import foreign
from portal.caps import Caps

FUNCTIONS = ("Audio", "Video", "Chat", "DesktopSharing", "FileSharing")
OPEN, DRAINING, WAITING = "open", "draining", "waiting"
LARGEST_FILE = 32 * 1024 * 1024
"""Bytes. 10,000 users with long names are about 3 MB."""
DEFAULT_BANDWIDTH = 100

Key = tuple[str, str]
"""A user: (community, name)."""
Request = tuple[str, Key]
"""To erase what is kept of a user: the id of the request, and who he is."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class User:
    community: str
    name: str
    display_name: str
    functions: frozenset[str]

    @property
    def key(self) -> Key:
        return self.community, self.name

    def told(self) -> dict[str, str]:
        return {"user": self.name, "displayName": self.display_name}


@dataclass(frozen=True, slots=True)
class Community:
    """`portal` is the host of its pages; without one, or not `open`, nobody of it is served."""

    name: str
    display_name: str
    portal: str | None
    open: bool

    @property
    def served(self) -> bool:
        return self.open and self.portal is not None


@dataclass(frozen=True, slots=True)
class Mode:
    """`until`: when a drain is over at the latest, where somebody said it."""

    name: str
    until: str | None = None


@dataclass(frozen=True)
class World:
    """The set in force. `users` are all that it names, also those of a community that is not served at the moment."""

    config: str
    communities: Mapping[str, Community]
    users: Mapping[Key, User] = field(repr=False)
    bandwidth_mbps: int = DEFAULT_BANDWIDTH
    portals: object = None
    """What the instance declares of the data that is kept; whoever uses it makes sense of it."""
    caps: Caps = field(default_factory=Caps)

    def has(self, key: Key) -> bool:
        """Whether the user is one of the set. Of a community that is closed, or has no portal, the set may name no
        users at all: who is of such a one is not gone."""
        community = self.communities.get(key[0])
        return key in self.users or (community is not None and not community.served)

    def user(self, community: str, name: str) -> User | None:
        """The user, if he is served now."""
        found = self.communities.get(community)
        return self.users.get((community, name)) if found and found.served else None


@dataclass(frozen=True)
class Logins:
    """The hash of each user who can log in. `config` names the set that they belong to."""

    config: str
    hashes: Mapping[Key, str] = field(repr=False)
    erasures: Mapping[str, Request] = field(default_factory=dict, repr=False)
    """Whose data is to be erased, by a digest of request and user, which may be noted: without the id, which is drawn
    at random, nobody can try names."""


NOTHING = World("", {}, {})
NO_LOGINS = Logins("", {})


def ordered(functions: frozenset[str]) -> list[str]:
    return [function for function in FUNCTIONS if function in functions]


def parse_world(content: bytes) -> World | None:
    """set.json. Names of users are those of the contract; what has another form cannot log in, nor be called."""
    document = foreign.document(content)
    if document is None or not isinstance(document.get("config"), str):
        return None
    entries, people = document.get("communities"), document.get("users")
    if not isinstance(entries, list) or not isinstance(people, list):
        return None
    communities = {found.name: found for found in map(_community, entries) if found}
    users = {found.key: found for found in map(_user, people) if found and found.community in communities}
    instance = document.get("instance")
    instance = instance if isinstance(instance, dict) else {}
    bandwidth = instance.get("bandwidthMbps")
    if not isinstance(bandwidth, int) or not 0 < bandwidth <= 1_000_000:
        bandwidth = DEFAULT_BANDWIDTH
    caps = Caps.declared(instance.get("communityLimits"))
    return World(document["config"], communities, users, bandwidth, instance.get("portals"), caps)


def parse_logins(content: bytes) -> Logins | None:
    document = foreign.document(content)
    if document is None or not isinstance(document.get("config"), str) or not isinstance(document.get("logins"), list):
        return None
    hashes: dict[Key, str] = {}
    for entry in document["logins"]:
        if isinstance(entry, list) and len(entry) == 3 and all(isinstance(part, str) for part in entry):
            hashes[entry[0], entry[1]] = entry[2]
    return Logins(document["config"], hashes, _erasures(document.get("erasures")))


def _erasures(entries: object) -> dict[str, Request]:
    """What cannot be understood asks for nothing."""
    found: dict[str, Request] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, list) or len(entry) != 3:
            continue
        community, name, request = entry
        if isinstance(community, str) and foreign.user_name(name) and foreign.random_id(request):
            whole = f"{request}/{community}/{name}".encode(errors="replace")
            found[hashlib.sha256(whole).hexdigest()] = request, (community, name)
    return found


def parse_mode(content: bytes) -> Mode | None:
    told = foreign.document(content) or {}
    name = told.get("mode")
    return Mode(name, foreign.text(told.get("until"), 40)) if name in (OPEN, DRAINING, WAITING) else None


def _community(entry: Any) -> Community | None:
    if not isinstance(entry, dict) or foreign.text(entry.get("name"), 253) is None:
        return None
    shown = foreign.text(entry.get("displayName"), 253) or entry["name"]
    host = foreign.text(entry.get("portal"), 253)
    return Community(entry["name"], shown, host.lower() if host else None, entry.get("open") is True)


def _user(entry: Any) -> User | None:
    if not isinstance(entry, list) or len(entry) != 4:
        return None
    community, name, shown, functions = entry
    if not isinstance(community, str) or foreign.user_name(name) is None or not isinstance(functions, list):
        return None
    allowed = frozenset(function for function in functions if isinstance(function, str) and function in FUNCTIONS)
    return User(community, name, foreign.text(shown, 253) or name, allowed)


class Watched(Generic[T]):
    """One file, its content when it was last good, and whether it is another one than at the last look."""

    def __init__(self, path: Path, parse: Callable[[bytes], T | None], content: T) -> None:
        self.path = path
        self.content = content
        self._parse = parse
        self._seen: tuple[int, int, int] | None = None

    async def look(self) -> bool:
        """Whether there is new content. Megabytes are read and understood in a thread: sockets go on meanwhile."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen == self._seen:
            return False
        try:
            found = await asyncio.to_thread(self._read)
        except OSError:
            return False
        self._seen = seen
        if found is None or found == self.content:
            return False
        self.content = found
        return True

    def _read(self) -> T | None:
        with self.path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        return self._parse(content) if len(content) <= LARGEST_FILE else None


class Told:
    """All that the supervisor says. Until the first set is there, nobody is served and nobody is signed out."""

    def __init__(self, run_dir: Path) -> None:
        self._world = Watched(run_dir / "set.json", parse_world, NOTHING)
        self._logins = Watched(run_dir / "logins.json", parse_logins, NO_LOGINS)
        self._mode = Watched(run_dir / "mode.json", parse_mode, Mode(WAITING))

    @property
    def world(self) -> World:
        return self._world.content

    @property
    def logins(self) -> Logins:
        return self._logins.content

    @property
    def ready(self) -> bool:
        return self.world is not NOTHING

    @property
    def draining(self) -> bool:
        return self._mode.content.name == DRAINING

    @property
    def drain(self) -> dict[str, Any]:
        """For pages: whether nothing new begins, and when that which it is for does, at the latest."""
        until = self._mode.content.until if self.draining else None
        return {"draining": self.draining} | ({"drainingUntil": until} if until else {})

    @property
    def agree(self) -> bool:
        """Whether logins and set are of one moment: only then is a user without a hash one whose password was taken."""
        return self.ready and self.world.config == self.logins.config

    async def look(self) -> None:
        """Reads what is another file than at the last look."""
        await self._world.look()
        await self._logins.look()
        await self._mode.look()
