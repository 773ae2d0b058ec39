"""The sheet: parts are measured on several occasions, and the page is written when all are."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.figures import Figure
from support.sheet import Sheet

PAGE = "<!-- area: measured -->\nof yesterday\n<!-- area: end -->\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    return page


def sheet(tmp_path: Path, page: Path) -> Sheet:
    return Sheet("area", ("first", "second"), tmp_path / "bench", page)


def test_a_table_with_holes_is_not_published(tmp_path: Path, page: Path) -> None:
    rows = sheet(tmp_path, page)
    rows.add("second", Figure("b", [2], "s"))
    assert not rows.publish()
    assert page.read_text() == PAGE


def test_what_was_measured_on_another_occasion_counts_and_the_order_is_the_tables(tmp_path: Path, page: Path) -> None:
    sheet(tmp_path, page).add("second", Figure("b", [2], "s", target=3))
    rows = sheet(tmp_path, page)
    rows.add("first", Figure("a", [1], "s"))
    assert rows.publish()
    assert page.read_text().index("a, s") < page.read_text().index("b, s")


def test_a_row_that_is_measured_again_replaces_the_former_one(tmp_path: Path, page: Path) -> None:
    sheet(tmp_path, page).add("first", Figure("a", [1], "s"))
    sheet(tmp_path, page).add("first", Figure("a", [7, 8, 9], "s"))
    assert sheet(tmp_path, page).rows["first"].runs == [7, 8, 9]
