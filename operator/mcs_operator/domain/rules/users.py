"""Users of the communities: inline and from files, functions per user, and who is beyond a limit or the tier.

Who is served keeps the place, as holders of slots do: whoever is in the files that the appliance was given last comes
first. A Community that grows takes nobody's place in the one beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from mcs_operator.api import Community, Function, User
from mcs_operator.api.conditions import Reason
from mcs_operator.api.usersfile import USERS_KEY, ListedUser, UsersFile
from mcs_operator.contract.shards import ServedUser, packed, users_in
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import LABEL_USERS


@dataclass(frozen=True, slots=True)
class CommunityUsers:
    """What became of one community's users. ``verdict`` is None where all enabled ones are served."""

    served: int = 0
    functions: Mapping[Function, int] = field(default_factory=dict)
    beyond: int = 0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class UsersPlan:
    """Users in the order of precedence: communities by (creation, name), inline before files, list order."""

    users: tuple[ServedUser, ...] = ()
    capacity: int = 0
    by_community: Mapping[str, CommunityUsers] = field(default_factory=dict)


@dataclass(slots=True)
class _Wish:
    """One community's enabled users, each name once: ``allowed`` by its limit, in the order of its lists."""

    community: Community
    sources: _Sources
    wanted: list[ServedUser]
    allowed: list[ServedUser]
    verdict: Verdict | None


class _InForce:
    """Users in the files that the appliance was given last, read when they are asked for: most worlds need none."""

    def __init__(self, shards: Mapping[str, bytes]) -> None:
        self._shards = shards

    @cached_property
    def users(self) -> tuple[ServedUser, ...]:
        """All of them."""
        return tuple(users_in(self._shards))

    @cached_property
    def places(self) -> set[tuple[str, str]]:
        """Community and name of each."""
        return {(user.community, user.name) for user in self.users}

    def first(self, wanted: Sequence[ServedUser], places: int) -> list[ServedUser]:
        """As many as there are places, those in force before all others; in the order of the list."""
        if len(wanted) <= places:
            return list(wanted)
        held = self.places
        ranked = sorted(range(len(wanted)), key=lambda n: (wanted[n].community, wanted[n].name) not in held)
        return [wanted[n] for n in sorted(ranked[:places])]


def serve(
    communities: Iterable[Community],
    files: Mapping[tuple[str, str], UsersFile],
    capacity: int,
    shards: Mapping[str, bytes],
    unreadable: Collection[str] = (),
    limit: int | None = None,
) -> UsersPlan:
    """Give places to users until ``capacity`` (the tier's) is used up. ``shards`` are the packed users files of
    before: who is in them keeps the place; from them the users of a file come that is missing or broken now, and
    those of the communities that are ``unreadable``, first of all. ``limit``: so many for each community."""
    in_force = _InForce(shards)
    kept = [user for user in in_force.users if user.community in unreadable][:capacity] if unreadable else []
    ordered = sorted(communities, key=lambda c: (c.created, c.name))
    wishes = [_wish(community, files, in_force, limit) for community in ordered]
    everybody = [user for wish in wishes for user in wish.allowed]
    users = in_force.first(everybody, capacity - len(kept))
    served: dict[str, list[ServedUser]] = {community.name: [] for community in ordered}
    for user in users:
        served[user.community].append(user)
    outcome = {wish.community.name: _outcome(wish, served[wish.community.name], capacity, limit) for wish in wishes}
    return UsersPlan((*kept, *users), capacity, outcome)


def communities_of(file: str, before: Mapping[str, bytes], text: str) -> set[str]:
    """Communities whose users in a users file are others than in the one of that name before."""
    wanted = set(users_in(packed({file: text})))
    there = set(users_in({file: before[file]})) if file in before else set()
    return {user.community for user in wanted ^ there}


def _wish(
    community: Community, files: Mapping[tuple[str, str], UsersFile], in_force: _InForce, limit: int | None
) -> _Wish:
    sources = _read(community, files)
    wanted, verdict = _merged(community, sources)
    if sources.incomplete:
        wanted += _last_good(community, sources, in_force.users)
    allowed = wanted
    if limit is not None and len(wanted) > limit:  # lowered, it takes no place away
        held = sum((community.name, user.name) in in_force.places for user in wanted)
        allowed = in_force.first(wanted, max(held, limit))
    return _Wish(community, sources, wanted, allowed, verdict)


def _outcome(wish: _Wish, served: list[ServedUser], capacity: int, limit: int | None) -> CommunityUsers:
    functions = Counter(function for user in served for function in user.functions)
    beyond, verdict = len(wish.wanted) - len(served), wish.verdict
    if beyond:
        there = {user.name for user in served}
        first = next(user.name for user in wish.wanted if user.name not in there)
        count = f"{beyond} of {len(wish.wanted)} users are not served, the first at {wish.sources.place_of(first)}"
        if len(served) < len(wish.allowed):
            why = f"the instance's tier carries {capacity} users, and who is served keeps the place"
            verdict = Verdict(Reason.TIER_EXCEEDED, f"{count}: {why}; choose a larger tier, or disable users")
        else:
            why = f"spec.communityLimits.users of the instance allows a Community {limit}"
            verdict = Verdict(Reason.COMMUNITY_LIMIT_EXCEEDED, f"{count}: {why}; disable users, or have it raised")
    return CommunityUsers(len(served), dict(functions), beyond, verdict)


@dataclass(frozen=True, slots=True)
class _Sources:
    """What one community lists, by source, inline before files. ``verdict`` is about the last source that cannot be
    taken."""

    listed: Mapping[str, Sequence[User | ListedUser]]
    verdict: Verdict | None = None

    @property
    def incomplete(self) -> bool:
        """Whether there may be users that nobody can read now."""
        return self.verdict is not None

    def place_of(self, name: str) -> str:
        """Where a user is listed: a message tells the place, never the name."""
        for source, users in self.listed.items():
            for index, user in enumerate(users):
                if user.name == name:
                    return f"{source}[{index}]"
        return "a file that cannot be read now"


def _read(community: Community, files: Mapping[tuple[str, str], UsersFile]) -> _Sources:
    if not community.spec.enabled:
        return _Sources({})
    listed: dict[str, Sequence[User | ListedUser]] = {"spec.users": community.spec.users}
    verdict = None
    for source in community.spec.users_from:
        kind, ref = ("ConfigMap", source.config_map_ref) if source.config_map_ref else ("Secret", source.secret_ref)
        name = ref.name if ref else ""
        where = f"{kind} {name!r}, key {USERS_KEY}"
        file = files.get((kind, name))
        if file is None:
            needed = f"no {kind} {name!r} with label {LABEL_USERS}=true"
            verdict = Verdict(Reason.USERS_NOT_FOUND, f"spec.usersFrom: there is {needed}; create it, or set the label")
        elif file.users is not None:
            listed[f"{where}: "] = file.users
        elif file.problem:
            text = f"{where}: {file.problem}; what was served from it before still is"
            verdict = Verdict(Reason.USERS_INVALID, text)
        else:
            verdict = Verdict(Reason.USERS_NOT_FOUND, f"spec.usersFrom: {kind} {name!r} has no key {USERS_KEY}; add it")
    return _Sources(listed, verdict)


def _merged(community: Community, sources: _Sources) -> tuple[list[ServedUser], Verdict | None]:
    """Enabled users, each name once, and what is wrong."""
    unique: dict[str, User | ListedUser] = {}
    verdict, place, again = sources.verdict, "", ""
    for source, users in sources.listed.items():
        for index, user in enumerate(users):
            if unique.setdefault(user.name, user) is not user:
                place, again = f"{source}[{index}]", user.name
    if place:
        text = f"{place} has the same name as {sources.place_of(again)}; the first one is served"
        verdict = Verdict(Reason.USERS_INVALID, f"{text}, take one of them out")
    name, default = community.name, _in_order(community.spec.default_functions)
    return [_served(name, user, default) for user in unique.values() if user.enabled], verdict


def _last_good(community: Community, sources: _Sources, last: Iterable[ServedUser]) -> list[ServedUser]:
    """Users as they were served before, behind those that are declared now; who is switched off now is declared."""
    declared = {user.name for users in sources.listed.values() for user in users}
    return [user for user in last if user.community == community.name and user.name not in declared]


def _served(community: str, user: User | ListedUser, default: tuple[Function, ...]) -> ServedUser:
    functions = default if user.functions is None else _in_order(user.functions)
    return ServedUser(community, user.name, user.display_name or user.name, functions)


@lru_cache(1024)  # most users have one of a few lists; a file may have any
def _in_order(functions: tuple[Function, ...]) -> tuple[Function, ...]:
    """Each once, in the order of the vendor's list."""
    return tuple(function for function in Function if function in functions)
