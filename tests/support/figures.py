"""Figures of the benches: measured several times, held against a target, and published where people look.

`publish` writes ``build/bench/<area>.json`` and the part of docs/performance.md between the marks of that area; what
stands around the marks, and explains the figures, is written by hand.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.api import ROOT

JSON_FOLDER = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Figure:
    """One thing measured. ``runs``: what each run gave, in ``unit``; of them the median is the value.

    ``target`` None: only told, nothing is promised. ``at_least``: the value is to reach the target, not to stay below.
    """

    name: str
    runs: Sequence[float]
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.runs)

    @property
    def holds(self) -> bool:
        """Whether the target is met; told figures always hold."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_json(self) -> dict[str, Any]:
        """As a reader of build/bench takes it: name, value, unit, target, holds; and the spread."""
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "target": self.target,
            "holds": self.holds,
            "min": _rounded(min(self.runs)),
            "max": _rounded(max(self.runs)),
            "runs": len(self.runs),
        }


def publish(area: str, figures: Sequence[Figure], page: Path = PAGE, folder: Path = JSON_FOLDER) -> None:
    """Write the figures of an area (``control-plane``, ``data-plane``) as JSON and as a table into the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{area}.json").write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
    begin, end = f"<!-- {area}: measured -->", f"<!-- {area}: end -->"
    before, mark, rest = page.read_text().partition(begin)
    _, closing, after = rest.partition(end)
    if not (mark and closing):
        raise ValueError(f"{page}: the marks {begin} and {end} are missing")
    page.write_text(f"{before}{begin}\n{as_table(figures)}\n{_circumstances()}\n{end}{after}")


def as_table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | min | median | max | target | holds |", "| --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        spread = " | ".join(_shown(value) for value in (min(figure.runs), figure.value, max(figure.runs)))
        sign = "≥" if figure.at_least else "≤"
        target = f"{sign} {_shown(figure.target)}" if figure.target is not None else ""
        holds = "" if figure.target is None else "yes" if figure.holds else "**no**"
        lines.append(f"| {figure.name}, {figure.unit} | {spread} | {target} | {holds} |")
    return "\n".join(lines) + "\n"


def _circumstances() -> str:
    load = os.getloadavg()[0]
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load average at the end {load:.1f}.\n"
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
