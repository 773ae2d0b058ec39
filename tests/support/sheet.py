"""The rows of one area's table, measured by several tests and perhaps on several occasions, published together.

Each test adds its rows; what was measured is kept in ``build/bench``, so that one part can be measured again without
the others. The page is written once every row was measured in this working copy: a table with holes says less than
the one before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from support.figures import JSON_FOLDER, PAGE, Figure, publish


class Sheet:
    """Rows by their key. ``order`` has all keys, in the order of the table."""

    def __init__(self, area: str, order: Sequence[str], folder: Path = JSON_FOLDER, page: Path = PAGE) -> None:
        self._area, self._order, self._folder, self._page = area, order, folder, page
        self._kept = folder / f"{area}.runs.json"
        self.rows: dict[str, Figure] = {}
        if self._kept.exists():
            known: Mapping[str, dict[str, object]] = json.loads(self._kept.read_text())
            self.rows = {key: Figure(**row) for key, row in known.items() if key in order}  # type: ignore[arg-type]

    def add(self, key: str, figure: Figure) -> None:
        """Measured (again)."""
        assert key in self._order, key
        print(f"\n{figure.name}: {', '.join(f'{run:.4g}' for run in figure.runs)} {figure.unit} ({figure.target})")
        self.rows[key] = figure
        self._folder.mkdir(parents=True, exist_ok=True)
        self._kept.write_text(json.dumps({key: asdict(row) for key, row in self.rows.items()}, indent=1) + "\n")

    @property
    def missing(self) -> list[str]:
        """Keys of the rows that nobody has measured."""
        return [key for key in self._order if key not in self.rows]

    def publish(self) -> bool:
        """Write table and JSON; False, and nothing, while rows are missing."""
        if self.missing:
            return False
        publish(self._area, [self.rows[key] for key in self._order], self._page, self._folder)
        return True


def measured_on(area: str, order: Sequence[str]) -> Iterator[Sheet]:
    """A fixture's sheet: published at its end, or else what is missing is told."""
    sheet = Sheet(area, order)
    yield sheet
    if not sheet.publish():
        print(f"\nnot published, not yet measured: {', '.join(sheet.missing)}")
