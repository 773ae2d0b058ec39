"""The commands in a page of the documentation, as a reader runs them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.api import ROOT, Api

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page that are in exactly this language, such as ``sh`` or ``sh node``."""
    return [text for name, text in _BLOCK.findall(page.read_text()) if name == language]


def runbooks(language: str) -> Iterator[tuple[str, str]]:
    """Name and commands of each runbook that has some in this language."""
    for page in sorted((DOCS / "runbooks").glob("*.md")):
        for text in blocks(page, language):
            yield page.stem, text


def with_plugin(folder: Path) -> Path:
    """A folder with `kubectl mcs` and its completion, as an installation has them in its bin."""
    for program, module in (("kubectl-mcs", "main"), ("kubectl_complete-mcs", "complete")):
        script = folder / program
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'operator')!r})\n"
            f"from mcs_operator.cli.{module} import main\nmain()\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


def run(commands: str, api: Api, plugins: Path, **environment: str) -> str:
    """What the commands say; an error where one of them fails, or any part of a pipe."""
    known = os.environ | {
        "KUBECONFIG": str(api.kubeconfig),
        "PATH": f"{plugins}:{os.environ['PATH']}",
        **environment,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env=known,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{commands}{done.returncode}: {done.stderr}{done.stdout[-2000:]}"
    return done.stdout
