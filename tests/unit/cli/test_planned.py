"""`kubectl mcs status` of an instance whose restart waits for its hour: shown, and nobody's trouble."""

from __future__ import annotations

from typing import Any

from mcs_operator.cli.views import instance_view, status_text
from support.objects import an_instance

WAITS = {"cause": "SpecChanged", "impact": "Restart", "message": "spec changed", "since": "2026-03-01T12:00:00Z"}


def shown(**waits: Any) -> tuple[str, list[str]]:
    pending = {"type": "RestartPending", "status": "True", "reason": "Waiting", "message": "why"}
    status = {"conditions": [pending], "disruptions": [WAITS | waits]}
    body = an_instance() | {"status": status}
    view = instance_view(body | {"metadata": body["metadata"] | {"namespace": "demo"}}, [], [])
    return status_text(view), view["attention"]


def test_what_is_planned_is_shown_with_its_time_and_needs_nobody() -> None:
    text, attention = shown(plannedFor="2026-03-02T02:00:00Z")
    assert "  Planned 2026-03-02T02:00:00Z: spec changed\n  nothing needs attention" in text
    assert attention == []


def test_of_what_waits_until_nobody_talks_no_time_is_shown() -> None:
    assert "  Planned (not known when): spec changed" in shown()[0]
