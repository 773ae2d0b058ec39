"""A listed namespace that is made while the operator starts is served."""

from __future__ import annotations

import pytest
from kopf._cogs.structs import references
from kopf._core.reactor import observation

from mcs_operator.handlers.namespaces import notice_all


@pytest.mark.parametrize(("type", "known"), [(None, True), ("ADDED", True), ("DELETED", False)])
async def test_kopf_takes_notice_of_a_namespace_that_was_made_between_its_two_lists(
    monkeypatch: pytest.MonkeyPatch, type: str | None, known: bool
) -> None:
    monkeypatch.setattr(
        observation, "process_discovered_namespace_event", observation.process_discovered_namespace_event
    )
    notice_all()
    insights = references.Insights()
    event = {"type": type, "object": {"metadata": {"name": "later"}}}
    await observation.process_discovered_namespace_event(raw_event=event, namespaces=["later"], insights=insights)
    assert ("later" in insights.namespaces) is known


async def test_no_other_namespace_comes_in_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        observation, "process_discovered_namespace_event", observation.process_discovered_namespace_event
    )
    notice_all()
    insights = references.Insights()
    event = {"type": None, "object": {"metadata": {"name": "other"}}}
    await observation.process_discovered_namespace_event(raw_event=event, namespaces=["later"], insights=insights)
    assert not insights.namespaces
