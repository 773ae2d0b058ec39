"""What the agent makes of the supervisors' state files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mcs_operator.agent.slots import Slots, parse
from mcs_operator.agent.tunnel import Slot
from mcs_operator.domain.linkstate import MAX_MESSAGE, SlotState


def write(run: Path, number: int, **said: object) -> Path:
    """As the supervisor does: a new file takes the old one's place."""
    file = run / f"link-{number:03d}" / "state.json"
    file.parent.mkdir(exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({"revision": None, "pid": None, "state": "Idle", "error": None} | said))
    draft.replace(file)
    return file


def test_an_empty_volume_has_no_news(tmp_path: Path) -> None:
    assert list(Slots(tmp_path).changed()) == []


@pytest.mark.parametrize("numbers", [[2], [251], [2, 17, 251], list(range(2, 252))])
def test_every_slot_is_told_once(tmp_path: Path, numbers: list[int]) -> None:
    for number in numbers:
        write(tmp_path, number, state="Running", revision="abc")
    slots = Slots(tmp_path)
    assert list(slots.changed()) == [(number, Slot(SlotState.RUNNING, "abc")) for number in numbers]
    assert list(slots.changed()) == []


@pytest.mark.parametrize("number", [0, 1, 252])
def test_other_numbers_are_no_slots(tmp_path: Path, number: int) -> None:
    write(tmp_path, number, state="Running")
    assert list(Slots(tmp_path).changed()) == []


def test_only_the_slot_that_changed_is_told_again(tmp_path: Path) -> None:
    for number in (2, 3):
        write(tmp_path, number, state="Running", revision="abc")
    slots = Slots(tmp_path)
    list(slots.changed())
    write(tmp_path, 3, state="Quarantined", revision="abc", error="revision is not the SHA-256 of the set")
    assert list(slots.changed()) == [(3, Slot(SlotState.QUARANTINED, "abc", "revision is not the SHA-256 of the set"))]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"state": "Dancing"}', "{}", '{"state": ["Idle"]}'])
def test_a_file_that_makes_no_sense_is_no_news(tmp_path: Path, text: str) -> None:
    write(tmp_path, 2).write_text(text)
    write(tmp_path, 3, state="Running")
    assert [number for number, _ in Slots(tmp_path).changed()] == [3]


def test_an_error_is_bounded() -> None:
    slot = parse(json.dumps({"state": "Quarantined", "error": "x" * 9000}).encode())
    assert len(slot.error or "") == MAX_MESSAGE


def test_a_link_out_of_the_slots_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = write(tmp_path, 3, state="Running", revision="of another slot")
    (tmp_path / "link-002").mkdir()
    (tmp_path / "link-002" / "state.json").symlink_to(elsewhere)
    assert [number for number, _ in Slots(tmp_path).changed()] == [3]


@pytest.mark.timeout(5)
def test_a_pipe_in_the_files_place_does_not_stop_the_agent(tmp_path: Path) -> None:
    (tmp_path / "link-002").mkdir()
    os.mkfifo(tmp_path / "link-002" / "state.json")
    assert list(Slots(tmp_path).changed()) == []


def test_a_file_that_was_cut_off_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path, 2).write_text('{"state":')
    slots = Slots(tmp_path)
    assert list(slots.changed()) == []
    write(tmp_path, 2, state="Running", revision="abc")
    assert list(slots.changed()) == [(2, Slot(SlotState.RUNNING, "abc"))]
