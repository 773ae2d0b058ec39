"""The kubectl plugin as an installation has it in its bin."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from support.api import ROOT, Api, Object


def write_plugin(folder: Path) -> None:
    """The programs of `kubectl mcs`, for a folder on the PATH."""
    for program, module in (("kubectl-mcs", "main"), ("kubectl_complete-mcs", "complete")):
        script = folder / program
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT / 'operator')!r})\n"
            f"from mcs_operator.cli.{module} import main\nmain()\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


def planned(api: Api, folder: Path, body: Object) -> Object:
    """What `kubectl mcs plan` says of applying this one object; the plugin is in ``folder``."""
    where = (f"--kubeconfig={api.kubeconfig}", f"--namespace={api.namespace}", "--output=json")
    done = subprocess.run(
        ["kubectl", "mcs", "plan", "-f", "-", *where],
        input=json.dumps(body),
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3, 4), done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    return dict(told)
