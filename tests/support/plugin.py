"""The kubectl plugin as an installation has it in its bin."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from support.api import ROOT


def write_plugin(folder: Path) -> None:
    """The programs of `kubectl mcs`, for a folder on the PATH."""
    for program, module in (("kubectl-mcs", "main"), ("kubectl_complete-mcs", "complete")):
        script = folder / program
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'operator')!r})\n"
            f"from mcs_operator.cli.{module} import main\nmain()\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
