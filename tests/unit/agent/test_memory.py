"""What one process of the agent leaves to the next."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import cast

import pytest

from mcs_operator.agent import board
from mcs_operator.agent.memory import _MAX_SIZE, Memory, keep
from support.virtual_time import VirtualTime


def test_what_was_written_is_read_and_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "agent" / "links.json"
    Memory(file).write({"17": {"flaps": 1}})
    assert Memory(file).read() == {"17": {"flaps": 1}}
    assert [path.name for path in file.parent.iterdir()] == ["links.json"]


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    memory, file = Memory(tmp_path / "links.json"), tmp_path / "links.json"
    memory.write({"17": {}})
    before = file.stat().st_ino
    memory.write({"17": {}})
    assert file.stat().st_ino == before
    memory.write({"18": {}})
    assert file.stat().st_ino != before


def test_a_volume_that_cannot_be_written_to_is_said_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "agent").write_text("a file where the folder should be")
    memory = Memory(tmp_path / "agent" / "links.json")
    for flaps in range(3):
        memory.write_if_possible({"17": {"flaps": flaps}})
    assert len(caplog.records) == 1
    (tmp_path / "agent").unlink()
    memory.write_if_possible({"17": {"flaps": 2}})
    assert memory.read() == {"17": {"flaps": 2}}, "what could not be written is not taken for written"


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"[" * 100_000, b'{"17": ', b"\xff", b"9" * 9000])
def test_a_memory_that_makes_no_sense_is_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "links.json").write_bytes(raw)
    assert Memory(tmp_path / "links.json").read() == {}


def test_a_memory_beyond_measure_is_not_even_read(tmp_path: Path) -> None:
    (tmp_path / "links.json").write_text(json.dumps({"17": "x" * _MAX_SIZE}))
    assert Memory(tmp_path / "links.json").read() == {}


@pytest.mark.parametrize(("size", "read"), [(4 * 1024 * 1024, True), (4 * 1024 * 1024 + 1, False)])
def test_a_memory_may_have_four_mib(tmp_path: Path, size: int, read: bool) -> None:
    (tmp_path / "links.json").write_bytes(b'{"17": {}}'.ljust(size))
    assert Memory(tmp_path / "links.json").read() == ({"17": {}} if read else {})


def test_its_folder_is_its_own(tmp_path: Path) -> None:
    Memory(tmp_path / "agent" / "links.json").write({"17": {}})
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700


def test_a_write_that_was_cut_off_leaves_the_former_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path / "links.json")
    memory.write({"17": {}})

    def cut_off(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "replace", cut_off)
    memory.write_if_possible({"18": {}})
    assert memory.read() == {"17": {}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links.json", "links.new"]


def test_what_changed_is_written_every_second() -> None:
    class Board:
        def remembered(self) -> dict[str, object]:
            return {"at": asyncio.get_running_loop().time()}

    written = []

    class Remembering(Memory):
        def write_if_possible(self, content: dict[str, object]) -> None:
            written.append(content)

    async def story() -> None:
        async with asyncio.timeout(2.5):
            await keep(Remembering(Path("/nowhere")), cast(board.Board, Board()))

    with asyncio.Runner(loop_factory=VirtualTime) as runner, pytest.raises(TimeoutError):
        runner.run(story())
    assert written == [{"at": 1}, {"at": 2}]


@pytest.mark.parametrize("number", [0, 17])
def test_no_memory_is_an_empty_one_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    assert Memory(tmp_path / str(number) / "links.json").read() == {}
    assert caplog.records == []


def test_a_folder_in_its_place_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "links.json").mkdir()
    assert Memory(tmp_path / "links.json").read() == {}
    assert os.strerror(21) in caplog.text
