"""The gate: when what interrupts customers may begin. Stories with a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcs_operator.api import MCSInstance
from mcs_operator.api.disruptions import Disruptions
from mcs_operator.domain.pod.gate import LOOK_AGAIN_WITHIN, Passage, foretold, is_allowed, passage
from mcs_operator.settings import ANNOTATION_ALLOWED
from support.worlds import instance

DRAIN = 300
NIGHT = {"schedule": "0 2 * * *", "duration": "2h"}
IDLE = {"seconds": 120}


def rules(**fields: Any) -> Disruptions:
    return Disruptions.model_validate(fields)


def at(text: str, day: int = 1) -> datetime:
    """An hour of a day of May 2026, such as 02:30."""
    return datetime.fromisoformat(f"2026-05-{day:02d} {text}").replace(tzinfo=UTC)


NOON = at("12:00")


def asked(
    its_rules: Disruptions,
    now: datetime,
    *,
    since: datetime = NOON,
    idle: timedelta | None = None,
    drain: int = DRAIN,
) -> Passage:
    """What the gate says. ``idle``: for how long nobody has talked; None: somebody does."""
    return passage(its_rules, since, now, now - idle if idle is not None else None, drain)


def begins(
    its_rules: Disruptions,
    since: datetime,
    *,
    busy_until: datetime | None = None,
    drain: int = DRAIN,
    give_up: timedelta = timedelta(days=30),
) -> datetime | None:
    """When it begins, if the gate is asked as often as it wants to be and when the last one hangs up; None: never."""
    now, end = since, since + give_up
    while now < end:
        idle_since = None if busy_until and now < busy_until else busy_until or since
        found = passage(its_rules, since, now, idle_since, drain)
        if found.open:
            return now
        times = [found.look_again, busy_until if busy_until and busy_until > now else None]
        now = min((moment for moment in times if moment), default=end)
    return None


# --- without any field set: as ever ---


@pytest.mark.parametrize("its_rules", [rules(), rules(deadline="1h"), rules(rollbackAfter="1m")])
def test_where_nobody_set_anything_it_is_done_at_once(its_rules: Disruptions) -> None:
    assert asked(its_rules, NOON) == Passage(True, NOON)


# --- windows ---

IN_WINDOWS = rules(windows=[NIGHT])


def test_outside_it_waits_for_the_next_window_and_says_when_that_is() -> None:
    found = asked(IN_WINDOWS, NOON)
    assert (found.open, found.planned) == (False, at("02:00", 2))
    assert found.why == "waits for the window that begins at 2026-05-02T02:00:00Z"


def test_inside_it_is_done_at_once() -> None:
    assert asked(IN_WINDOWS, at("02:00", 2)) == Passage(True, at("02:00", 2))
    assert asked(IN_WINDOWS, at("03:59:59", 2)).open
    assert not asked(IN_WINDOWS, at("04:00", 2)).open


def test_it_begins_at_the_second_at_which_the_window_does() -> None:
    assert begins(IN_WINDOWS, NOON) == at("02:00", 2)


def test_of_several_windows_the_first_one_counts() -> None:
    either = rules(windows=[NIGHT, {"schedule": "0 20 * * *", "duration": "1h"}])
    assert begins(either, NOON) == at("20:00")


# --- when idle ---

WHEN_IDLE = rules(whenIdle=IDLE)
NIGHT_WHEN_IDLE = rules(windows=[NIGHT], whenIdle=IDLE)


def test_without_windows_it_is_done_as_soon_as_nobody_has_talked_for_so_long() -> None:
    assert not asked(WHEN_IDLE, NOON).open
    assert not asked(WHEN_IDLE, NOON, idle=timedelta(seconds=119)).open
    assert asked(WHEN_IDLE, NOON, idle=timedelta(seconds=120)).open
    assert begins(WHEN_IDLE, NOON, busy_until=at("15:00")) == at("15:02")


def test_without_windows_and_while_somebody_talks_nobody_knows_when() -> None:
    found = asked(WHEN_IDLE, NOON)
    assert (found.planned, found.why) == (None, "waits until nobody talks for 120 s")


def test_inside_a_window_it_waits_until_nobody_talks() -> None:
    assert begins(NIGHT_WHEN_IDLE, NOON, busy_until=at("02:30", 2)) == at("02:32", 2)
    found = asked(NIGHT_WHEN_IDLE, at("02:10", 2))
    assert (found.open, found.planned) == (False, None)
    assert found.why == "waits until nobody talks for 120 s; the window ends at 2026-05-02T04:00:00Z"


def test_nobody_who_talks_all_night_is_interrupted_it_waits_for_the_next_window() -> None:
    assert begins(NIGHT_WHEN_IDLE, NOON, busy_until=at("08:00", 2)) == at("02:00", 3)


def test_idle_outside_of_a_window_is_no_reason() -> None:
    assert not asked(NIGHT_WHEN_IDLE, NOON, idle=timedelta(hours=5)).open


def test_who_comes_and_goes_changes_no_text_and_no_time_that_a_status_tells() -> None:
    told = {
        (found.planned, found.why)
        for found in (
            asked(NIGHT_WHEN_IDLE, at("02:10", 2), idle=i) for i in (None, timedelta(0), timedelta(seconds=90))
        )
    }
    assert len(told) == 1


# --- the end of a window ---

FORCED = rules(windows=[NIGHT], whenIdle=IDLE, atWindowEnd="Force")


def test_force_drains_early_enough_to_be_over_by_the_windows_end() -> None:
    assert begins(FORCED, NOON, busy_until=at("12:00", 9)) == at("03:53", 2)  # 5 minutes to drain, 2 to be replaced
    found = asked(FORCED, at("02:10", 2))
    assert found.planned == at("03:53", 2)
    assert found.why == "waits until nobody talks for 120 s, until 2026-05-02T03:53:00Z at most"


def test_force_does_not_wait_for_it_where_nobody_talks_before() -> None:
    assert begins(FORCED, NOON, busy_until=at("03:00", 2)) == at("03:02", 2)


def test_a_drain_longer_than_the_window_begins_with_the_window_and_not_before() -> None:
    assert begins(FORCED, NOON, busy_until=at("12:00", 9), drain=86400) == at("02:00", 2)


def test_without_a_drain_there_is_still_the_time_to_replace_the_pod() -> None:
    assert begins(FORCED, NOON, busy_until=at("12:00", 9), drain=0) == at("03:58", 2)


def test_whatever_comes_in_the_last_minutes_of_a_forced_window_is_done_then() -> None:
    assert begins(FORCED, at("03:59", 2), busy_until=at("12:00", 9)) == at("03:59", 2)


# --- the deadline ---


def test_what_waited_too_long_is_due_at_the_end_of_the_next_window() -> None:
    late = rules(windows=[NIGHT], whenIdle=IDLE, deadline="48h")
    assert begins(late, NOON, busy_until=at("12:00", 20)) == at("03:53", 4)  # the first end after 12:00 on the 3rd


def test_without_windows_what_waited_too_long_is_due_at_once() -> None:
    late = rules(whenIdle=IDLE, deadline="48h")
    assert begins(late, NOON, busy_until=at("12:00", 20)) == at("12:00", 3)
    assert asked(late, NOON).planned == at("12:00", 3)


def test_without_a_deadline_it_waits_for_as_long_as_it_has_to() -> None:
    assert begins(NIGHT_WHEN_IDLE, NOON, busy_until=at("12:00", 20)) == at("02:00", 21)


# --- beforehand ---


@pytest.mark.parametrize(
    ("its_rules", "said"),
    [
        pytest.param(rules(), "", id="at once"),
        pytest.param(
            IN_WINDOWS, "what is to restart waits for the window that begins at 2026-05-02T02:00:00Z;", id="in a window"
        ),
        pytest.param(WHEN_IDLE, "what is to restart waits until nobody talks for 120 s; until then nothing", id="idle"),
    ],
)
def test_whoever_is_about_to_ask_is_told_when_it_will_be_done(its_rules: Disruptions, said: str) -> None:
    assert foretold(declared(its_rules), NOON)[: len(said) or None] == said


def declared(its_rules: Disruptions, allowed: str = "") -> MCSInstance:
    """An instance with these rules. ``allowed``: the annotation by which somebody lets pass what waits."""
    subject = instance(disruptions=its_rules.model_dump(by_alias=True, exclude_none=True))
    metadata = subject.metadata.model_copy(update={"annotations": {ANNOTATION_ALLOWED: allowed}})
    return subject.model_copy(update={"metadata": metadata})


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        pytest.param("2026-05-01T12:00:00Z", True, id="now"),
        pytest.param("2026-05-01T11:50:01Z", True, id="ten minutes ago"),
        pytest.param("2026-05-01T11:50:00Z", False, id="longer ago: it was for then"),
        pytest.param("2026-05-01T12:00:01Z", False, id="in a second"),
        pytest.param("9999-12-31T23:59:59Z", False, id="in the last year of all"),
        pytest.param("0001-01-01T00:00:00Z", False, id="in the first"),
        pytest.param("yes", False, id="no time"),
        pytest.param("", False, id="not at all"),
    ],
)
def test_what_somebody_allows_by_hand_is_allowed_for_ten_minutes(allowed: str, expected: bool) -> None:
    assert is_allowed(declared(IN_WINDOWS, allowed), NOON) is expected
    assert (foretold(declared(IN_WINDOWS, allowed), NOON) == "") is expected


# --- what cannot be ---


@pytest.mark.parametrize(
    "extra", [{}, {"whenIdle": IDLE}, {"whenIdle": IDLE, "deadline": "1h"}, {"atWindowEnd": "Force"}]
)
def test_a_window_that_cannot_come_keeps_the_gate_shut(extra: dict[str, Any]) -> None:
    never = rules(windows=[{"schedule": "0 2 30 2 *", "duration": "2h"}], **extra)
    found = asked(never, NOON, idle=timedelta(days=9), since=at("12:00") - timedelta(days=300))
    assert (found.open, found.planned, found.look_again) == (False, None, None)
    assert "waits for a window, and none can come: spec.disruptions.windows[0].schedule: 0 2 30 2 *" in found.why


def test_beside_one_that_cannot_come_the_others_count() -> None:
    some = rules(windows=[{"schedule": "0 2 30 2 *", "duration": "2h"}, NIGHT])
    assert begins(some, NOON) == at("02:00", 2)


@pytest.mark.parametrize("since", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_a_time_that_somebody_edited_breaks_nothing(since: datetime) -> None:
    late = rules(windows=[NIGHT], whenIdle=IDLE, deadline="999999h")
    assert not asked(late, NOON, since=since).open


def test_what_waits_since_the_last_moment_that_there_is_comes_due_never() -> None:
    found = asked(rules(whenIdle=IDLE, deadline="999999h"), NOON, since=datetime.max.replace(tzinfo=UTC))
    assert not found.open


# --- a clock that jumps ---


def test_a_clock_that_is_set_is_noticed_within_ten_minutes() -> None:
    found = asked(IN_WINDOWS, NOON)
    assert found.look_again == NOON + LOOK_AGAIN_WITHIN


def test_a_clock_that_jumps_over_a_window_waits_for_the_next() -> None:
    assert not asked(IN_WINDOWS, at("04:30", 2)).open
    assert asked(IN_WINDOWS, at("04:30", 2)).planned == at("02:00", 3)


def test_a_clock_that_jumps_back_out_of_the_window_waits_again() -> None:
    assert asked(IN_WINDOWS, at("02:30", 2)).open
    assert asked(IN_WINDOWS, at("01:30", 2)).planned == at("02:00", 2)


def test_a_clock_before_the_moment_that_was_noted_does_not_make_anything_due() -> None:
    late = rules(whenIdle=IDLE, deadline="48h")
    assert not asked(late, NOON - timedelta(days=3), since=NOON).open


# --- always ---


@settings(max_examples=300, deadline=None)
@given(
    windows=st.lists(
        st.sampled_from(["0 2 * * *", "30 3 * * *", "0 23 * * SAT", "0 2 30 2 *"]), max_size=3, unique=True
    ),
    duration=st.sampled_from(["5m", "2h", "23h"]),
    idle=st.sampled_from([None, 1, 600]),
    end=st.sampled_from(["Wait", "Force"]),
    deadline=st.sampled_from([None, "1h", "72h"]),
    hours=st.integers(min_value=0, max_value=24 * 60),
    drain=st.sampled_from([0, 300, 86400]),
    quiet=st.sampled_from([None, 0, 30, 7200]),
)
def test_shut_it_says_why_and_looks_again_later_open_it_is_now(
    windows: list[str],
    duration: str,
    idle: int | None,
    end: str,
    deadline: str | None,
    hours: int,
    drain: int,
    quiet: int | None,
) -> None:
    its_rules = rules(
        windows=[{"schedule": schedule, "duration": duration} for schedule in windows],
        whenIdle={"seconds": idle} if idle else None,
        atWindowEnd=end if windows else "Wait",
        deadline=deadline,
    )
    now = NOON + timedelta(hours=hours)
    found = asked(its_rules, now, drain=drain, idle=timedelta(seconds=quiet) if quiet is not None else None)
    if found.open:
        assert found == Passage(True, now)
    else:
        assert found.why.startswith("waits ")
        assert found.look_again is None or now < found.look_again <= now + LOOK_AGAIN_WITHIN
        assert found.planned is None or found.planned > now
