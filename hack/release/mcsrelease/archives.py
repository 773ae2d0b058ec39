"""Archives of which nothing depends on the machine, the time or the order of a folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can tell."""


def write_zip(path: Path, files: Mapping[str, bytes], first_line: bytes = b"") -> None:
    """A zip file; with a first line such as `#!/usr/bin/env python3` one that can be run."""
    with path.open("wb") as out:
        out.write(first_line)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _EARLIEST)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, files[name])
    if first_line:
        path.chmod(0o755)


def write_tar(path: Path, files: Mapping[str, bytes], moment: int, mode: int = 0o644) -> None:
    """A .tar.gz of files that all have this time, in seconds since 1970, and this mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(files[name]), moment, mode
            archive.addfile(entry, io.BytesIO(files[name]))
    with path.open("wb") as out, gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as packed:
        packed.write(buffer.getvalue())


def read_tar(path: Path) -> dict[str, bytes]:
    """The files of a .tar.gz."""
    with tarfile.open(path) as archive:
        return {entry.name: opened.read() for entry in archive if (opened := archive.extractfile(entry))}
