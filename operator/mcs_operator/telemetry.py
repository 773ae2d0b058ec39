"""Prometheus' text format: metrics as a table of names, series as tuples of label values. Pure.

The table is closed, as the one of conditions is: what is not declared as a `Metric` cannot be told, so docs/metrics.md,
which is generated from the same declarations, is all there is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Sample = tuple[tuple[str, ...], float]
"""Values of the metric's labels, in the order in which it declares them, and the number."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``labels`` are those that tell its series apart."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Counter:
    """A counter that is added to as things happen."""

    metric: Metric
    _values: defaultdict[tuple[str, ...], float] = field(default_factory=lambda: defaultdict(float))

    def add(self, *labels: str) -> None:
        """One more with these label values."""
        self._values[labels] += 1

    def text(self) -> str:
        """The counter as Prometheus reads it."""
        return exposed(self.metric, sorted(self._values.items()))


@dataclass(slots=True)
class Histogram:
    """Durations in seconds, counted below each of ``bounds``."""

    metric: Metric
    bounds: tuple[float, ...]
    _counts: list[int] = field(default_factory=list)
    _sum: float = 0.0

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """One more that took so long."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self._sum += seconds

    def text(self) -> str:
        """The histogram as Prometheus reads it: each bucket has those below it too."""
        lines, below = _head(self.metric), 0
        for bound, count in zip((*(f"{bound:g}" for bound in self.bounds), "+Inf"), self._counts, strict=True):
            below += count
            lines.append(f'{self.metric.name}_bucket{{le="{bound}"}} {below}')
        lines += [f"{self.metric.name}_sum {self._sum:.6f}", f"{self.metric.name}_count {below}"]
        return "\n".join(lines) + "\n"


def exposed(metric: Metric, samples: Iterable[Sample], common: Mapping[str, str] | None = None) -> str:
    """One metric with its series; ``common`` labels stand before its own. Raises ValueError for a series with more or
    fewer label values than the metric has labels."""
    lines = _head(metric)
    for values, number in samples:
        pairs = [*(common or {}).items(), *zip(metric.labels, values, strict=True)]
        labels = ",".join(f'{name}="{_escape(value)}"' for name, value in pairs)
        lines.append(f"{metric.name}{{{labels}}} {_number(number)}" if labels else f"{metric.name} {_number(number)}")
    return "\n".join(lines) + "\n"


def _head(metric: Metric) -> list[str]:
    return [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.kind}"]


def _number(value: float) -> str:
    # Whole numbers exactly: a counter of bytes outgrows what `g` shows.
    return str(int(value)) if value == int(value) else f"{value:.6f}"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
