"""How many connections the appliance has room for, and what one may have of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.images.appliance_set import limits

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("files", "memory", "places"),
    [
        pytest.param(50_000, None, 24_700, id="no limit of memory is known"),
        pytest.param(1_000_000_000, 8_192 * MEBIBYTE, 24_700, id="a container runtime's thousand million files"),
        pytest.param(50_000, 512 * MEBIBYTE, 2_621, id="half of a small container's memory"),
        pytest.param(800, None, 100, id="few files"),
        pytest.param(100, None, 100, id="fewer than it needs itself"),
        pytest.param(50_000, 0, 100, id="no memory"),
    ],
)
def test_the_places_are_what_files_and_memory_allow(files: int, memory: int | None, places: int) -> None:
    assert limits.limits(files, memory).places == places


@pytest.mark.parametrize("places", [100, 101, 1_000, 24_700])
def test_nobody_may_have_all_places(places: int) -> None:
    found = limits.Limits(places)
    assert found.narrow <= found.source <= found.known <= found.link <= places // 2
    assert found.half < found.crowded < found.full < places


@pytest.mark.parametrize(("places", "source", "known"), [(100, "200", "200"), (24_700, "1235", "4940")])
def test_an_address_makes_as_many_connections_in_ten_seconds_as_it_may_have(
    places: int, source: str, known: str
) -> None:
    told = limits.Limits(places).for_haproxy()
    assert (told["MCS_SOURCE_RATE"], told["MCS_KNOWN_RATE"]) == (source, known)


def test_an_office_has_room_for_hundreds_in_the_smallest_pod_that_is_tested() -> None:
    assert limits.limits(50_000, 512 * MEBIBYTE).known >= 500


@pytest.mark.parametrize(
    ("told", "expected"),
    [("536870912\n", 536870912), ("max\n", None), ("", None), ("9223372036854771712", None), ("-1", None)],
)
def test_the_memory_is_what_the_control_group_tells(tmp_path: Path, told: str, expected: int | None) -> None:
    (tmp_path / "memory.max").write_text(told)
    assert limits.memory((tmp_path / "missing", tmp_path / "memory.max")) == expected
