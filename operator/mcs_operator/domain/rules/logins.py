"""Who can log in to a Community's portal: users who are served and have a password.

A Secret with passwords is believed by its label alone, which names the Community: without that, one customer could name
another one's Secret. Words about it tell Secret and line, never a user and never a hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice

from mcs_operator.api import Community
from mcs_operator.api.conditions import Reason
from mcs_operator.api.erasure import MOST
from mcs_operator.api.passwords import PASSWORDS_KEY, PasswordsFile
from mcs_operator.contract.shards import ServedErasure, ServedLogin, ServedUser, logins_in, packed
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import LABEL_PASSWORDS

FIELD = "spec.authentication.passwordsFrom"


@dataclass(frozen=True, slots=True)
class CommunityLogins:
    """How many of one community's users can log in. ``verdict``: why some of them may not."""

    count: int = 0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class LoginsPlan:
    """Of all communities that declare a portal."""

    logins: tuple[ServedLogin, ...] = ()
    by_community: Mapping[str, CommunityLogins] = field(default_factory=dict)
    erasures: tuple[ServedErasure, ...] = field(default=(), repr=False)
    """Whose data the portals are asked to erase."""
    requests: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Their ids by community."""

    def erasures_of(self, community: str) -> frozenset[str]:
        """Ids of what is asked for one community."""
        return self.requests.get(community, frozenset())


@dataclass(frozen=True, slots=True)
class _Passwords:
    """What one community's Secrets say, by user; of one who is in several the first counts. ``verdict``: which of them
    cannot be taken, so that there may be passwords that nobody can read now."""

    hashes: Mapping[str, str] = field(repr=False)
    verdict: Verdict | None


def log_in(
    communities: Iterable[Community],
    users: Iterable[ServedUser],
    files: Mapping[str, PasswordsFile],
    shards: Mapping[str, bytes],
    unreadable: Collection[str] = (),
) -> LoginsPlan:
    """The logins of all ``users`` that are served. ``shards`` are the packed files of before: from them the passwords
    of a Secret come that is missing or broken now, and those of the communities that are ``unreadable``."""
    communities = tuple(communities)
    known = {c.name: _passwords(c, files) for c in communities if c.spec.portal_domain and c.spec.enabled}
    if not known and not unreadable:
        return LoginsPlan()
    may_miss = {name for name, passwords in known.items() if passwords.verdict} | set(unreadable)
    last = logins_in(shards) if may_miss else {}
    found, counts = [], dict.fromkeys(known, 0)
    for user in users:
        hashed = known[user.community].hashes.get(user.name) if user.community in known else None
        if hashed is None and user.community in may_miss:
            hashed = last.get((user.community, user.name))
        if hashed is not None:
            found.append(ServedLogin(user.community, user.name, hashed))
            counts[user.community] = counts.get(user.community, 0) + 1
    by_community = {n: CommunityLogins(counts[n], known[n].verdict) for n in known}
    erasures = tuple(_erasures(communities, files))
    requests = {name: frozenset(e.id for e in mine) for name, mine in groupby(erasures, key=lambda e: e.community)}
    return LoginsPlan(tuple(found), by_community, erasures, requests)


def _erasures(communities: Iterable[Community], files: Mapping[str, PasswordsFile]) -> Iterator[ServedErasure]:
    """Of Secrets that are the Community's own by their label; of users who are served, and of others: most have been
    removed before."""
    for community in communities:
        if community.spec.portal_domain and community.spec.enabled:
            sources = dict.fromkeys(source.secret_ref.name for source in community.spec.authentication.passwords_from)
            known = (files[name] for name in sources if name in files)
            asked = (erasure for file in known if file.community == community.name for erasure in file.erasures)
            # As many as of one Secret: who has sixteen of them would leave those of others no room in the shards.
            yield from (ServedErasure(community.name, *erasure) for erasure in islice(asked, MOST))


def logins_changed(file: str, before: Mapping[str, bytes], text: str) -> set[str]:
    """Communities whose passwords in a file are others than in the one of that name before."""
    wanted = logins_in(packed({file: text})).items()
    there = logins_in({file: before[file]}).items() if file in before else set()
    return {community for (community, _), _ in wanted ^ there}


def _passwords(community: Community, files: Mapping[str, PasswordsFile]) -> _Passwords:
    hashes: dict[str, str] = {}
    verdict: Verdict | None = None
    for source in community.spec.authentication.passwords_from:
        name = source.secret_ref.name
        file = files.get(name)
        found = _problem(community.name, name, file)
        if found and (verdict is None or verdict.reason is not Reason.PASSWORDS_INVALID):
            verdict = found
        for login in (file.logins or ()) if file and not found else ():
            hashes.setdefault(login.name, login.hash)
    return _Passwords(hashes, verdict)


def _problem(community: str, name: str, file: PasswordsFile | None) -> Verdict | None:
    """Why a Secret's passwords are not to be had."""
    if file is None or file.community != community:
        needed = f"there is no Secret {name!r} with label {LABEL_PASSWORDS}={community}"
        remedy = f"`kubectl mcs password {community}/<user>` makes it; of one that is there, set the label"
        return Verdict(Reason.PASSWORDS_NOT_FOUND, f"{FIELD}: {needed}; {remedy}")
    if file.problem:
        text = f"{FIELD}: Secret {name!r}, key {PASSWORDS_KEY}: {file.problem}; what was taken from it before still is"
        return Verdict(Reason.PASSWORDS_INVALID, text)
    if file.logins is None:
        return Verdict(Reason.PASSWORDS_NOT_FOUND, f"{FIELD}: Secret {name!r} has no key {PASSWORDS_KEY}; add it")
    return None
