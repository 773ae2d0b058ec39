"""What the agent makes of the supervisors' state files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mcs_operator.agent import slots
from mcs_operator.agent.inputs import Slot
from mcs_operator.agent.slots import UNREADABLE, Slots, parse
from mcs_operator.contract.linkstate import MAX_MESSAGE, SlotState


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
    looks = Slots(tmp_path)
    assert list(looks.changed()) == [(number, Slot(SlotState.RUNNING, "abc")) for number in numbers]
    assert list(looks.changed()) == []


@pytest.mark.parametrize("number", [0, 1, 252])
def test_other_numbers_are_no_slots(tmp_path: Path, number: int) -> None:
    write(tmp_path, number, state="Running")
    assert list(Slots(tmp_path).changed()) == []


def test_only_the_slot_that_changed_is_told_again(tmp_path: Path) -> None:
    for number in (2, 3):
        write(tmp_path, number, state="Running", revision="abc")
    looks = Slots(tmp_path)
    list(looks.changed())
    write(tmp_path, 3, state="Quarantined", revision="abc", error="revision is not the SHA-256 of the set")
    assert list(looks.changed()) == [(3, Slot(SlotState.QUARANTINED, "abc", "revision is not the SHA-256 of the set"))]


DAMAGED = [
    "",
    "{",
    "[]",
    "null",
    '{"state": "Dancing"}',
    "{}",
    '{"state": ["Idle"]}',
    "[" * 16_000,
    '"\\ud800"',
    "9" * 9000,
]


@pytest.mark.parametrize("text", [*DAMAGED, " " * 20_000])
def test_a_file_that_makes_no_sense_is_that_slots_error_and_no_one_elses(tmp_path: Path, text: str) -> None:
    write(tmp_path, 2).write_text(text)
    write(tmp_path, 3, state="Running", revision="abc")
    (damaged, well) = Slots(tmp_path).changed()
    assert well == (3, Slot(SlotState.RUNNING, "abc"))
    assert (damaged[0], damaged[1].state) == (2, SlotState.QUARANTINED)
    assert (damaged[1].error or "").startswith(UNREADABLE)


def test_a_damaged_file_takes_nothing_back_that_was_known_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 2, state="Running", revision="abc", pid=7)
    looks = Slots(tmp_path)
    list(looks.changed())
    for size in (1, 2, 3):
        write(tmp_path, 2).write_text("[" * size)
        ((_, slot),) = looks.changed()
        assert (slot.state, slot.revision, slot.pid) == (SlotState.QUARANTINED, "abc", 7)
    assert len(caplog.records) == 1
    write(tmp_path, 2, state="Running", revision="abc", pid=7)
    assert list(looks.changed()) == [(2, Slot(SlotState.RUNNING, "abc", pid=7))]


@pytest.mark.parametrize("raw", [text.encode() for text in DAMAGED] + [b"\xff", b"\x00"])
def test_parsing_never_raises(raw: bytes) -> None:
    assert parse(raw) is None


@pytest.mark.parametrize("revision", [7, [], {}, "", None])
def test_a_revision_is_a_text(revision: object) -> None:
    assert parse(json.dumps({"state": "Running", "revision": revision}).encode()) == Slot(SlotState.RUNNING)


def test_no_control_character_and_no_half_of_a_pair_gets_into_the_report() -> None:
    raw = b'{"state": "Quarantined", "error": "a\\u0000b\\u202ec\\ud800d\\n"}'
    assert parse(raw) == Slot(SlotState.QUARANTINED, None, "a b c d ")


def test_an_error_is_bounded() -> None:
    slot = parse(json.dumps({"state": "Quarantined", "error": "x" * 9000}).encode())
    assert slot == Slot(SlotState.QUARANTINED, None, "x" * MAX_MESSAGE)


def test_a_link_out_of_the_slots_folder_is_not_followed(tmp_path: Path) -> None:
    elsewhere = write(tmp_path, 3, state="Running", revision="of another slot")
    (tmp_path / "link-002").mkdir()
    (tmp_path / "link-002" / "state.json").symlink_to(elsewhere)
    told = dict(Slots(tmp_path).changed())
    assert told[2] == Slot(SlotState.QUARANTINED, None, UNREADABLE + "is no regular file")


@pytest.mark.timeout(5)
def test_a_pipe_in_the_files_place_does_not_stop_the_agent(tmp_path: Path) -> None:
    (tmp_path / "link-002").mkdir()
    os.mkfifo(tmp_path / "link-002" / "state.json")
    looks = Slots(tmp_path)
    assert [slot.state for _, slot in looks.changed()] == [SlotState.QUARANTINED]
    assert list(looks.changed()) == [], "told once"


@pytest.mark.parametrize(("size", "read"), [(16 * 1024, True), (16 * 1024 + 1, False)])
def test_a_file_is_read_up_to_its_limit(tmp_path: Path, size: int, read: bool) -> None:
    write(tmp_path, 2).write_text('{"state": "Running"}'.ljust(size))
    ((_, slot),) = Slots(tmp_path).changed()
    assert slot.error == (None if read else UNREADABLE + "has more than 16384 bytes")


@pytest.mark.parametrize(("pid", "told"), [(0, 0), (2**22, 2**22), (2**22 + 1, 2**22), (-1, None), ("7", None)])
def test_a_process_has_a_number_that_linux_gives(pid: object, told: int | None) -> None:
    assert parse(json.dumps({"state": "Running", "pid": pid}).encode()) == Slot(SlotState.RUNNING, pid=told)


@pytest.mark.timeout(5)
def test_neither_a_link_nor_a_pipe_is_read_that_came_in_the_files_place_since_it_was_looked_at(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert slots._read(str(tmp_path / "pipe")) == b""
    write(tmp_path, 2, state="Running")
    (tmp_path / "link").symlink_to(tmp_path / "link-002" / "state.json")
    with pytest.raises(OSError):
        slots._read(str(tmp_path / "link"))


def test_no_file_is_left_open(tmp_path: Path) -> None:
    looks = Slots(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for revision in ("a", "b", "c"):
        write(tmp_path, 2, state="Running", revision=revision)
        list(looks.changed())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_cannot_be_opened_is_that_slots_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link was put in its place since it was looked at, or the slot keeps others from reading it."""
    write(tmp_path, 2, state="Running")

    def refuse(_: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(slots, "_read", refuse)
    ((_, slot),) = Slots(tmp_path).changed()
    assert slot.error == UNREADABLE + "cannot be opened: Permission denied"


def test_a_file_that_was_cut_off_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path, 2).write_text('{"state":')
    looks = Slots(tmp_path)
    assert [slot.state for _, slot in looks.changed()] == [SlotState.QUARANTINED]
    write(tmp_path, 2, state="Running", revision="abc")
    assert list(looks.changed()) == [(2, Slot(SlotState.RUNNING, "abc"))]
