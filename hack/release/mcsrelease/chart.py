"""The chart as an archive: as Helm packages it, but for the times, which Helm takes from the clock."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from mcsrelease.archives import read_tar, write_tar
from mcsrelease.source import ROOT, moment


def build_chart(path: Path) -> None:
    """Write charts/mcs-operator, with the files that Helm takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [ROOT / "hack" / "helm", "package", ROOT / "charts" / "mcs-operator", "--destination", folder]
        subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, check=True)
        (packed,) = Path(folder).iterdir()
        write_tar(path, read_tar(packed), moment())
