"""Every refusal reads the same way: field, value, rule, remedy; and docs/errors.md has them all."""

from __future__ import annotations

import inspect
import re

import pytest

from mcs_operator.api import KINDS
from mcs_operator.api.conditions import REFUSALS
from mcs_operator.api.crd import root_schema
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.verdict import Verdict
from support.api import ROOT

MESSAGES = [example.message if isinstance(example, Verdict) else example for example in messages.EXAMPLES.values()]
ERRORS = (ROOT / "docs" / "errors.md").read_text()


def test_every_rule_has_an_example() -> None:
    functions = {
        function
        for name, function in inspect.getmembers(messages, inspect.isfunction)
        if function.__module__ == messages.__name__ and name != "owner_of_domain"
    }
    assert functions == set(messages.EXAMPLES)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_begins_with_its_field_has_a_value_and_ends_with_a_remedy(message: str) -> None:
    assert re.match(r"(spec|metadata)\.[A-Za-z.]+: \S", message)
    assert "; " in message or "is not between" in message
    assert len(message) < 256


@pytest.mark.parametrize("message", MESSAGES)
def test_the_page_of_errors_has_it(message: str) -> None:
    assert message in ERRORS


def test_the_page_of_errors_has_every_rule_of_the_schema_and_every_reason() -> None:
    for kind in KINDS:
        for rule in root_schema(kind).get("x-kubernetes-validations", []):
            assert rule["message"] in ERRORS
    for reason in REFUSALS:
        assert f"`{reason}`" in ERRORS
