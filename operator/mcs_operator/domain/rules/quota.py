"""The quota: the door of the law of 250 that the API server itself keeps, exactly, also while the operator is down.

The API server refuses what would take ``status.used`` above ``status.hard``, and refuses everything where ``used``
says nothing. Who writes ``used``: the API server adds one for each create, before it stores the object; the quota
controller of Kubernetes counts anew after a delete. The operator writes it only where neither of them does: when it
makes the quota, because the controller cannot count a kind that it has not discovered yet; when the count is missing;
and when it was wrong for `WRONG_SECONDS` in which nobody else touched it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mcs_operator.settings import GROUP, MAX_LINKS

LINKS_COUNT = f"count/tvoxlinks.{GROUP}"
INSTANCES_COUNT = f"count/mcsinstances.{GROUP}"
LIMITS: Mapping[str, int] = {LINKS_COUNT: MAX_LINKS, INSTANCES_COUNT: 1}
"""What one namespace may hold, in the words of a ResourceQuota."""

WRONG_SECONDS = 10.0
"""A create that is on its way is counted before it is stored, for far less than this; and a quota controller that
knows our kinds corrects within a second. So what stays wrong for so long is nobody else's to mend."""


def quota_name(instance: str) -> str:
    """Name of the quota; it is in the refusal that a user reads, so it tells the instance and the limit."""
    return f"{instance}-max-{MAX_LINKS}-tvoxlinks"


@dataclass(frozen=True, slots=True)
class Usage:
    """The status of a quota: what the API server goes by."""

    hard: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)

    @property
    def uncounted(self) -> bool:
        """Whether every create is refused, because nobody has counted what is there."""
        return any(key not in self.used for key in LIMITS)

    def says(self, count: Mapping[str, int]) -> bool:
        """Whether it has our limits and exactly this count."""
        return all(self.hard.get(key) == LIMITS[key] and self.used.get(key) == count[key] for key in LIMITS)


@dataclass(slots=True)
class Doubt:
    """Since when one quota is wrong in the same way; forgotten as soon as anything moves."""

    seen: tuple[str, Mapping[str, int]] | None = None
    since: datetime | None = None

    def wait(self, usage: Usage, version: str, count: Mapping[str, int], now: datetime) -> float | None:
        """Seconds until it is to be corrected, 0 for now; None where it is right.

        ``version`` is the quota's: any write of it, such as for one more create, begins the wait anew.
        """
        if usage.says(count):
            self.seen = self.since = None
            return None
        if usage.uncounted:
            return 0.0
        if self.seen != (version, count) or self.since is None:
            self.seen, self.since = (version, count), now
        return max(0.0, (self.since + timedelta(seconds=WRONG_SECONDS) - now).total_seconds())
