"""The plugin as a whole: what goes wrong on this machine is one line, and it begins quickly."""

from __future__ import annotations

import base64
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcs_operator.cli import main
from mcs_operator.cli.views import profile_of, restart_waits
from support.api import ROOT


def test_a_file_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> None:
        Path("/nowhere/at/all").touch()

    monkeypatch.setattr(main, "cli", fails)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "Error: /nowhere/at/all: No such file or directory\n"


@pytest.mark.parametrize("entry", ["&&&", "/w==", base64.b64encode(b"\xff").decode(), "", "aGk"])
def test_a_profile_that_is_no_text_is_none(entry: str) -> None:
    assert profile_of({"data": {"acme.ovpn": entry}}, "acme") is None


def test_a_profile_is_the_entry_of_its_link() -> None:
    entry = base64.b64encode(b"client\n").decode()
    assert profile_of({"data": {"acme.ovpn": entry}}, "acme") == "client\n"
    assert profile_of({"data": {"other.ovpn": entry}}, "acme") is None
    assert profile_of({"data": None}, "acme") is None


@pytest.mark.parametrize(
    ("reason", "causes", "said"),
    [
        ("Waiting", ["SpecChanged", "RestartRequested"], "why"),
        ("Waiting", ["SpecChanged"], ""),
        ("Draining", ["RestartRequested"], ""),
        ("UpToDate", [], ""),
    ],
)
def test_a_restart_that_waits_for_its_hour_is_not_waited_for(reason: str, causes: list[str], said: str) -> None:
    """Until Sunday, at a terminal."""
    pending = {"type": "RestartPending", "status": "True", "reason": reason, "message": "why"}
    status = {"conditions": [pending], "disruptions": [{"cause": cause} for cause in causes]}
    assert restart_waits({"status": status}) == said


SLOW_TO_LOAD = {
    *("aiohttp", "asyncio", "cronsim", "cryptography", "jinja2", "kopf", "kubernetes", "pydantic", "pytest", "ssl"),
    *("yaml", "mcs_operator.api", "mcs_operator.domain", "mcs_operator.render", "mcs_operator.pki"),
}
"""Half a second together, and no part of how a command line may go on."""
HELP = [("--help",), *((name, "--help") for name in main.cli.commands)]
TO_COMPLETE = [
    ("",),
    ("st",),
    ("status", "-"),
    ("profile", ""),
    ("password", "acme/"),
    ("plan", "-n", ""),
    ("size", ""),
]


def loaded(module: str, *arguments: str) -> set[str]:
    """What is loaded after a program of the plugin has answered; kubectl is not on the PATH."""
    code = (
        f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"from mcs_operator.cli.{module} import main; sys.argv[1:] = {list(arguments)}; main()"
    )
    environment = {"PYTHONPATH": str(ROOT / "operator"), "PATH": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("module", "arguments"), [*(("main", words) for words in HELP), *(("complete", words) for words in TO_COMPLETE)]
)
def test_help_and_completion_load_nothing_that_takes_long(module: str, arguments: tuple[str, ...]) -> None:
    assert loaded(module, *arguments) & SLOW_TO_LOAD == set()


@pytest.mark.parametrize(("module", "arguments"), [("main", ("--help",)), ("complete", ("rotate", ""))])
def test_help_and_completion_take_four_tenths_of_a_second_of_processor_at_most(
    module: str, arguments: tuple[str, ...]
) -> None:
    """The better of two: the first one reads from the disk what others wait for, too."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    taken = []
    for _ in range(2):
        before = spent()
        loaded(module, *arguments)
        taken.append(spent() - before)
    assert min(taken) < 0.4, taken


def test_a_command_is_there_although_nothing_of_it_was_loaded() -> None:
    found = CliRunner().invoke(main.cli, ["size", "2500", "--output=json"])
    assert (found.exit_code, json.loads(found.output)["tier"]) == (0, "UpTo10000")
