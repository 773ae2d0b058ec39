"""The plugin as a whole: what goes wrong on this machine is one line, and it begins quickly."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_it_begins_without_what_only_the_operator_needs() -> None:
    code = "import sys; import mcs_operator.cli.main; print([m for m in ('kopf', 'pytest') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
