"""What resolvers are asked and say: the wire format between the operator and the link agent, at its edges."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mcs_operator.contract.lookup import RESOLVE_SECONDS, UNAVAILABLE, Answer, Failure, Lookup, Question, Resolution

ONE, TWO = Answer.model_validate({"addresses": ["192.0.2.1"]}), Answer.model_validate({"addresses": ["192.0.2.2"]})
BOTH = Answer.model_validate({"addresses": ["192.0.2.1", "192.0.2.2"]})
NOT_FOUND, NOT_SUPPORTED = Answer(failure=Failure.NOT_FOUND), Answer(failure=Failure.NOT_SUPPORTED)


def test_the_words_of_the_wire_are_these() -> None:
    """An operator asks agents of older and newer images."""
    assert [failure.value for failure in Failure] == ["NotFound", "Unavailable", "NotSupported"]
    answers = {"a.test": ONE, "b.test": UNAVAILABLE}
    assert json.loads(Resolution(answers=answers).model_dump_json()) == {
        "answers": {
            "a.test": {"addresses": ["192.0.2.1"], "failure": None},
            "b.test": {"addresses": [], "failure": "Unavailable"},
        }
    }
    assert Resolution.model_validate({"of": "a newer image"}).answers == {}
    assert RESOLVE_SECONDS == 20


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ([], True),
        (["x"], True),
        (["x" * 253] * 251, True),
        (["x" * 254], False),
        ([""], False),
        (["x"] * 252, False),
    ],
)
def test_251_names_of_253_characters_may_be_asked_for(names: list[str], taken: bool) -> None:
    if taken:
        assert Question.model_validate({"names": names, "of": "a newer operator"}).names == names
    else:
        with pytest.raises(ValidationError):
            Question.model_validate({"names": names})


def test_an_answer_has_eight_addresses_at_most_and_is_not_changed_afterwards() -> None:
    eight: dict[str, Any] = {"addresses": [f"192.0.2.{n}" for n in range(8)]}
    assert len(Answer.model_validate(eight | {"of": "a newer image"}).addresses) == 8
    with pytest.raises(ValidationError):
        Answer.model_validate({"addresses": [*eight["addresses"], "192.0.2.8"]})
    with pytest.raises(ValidationError, match="frozen"):
        ONE.failure = Failure.NOT_FOUND


def test_certain_is_what_the_dns_itself_has_answered() -> None:
    answers = (ONE, NOT_FOUND, Answer(), UNAVAILABLE, NOT_SUPPORTED)
    assert [answer.is_certain for answer in answers] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("pod", "operator", "leads"),
    [
        (ONE, ONE, True),
        (ONE, TWO, False),
        (TWO, ONE, False),
        (ONE, BOTH, False),
        (ONE, None, False),
        (None, ONE, False),
        (NOT_FOUND, NOT_FOUND, False),
        (None, None, False),
    ],
)
def test_a_name_leads_to_an_address_where_both_say_this_one_and_no_other(
    pod: Answer | None, operator: Answer | None, leads: bool
) -> None:
    assert Lookup(pod, operator).leads_to("192.0.2.1") is leads


def test_of_a_name_that_nobody_was_asked_about_nothing_is_known() -> None:
    assert (Lookup().pod, Lookup().operator) == (None, None)
