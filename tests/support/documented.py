"""The commands in the documentation: where they stand, and what runs them.

A fenced block is commands where its language is ``sh`` or ``console``, or where it has none. What runs a block is said
by the word after the language, which no reader sees:

    ```sh           against a real API server: tests/integration/test_documentation.py
    ```sh node      against a real node, after the demo: tests/e2e/test_documentation.py
    ```sh first     against a node that has nothing of ours: tests/e2e/test_first_customer.py
    ```sh lab       in the network namespace of real tunnels: tests/integration/openvpn/test_firewall.py

In a console block with prompts the other lines are output. Commands that would stop or build what the tests themselves
stand on are named in ELSEWHERE, with the file that runs them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.api import ROOT
from support.plugin import write_plugin

SHELL = {"", "sh", "console"}
NO_SHELL = {"text", "yaml", "json", "promql"}
SERVER, NODE, FIRST, LAB = "", "node", "first", "lab"
NAMESPACE = "mcs-demo"
RUNBOOKS = "docs/runbooks/"

ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "make demo": ("tests/e2e/test_documentation.py", '"hack" / "demo" / "demo"'),
    "make demo-clean": ("tests/e2e/test_documentation.py", '"clean"'),
    "make deps plugin": ("tests/unit/hack/test_plugin.py", '"plugin", f"PREFIX={tmp_path}"'),
    "make test": (".ci/run", "exec make test"),
    "make docs": ("Makefile", "$(MAKE) --no-print-directory verify docs ||"),
    "make release": (".github/workflows/ci.yaml", "run: make release"),
    "make images": ("hack/test-e2e", "$(hack/images/build)"),
    'eval "$(make -s cluster-env)"': ("hack/test-e2e", 'eval "$(hack/cluster/cluster env)"'),
    "hack/cluster/cluster up": ("hack/test-e2e", "hack/cluster/cluster up"),
    'eval "$(hack/cluster/cluster env)"': ("hack/test-e2e", 'eval "$(hack/cluster/cluster env)"'),
    "hack/cluster/cluster load $(hack/images/build)": ("hack/test-e2e", "cluster load $(hack/images/build)"),
    "kubectl drain $NODE --ignore-daemonsets --delete-emptydir-data": (
        "tests/e2e/test_node_drain.py",
        '"drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data"',
    ),
    "kubectl taint node $NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute": (
        "tests/ecosystem/test_two_nodes.py",
        'OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"',
    ),
}
"""Command: the file that runs it, and the text in it that does."""

BY_HAND: Mapping[str, str] = {
    "export DOMAIN=mcs.example.com ADDRESS=203.0.113.10 NODE=media-1": "the reader's own; the test has its node's",
    "make cluster-down": "ends the node that the tests run on",
    "hack/cluster/cluster down": "the same",
    "hack/cluster/cluster check": "tries the node itself, after a change of it",
}
"""Commands that nothing runs, and why."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. ``place`` is ``docs/page.md:17``, ``words`` what follows the language."""

    place: str
    language: str
    words: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def where(self) -> str:
        """What its commands are run against: SERVER, NODE, FIRST or LAB."""
        return " ".join(self.words)

    @property
    def changes(self) -> bool:
        """Whether it ends with a change of objects: a reader looks at what comes of it before going on."""
        last = self.to_run()[-1:]
        return any(re.search(r"kubectl\b.* (annotate|apply|delete|patch) ", command) for command in last)

    def commands(self) -> list[str]:
        """What a reader types, without prompts; a line that goes on in the next one is one command."""
        if self.language not in SHELL:
            return []
        typed = [line.removeprefix("$ ") for line in self.lines if line.startswith("$ ")]
        joined = "\n".join(typed or self.lines).replace("\\\n", " ")
        return [command for line in joined.splitlines() if (command := _without_comment(line))]

    def shown(self) -> Iterator[tuple[str, list[str]]]:
        """Each command of a console block with prompts, and the output that the page shows for it."""
        for line in self.lines:
            if line.startswith("$ "):
                command, output = _without_comment(line.removeprefix("$ ")), []
                yield command, output
            elif any(line.startswith("$ ") for line in self.lines):
                output.append(line)

    def to_run(self) -> list[str]:
        """Its commands that neither something else runs nor nobody."""
        return [command for command in self.commands() if command not in ELSEWHERE and command not in BY_HAND]

    def script(self) -> list[str]:
        """The same for a shell that ends at a failure: a question whose answer is shown as no fails as it should."""
        denied = [command for command, output in list(self.shown()) if output == ["no"]]  # filled as it goes on
        return [_failing(command) if command in denied else command for command in self.to_run()]


def pages() -> list[str]:
    """Every page, by its path in the repository."""
    found = {
        path for pattern in ("README.md", "*/README.md", "*/*/README.md", "docs/**/*.md") for path in ROOT.glob(pattern)
    }
    names = {path.relative_to(ROOT) for path in found}
    return sorted(str(name) for name in names if name.parts[0] not in (".venv", "build"))


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    inside: list[str] = []
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if not line.lstrip().startswith("```"):
            inside.append(line)
        elif opened is None:
            opened, inside = (number, line.strip().removeprefix("```")), []
        else:
            language, *words = opened[1].split() or [""]
            found.append(Block(f"{page}:{opened[0]}", language, tuple(words), tuple(inside)))
            opened = None
    assert opened is None, f"{page}:{opened}: a block without an end"
    return found


def documents(page: str) -> list[dict[str, Any]]:
    """Every YAML document of a page, in order; some are a part of an object."""
    found = [block for block in blocks(page) if block.language == "yaml"]
    return [document for block in found for document in yaml.safe_load_all("\n".join(block.lines))]


def pages_to_run(where: str) -> list[str]:
    """Pages that have commands to be run there."""
    return [page for page in pages() if any(block.to_run() and block.where == where for block in blocks(page))]


def run(page: str, where: str, folder: Path, kubeconfig: Path) -> None:
    """Run the commands of a page in one shell, as a reader would whose namespace is the demo's.

    The folder gets the repository's files, so that paths in commands lead where they should and what they write stays
    out of it; and a folder of programs, with this repository's Helm and the plugin. Raises AssertionError where a
    command fails, or where a line that the page shows, one without a digit, was not among the answers.
    """
    own = [block for block in blocks(page) if block.where == where]
    named = blocks(f"{RUNBOOKS}README.md")[:1] if page.startswith(RUNBOOKS) else []
    script = ["set -euo pipefail", f"kubectl config set-context --current --namespace={NAMESPACE} >&2"]
    for block in (*named, *own):
        script += [f"echo '@ {block.place}' >&2", *block.script(), *(["sleep 2"] if block.changes else [])]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=_as_repository(folder),
        env=os.environ | {"KUBECONFIG": str(_copied(kubeconfig, folder)), "PATH": _path_with_programs(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{page}: a command failed\n{done.stderr[-3000:]}\n{done.stdout[-2000:]}"
    answered = [line.split() for line in done.stdout.splitlines()]
    for block in own:
        for command, shown in block.shown():
            for line in shown if command in block.to_run() else []:
                if not re.search(r"\d", line):  # what varies has a digit: an address, an age, a port
                    assert line.split() in answered, f"{block.place}: {command} does not answer {line!r}"


def _copied(kubeconfig: Path, folder: Path) -> Path:
    """Of its own, since its namespace is chosen."""
    return Path(shutil.copy(kubeconfig, folder / "kubeconfig"))


def _as_repository(folder: Path) -> Path:
    work = folder / "work"
    work.mkdir()
    for entry in ROOT.iterdir():
        (work / entry.name).symlink_to(entry)
    return work


def _path_with_programs(folder: Path) -> str:
    programs = folder / "bin"
    programs.mkdir()
    write_plugin(programs)
    (programs / "helm").symlink_to(ROOT / "hack" / "helm")
    return f"{programs}:{os.environ['PATH']}"


def _failing(command: str) -> str:
    """Not `! command`: what is inverted never ends a shell."""
    return f"if {command}; then echo 'this was to be denied' >&2; exit 1; fi"


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)# .*$", "", line).strip()
