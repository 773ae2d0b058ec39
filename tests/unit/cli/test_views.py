"""What `kubectl mcs` shows of a service state."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.cli.views import attention, instance_view, link_row, status_text
from support.objects import a_community, a_link, an_instance


def told(body: dict[str, Any], state: str | None, *condition: str) -> dict[str, Any]:
    """The object with this service state and this condition InService: status, reason, message."""
    status: dict[str, Any] = {"serviceState": state} if state else {}
    status["conditions"] = [dict(zip(("status", "reason", "message"), condition, strict=True)) | {"type": "InService"}]
    return body | {"metadata": body["metadata"] | {"namespace": "demo"}, "status": status}


DRAINS = ("False", "Draining", "new connections are refused, and open ones go on")
IN = ("True", "InService", "")
OLD = ("Unknown", "NotConfirmed", "the media image is too old")


@pytest.mark.parametrize(
    ("state", "condition", "line"),
    [
        ("InService", IN, "Service InService"),
        ("Draining", DRAINS, "Service Draining: new connections are refused, and open ones go on"),
        (None, ("Unknown", "AgentUnreachable", "why"), "Service Unknown"),
    ],
)
def test_status_says_whether_new_sessions_are_taken(state: str | None, condition: tuple[str, ...], line: str) -> None:
    lines = status_text(instance_view(told(an_instance(), state, *condition), [], [])).splitlines()
    assert lines[2] == f"  {line}"


def test_a_link_shows_its_service_state() -> None:
    assert link_row(told(a_link("acme"), "Draining", *DRAINS))["service"] == "Draining"


def test_out_of_service_as_declared_needs_no_attention_and_what_nobody_confirms_does() -> None:
    assert attention(told(a_link("acme"), "Draining", *DRAINS)) == []
    assert attention(told(a_link("acme"), "InService", *IN)) == []
    assert attention(told(a_link("acme"), None, *OLD)) == ["InService=Unknown NotConfirmed: the media image is too old"]


def with_conditions(body: dict[str, Any], **each: tuple[str, str]) -> dict[str, Any]:
    told = [{"type": type, "status": status, "reason": reason} for type, (status, reason) in each.items()]
    return body | {"status": {"conditions": told}}


def test_a_community_without_a_portal_needs_no_attention_and_one_at_which_nobody_logs_in_does() -> None:
    nothing = {"LoginReady": ("False", "NotConfigured"), "DomainResolved": ("Unknown", "NotConfigured")}
    assert attention(with_conditions(a_community(), **nothing)) == []
    assert attention(with_conditions(a_community(), LoginReady=("False", "NoPasswords"))) == [
        "LoginReady=False NoPasswords"
    ]
    assert attention(with_conditions(a_community(), LoginReady=("Unknown", "NotSupported"))) == [
        "LoginReady=Unknown NotSupported"
    ]
