"""A plot of what was measured, as a small SVG: points along a line, two axes that begin at zero, nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 54, 44
_STYLE = (
    "text{font:12px sans-serif;fill:#57606a}line{stroke:#d0d7de}polyline{fill:none;stroke:#0969da;stroke-width:1.5}"
)


def plot(path: Path, title: str, across: str, up: str, points: Sequence[tuple[float, float]]) -> None:
    """Write the plot; ``across`` and ``up`` name the axes, with their units."""
    right, top = (_round_above(max(values)) for values in zip(*points, strict=True))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="18">{escape(title)}</text>']
    for mark in _marks(top):
        (x, y), (end, _) = place(0, mark), place(right, mark)
        parts.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{end:.0f}" y2="{y:.0f}"/>')
        parts.append(f'<text x="{x - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{mark:,.0f}</text>')
    for mark in _marks(right):
        x, y = place(mark, 0)
        parts.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{mark:,.0f}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(across)}</text>')
    parts.append(f'<text x="8" y="{TOP - 16}">{escape(up)}</text>')
    line = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in points)
    parts.append(f'<polyline points="{line}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    body = "\n".join(parts)
    path.write_text(f"{head}\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n")


def _round_above(value: float) -> float:
    """The next 1, 2 or 5 with noughts."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _marks(top: float) -> Iterator[float]:
    return (top * part / 5 for part in range(6))
