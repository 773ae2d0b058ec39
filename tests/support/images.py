"""Images under other names, on a node of our own: there is no registry."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from support.api import ROOT
from support.cluster import CLUSTER


def load_under_another_name(image: str, name: str) -> None:
    """Have the node hold the content of an image that is built here under this name, too."""
    built = subprocess.run([ROOT / "hack" / "images" / "build"], stdout=subprocess.PIPE, text=True, check=True)
    if not any(load_renamed(Path(archive), image, name) for archive in built.stdout.split()):
        raise AssertionError(f"{image} is not built here")


def load_renamed(archive: Path, image: str, name: str) -> bool:
    """Have the node hold this docker-archive's image under this name alone; whether it is in there."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        found = _renamed(archive, Path(file.name), image, name)
        if found:
            subprocess.run([CLUSTER, "load", file.name], check=True, stdout=subprocess.DEVNULL)
        return found


def _renamed(archive: Path, copy: Path, image: str, name: str) -> bool:
    """Write the docker-archive anew with this name alone; whether it is of the image at all."""
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        content = source.extractfile("manifest.json")
        assert content is not None
        manifest = json.load(content)
        if image not in manifest[0]["RepoTags"]:
            return False
        manifest[0]["RepoTags"] = [name]
        for member in source:
            if member.name in ("manifest.json", "repositories"):
                continue
            target.addfile(member, source.extractfile(member) if member.isfile() else None)
        text = json.dumps(manifest[:1]).encode()
        changed = tarfile.TarInfo("manifest.json")
        changed.size = len(text)
        target.addfile(changed, io.BytesIO(text))
    return True
