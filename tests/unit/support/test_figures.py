"""What a bench publishes is what it measured, and says itself where a target is missed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.figures import Figure, publish

MARKED = "<!-- data-plane: measured -->\nof yesterday\n<!-- data-plane: end -->"
PAGE = f"# Performance\n\nBy hand.\n\n{MARKED}\n\nAlso by hand.\n"


def test_the_median_is_the_value_and_a_missed_target_is_said(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    slow = Figure("hot add", (1.0, 9.0, 3.0), "s", target=2.5)
    wide = Figure("throughput", (0.5, 0.4), "of raw", target=0.4, at_least=True)

    publish("data-plane", [slow, wide], page, tmp_path)

    told = json.loads((tmp_path / "data-plane.json").read_text())
    assert [(t["name"], t["value"], t["target"], t["holds"]) for t in told] == [
        ("hot add", 3.0, 2.5, False),
        ("throughput", 0.45, 0.4, True),
    ]
    text = page.read_text()
    assert "| hot add, s | 1 | 3 | 9 | ≤ 2.5 | **no** |" in text
    assert "| throughput, of raw | 0.4 | 0.45 | 0.5 | ≥ 0.4 | yes |" in text
    assert "of yesterday" not in text
    assert text.startswith("# Performance\n\nBy hand.") and text.endswith("Also by hand.\n")


def test_what_has_no_target_is_told_and_holds() -> None:
    assert Figure("idle memory", (71.0,), "MiB").holds


def test_a_page_without_the_marks_is_not_written_over(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Something else\n")
    with pytest.raises(ValueError, match="marks"):
        publish("data-plane", [], page, tmp_path)
    assert page.read_text() == "# Something else\n"
