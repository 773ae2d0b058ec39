"""Windows of spec.disruptions: when one begins and ends, in which zone, on the days of daylight saving too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mcs_operator.api.disruptions import Window
from mcs_operator.domain.rules.windows import Opening, opening, problem, problems


def window(schedule: str, duration: str = "1h", zone: str = "UTC") -> Window:
    return Window(schedule=schedule, duration=duration, time_zone=zone)


def at(text: str) -> datetime:
    """A moment of UTC, such as 2026-03-29 01:30."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opened(begin: str, end: str) -> Opening:
    return Opening(at(begin), at(end))


NIGHT = window("0 2 * * *", "2h", "Europe/Rome")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param("2026-05-01 12:00", opened("2026-05-02 00:00", "2026-05-02 02:00"), id="by day: the next night"),
        pytest.param("2026-05-01 00:00", opened("2026-05-01 00:00", "2026-05-01 02:00"), id="its first second counts"),
        pytest.param("2026-05-01 01:59:59", opened("2026-05-01 00:00", "2026-05-01 02:00"), id="its last second too"),
        pytest.param("2026-05-01 02:00", opened("2026-05-02 00:00", "2026-05-02 02:00"), id="its end does not"),
        pytest.param("2026-01-01 00:59:59.5", opened("2026-01-01 01:00", "2026-01-01 03:00"), id="parts of a second"),
    ],
)
def test_a_window_is_open_from_its_begin_until_just_before_its_end(now: str, expected: Opening) -> None:
    assert opening(NIGHT, at(now)) == expected


def test_a_window_over_midnight_is_open_on_the_next_day() -> None:
    late = window("0 23 * * SAT", "3h")
    assert opening(late, at("2026-05-03 01:00")) == opened("2026-05-02 23:00", "2026-05-03 02:00")


# --- daylight saving: Rome leaves out 02:00 to 03:00 on 29 March 2026, and has it twice on 25 October ---


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            "2026-03-29 00:00",
            opened("2026-03-29 01:00", "2026-03-29 02:00"),
            id="an hour that is left out begins when it is over",
        ),
        pytest.param(
            "30 2 * * *",
            "2026-10-25 00:29",
            opened("2026-10-25 00:30", "2026-10-25 01:30"),
            id="an hour that comes twice begins the first time",
        ),
        pytest.param(
            "30 2 * * *",
            "2026-10-25 01:45",
            opened("2026-10-26 01:30", "2026-10-26 02:30"),
            id="and not a second time",
        ),
        pytest.param(
            "30 1 * * *",
            "2026-10-25 00:15",
            opened("2026-10-24 23:30", "2026-10-25 00:30"),
            id="its length is the clock's on the wall of nobody: an hour is an hour",
        ),
        pytest.param(
            "30 1 * * *",
            "2026-03-29 01:15",
            opened("2026-03-29 00:30", "2026-03-29 01:30"),
            id="also when the hour in it is left out",
        ),
    ],
)
def test_daylight_saving(schedule: str, now: str, expected: Opening) -> None:
    assert opening(window(schedule, "1h", "Europe/Rome"), at(now)) == expected


@settings(max_examples=300, deadline=None)
@given(
    schedule=st.sampled_from(
        ["30 2 * * *", "*/20 1-3 * * *", "15 2 * * SUN", "0 */3 * * *", "0 0 1 * *", "5 3 29 3 *"]
    ),
    zone=st.sampled_from(["Europe/Rome", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "UTC"]),
    duration=st.sampled_from(["1m", "15m", "2h30m", "3h", "23h"]),
    minutes=st.integers(min_value=0, max_value=525_600 * 2),
)
def test_whatever_the_hour_a_window_is_not_over_and_as_long_as_it_says(
    schedule: str, zone: str, duration: str, minutes: int
) -> None:
    subject, now = window(schedule, duration, zone), at("2026-01-01 00:00") + timedelta(minutes=minutes)
    found = opening(subject, now)
    if problem(subject):
        assert found is None
    else:
        assert found is not None
        assert found.end > now
        assert found.end - found.begin == subject.length
        # Nothing opens before the next opening: one second before its begin it is still the next one.
        assert found.begin <= now or opening(subject, found.begin - timedelta(seconds=1)) == found


# --- what cannot be used ---


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        pytest.param(window("0 2 30 2 *"), "schedule: 0 2 30 2 *: there is no such day-of-month", id="30 February"),
        pytest.param(window("0 2 31 4,6,9 *"), "schedule: 0 2 31 4,6,9 *: there is no", id="the 31st of short months"),
        pytest.param(window("60 2 * * *"), "schedule: 60 2 * * *: there is no such minute", id="minute 60"),
        pytest.param(window("0 24 * * *"), "schedule: 0 24 * * *: there is no such hour", id="hour 24"),
        pytest.param(window("0 5-2 * * *"), "schedule: 0 5-2 * * *: there is no such hour", id="from late to early"),
        pytest.param(window("0 , * * *"), "schedule: 0 , * * *: there is no such hour", id="nothing between commas"),
        pytest.param(window("0 */0 * * *"), "schedule: 0 */0 * * *: there is no such hour", id="steps of nothing"),
        pytest.param(window("0 2 * * *", zone="Europe/Roma"), "timeZone: Europe/Roma: there is no such", id="no zone"),
        pytest.param(window("0 2 * * *", zone="europe/rome"), "; write Europe/Rome", id="a zone in lower case"),
        pytest.param(window("0 2 * * *", zone="localtime"), "timeZone: localtime: there is no", id="the machine's own"),
        pytest.param(window("0 * * * *", "2h"), "shorter than the time between two beginnings, 1h", id="too long"),
        pytest.param(window("0 0 * * *", "24h"), "shorter than the time between two beginnings, 24h", id="no end"),
        pytest.param(window("0,10 2 * * SUN", "20m"), "between two beginnings, 10m", id="two beginnings in one window"),
    ],
)
def test_a_window_that_cannot_be_used_says_why_and_never_opens(subject: Window, said: str) -> None:
    assert said in problem(subject)
    assert opening(subject, at("2026-05-01 02:00")) is None


@pytest.mark.parametrize("text", ["0 2 29 2 *", "0 2 * * 0", "0 0 * * SUN", "*/15 1 * JAN-MAR MON,WED", "5 4 1,15 * *"])
def test_a_window_that_comes_rarely_can_be_used(text: str) -> None:
    assert problem(window(text, "14m")) == ""


def test_problems_name_the_place_in_the_list() -> None:
    assert problems([window("0 2 * * *"), window("0 2 30 2 *")])[0].startswith(
        "spec.disruptions.windows[1].schedule: 0 2 30 2 *"
    )


@pytest.mark.parametrize(
    "schedule", ["0 0 29 2 */6", "*/59 */23 */31 2 */6", "0-59 0-23 1-31 1-12 0-6", "1 1 31 12 */5"]
)
def test_no_schedule_takes_the_event_loop_long(schedule: str) -> None:
    problem.cache_clear()
    began = time.process_time()
    opening(window(schedule, "1m"), at("2026-05-01 02:00"))
    assert time.process_time() - began < 0.1  # a few milliseconds; a busy machine


# --- what the schema refuses ---


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"schedule": "@daily"}, id="a short form"),
        pytest.param({"schedule": "0 2 * *"}, id="four fields"),
        pytest.param({"schedule": "0 0 2 * * SUN"}, id="six fields"),
        pytest.param({"schedule": "0 2 * * 7"}, id="day 7, which a CronJob does not know"),
        pytest.param({"schedule": "0 2 L * *"}, id="the last day, which a CronJob does not know"),
        pytest.param({"schedule": "TZ=UTC 0 2 * * *"}, id="a zone in the schedule"),
        pytest.param({"duration": "30s"}, id="less than a minute"),
        pytest.param({"duration": "24h1s"}, id="more than a day"),
        pytest.param({"duration": "1d"}, id="a day as no duration has it"),
        pytest.param({"timeZone": "../etc/passwd"}, id="a path"),
        pytest.param({"timeZone": ""}, id="no zone"),
    ],
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Window.model_validate({"schedule": "0 2 * * SUN", "duration": "2h"} | wrong)
