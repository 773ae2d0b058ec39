"""spec.disruptions: at which hours, and how, what interrupts customers may be done.

The schema refuses what is no cron expression at all. Whether a window ever comes, and whether there is such a time
zone, no schema can say: that is the rule of `domain.rules.windows`.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mcs_operator.api.base import Model, Rule
from mcs_operator.api.fields import Duration, seconds
from mcs_operator.api.impact import LIST_ATOMIC, Impact, impact
from mcs_operator.api.wording import AtMost, Says
from mcs_operator.timestamps import Timestamp

LONGEST = timedelta(hours=24)
SHORTEST = timedelta(minutes=1)


_NUMBERS = "[*,/0-9-]+"
_MONTH = "([*,/0-9-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+"
_WEEKDAY = "([*,/0-6-]|SUN|MON|TUE|WED|THU|FRI|SAT)+"

CronSchedule = Annotated[
    str,
    StringConstraints(min_length=9, max_length=100, pattern=f"^({_NUMBERS} ){{3}}{_MONTH} {_WEEKDAY}$"),
    Says(
        "cron",
        "must be minute, hour, day of the month, month and day of the week, as in a CronJob, with one space between "
        "them, such as 0 2 * * SUN",
    ),
]
"""When windows begin, as a CronJob has it; without its short forms such as @daily. Which numbers there are is not said
here: a pattern that knew would fill a screen of `kubectl explain`."""

TimeZone = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*){0,2}$"),
    Says("time_zone", "must be the name of a time zone, such as Europe/Rome or UTC"),
]
"""A name of the IANA time zone database."""


class Window(Model):
    """Hours at which customers may be interrupted."""

    rules: ClassVar = (
        Rule(
            cel="duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('24h')",
            message="must be from 1m to 24h; for all the time, leave windows away",
            field_path=".duration",
            holds=lambda window: SHORTEST <= window.length <= LONGEST,
        ),
    )

    schedule: CronSchedule = Field(
        description="When the window begins: minute, hour, day of the month, month, day of the week, as in a CronJob. "
        "0 2 * * SUN is each Sunday at 02:00. An hour that daylight saving leaves out begins when it is over; one that "
        "comes twice counts once."
    )
    duration: Duration = Field(
        description="How long the window is open, 1m to 24h, for example 2h or 1h30m. It ends before the next begins."
    )
    time_zone: TimeZone = Field(
        default="UTC",
        description="Time zone of the schedule, a name of the IANA database, for example Europe/Rome.",
    )

    @property
    def length(self) -> timedelta:
        """`duration`."""
        return timedelta(seconds=seconds(self.duration))


class WhenIdle(Model):
    """Nobody is interrupted who talks."""

    seconds: int = Field(
        ge=1,
        le=86400,
        description="For how long nobody has had a connection before it is done.",
    )


class AtWindowEnd(StrEnum):
    """What becomes of something that waits in a window that ends."""

    WAIT = "Wait"
    FORCE = "Force"


class Disruptions(Model):
    """When the operator may do what interrupts customers."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.atWindowEnd) || self.atWindowEnd != 'Force'"
            " || (has(self.windows) && size(self.windows) > 0)",
            message="Force needs windows; for a last moment without them, set deadline",
            field_path=".atWindowEnd",
            holds=lambda rules: rules.at_window_end is not AtWindowEnd.FORCE or bool(rules.windows),
        ),
    )

    windows: Annotated[tuple[Window, ...], AtMost(16)] = Field(
        default=(),
        description="Hours at which customers may be interrupted. Default: at any time.",
        json_schema_extra=impact(Impact.HOT, LIST_ATOMIC),
    )
    when_idle: WhenIdle | None = Field(
        default=None,
        description="Within a window, or at any time if there are none: only when nobody has talked for so long. "
        "Default: whether anybody talks or not; the appliance drains first, see drainSeconds.",
    )
    at_window_end: AtWindowEnd = Field(
        default=AtWindowEnd.WAIT,
        description="What is done with something that still waits for whenIdle when a window ends. Wait: it waits for "
        "the next window. Force: it is done all the same, and drains early enough to be over by the window's end.",
    )
    deadline: Duration | None = Field(
        default=None,
        description="What has waited so long is done at the end of the next window as by Force, idle or not; without "
        "windows at once. For example 168h. Default: it waits as long as it has to.",
    )
    rollback_after: Duration = Field(
        default="5m",
        description="How long a new media image may take to become ready before the operator goes back to the one "
        "before.",
    )

    @property
    def patience(self) -> timedelta | None:
        """`deadline`; None where there is none."""
        return timedelta(seconds=seconds(self.deadline)) if self.deadline else None

    @property
    def is_at_once(self) -> bool:
        """Whether nothing waits: nobody has set anything that it could wait for."""
        return not self.windows and self.when_idle is None

    @property
    def rollback_after_seconds(self) -> int:
        """`rollbackAfter` in seconds."""
        return seconds(self.rollback_after)


class DisruptionStatus(Model):
    """Something that is to interrupt customers, and has not yet."""

    cause: str = Field(
        min_length=1, max_length=63, description="One word for programs, for example SpecChanged or MediaImage."
    )
    impact: str = Field(
        min_length=1,
        max_length=63,
        description="Restart: the media pod is replaced. MediaRestart: the media container alone, tunnels stay up. "
        "ThisLink: tunnels restart one after the other.",
    )
    message: str = Field(max_length=1024, description="The same for people.")
    since: Timestamp = Field(description="Since when it is known.")
    planned_for: Timestamp | None = Field(
        default=None,
        description="When it is expected to begin; absent where nobody knows, as it waits until nobody talks.",
    )
    links: int | None = Field(
        default=None, ge=0, description="TVoxLinks whose tunnel was up when it became known. For now: status.links.up."
    )


class InterruptionStatus(Model):
    """An interruption that the operator made."""

    number: int = Field(ge=0, description="Counts up from the instance's first.")
    cause: str = Field(min_length=1, max_length=63, description="As in status.disruptions.")
    begun: Timestamp = Field(description="Since when nobody new was served: from then on the appliance drained.")
    over: Timestamp | None = Field(default=None, description="When the media was ready again; absent until then.")
    connections: int = Field(default=0, ge=0, description="Connections that were cut.")
    links: int = Field(default=0, ge=0, description="TVoxLinks whose tunnel went down; none where the pod stayed.")
    before: str | None = Field(default=None, max_length=512, description="Media image before, where it changed.")
    after: str | None = Field(default=None, max_length=512, description="Media image after, where it changed.")
