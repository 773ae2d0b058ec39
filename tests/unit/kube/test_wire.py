"""What an answer of the API server says, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcs_operator.kube.wire import error_of


@pytest.mark.parametrize(
    ("details", "causes"),
    [
        pytest.param({"causes": [{"reason": "NodeCapacity", "message": "cpu"}]}, {"NodeCapacity"}, id="one"),
        pytest.param({"name": "mcs-0"}, set(), id="none"),
        pytest.param({"causes": [{}, "text", None]}, set(), id="none that can be read"),
        pytest.param({"causes": "text"}, set(), id="no list"),
        pytest.param("text", set(), id="no object"),
        pytest.param(None, set(), id="no details"),
    ],
)
def test_the_causes_of_a_refusal_are_read_and_its_words_whatever_they_are(details: Any, causes: set[str]) -> None:
    answer = {"reason": "Forbidden", "message": "no", "details": details}
    error = error_of(403, {}, json.dumps(answer).encode())
    assert (error.status, error.reason, error.message, error.causes) == (403, "Forbidden", "no", causes)
