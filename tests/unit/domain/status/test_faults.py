"""What a status says of a defect of ours: that, at its generation, and all else as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcs_operator.api.conditions import MESSAGE_LIMIT, Kind
from mcs_operator.domain.status.faults import failed_status, told
from support.worlds import NOW

SINCE = "2026-02-01T00:00:00Z"


def stalled(since: str = "2026-03-01T12:00:00Z", message: str = "why", generation: int = 7) -> dict[str, Any]:
    return {
        "type": "Stalled",
        "status": "True",
        "reason": "ReconcileFailed",
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def test_of_an_object_that_nobody_was_told_of_the_generation_is_seen() -> None:
    assert failed_status(Kind.LINK, {}, 7, "why", NOW) == {"observedGeneration": 7, "conditions": [stalled()]}


@pytest.mark.parametrize(("before", "since"), [("True", SINCE), ("False", "2026-03-01T12:00:00Z")])
def test_all_else_stays_as_it_was_and_in_its_place(before: str, since: str) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Programmed", "observedGeneration": 6}
    was = {"type": "Stalled", "status": before, "lastTransitionTime": SINCE}
    foreign = {"type": "Somebodys", "status": "True"}
    live = {"observedGeneration": 6, "slot": 17, "conditions": [was, foreign, ready]}
    assert failed_status(Kind.LINK, live, 7, "why", NOW) == {
        "observedGeneration": 6,
        "slot": 17,
        "conditions": [stalled(since), ready],
    }


def test_a_message_is_cut_where_the_api_would_refuse_it() -> None:
    (found,) = failed_status(Kind.LINK, {}, 7, "x" * (MESSAGE_LIMIT + 1), NOW)["conditions"]
    assert found == stalled(message="x" * MESSAGE_LIMIT)


def raised(source: str, file: str) -> Exception:
    """What `outer` raises, if this is the source of a file."""
    scope: dict[str, Any] = {"json": json}
    exec(compile(source, file, "exec"), scope)  # noqa: S102 - the test's own text, under the name of another file
    try:
        scope["outer"]()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


BROKEN = """
def outer():
    inner()

def inner():
    json.loads("a secret")
"""


def test_a_defect_is_told_by_its_kind_and_the_last_place_of_ours_and_never_by_its_text() -> None:
    assert told(raised(BROKEN, "/app/mcs_operator/kube/diff.py")) == "JSONDecodeError in kube/diff.py:6, inner"
    nested = told(raised(BROKEN, "/home/mcs_operator/operator/mcs_operator/domain/decide.py"))
    assert nested == "JSONDecodeError in domain/decide.py:6, inner"


def test_the_place_is_the_last_one_and_not_who_called_it() -> None:
    def calls() -> None:
        raise raised(BROKEN, "/app/mcs_operator/kube/diff.py")

    source = "def outer():\n    calls()\n"
    scope: dict[str, Any] = {"calls": calls}
    exec(compile(source, "/app/mcs_operator/domain/decide.py", "exec"), scope)  # noqa: S102 - as above
    with pytest.raises(json.JSONDecodeError) as caught:
        scope["outer"]()
    assert told(caught.value) == "JSONDecodeError in kube/diff.py:6, inner"


def test_of_a_defect_that_never_went_through_ours_the_kind_is_told() -> None:
    assert told(raised(BROKEN, "/lib/other.py")) == "JSONDecodeError"
    assert told(KeyError("a secret")) == "KeyError"
