"""What the operator takes of the agent's word: bounded, and never more than a refusal where it makes no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mcs_operator.contract.linkstate import MAX_MESSAGE, MAX_TOKEN, LinkReport, LinkState, plain


def report(**changes: Any) -> dict[str, Any]:
    return {"epoch": "e", "version": 1, "links": [{"slot": 17, "state": "Running"}]} | changes


def read(body: Any) -> LinkReport:
    return LinkReport.model_validate_json(body if isinstance(body, str | bytes) else json.dumps(body))


@pytest.mark.parametrize("count", [0, 1, 249, 250])
def test_as_many_links_as_there_may_be_are_taken(count: int) -> None:
    links = [{"slot": number, "state": "Running"} for number in range(2, 2 + count)]
    assert len(read(report(links=links)).links) == count


REFUSED = [
    pytest.param(report(links=[{"slot": 2, "state": "Running"}] * 251), id="251 links"),
    pytest.param(report(links=[{"slot": 1, "state": "Running"}]), id="slot 1"),
    pytest.param(report(links=[{"slot": 252, "state": "Running"}]), id="slot 252"),
    pytest.param(report(links=[{"slot": 17, "state": "Dancing"}]), id="a state that there is not"),
    pytest.param(report(version=-1), id="a version below zero"),
    pytest.param(report(version=2**53 + 1), id="a version beyond measure"),
    pytest.param(report(media={"connections": 10**30}), id="connections beyond measure"),
    pytest.param("[" * 100_000, id="nested beyond measure"),
    pytest.param("", id="nothing"),
    pytest.param(b"\xff", id="no UTF-8"),
    pytest.param(report(epoch=7), id="an epoch that is no text"),
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_makes_no_sense_is_refused_and_nothing_else_is_raised(body: Any) -> None:
    with pytest.raises(ValidationError):
        read(body)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 1e300, "soon"])
def test_a_time_that_no_calendar_has_is_refused(since: object) -> None:
    with pytest.raises(ValidationError):
        read(report(links=[{"slot": 17, "state": "Running", "tunnel": {"since": since}}]))


def test_what_is_too_long_is_cut_for_a_report_that_is_refused_is_a_pod_of_which_nothing_is_known() -> None:
    told = read(
        report(
            epoch="e" * 999,
            links=[{"slot": 17, "state": "Running", "error": "x" * 9999, "tunnel": {"peer": "p" * 999}}],
            media={"connections": 3, "error": "y" * 513, "config": "z" * 999},
        )
    )
    (link,) = told.links
    assert (link.error, link.tunnel.peer) == ("x" * MAX_MESSAGE, "p" * MAX_TOKEN)
    assert told.media is not None
    assert (told.media.connections, told.media.error, told.media.config) == (3, "y" * MAX_MESSAGE, "z" * MAX_TOKEN)
    assert told.epoch == "e" * MAX_TOKEN


def test_no_line_break_and_no_change_of_direction_gets_into_a_condition() -> None:
    told = LinkState.model_validate({"slot": 17, "state": "Running", "error": "a\nb\u202ec\x1b[31md\ud800"})
    assert told.error == "a b c [31md "


@pytest.mark.parametrize(("text", "cut"), [("", ""), ("a", "a"), ("ab", "ab"), ("abc", "ab"), ("ä€", "ä€")])
def test_a_text_is_cut_at_its_limit(text: str, cut: str) -> None:
    assert plain(text, 2) == cut


def test_of_what_is_not_said_the_least_is_taken() -> None:
    (link,) = read(report()).links
    assert link.tunnel.model_dump(mode="json") == {
        "status": "Unknown", "reason": "Pending", "message": "", "since": None, "peer": None, "clientVersion": None,
        "flaps": 0, "fingerprint": None,
    }  # fmt: skip


def test_a_report_is_not_changed_after_it_was_read() -> None:
    (link,) = read(report()).links
    with pytest.raises(ValidationError, match="frozen"):
        link.slot = 18
