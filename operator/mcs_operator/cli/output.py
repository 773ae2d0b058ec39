"""Tables for a terminal, JSON and YAML for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import yaml

Row = Mapping[str, Any]


def show(rows: Sequence[Row], output: str) -> None:
    """Print rows in the format that was chosen; every row has the same keys, which are the table's headings."""
    click.echo(table(rows) if output == "table" else structured(list(rows), output))


def structured(value: Any, output: str) -> str:
    """JSON or YAML of plain data."""
    if output == "json":
        return json.dumps(value, indent=2)
    return yaml.safe_dump(value, sort_keys=False).rstrip()


def table(rows: Sequence[Row]) -> str:
    """Columns as kubectl prints them: three spaces between, a dash for nothing."""
    if not rows:
        return "nothing found"
    heads = [_heading(name) for name in rows[0]]
    cells = [heads, *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join(
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _heading(name: str) -> str:
    """``vpnAddress`` -> VPN-ADDRESS."""
    return "".join(f"-{c}" if c.isupper() else c for c in name).upper()


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)
