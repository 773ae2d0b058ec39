"""HOW MANY CALLS AND PEOPLE IN THEM a community may have at the same time: its share of what all use. Pure.

Asked when somebody begins, is rung or comes in. Nobody who is in a call is put out because a limit is another one now.
"""

from __future__ import annotations

from dataclasses import dataclass

from portal.limits import CALLS_OF_COMMUNITY
from portal.refusals import RefusedError

RETRY = 30.0


@dataclass(frozen=True)
class Caps:
    """As the instance declares them; without, as many calls as one can look after, and as many people as there are."""

    calls: int = CALLS_OF_COMMUNITY
    participants: int | None = None

    @staticmethod
    def declared(said: object) -> Caps:
        """`communityLimits` of the set. What is no number limits nobody."""
        found = said if isinstance(said, dict) else {}
        calls, participants = (_count(found.get(name)) for name in ("calls", "participants"))
        return Caps(min(calls or CALLS_OF_COMMUNITY, CALLS_OF_COMMUNITY), participants)

    def must_allow(self, calls: int, participants: int) -> None:
        """So many of one community. Raises RefusedError."""
        if calls > self.calls or (self.participants is not None and participants > self.participants):
            raise RefusedError("community-full", RETRY)


def _count(said: object) -> int | None:
    return said if type(said) is int and said > 0 else None
