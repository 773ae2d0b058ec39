"""Quantiles: values that were measured."""

from __future__ import annotations

import pytest

from support.quantiles import quantile


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(1, 0.5, 1), (2, 0.5, 1), (100, 0.5, 50), (99, 0.99, 99), (100, 0.99, 99), (101, 0.99, 100)],
)
def test_a_quantile_is_a_value_that_was_measured(count: int, share: float, expected: int) -> None:
    assert quantile(list(range(count, 0, -1)), share) == expected
