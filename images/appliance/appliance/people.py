"""WHO TALKS: communities with a portal, their users, and how these log in. No I/O.

An entry at fault is left out alone. A file that cannot be understood keeps what it said before, as a whole: users are
spread over files by the operator, and none of them may go because of another one's fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from appliance.documents import EntryError, SetError, dns_name, document, text

FUNCTIONS = ("Audio", "Video", "Chat", "DesktopSharing", "FileSharing")
KEPT = ("chatSeconds", "fileSeconds", "quotaBytes")
LIMITED = ("calls", "participants")
LONGEST_HASH = 512
_REQUEST = re.compile(r"[0-9a-f]{32}")
_COMMUNITY = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""As Kubernetes names things: it goes into HAProxy's maps, a header and the names of rooms."""


class User(NamedTuple):
    """Ten thousand of them are no objects with fields of their own: a set is read within a second."""

    community: str
    name: str
    display_name: str
    functions: tuple[str, ...]


class Login(NamedTuple):
    """A user who can log in, by this hash of his password."""

    community: str
    name: str
    hash: str


class Erasure(NamedTuple):
    """What is kept of this user is to be erased, once; `id` names the request, and nobody."""

    community: str
    name: str
    id: str


@dataclass(frozen=True)
class Community:
    """A customer; `portal` is the host of its pages, None where it has none."""

    name: str
    display_name: str
    open: bool
    portal: str | None = None


@dataclass(frozen=True)
class People:
    """Users and logins by the file that names them, so that a file at fault keeps its own."""

    communities: tuple[Community, ...] = ()
    users_by_file: Mapping[str, tuple[User, ...]] = field(default_factory=dict, repr=False)
    logins_by_file: Mapping[str, tuple[Login, ...]] = field(default_factory=dict, repr=False)
    erasures: tuple[Erasure, ...] = field(default=(), repr=False)

    @property
    def portals(self) -> tuple[Community, ...]:
        """The communities with a portal."""
        return tuple(community for community in self.communities if community.portal)

    def users(self) -> dict[tuple[str, str], User]:
        """All of them, once: the first entry of a user counts."""
        found: dict[tuple[str, str], User] = {}
        for entries in self.users_by_file.values():
            for user in entries:
                found.setdefault((user.community, user.name), user)
        return found

    def logins(self) -> list[Login]:
        return [login for entries in self.logins_by_file.values() for login in entries]


_Entry = TypeVar("_Entry")


def understand(
    files: Mapping[str, bytes],
    communities: Iterable[Mapping[str, Any]],
    taken: Iterable[str],
    previous: People,
    problems: list[str],
    damaged: list[str],
) -> People:
    """Who is in these files. `communities` are their entries; `taken` are domains that belong to others."""
    return People(
        _communities(communities, set(taken), previous, problems),
        _by_file(files, "users-", "users", _user, previous.users_by_file, problems, damaged),
        _by_file(files, "logins-", "logins", _login, previous.logins_by_file, problems, damaged),
        tuple(_erasures(files)),
    )


def kept(declared: object) -> dict[str, int | None]:
    """For how long portals keep data, and how much, as the instance declares it. None stands for what is no number:
    the portal must know that something was declared, and erase nothing for it."""
    if declared is None:
        return {}
    found = declared if isinstance(declared, dict) else dict.fromkeys(KEPT)
    return {name: found[name] if type(found[name]) is int else None for name in KEPT if name in found}


def limits(declared: object) -> dict[str, int]:
    """How many calls and participants a community may have at the same time. What is no number limits nobody."""
    found = declared if isinstance(declared, dict) else {}
    return {name: found[name] for name in LIMITED if type(found.get(name)) is int and found[name] > 0}


def _communities(
    entries: Iterable[Mapping[str, Any]], taken: set[str], previous: People, problems: list[str]
) -> tuple[Community, ...]:
    before = {community.name: community.portal for community in previous.portals}
    found: dict[str, Community] = {}
    faulty: list[Community] = []
    for entry in entries:
        name = text(entry.get("name"))
        community = Community(name, _shown(entry.get("displayName")) or name, entry.get("enabled") is not False)
        if name in found:
            continue
        found[name] = community
        try:
            found[name] = _with_portal(community, entry.get("portalDomain"), taken)
        except EntryError as why:
            problems.append(f"community {name[:63]!r}: {why}")
            faulty.append(community)
    # Last, so that what a faulty entry had before never takes a name from a sound one.
    for community in faulty:
        portal = before.get(community.name)
        if portal and portal not in taken:
            taken.add(portal)
            found[community.name] = replace(community, portal=portal)
    return tuple(found.values())


def _with_portal(community: Community, domain: object, taken: set[str]) -> Community:
    if domain is None:
        return community
    if not _COMMUNITY.fullmatch(community.name):
        raise EntryError("its name can be none of a portal")
    try:
        portal = dns_name(domain)
    except EntryError:
        raise EntryError("its portalDomain is not a DNS name") from None
    if portal in taken:
        raise EntryError(f"{portal} belongs to somebody else")
    taken.add(portal)
    return replace(community, portal=portal)


def _by_file(
    files: Mapping[str, bytes],
    prefix: str,
    key: str,
    read: Callable[[Mapping[str, Any]], _Entry | None],
    previous: Mapping[str, tuple[_Entry, ...]],
    problems: list[str],
    damaged: list[str],
) -> dict[str, tuple[_Entry, ...]]:
    found: dict[str, tuple[_Entry, ...]] = {}
    for name in sorted(name for name in files if name.startswith(prefix)):
        try:
            entries = document(name, files[name]).get(key)
            if not isinstance(entries, list):
                raise SetError(f"{name} holds no list of {key}")
        except SetError as why:
            damaged.append(str(why))
            found[name] = previous.get(name, ())
            continue
        sound = [entry for entry in (read(e) for e in entries if isinstance(e, dict)) if entry is not None]
        if len(sound) < len(entries):
            what = "a name" if key == "users" else "a name and a hash"
            problems.append(f"{name}: {len(entries) - len(sound)} entries without {what} are left out")
        found[name] = tuple(sound)
    return found


def _erasures(files: Mapping[str, bytes]) -> Iterator[Erasure]:
    """Whose data is to be erased. What cannot be understood asks for nothing."""
    for name in sorted(name for name in files if name.startswith("logins-")):
        try:
            entries = document(name, files[name]).get("erasures")
        except SetError:
            continue
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                community, user, asked = text(entry.get("community")), _name(entry.get("name")), text(entry.get("id"))
                if community and user and _REQUEST.fullmatch(asked):
                    yield Erasure(community, user, asked)


def _user(entry: Mapping[str, Any]) -> User | None:
    name = _name(entry.get("name"))
    if not name:
        return None
    functions = entry.get("functions")
    allowed = [word for word in functions if isinstance(word, str)] if isinstance(functions, list) else []
    own = tuple(function for function in FUNCTIONS if function in allowed)
    return User(text(entry.get("community")), name, _shown(entry.get("displayName")) or name, own)


def _login(entry: Mapping[str, Any]) -> Login | None:
    community, name, found = text(entry.get("community")), _name(entry.get("name")), text(entry.get("hash"))
    if not community or not name or not found.startswith("$") or len(found) > LONGEST_HASH:
        return None
    return Login(community, name, found) if found.isascii() and found.isprintable() else None


def _name(value: object) -> str:
    name = text(value)
    return name if len(name) <= 253 else ""


def _shown(value: object) -> str:
    """For people: one line of at most 253 characters."""
    return "".join(letter for letter in text(value)[:253] if letter.isprintable())
