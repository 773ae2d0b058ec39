"""What one process of the agent leaves to the next."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mcs_operator.agent.memory import _MAX_SIZE, Memory


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
