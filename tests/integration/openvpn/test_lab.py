"""The laboratory itself, where it has to clean up behind others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.lab import Namespace, remove_abandoned, sh
from support.waiting import until


@pytest.fixture
def abandoned() -> Iterator[str]:
    """A host of a run that was cut off: its process is gone, its namespace and what runs inside are not."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    name = f"mcs-{gone.pid}-1-tvox"
    sh("ip", "netns", "add", name)
    yield name
    if Path("/run/netns", name).exists():
        sh("ip", "netns", "del", name)


def test_hosts_of_a_run_that_was_cut_off_are_removed_with_what_runs_there(abandoned: str) -> None:
    lives = f"mcs-{os.getpid()}-0-alive"
    sh("ip", "netns", "add", lives)
    try:
        with subprocess.Popen(["ip", "netns", "exec", abandoned, "sleep", "60"]) as sleeper:
            until("it runs there", lambda: str(sleeper.pid) in sh("ip", "netns", "pids", abandoned).split())
            remove_abandoned.__wrapped__()
            assert sleeper.wait(5) == -9
        assert not Path("/run/netns", abandoned).exists()
        assert Path("/run/netns", lives).exists()
    finally:
        sh("ip", "netns", "del", lives)


def test_a_host_that_is_closed_leaves_no_child_of_its_programs(tmp_path: Path) -> None:
    """A supervisor that is ended at once has no time to end its openvpn."""
    host = Namespace("parent")
    host.start(tmp_path / "log", "sh", "-c", "sleep 60 & echo $!; wait")
    child = until("its child runs", lambda: (tmp_path / "log").read_text().strip())
    host.close()

    def is_dead() -> bool:
        try:
            return "(sleep) Z" in Path("/proc", child, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    until("it is dead, too", is_dead, 5)
