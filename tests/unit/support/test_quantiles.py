"""Quantiles: measured values, and those of a histogram as Prometheus reads it."""

from __future__ import annotations

import math

import pytest

from support.quantiles import bucket_quantile, quantile


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(1, 0.5, 1), (2, 0.5, 1), (100, 0.5, 50), (99, 0.99, 99), (100, 0.99, 99), (101, 0.99, 100)],
)
def test_a_quantile_is_a_value_that_was_measured(count: int, share: float, expected: int) -> None:
    assert quantile(list(range(count, 0, -1)), share) == expected


def test_a_quantile_of_buckets_lies_where_its_rank_does() -> None:
    before = {0.005: 10.0, 0.025: 10.0, 0.1: 10.0, math.inf: 10.0}
    after = {0.005: 60.0, 0.025: 110.0, 0.1: 110.0, math.inf: 110.0}
    assert bucket_quantile(before, after, 0.5) == pytest.approx(0.005)
    assert bucket_quantile(before, after, 0.75) == pytest.approx(0.015)
    assert bucket_quantile({}, after, 1.0) == pytest.approx(0.025)


def test_beyond_the_last_bucket_only_its_bound_is_known() -> None:
    assert bucket_quantile({}, {0.1: 1.0, math.inf: 2.0}, 0.99) == 0.1
