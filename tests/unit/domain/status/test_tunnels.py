"""Events about tunnels: that one is gone or back, and never more of them than a person can read."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.status.events import NOTE_LIMIT, Note
from mcs_operator.domain.status.tunnels import BURST, EACH, REFILL_SECONDS, Budget, TunnelNote, gathered, tunnel_note

HOME = "203.0.113.5"


def status(reason: str, connected: str = "False", message: str = "", peer: str | None = None) -> dict[str, Any]:
    condition = {"type": "Connected", "status": connected, "reason": reason, "message": message}
    return {"conditions": [{"type": "Ready", "status": "True", "reason": "Programmed"}, condition]} | (
        {"tunnel": {"peer": peer}} if peer else {}
    )


UP = status("Established", "True", peer=f"{HOME}:40001")
LOST = status("Lost", message="the tunnel ended", peer=f"{HOME}:40001")
NEVER = status("NeverConnected", message="nobody has connected yet")


def test_a_tunnel_that_ended_is_a_warning_that_says_who_was_there() -> None:
    assert tunnel_note(UP, LOST) == Note(True, "Lost", "Watch", f"the tunnel ended; the TVox dialled in from {HOME}")


def test_a_tunnel_that_is_back_is_no_warning() -> None:
    told = tunnel_note(LOST, UP)
    assert told == Note(False, "Established", "Watch", f"the tunnel is up again; the TVox dials in from {HOME}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, UP, id="the first status"),
        pytest.param(NEVER, UP, id="a first tunnel"),
        pytest.param(status("Pending"), UP, id="a new pod"),
        pytest.param(status("Disabled"), UP, id="switched on"),
        pytest.param(UP, status("Disabled"), id="switched off"),
        pytest.param(UP, status("AgentUnreachable", "Unknown"), id="not known any more"),
        pytest.param(status("AgentUnreachable", "Unknown"), LOST, id="not known before"),
        pytest.param(status("AgentUnreachable", "Unknown"), UP, id="up and not known before"),
        pytest.param(status("Flapping", "True"), status("Flapping"), id="a link that flaps is lost once more"),
        pytest.param(LOST, LOST, id="nothing changed"),
        pytest.param(status("AuthenticationFailed"), LOST, id="who was refused gave up"),
        pytest.param(NEVER, LOST, id="lost, and nobody saw it up"),
    ],
)
def test_what_is_no_news_is_not_told(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert tunnel_note(before, after) is None


@pytest.mark.parametrize("reason", ["Flapping", "CertificateExpired", "AuthenticationFailed", "WrongPeer"])
def test_any_other_cause_is_told_in_its_own_words(reason: str) -> None:
    assert tunnel_note(UP, status(reason, message="why")) == Note(True, reason, "Watch", "why")
    assert tunnel_note(status(reason), UP) is not None, "and that it is over"


def test_a_note_is_as_long_as_the_api_server_allows() -> None:
    told = tunnel_note(UP, status("WrongPeer", message="x" * 3000))
    assert told is not None and len(told.note) == NOTE_LIMIT


def notes(count: int, reason: str = "Lost") -> list[TunnelNote]:
    return [TunnelNote(f"c{number:03}", "mcs", Note(True, reason, "Watch", "why")) for number in range(count)]


def test_a_few_links_are_told_each_by_itself() -> None:
    assert [(kind, name) for kind, name, _ in gathered(notes(EACH))] == [(Kind.LINK, f"c00{n}") for n in range(EACH)]


def test_links_that_are_lost_together_are_one_event_at_their_instance() -> None:
    ((kind, name, note),) = gathered(notes(250))
    names = ", ".join(f"c{number:03}" for number in range(10))
    assert (kind, name) == (Kind.INSTANCE, "mcs")
    assert note == Note(True, "Lost", "Watch", f"the tunnels of 250 links ended: {names} and 240 more")
    ((_, _, note),) = gathered(notes(4, "Flapping"))
    assert note.note == "4 links: Flapping: c000, c001, c002, c003"


def test_each_reason_is_told_for_itself() -> None:
    told = [(name, note.reason) for _, name, note in gathered([*notes(5), *notes(1, "WrongPeer")])]
    assert told == [("mcs", "Lost"), ("c000", "WrongPeer")]


def test_a_storm_of_a_day_is_a_handful_of_events_and_each_says_how_many_were_not_told() -> None:
    budget, told = Budget(), 0
    for second in range(0, 86_400, 10):
        told += sum(budget.admitted(note, 1_800_000_000.0 + second) is not None for _, _, note in gathered(notes(EACH)))
    assert told <= BURST + 86_400 / REFILL_SECONDS
    last = [budget.admitted(Note(True, "Lost", "Watch", "x" * NOTE_LIMIT), 1_800_100_000.0 + n) for n in range(30)]
    first = last[0]
    assert first is not None and first.note.endswith("changes before it were too many to tell)")
    assert len(first.note) <= NOTE_LIMIT
    assert [note is not None for note in last].count(True) == BURST
