"""What a test's own Docker engine would leave behind is found, and an engine that does not end says so: with shells in
its place."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.docker_engine import end
from support.processes import processes_at
from support.waiting import until

Start = Callable[..., "subprocess.Popen[bytes]"]
DEAF = "(trap '' TERM; touch begun; while :; do sleep 0.1; done) & "
"""A first process that SIGTERM does not end."""


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Shells in a folder of their own; all that they began ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(script: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        known: dict[str, Any] = {"cwd": tmp_path_factory.mktemp("shell"), "start_new_session": True} | options
        process = subprocess.Popen(["sh", "-c", script, "sh", *arguments], **known)
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_whose_command_names_the_folder_is_found_and_is_gone_when_it_has_ended(
    tmp_path: Path, start: Start
) -> None:
    assert processes_at(tmp_path) == {}
    process = start("sleep 60; true", f"--data-root={tmp_path}/data")
    until("it is found", lambda: process.pid in processes_at(tmp_path), 5)
    assert f"--data-root={tmp_path}/data" in processes_at(tmp_path)[process.pid]
    process.kill()
    process.wait()
    assert process.pid not in processes_at(tmp_path)


def test_one_that_stands_in_the_folder_is_found(tmp_path: Path, start: Start) -> None:
    process = start("exec sleep 60", cwd=tmp_path)
    until("it sleeps", lambda: processes_at(tmp_path) == {process.pid: "sleep 60"}, 5)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_one_for_which_something_of_the_folder_is_mounted_is_found_where_nobody_else_has_that_mount(
    tmp_path: Path, start: Start
) -> None:
    mounted = "exec unshare --mount sh -c 'mount --bind \"$OF_FOLDER\" /mnt && exec sleep 60'"
    process = start(mounted, env=os.environ | {"OF_FOLDER": str(tmp_path)})
    until("it sleeps", lambda: processes_at(tmp_path) == {process.pid: "sleep 60"}, 5)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_an_engine_that_is_deaf_is_killed_with_its_first_process(tmp_path: Path, start: Start) -> None:
    holder = start(f"{DEAF} wait", cwd=tmp_path)
    until("it has begun", (tmp_path / "begun").exists, 5)
    end(holder, patience=0.3)
    assert holder.returncode is not None
    until("nobody is left", lambda: processes_at(tmp_path) == {}, 5)


def test_an_engine_that_goes_on_after_that_is_told(tmp_path: Path, start: Start) -> None:
    holder = start(f"{DEAF} wait; exec sleep 60", cwd=tmp_path)
    until("it has begun", (tmp_path / "begun").exists, 5)
    with pytest.raises(RuntimeError, match="goes on after SIGKILL"):
        end(holder, patience=0.3)


def test_one_that_has_ended_already_is_let_be(start: Start) -> None:
    holder = start("exit 3")
    holder.wait()
    end(holder, patience=0.3)
    assert holder.returncode == 3
