"""Users of the communities: inline and from files, functions per user, and who is beyond the tier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mcs_operator.api import Community, Function, User, UserOfFile
from mcs_operator.domain.conditions import Reason
from mcs_operator.domain.shardfiles import ServedUser, users_in
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import UsersFile
from mcs_operator.settings import LABEL_USERS

USERS_KEY = "users.yaml"
_USERS: TypeAdapter[list[UserOfFile]] = TypeAdapter(list[UserOfFile])


class UsersFileError(ValueError):
    """A users file that cannot be taken; the text names file, index and field, never another user's data."""


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


def serve(
    communities: Iterable[Community],
    files: Mapping[tuple[str, str], UsersFile],
    capacity: int,
    shards: Mapping[str, bytes],
    unreadable: Collection[str] = (),
) -> UsersPlan:
    """Give places to users until ``capacity`` (the tier's) is used up. ``shards`` are the packed users files of
    before: from them the users of a file come that is missing or broken now, and those of the communities that are
    ``unreadable``, first of all: they have their places."""
    users = [user for user in users_in(shards) if user.community in unreadable][:capacity] if unreadable else []
    outcome: dict[str, CommunityUsers] = {}
    last: list[ServedUser] | None = None
    for community in sorted(communities, key=lambda c: (c.created, c.name)):
        sources = _read(community, files)
        found, verdict = _merged(community, sources)
        if sources.incomplete:
            last = users_in(shards) if last is None else last
            found += _last_good(community, sources, last)
        places = max(0, capacity - len(users))
        served, beyond = found[:places], found[places:]
        users += served
        if beyond:
            verdict = Verdict(
                Reason.TIER_EXCEEDED,
                f"{len(beyond)} of {len(found)} users are not served, from {beyond[0].name!r} on: the instance's tier "
                f"carries {capacity} users; choose a larger tier, or disable users",
            )
        functions = Counter(function for user in served for function in user.functions)
        outcome[community.name] = CommunityUsers(len(served), dict(functions), len(beyond), verdict)
    return UsersPlan(tuple(users), capacity, outcome)


@dataclass(frozen=True, slots=True)
class _Sources:
    """What one community lists, inline before files. ``verdict`` is about the last source that cannot be taken."""

    listed: list[User]
    verdict: Verdict | None = None

    @property
    def incomplete(self) -> bool:
        """Whether there may be users that nobody can read now."""
        return self.verdict is not None


def _read(community: Community, files: Mapping[tuple[str, str], UsersFile]) -> _Sources:
    if not community.spec.enabled:
        return _Sources([])
    listed: list[User] = list(community.spec.users)
    verdict = None
    for source in community.spec.users_from:
        kind, ref = ("ConfigMap", source.config_map_ref) if source.config_map_ref else ("Secret", source.secret_ref)
        name = ref.name if ref else ""
        file = files.get((kind, name))
        if file is None or file.text is None:
            needed = f"{kind} {name!r} with label {LABEL_USERS}=true and key {USERS_KEY}"
            verdict = Verdict(Reason.USERS_NOT_FOUND, f"spec.usersFrom: there is no {needed}; create it")
            continue
        try:
            listed += parse_users(file.text, f"{kind} {name!r}, key {USERS_KEY}")
        except UsersFileError as error:
            verdict = Verdict(Reason.USERS_INVALID, f"{error}; what was served from it before still is")
    return _Sources(listed, verdict)


def _merged(community: Community, sources: _Sources) -> tuple[list[ServedUser], Verdict | None]:
    """Enabled users, each name once, and what is wrong."""
    unique: dict[str, User] = {}
    verdict = sources.verdict
    for user in sources.listed:
        if user.name in unique:
            verdict = Verdict(Reason.USERS_INVALID, f"user {user.name!r} is listed twice; the first one is served")
            continue
        unique[user.name] = user
    return [_served(community, user) for user in unique.values() if user.enabled], verdict


def _last_good(community: Community, sources: _Sources, last: list[ServedUser]) -> list[ServedUser]:
    """Users as they were served before, behind those that are declared now; who is switched off now is declared."""
    declared = {user.name for user in sources.listed}
    return [user for user in last if user.community == community.name and user.name not in declared]


def _served(community: Community, user: User) -> ServedUser:
    functions = community.spec.default_functions if user.functions is None else user.functions
    return ServedUser(community.name, user.name, user.display_name or user.name, tuple(functions))


def parse_users(text: str, source: str) -> list[UserOfFile]:
    """The list of a users file; UsersFileError with index and field for the first thing that is wrong."""
    try:
        raw: Any = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise UsersFileError(
            f"{source}: not YAML{where}: {getattr(error, 'problem', '') or 'cannot be read'}"
        ) from None
    except (ValueError, OverflowError, RecursionError):  # a date such as 2024-13-45, a number of 5,000 digits, 5,000 [
        raise UsersFileError(f"{source}: not YAML: a value that cannot be read, such as an impossible date") from None
    if not isinstance(raw, list):
        raise UsersFileError(f"{source}: must be a list of users, is {type(raw).__name__}")
    try:
        users = _USERS.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        index, *path = first["loc"]
        raise UsersFileError(f"{source}: [{index}].{'.'.join(map(str, path))}: {first['msg']}") from None
    seen: dict[str, int] = {}
    for index, user in enumerate(users):
        if user.name in seen:
            raise UsersFileError(f"{source}: [{index}].name: {user.name!r} is there at [{seen[user.name]}] already")
        seen[user.name] = index
    return users
