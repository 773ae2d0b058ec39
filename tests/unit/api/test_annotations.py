"""Times that somebody writes into an annotation: a time, or nothing, and never an exception."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcs_operator.api.annotations import moment
from mcs_operator.timestamps import rfc3339


@pytest.mark.parametrize("text", ["2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05"])
def test_a_time_of_whatever_zone_is_one_moment(text: str) -> None:
    assert moment(text) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "yesterday", ""])
def test_a_time_that_no_calendar_has_in_utc_is_none(text: str) -> None:
    assert moment(text) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59+14:00"])
def test_what_is_taken_for_a_time_can_be_told(text: str) -> None:
    found = moment(text)
    assert found and rfc3339(found)
