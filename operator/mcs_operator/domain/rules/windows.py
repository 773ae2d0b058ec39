"""Windows of spec.disruptions: when one begins and ends, and why one never does. Pure.

One rule, two doors: admission and `kubectl mcs validate` refuse a window by it, and the gate does not use one that was
stored all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mcs_operator.api.disruptions import Window

_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_LOOKED_AT, _A_MONTH = 50, timedelta(days=32)
"""Beginnings that are compared with the duration: two days of one an hour, a month of one a day. More would take the
event loop a tenth of a second for a window of each fourth year."""
_PASSED = 4
"""Beginnings that are passed over at most to find one that is not over; daylight saving makes one or two of them."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open, from ``begin`` until just before ``end``."""

    begin: datetime
    end: datetime


def opening(window: Window, now: datetime) -> Opening | None:
    """The time that the window is open now, or the next one; None for a window that cannot be used."""
    if problem(window):
        return None
    # Reckoned in UTC: a local time minus two hours is another one on the two days of daylight saving.
    earliest = (now.astimezone(UTC) - window.length).astimezone(ZoneInfo(window.time_zone))
    for local in islice(CronSim(window.schedule, earliest), _PASSED):
        begin = local.astimezone(UTC)
        if begin + window.length > now:
            return Opening(begin, begin + window.length)
    return None


def problems(windows: Sequence[Window]) -> list[str]:
    """Why windows of spec.disruptions cannot be used: field, value, rule."""
    found = enumerate(map(problem, windows))
    return [f"spec.disruptions.windows[{index}].{text}" for index, text in found if text]


@lru_cache(maxsize=4096)
def problem(window: Window) -> str:
    """Why this window cannot be used, beginning with the field; "" where it can. Kept, as it is asked again and again,
    and to find out that a schedule never comes takes fifty years of a calendar."""
    zones = _zones()
    if window.time_zone not in zones.values():
        known = zones.get(window.time_zone.lower())
        return f"timeZone: {window.time_zone}: there is no such time zone" + (f"; write {known}" if known else "")
    try:
        schedule = CronSim(window.schedule, _ANY_DAY)
        first = next(schedule)
    except CronSimError as error:
        return f"schedule: {window.schedule}: there is no such {str(error).removeprefix('Bad ')}, it never comes"
    except StopIteration:
        return f"schedule: {window.schedule}: it does not come in fifty years"
    begins = takewhile(lambda begin: begin - first < _A_MONTH, islice(schedule, _LOOKED_AT))
    gap = min((later - earlier for earlier, later in pairwise((first, *begins))), default=window.length * 2)
    if gap <= window.length:
        return (
            f"duration: {window.duration}: must be shorter than the time between two beginnings, {_in_words(gap)}; for "
            "all the time, leave windows away"
        )
    return ""


def _in_words(gap: timedelta) -> str:
    minutes = int(gap.total_seconds()) // 60
    return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}m"


@cache
def _zones() -> dict[str, str]:
    """Names of all time zones by their lower case. By the package's own list: a machine has more files, such as
    localtime, which mean something else on the next one."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return {name.lower(): name for name in names}
