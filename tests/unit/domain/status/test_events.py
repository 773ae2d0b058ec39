"""Events: what a person must know, once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api import Impact
from mcs_operator.api.conditions import MESSAGE_LIMIT, OWNED, REFUSALS, TABLE, ConditionStatus, Kind, Reason, Type
from mcs_operator.contract.linkstate import SlotState, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.pod.disruptions import Cause, Disruption
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.status import Wanted, all_statuses
from mcs_operator.domain.status.events import NOTE_LIMIT, Note, notes_for
from support.worlds import NOW, community, given, identity, instance, link, links, pod, report, state, users_file

WANTED = Wanted(revisions={17: "r17"})
SERVED = [instance(), community(), link("a"), identity("a", 17), pod()]
Statuses = dict[tuple[Kind, str], dict[str, Any]]


def statuses(*things: Any, wanted: Wanted = WANTED, before: Statuses | None = None, **more: Any) -> Statuses:
    """What every object is told. ``before``: what it was told the last time."""
    known = {key: status["conditions"] for key, status in (before or {}).items()}
    world: World = given(*things, conditions=known, **more)
    return all_statuses(world, decide(world), wanted)


def told(after: Statuses, before: Statuses | None = None) -> list[tuple[str, str, Note]]:
    """(kind, name, note) for each Event about the way from one to the other."""
    return [
        (kind.value, name, note)
        for (kind, name), status in after.items()
        for note in notes_for(kind, (before or {}).get((kind, name), {}), status)
    ]


def reasons(events: Iterable[tuple[str, str, Note]]) -> list[tuple[str, str]]:
    return [(name, note.reason) for _, name, note in events]


# --- silence ---


def test_a_healthy_link_is_told_nothing_from_its_creation_to_its_tunnel() -> None:
    created = statuses(*SERVED[:3], pod())
    programmed = statuses(SERVED, report(state(17, "r17", tunnel=TunnelState())), before=created)
    connected = statuses(SERVED, report(state(17, "r17")), before=programmed)
    assert told(created) == told(programmed, created) == told(connected, programmed) == []


def test_two_hundred_and_fifty_healthy_links_are_told_nothing() -> None:
    many = [instance(), community(), links(250), pod()]
    (only,) = told(statuses(many))
    assert only[2].reason == "AlmostFull"


def test_a_capacity_that_runs_out_is_told_at_each_mark_and_not_in_between() -> None:
    def after(count: int) -> Statuses:
        return statuses(instance(), community(), links(count))

    assert told(after(200), after(199))[0][2].reason == "NearlyFull"
    assert told(after(237), after(200)) == []
    assert told(after(238), after(237))[0][2].reason == "AlmostFull"
    assert told(after(250), after(238)) == []


@pytest.mark.parametrize("reason", [r for r in TunnelReason if r is not TunnelReason.PENDING])
def test_a_tunnel_that_comes_or_goes_is_told_by_events_of_its_own_rules(reason: TunnelReason) -> None:
    """A site with a bad line would fill the cluster's Events: see test_tunnels."""
    up = statuses(SERVED, report(state(17, "r17")))
    other = TunnelState(status=TunnelStatus.FALSE, reason=reason)
    assert told(statuses(SERVED, report(state(17, "r17", tunnel=other)), before=up), up) == []


def test_a_link_that_is_switched_off_and_on_is_told_nothing() -> None:
    on = statuses(SERVED, report(state(17, "r17")))
    off_things = [instance(), community(), link("a", enabled=False), identity("a", 17), pod()]
    off = statuses(off_things, report(state(17, "r17", state=SlotState.IDLE)), before=on)
    assert told(off, on) == told(on, off) == []


def test_what_may_still_come_is_waited_for_in_silence() -> None:
    """Order does not matter: a link that is applied before its instance is no news."""
    assert told(statuses(link("a"))) == []
    assert told(statuses(instance(), link("a"))) == []
    assert told(statuses(community())) == []
    assert told(statuses(instance(), community(usersFrom=[{"configMapRef": {"name": "staff"}}]))) == []


# --- news ---


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        ([links(250), link("a")], "CapacityExceeded"),
        ([link("a", domain="mcs.test")], "DomainTaken"),
        ([link("a", vpnAddress="10.0.0.9")], "AddressOutOfRange"),
    ],
)
def test_a_refusal_is_told_once_with_its_message(things: list[Any], reason: str) -> None:
    after = statuses(instance(), community(), things)
    events = [event for event in told(after) if event[0] == Kind.LINK]
    assert reasons(events) == [("a", reason)]
    note = events[0][2]
    assert (note.warning, note.action) == (True, "Refuse")
    accepted = next(c for c in after[Kind.LINK, "a"]["conditions"] if c["type"] == "Accepted")
    assert note.note == accepted["message"]


def test_the_same_refusal_is_not_told_again() -> None:
    refused = [instance(), community(), link("a", domain="mcs.test")]
    first = statuses(refused)
    later = statuses(refused, now=NOW + timedelta(hours=1), before=first)
    assert told(later, first) == []


def test_a_message_that_changes_is_not_told_again() -> None:
    """ "1 of 3 users are not served" becomes "2 of 4": the status says so, nobody is woken."""
    crowd = [{"name": f"u{n}"} for n in range(999)]
    first = statuses(instance(), community("big", age=9, users=crowd), community(users=("a", "b")))
    second = statuses(instance(), community("big", age=9, users=crowd), community(users=("a", "b", "c")))
    assert reasons(told(first)) == [("mcs", "AlmostFull"), ("acme", "TierExceeded")]
    assert told(second, first) == []


def test_a_refusal_for_another_reason_is_news() -> None:
    first = statuses(instance(), community(), link("a", domain="mcs.test"))
    second = statuses(instance(), community(), link("a", vpnAddress="10.0.0.9"))
    assert reasons(told(second, first)) == [("a", "AddressOutOfRange")]


def test_what_was_mended_and_breaks_again_is_told_again() -> None:
    bad, good = [instance(), community(), link("a", domain="mcs.test")], SERVED
    first = statuses(bad)
    mended = statuses(good, before=first)
    assert told(mended, first) == []
    assert reasons(told(statuses(bad, before=mended), mended)) == [("a", "DomainTaken")]


def test_a_restart_of_the_operator_tells_nothing_again() -> None:
    """What it knows of before is the status in the cluster, whoever wrote it."""
    broken = [instance(), community(), links(250), link("a"), link("b", domain="mcs.test"), instance("second")]
    first = statuses(broken)
    assert len(told(first)) == 4
    assert told(statuses(broken, before=first), first) == []


def test_an_object_that_cannot_be_read_is_told_once() -> None:
    from mcs_operator.domain.facts.world import Unreadable

    after = statuses(Unreadable(Kind.LINK, "strange", 1, "spec.protocol: 'SCTP': not one of UDP, TCP"))
    assert reasons(told(after)) == [("strange", "InvalidSpec")]


def test_a_quarantined_slot_is_told() -> None:
    well = statuses(SERVED, report(state(17, "r17")))
    bad = report(state(17, "good", state=SlotState.QUARANTINED, error="revision does not match"))
    events = told(statuses(SERVED, bad, before=well), well)
    assert reasons(events) == [("a", "Quarantined")]
    assert events[0][2].action == "KeepLastGood"


def test_a_lost_ca_is_told_once_at_the_instance_and_not_at_250_links() -> None:
    things = [instance(), community(), links(3), identity("c0000", 2), report()]
    events = told(statuses(things, ca=False, wanted=Wanted(revisions={2: "r"})))
    assert reasons(events) == [("mcs", "IdentityLost")]


def test_a_users_file_that_does_not_parse_is_told_once_at_its_community() -> None:
    broken = community(usersFrom=[{"configMapRef": {"name": "staff"}}])
    events = told(statuses(instance(), broken, users_file("staff", "{")))
    assert [(kind, name, note.reason) for kind, name, note in events] == [("Community", "acme", "UsersInvalid")]


def test_a_pending_restart_and_a_drain_are_told_and_are_no_warnings() -> None:
    well = statuses(SERVED)
    waits = statuses(SERVED, wanted=Wanted(revisions={}, rollout=Rollout(Step.WAIT_TO_BE_ASKED, ("agent",))))
    drains = statuses(SERVED, wanted=Wanted(revisions={}, rollout=replaced(Step.START_DRAINING)))
    (pending,), (draining,) = told(waits, well), told(drains, waits)
    assert (pending[2].reason, pending[2].warning) == ("PodOutdated", False)
    assert (draining[2].reason, draining[2].warning, draining[2].action) == ("Draining", False, "Drain")
    assert told(statuses(SERVED), drains) == []


def replaced(step: Step) -> Rollout:
    found = Disruption(Cause.MEDIA_IMAGE, Impact.MEDIA_RESTART, "the media is to run image mcs:2", NOW)
    return Rollout(step, disruptions=(found,), current=found, waits="node a cannot pull it: not found")


def test_an_image_that_cannot_be_pulled_is_a_warning_and_one_that_is_pulled_is_no_event() -> None:
    well = statuses(SERVED)
    pulls, fails = (
        statuses(SERVED, wanted=Wanted(revisions={}, rollout=replaced(step)))
        for step in (Step.WAIT_FOR_IMAGE, Step.CANNOT_PULL)
    )
    assert told(pulls, well) == []
    ((_, _, note),) = told(fails, pulls)
    assert (note.reason, note.warning, note.action) == ("ImageNotPulled", True, "Wait")
    assert note.note == "the media is to run image mcs:2; node a cannot pull it: not found"


# --- all of the table ---


def of(kind: Kind, type: Type, status: ConditionStatus, reason: Reason, text: str = "why") -> dict[str, Any]:
    return {"conditions": [{"type": type.value, "status": status.value, "reason": reason.value, "message": text}]}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.kind}-{row.type}-{row.status}-{row.reason}")
def test_no_good_news_is_an_event_and_every_refusal_is_one(row: Any) -> None:
    notes = notes_for(row.kind, {}, of(row.kind, row.type, row.status, row.reason))
    assert len(notes) <= 1
    good = {Reason.ACCEPTED, Reason.SERVING, Reason.SERVED, Reason.PROGRAMMED, Reason.ESTABLISHED, Reason.RECONCILED}
    if row.reason in good | {Reason.PENDING, Reason.PROGRESSING, Reason.NOT_STALLED, Reason.DISABLED}:
        assert notes == []
    if row.type is Type.ACCEPTED and row.reason in REFUSALS and row.reason is not Reason.NO_FREE_SLOT:  # by Stalled
        assert [note.action for note in notes] == ["Refuse"]


@pytest.mark.parametrize("kind", list(Kind))
def test_one_cause_is_one_event_however_many_conditions_name_it(kind: Kind) -> None:
    """Accepted, Ready and Stalled say the same thing; a person is told once."""
    for reason in {row.reason for row in TABLE if row.kind is kind}:
        rows = [row for row in TABLE if row.kind is kind and row.reason is reason]
        conditions = [of(kind, r.type, r.status, r.reason)["conditions"][0] for r in rows if r.type in OWNED[kind]]
        assert len(notes_for(kind, {}, {"conditions": conditions})) <= 1, reason


def test_a_note_is_as_long_as_the_api_server_allows() -> None:
    status = of(Kind.LINK, Type.ACCEPTED, ConditionStatus.FALSE, Reason.DOMAIN_TAKEN, "x" * MESSAGE_LIMIT)
    (note,) = notes_for(Kind.LINK, {}, status)
    assert len(note.note) == NOTE_LIMIT < 1024


@pytest.mark.parametrize("before", [{}, {"conditions": []}, {"conditions": [{"type": "SomethingOlder"}]}])
def test_whatever_the_live_status_is_the_difference_to_it_can_be_told(before: dict[str, Any]) -> None:
    status = of(Kind.LINK, Type.ACCEPTED, ConditionStatus.FALSE, Reason.DOMAIN_TAKEN)
    assert len(notes_for(Kind.LINK, before, status)) == 1


ACTIONS = {
    ("Programmed", "Quarantined"): "KeepLastGood",
    ("Stalled", "NoFreeSlot"): "Wait",
    ("Stalled", "ProfileLost"): "KeepLastGood",
    ("Stalled", "IdentityLost"): "Wait",
    ("Stalled", "RolledBack"): "RollBack",
    ("Stalled", "ObjectDamaged"): "Wait",
    ("Stalled", "ObjectsIgnored"): "Ignore",
    ("Stalled", "CertificateInvalid"): "KeepLastGood",
    ("Stalled", "CaNotFound"): "Wait",
    ("Stalled", "SlotsNotRunning"): "Wait",
    ("Stalled", "CaInvalid"): "Wait",
    ("RotationPending", "NewNotSeen"): "Rotate",
    ("RotationPending", "OldRefused"): "Refuse",
    ("RotationPending", "Revoked"): "Stop",
    ("Ready", "UsersInvalid"): "KeepLastGood",
    ("Ready", "TierExceeded"): "Refuse",
    ("LoginReady", "PasswordsInvalid"): "KeepLastGood",
    ("LoginReady", "DomainTaken"): "Refuse",
    ("CertificateReady", "OrderFailed"): "Wait",
    ("CertificateReady", "RenewalFailed"): "KeepLastGood",
    ("CertificateReady", "IssuerNotReady"): "Wait",
    ("RestartPending", "PodOutdated"): "Wait",
    ("RestartPending", "Waiting"): "Wait",
    ("RestartPending", "ImageNotPulled"): "Wait",
    ("RestartPending", "Draining"): "Drain",
    ("CapacityPressure", "NearlyFull"): "Count",
    ("CapacityPressure", "AlmostFull"): "Count",
}


def test_each_event_says_what_the_operator_did_and_whether_it_is_a_warning() -> None:
    refused = {("Accepted", reason.value) for reason in REFUSALS if reason is not Reason.NO_FREE_SLOT} | {
        ("Accepted", "NamespaceOccupied"),
        ("Accepted", "InvalidSpec"),
    }
    calm = {("RestartPending", reason) for reason in ("PodOutdated", "Waiting", "Draining")}
    calm |= {("RotationPending", "NewNotSeen")}
    wanted = ACTIONS | dict.fromkeys(refused, "Refuse")
    for type, reason in {(type, reason) for type in Type for reason in Reason}:
        condition = {"type": type.value, "reason": reason.value, "message": "x" * 2000}
        found = notes_for(Kind.LINK, {}, {"conditions": [condition]})
        place = (type.value, reason.value)
        note = Note(place not in calm, reason.value, wanted.get(place, ""), "x" * 1000)
        assert found == ([note] if place in wanted else []), place


# --- interruptions ---

BEGUN = {"number": 3, "cause": "MediaImage", "begun": "2026-03-01T02:00:00Z", "connections": 2, "links": 0}
OVER = BEGUN | {"over": "2026-03-01T02:00:05Z"}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param([BEGUN], [OVER], True, id="over now"),
        pytest.param([], [OVER], True, id="begun and over between two statuses"),
        pytest.param([OVER], [OVER], False, id="over before"),
        pytest.param([], [BEGUN], False, id="begun, of which Restarting tells"),
        pytest.param([OVER], [BEGUN | {"number": 4}, OVER], False, id="the next one has begun"),
    ],
)
def test_that_an_interruption_is_over_is_told_once(before: list[Any], after: list[Any], told: bool) -> None:
    found = notes_for(Kind.INSTANCE, {"interruptions": before}, {"interruptions": after})
    text = (
        "MediaImage: the media serves again since 2026-03-01T02:00:05Z; no new connection was taken from "
        "2026-03-01T02:00:00Z on, 2 were cut, and 0 tunnels went down"
    )
    assert found == ([Note(False, "InterruptionOver", "Replace", text)] if told else [])
