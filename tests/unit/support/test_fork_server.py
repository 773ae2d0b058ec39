"""A forked operator is a process as any other: its own arguments, environment, log and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support.api import ROOT
from support.fork_server import ForkServer
from support.waiting import until

PROGRAM = "mcs_operator.__main__"
MAKER = f"""
import sys, time
from pathlib import Path
from support.fork_server import ForkServer
server = ForkServer({PROGRAM!r}, ())
print(server.begin(["run"], {{"KUBECONFIG": sys.argv[1]}}, Path(sys.argv[2])).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def server() -> ForkServer:
    return ForkServer(PROGRAM, ())


def test_it_has_the_arguments_the_log_and_the_exit_code_of_its_own(server: ForkServer, tmp_path: Path) -> None:
    one, other = (server.begin(["run", option], {}, tmp_path / option) for option in ("--help", "--nonsense"))
    assert (one.wait(20), other.wait(20)) == (0, 2)
    assert "usage: mcs-operator run" in (tmp_path / "--help").read_text()
    assert "unrecognized arguments: --nonsense" in (tmp_path / "--nonsense").read_text()


def test_it_has_the_environment_that_it_is_given_and_no_other(server: ForkServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert server.begin(["run"], {"MCS_AGENT_RESOURCES": "much"}, log).wait(20) == 2
    assert "MCS_AGENT_RESOURCES is 'much'" in log.read_text()
    assert server.begin(["run"], {"KUBECONFIG": str(tmp_path / "nowhere")}, log).wait(20) == 1


def test_who_kills_it_is_told_by_which_signal_and_until_then_it_runs(server: ForkServer, tmp_path: Path) -> None:
    process = server.begin(["run"], {}, tmp_path / "log")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(20) == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # to nobody: its number may be another one's


def test_it_ends_with_who_made_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path / "nowhere"), str(tmp_path / "log")]
    places = f"{ROOT / 'operator'}:{ROOT / 'tests'}"
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": places}) as maker:
        assert maker.stdout
        pid = int(maker.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # it would end by itself, for it finds no cluster
        maker.kill()
    try:
        until("it has ended", lambda: not Path(f"/proc/{pid}").exists(), 20)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
