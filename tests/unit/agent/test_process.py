"""The agent's process: what it is given, what it logs, and how it ends."""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mcs_operator.agent import __main__ as process
from mcs_operator.agent import agent
from mcs_operator.agent.agent import Config

Run = Callable[[Config, asyncio.Event], Awaitable[None]]


def ended(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[object]]:
    """The exit code and the log, without its times."""
    monkeypatch.setattr(process, "run", run)
    root = logging.getLogger()
    with monkeypatch.context() as patch:  # `main` sets the process's logging: a process of its own would be a second
        patch.setattr(root, "handlers", [])
        patch.setattr(root, "level", root.level)
        code = process.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line.pop("time").endswith("+00:00") for line in lines)
    return code, lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(config: Config, stop: asyncio.Event) -> None:
        assert config == Config.from_environment({})
        logging.getLogger("mcs_operator.agent.agent").info("serving", extra={"details": {"port": config.port}})
        logging.getLogger("mcs_operator.agent.agent").debug("not told")
        signal.raise_signal(number)
        async with asyncio.timeout(5):
            await stop.wait()

    assert ended(run, monkeypatch, capsys) == (
        0,
        [{"level": "info", "message": "serving", "port": 21001}, {"level": "info", "message": "stopped"}],
    )


@pytest.mark.parametrize("error", [OSError("no port"), ValueError("no port")])
def test_what_it_lacks_ends_it_with_1_and_is_said_on_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_: Config, __: asyncio.Event) -> None:
        raise error

    said = {"level": "error", "message": "the agent cannot run: no port"}
    assert ended(run, monkeypatch, capsys) == (1, [said])


def test_as_a_module_it_runs_and_its_exit_code_is_the_processs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("MCS_RUN_DIR", "MCS_AGENT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(process.__file__), run_name="__main__")
    assert ended.value.code == 1
    assert "nowhere" in capsys.readouterr().out


def test_a_defect_is_logged_with_its_traceback_on_the_same_line() -> None:
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "it %s", ("failed",), None)
    record.created = 1_800_000_000.25
    line = {"time": "2027-01-15T08:00:00.250+00:00", "level": "error", "message": "it failed"}
    assert json.loads(process.JsonLines().format(record)) == line
    try:
        raise RuntimeError("a defect")
    except RuntimeError:
        record.exc_info = sys.exc_info()
    record.details = {"file": Path("/x")}
    told = json.loads(process.JsonLines().format(record))
    assert told.pop("exception").endswith("RuntimeError: a defect")
    assert told == line | {"file": "/x"}


def test_everything_it_is_told_is_taken_over() -> None:
    told = {
        "MCS_BASE_PORT": "1000",
        "MCS_AGENT_PORT": "7",
        "MCS_CONTRACT_URL": "http://127.0.0.1:8",
        "MCS_VPN_CIDR": "10.0.0.0/24",
        "MCS_INSTANCE": "demo",
        "MCS_NAMESPACE": "ns",
        "MCS_RUN_DIR": "/a",
        "MCS_MEMORY_DIR": "/b",
        "MCS_STOP_DIR": "/c",
        "MCS_AGENT_DIR": "/d",
    }
    wanted = Config(
        7, "http://127.0.0.1:8", "10.0.0.0/24", "demo", "ns", Path("/a"), Path("/b"), Path("/c"), Path("/d"), None
    )
    assert Config.from_environment(told) == wanted


def test_what_it_is_not_told_is_as_the_product_has_it() -> None:
    product = Config(
        port=21001,
        contract_url="http://127.0.0.1:21000",
        cidr="198.18.254.0/24",
        instance="",
        namespace="",
        run=Path("/run/links"),
        memory=None,
        stop=None,
        credentials=Path("/etc/agent"),
        host=None,
    )
    assert Config.from_environment({}) == product
    assert agent.Config.from_environment({"MCS_MEMORY_DIR": "", "MCS_STOP_DIR": ""}) == product
