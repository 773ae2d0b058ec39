"""Quantiles as they are told: a value that was measured, never one between two."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all does not exceed; of fewer than a hundred, p99 is the largest."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
