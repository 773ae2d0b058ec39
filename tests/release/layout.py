"""An OCI archive, read by nothing but what its own files say."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class Layout:
    """The one image of an archive."""

    def __init__(self, archive: Path) -> None:
        with tarfile.open(archive) as opened:
            self.files = {entry.name: content.read() for entry in opened if (content := opened.extractfile(entry))}
        (self._told,) = json.loads(self.files["index.json"])["manifests"]

    @property
    def manifest_digest(self) -> str:
        """Its name in a registry."""
        return str(self._told["digest"])

    @cached_property
    def manifest(self) -> Object:
        """The manifest."""
        return dict(json.loads(self.blob(self._told)))

    @cached_property
    def config(self) -> Object:
        """The configuration."""
        return dict(json.loads(self.blob(self.manifest["config"])))

    def blob(self, descriptor: Object) -> bytes:
        """What a descriptor names."""
        return self.files[f"blobs/{descriptor['digest'].replace(':', '/')}"]

    def damaged(self) -> list[str]:
        """What is not what it is said to be, or is missing."""
        descriptors = [self._told, self.manifest["config"], *self.manifest["layers"]]
        wrong = [d["digest"] for d in descriptors if not self._is_whole(d)]
        plain = [_digest(gzip.decompress(self.blob(layer))) for layer in self.manifest["layers"]]
        return wrong + [digest for digest in self.config["rootfs"]["diff_ids"] if digest not in plain]

    def _is_whole(self, descriptor: Object) -> bool:
        content = self.blob(descriptor)
        return _digest(content) == descriptor["digest"] and len(content) == descriptor["size"]

    def entries(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        """All entries of all layers, with the content of files."""
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.blob(layer)))) as opened:
                for entry in opened:
                    content = opened.extractfile(entry) if entry.isreg() else None
                    yield entry, content.read() if content else b""

    def debian_packages(self) -> set[str]:
        """Names, from the files that dpkg keeps for each package: its status is what the bill was made from."""
        listed = re.compile(r"var/lib/dpkg/info/([^/:]+)(?::[^/]+)?\.list$")
        return {match[1] for entry, _ in self.entries() if (match := listed.match(entry.name))}

    def python_packages(self) -> set[str]:
        """Names as PyPI has them, of what pip has installed."""
        installed = re.compile(r"opt/(?:mcs|lib)/([^/]+)-[^/-]+\.dist-info/RECORD$")
        found = {match[1] for entry, _ in self.entries() if (match := installed.match(entry.name))}
        return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
