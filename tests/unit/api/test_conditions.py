"""The closed table: nothing outside of it can be written, and nothing that a kind owns is ever left out."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import (
    MESSAGE_LIMIT,
    NOT_SERVED,
    OWNED,
    REFUSALS,
    TABLE,
    WAITING,
    Condition,
    ConditionStatus,
    Kind,
    Reason,
    Type,
    as_objects,
    is_known,
)
from support.api import ROOT
from support.worlds import NOW

T, F = ConditionStatus.TRUE, ConditionStatus.FALSE
SERVED = [
    Condition(Type.READY, T, Reason.SERVED),
    Condition(Type.RECONCILING, F, Reason.RECONCILED),
    Condition(Type.STALLED, F, Reason.NOT_STALLED),
    Condition(Type.ACCEPTED, T, Reason.ACCEPTED),
    Condition(Type.LOGIN_READY, F, Reason.NOT_CONFIGURED),
    Condition(Type.DOMAIN_RESOLVED, ConditionStatus.UNKNOWN, Reason.NOT_CONFIGURED),
    Condition(Type.CERTIFICATE_READY, ConditionStatus.UNKNOWN, Reason.NOT_CONFIGURED),
]


def written(decided: list[Condition], previous: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    objects = as_objects(Kind.COMMUNITY, decided, **{"generation": 3, "now": NOW, "previous": previous} | more)
    return {condition["type"]: condition for condition in objects}


def with_ready(status: ConditionStatus, reason: Reason, message: str = "") -> list[Condition]:
    return [Condition(Type.READY, status, reason, message), *SERVED[1:]]


def test_every_kind_owns_ready_reconciling_stalled_and_accepted() -> None:
    for kind in Kind:
        assert {Type.READY, Type.RECONCILING, Type.STALLED, Type.ACCEPTED} <= set(OWNED[kind])
    assert {Type.PROGRAMMED, Type.CONNECTED} <= set(OWNED[Kind.LINK])


@pytest.mark.parametrize("kind", Kind)
def test_of_an_object_that_is_not_served_every_condition_says_something(kind: Kind) -> None:
    why = {Type.ACCEPTED, Type.READY, Type.STALLED}
    assert set(OWNED[kind]) - why <= set(NOT_SERVED)
    assert all(is_known(kind, NOT_SERVED[type]) for type in set(OWNED[kind]) - why)


def test_the_table_says_nothing_twice_and_explains_everything() -> None:
    keys = [(row.kind, row.type, row.status, row.reason) for row in TABLE]
    assert len(keys) == len(set(keys))
    assert all(row.trigger.endswith(".") for row in TABLE)


def test_reasons_are_words_for_programs() -> None:
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", reason) for reason in Reason)


def test_every_reason_is_in_the_table() -> None:
    assert {row.reason for row in TABLE} == set(Reason)


@pytest.mark.parametrize("reason", [*REFUSALS, *WAITING])
def test_why_a_link_is_not_accepted_is_also_why_it_is_not_ready(reason: Reason) -> None:
    assert (Kind.LINK, Type.READY, F, reason) in {(r.kind, r.type, r.status, r.reason) for r in TABLE}


@pytest.mark.parametrize("reason", list(REFUSALS))
def test_what_only_the_user_can_change_stalls_and_what_may_still_come_does_not(reason: Reason) -> None:
    stalls = {r.reason for r in TABLE if r.kind is Kind.LINK and r.type is Type.STALLED and r.status is T}
    assert reason in stalls
    assert not stalls & set(WAITING)


def test_a_condition_outside_of_the_table_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="Ready=True, Lost is not in the table"):
        written(with_ready(T, Reason.LOST))


@pytest.mark.parametrize("left_out", range(len(SERVED)))
def test_a_condition_that_is_owned_cannot_be_left_out(left_out: int) -> None:
    decided = [condition for at, condition in enumerate(SERVED) if at != left_out]
    with pytest.raises(ValueError, match=SERVED[left_out].type):
        written(decided)


def test_every_condition_has_generation_reason_message_and_time() -> None:
    for condition in written(SERVED).values():
        assert condition["observedGeneration"] == 3
        assert condition["lastTransitionTime"] == "2026-03-01T12:00:00Z"
        assert set(condition) == {"type", "status", "reason", "message", "observedGeneration", "lastTransitionTime"}


def test_a_condition_that_keeps_its_status_keeps_its_time_also_with_another_reason() -> None:
    before = tuple(written(with_ready(F, Reason.USERS_NOT_FOUND)).values())
    later = NOW + timedelta(hours=1)
    after = written(with_ready(F, Reason.USERS_INVALID), before, now=later)["Ready"]
    assert (after["reason"], after["lastTransitionTime"]) == ("UsersInvalid", "2026-03-01T12:00:00Z")


def test_a_condition_that_changes_its_status_gets_a_new_time_and_the_others_keep_theirs() -> None:
    before = tuple(written(SERVED).values())
    after = written(with_ready(F, Reason.USERS_INVALID), before, now=NOW + timedelta(hours=1))
    assert after["Ready"]["lastTransitionTime"] == "2026-03-01T13:00:00Z"
    assert after["Accepted"]["lastTransitionTime"] == "2026-03-01T12:00:00Z"


def test_the_default_of_the_crd_counts_as_another_status() -> None:
    pending = {"type": "Ready", "status": "Unknown", "lastTransitionTime": "1970-01-01T00:00:00Z"}
    assert written(SERVED, (pending,))["Ready"]["lastTransitionTime"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    "previous",
    [{}, {"type": "Ready"}, {"type": "Ready", "status": "True"}, {"type": "Ready", "status": "True", "reason": 5}],
    ids=["empty", "without a status", "without a time", "of a wrong type"],
)
def test_a_damaged_old_condition_does_not_matter(previous: dict[str, Any]) -> None:
    assert written(SERVED, (previous,))["Ready"]["lastTransitionTime"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("length", "shown"), [(0, 0), (1, 1), (1023, 1023), (1024, 1024), (1025, 1024), (40_000, 1024)]
)
def test_a_message_is_never_longer_than_a_screen(length: int, shown: int) -> None:
    message = written(with_ready(F, Reason.USERS_INVALID, "x" * length))["Ready"]["message"]
    assert len(message) == shown
    assert message.endswith("…") is (length > MESSAGE_LIMIT)


def test_the_page_of_conditions_has_every_row_as_it_is() -> None:
    page = (ROOT / "docs" / "conditions.md").read_text()
    written = {kind: page.partition(f"## {kind}\n")[2].partition("\n## ")[0] for kind in Kind}
    for row in TABLE:
        trigger = row.trigger.replace("|", "\\|")
        assert f"| {row.type} | {row.status} | `{row.reason}` | {trigger} |\n" in f"{written[row.kind]}\n"
