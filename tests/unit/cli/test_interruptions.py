"""`kubectl mcs interruptions`: what a provider shows his customers."""

from __future__ import annotations

from mcs_operator.cli.output import table
from mcs_operator.cli.views import interruption_rows

LAST = {
    "cause": "MediaImage",
    "begun": "2026-12-06T01:00:00Z",
    "over": "2026-12-06T01:02:05Z",
    "connections": 3,
    "links": 0,
    "before": "mcs:1",
    "after": "mcs:2",
}


def test_one_that_is_over_has_its_length() -> None:
    (row,) = interruption_rows({"status": {"interruptions": [LAST]}})
    assert row["seconds"] == 125
    assert table([row]).splitlines() == [
        "BEGUN                  OVER                   SECONDS   CAUSE        CONNECTIONS   LINKS   BEFORE   AFTER",
        "2026-12-06T01:00:00Z   2026-12-06T01:02:05Z   125       MediaImage   3             0       mcs:1    mcs:2",
    ]


def test_one_that_goes_on_has_no_end_yet() -> None:
    (row,) = interruption_rows({"status": {"interruptions": [{"cause": "SpecChanged", "begun": LAST["begun"]}]}})
    assert (row["over"], row["seconds"], row["connections"]) == (None, None, 0)


def test_without_any_there_is_nothing_to_show() -> None:
    assert interruption_rows({}) == interruption_rows({"status": {}}) == []
    assert table([]) == "nothing found"
