"""A listed namespace that is made while the operator starts is served."""

from __future__ import annotations

import pytest
from kopf._cogs.structs import references
from kopf._core.reactor import observation

from mcs_operator.handlers.namespaces import notice_all


@pytest.mark.parametrize(
    ("type", "name", "known"),
    [
        (None, "later", {"later"}),
        ("ADDED", "later", {"later"}),
        ("DELETED", "later", set()),
        (None, "of-nobody", set()),
    ],
)
async def test_kopf_takes_notice_of_a_listed_namespace_that_was_made_between_its_two_lists_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch, type: str | None, name: str, known: set[str]
) -> None:
    monkeypatch.setattr(
        observation, "process_discovered_namespace_event", observation.process_discovered_namespace_event
    )
    notice_all()
    insights = references.Insights()
    event = {"type": type, "object": {"metadata": {"name": name}}}
    await observation.process_discovered_namespace_event(raw_event=event, namespaces=["later"], insights=insights)
    assert insights.namespaces == known
