"""Packages on a cold machine, where tests, node and images ask for theirs at once: the real script, a fake apt."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.api import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the script installs nothing unless it is root")

# As apt does: fails at once where another one reads the package lists. `busy` holds failures that are still to come.
FAKE_APT = """#!/bin/bash
echo "$*" >>"$FAKES/calls"
if [[ $1 == update ]]; then
  if [[ -s $FAKES/busy ]]; then
    sed -i 1d "$FAKES/busy"; echo "E: Could not get lock /var/lib/apt/lists/lock"; exit 100
  fi
  if [[ -e $FAKES/offline ]]; then echo "E: no network"; exit 100; fi
  mkdir "$FAKES/lock" || { echo "E: Could not get lock /var/lib/apt/lists/lock"; exit 100; }
  /bin/sleep 0.3; rmdir "$FAKES/lock"
  exit 0
fi
for word; do [[ $word == have-* ]] && touch "$FAKES/$word.installed"; done
exit 0
"""
FAKE_QUERY = """#!/bin/bash
[[ -e $FAKES/${*: -1}.installed ]] && echo -n 'install ok installed'
"""


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    for name, text in (
        ("apt-get", FAKE_APT),
        ("dpkg-query", FAKE_QUERY),
        ("sleep", f"#!/bin/sh\necho waited >>{tmp_path}/calls\n"),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def begin(fakes: Path, *packages: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PATH": f"{fakes}:{os.environ['PATH']}", "FAKES": str(fakes)}
    command = [str(ROOT / "hack" / "prepare"), *packages]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def calls(fakes: Path) -> list[str]:
    return (fakes / "calls").read_text().splitlines() if (fakes / "calls").exists() else []


def test_several_at_once_wait_for_each_other_and_the_same_package_is_installed_once(fakes: Path) -> None:
    running = [begin(fakes, name) for name in ("have-a", "have-b", "have-a")]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted(call.split()[-1] for call in calls(fakes) if call.startswith("install")) == ["have-a", "have-b"]


def test_what_is_there_costs_nothing(fakes: Path) -> None:
    (fakes / "have-a.installed").touch()
    process = begin(fakes, "have-a")
    assert process.communicate(timeout=60)[0] == "" and process.returncode == 0
    assert calls(fakes) == []


def test_a_strangers_apt_is_waited_for(fakes: Path) -> None:
    (fakes / "busy").write_text("1\n2\n")
    process = begin(fakes, "have-a")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert [call.split()[0] for call in calls(fakes)] == ["update", "waited", "update", "waited", "update", "install"]
    assert said.count("another apt-get is at work") == 1


def test_another_failure_is_told_at_once(fakes: Path) -> None:
    (fakes / "offline").touch()
    process = begin(fakes, "have-a")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "E: no network" in said
    assert [call.split()[0] for call in calls(fakes)] == ["update"]
