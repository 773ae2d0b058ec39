"""Reasons are words that people's alerts and `kubectl wait` know: each is what its constant is called."""

from __future__ import annotations

import pytest

from mcs_operator.api.conditions import Reason


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_told_by_its_name(reason: Reason) -> None:
    assert reason.value == "".join(word.capitalize() for word in reason.name.split("_"))
