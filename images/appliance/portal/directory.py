"""WHO THERE IS: the users of a community in the order of their names, searched here, a page at a time."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Mapping

from portal.limits import PAGE
from portal.told import User, World

_Sorted = list[tuple[str, User]]


class Directory:
    """Sorted once per set; with 10,000 users a search takes a few milliseconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._of: Mapping[str, _Sorted] = _by_community(world)

    def size(self, community: str) -> int:
        return len(self._of.get(community, ()))

    def search(self, community: str, wanted: str, after: str, but: str) -> tuple[list[User], str | None]:
        """Whose name or display name has every word of `wanted`, behind the cursor `after`; and the next cursor."""
        everybody = self._of.get(community, [])
        words = wanted.casefold().split()[:10]
        start = bisect_right(everybody, _place(after), key=lambda entry: entry[0]) if after else 0
        found: _Sorted = []
        for place, user in everybody[start:]:
            if user.name != but and all(word in place for word in words):
                found.append((place, user))
                if len(found) > PAGE:
                    break
        more = len(found) > PAGE
        page = found[:PAGE]
        return [user for _, user in page], _cursor(page[-1][0]) if more else None


def _by_community(world: World) -> dict[str, _Sorted]:
    of: dict[str, _Sorted] = {}
    for user in world.users.values():
        of.setdefault(user.community, []).append((f"{user.display_name.casefold()}\n{user.name}", user))
    for entries in of.values():
        entries.sort(key=lambda entry: entry[0])
    return of


def _cursor(place: str) -> str:
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        return ""
