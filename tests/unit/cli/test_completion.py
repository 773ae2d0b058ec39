"""How a command line may go on: kubectl is asked with the options that stand on it so far."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mcs_operator.cli.complete import answer

ANSWERS = {
    "get tvoxlinks.mcs.tvox.io": "tvoxlink.mcs.tvox.io/acme\ntvoxlink.mcs.tvox.io/bolt\n",
    "get mcsinstances.mcs.tvox.io": "mcsinstance.mcs.tvox.io/mcs\n",
    "get communities.mcs.tvox.io --output=name": "community.mcs.tvox.io/acme\n",
    "get communities.mcs.tvox.io acme": "anna.rossi bea",
    "get namespaces": "namespace/default\nnamespace/mcs-demo\n",
    "config get-contexts": "kind\nprod\n",
}


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that answers, and writes down what it was asked; the file."""
    asked = tmp_path / "asked"
    cases = "\n".join(f"{shlex.quote(q)}*) printf %s {shlex.quote(said)};;" for q, said in ANSWERS.items())
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$*" >> {asked}\ncase "$*" in\n{cases}\n*) exit 1;;\nesac\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return asked


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param(["profile", ""], ["acme", "bolt", ":4"], id="links"),
        pytest.param(["rotate", "b"], ["bolt", ":4"], id="links that begin so"),
        pytest.param(["status", ""], ["mcs", ":4"], id="instances"),
        pytest.param(["restart", ""], ["mcs", ":4"], id="the instance to restart"),
        pytest.param(["links", "-n", ""], ["default", "mcs-demo", ":4"], id="namespaces"),
        pytest.param(["links", "--namespace", "m"], ["mcs-demo", ":4"], id="namespaces that begin so"),
        pytest.param(["links", "--context", ""], ["kind", "prod", ":4"], id="contexts"),
        pytest.param(["password", ""], ["acme/", ":6"], id="a community, and a user is to follow"),
        pytest.param(["password", "acme/a"], ["acme/anna.rossi", ":4"], id="users of a community"),
        pytest.param(["password", "nobody/"], [":4"], id="users of no community"),
        pytest.param(["plan", "-f", ""], [":0"], id="files"),
        pytest.param(["nothing-such", ""], None, id="a command that there is not"),
    ],
)
def test_what_is_there_is_offered(kubectl: Path, words: list[str], found: list[str] | None) -> None:
    assert found is None or answer(words) == found
    assert answer(words)[-1].startswith(":")


def test_options_on_the_line_say_where_to_look(kubectl: Path) -> None:
    answer(["profile", "-n", "mcs-demo", "--context=prod", "--kubeconfig=k", "--as=jane", "--as-group=a", ""])
    (asked,) = kubectl.read_text().splitlines()
    assert asked == (
        "get tvoxlinks.mcs.tvox.io --output=name --request-timeout=5s --kubeconfig=k --context=prod --as=jane "
        "--namespace=mcs-demo --as-group=a"
    )


def test_without_a_cluster_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert answer(["profile", ""]) == [":4"]
    assert answer(["profile", "-n", "a\0b", ""]) == [":4"]
