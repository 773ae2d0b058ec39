"""Quantiles as they are told: a value that was measured, never one between two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed; of fewer than a hundred, p99 is the largest."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def bucket_quantile(before: Mapping[float, float], after: Mapping[float, float], share: float) -> float:
    """As Prometheus' `histogram_quantile`: of what came between two looks at a histogram, evenly spread in a bucket."""
    counts = {bound: count - before.get(bound, 0) for bound, count in sorted(after.items())}
    rank, below, floor = share * max(counts.values()), 0.0, 0.0
    for bound, count in counts.items():
        if count >= rank:
            return floor if math.isinf(bound) else floor + (bound - floor) * (rank - below) / (count - below)
        below, floor = count, bound
    raise ValueError("an empty histogram")
