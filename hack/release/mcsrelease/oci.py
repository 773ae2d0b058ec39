"""Images as OCI archives, whose digests follow from what is in them: hack/images/build has them with the times and the
traces of that build.

Layers are told apart from images: their times are one constant and not the commit's, so that a registry and a node that
have the Debian packages of one release need not fetch them again for the next.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mcsrelease.source import digest

MOMENT = 1
"""The time of every file in a layer, in seconds since 1970. Not 0, which some programs take for none."""
DPKG_STATUS = "var/lib/dpkg/status"
_TRACES = ("var/cache/", "var/log/", "run/", "tmp/", "var/lib/apt/lists/")
"""Files below these say when, where and by whom it was built. Folders stay, as programs expect them."""
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_KEPT_OF_CONFIG = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "WorkingDir", "StopSignal", "Volumes")


@dataclass(frozen=True)
class Blob:
    """A file of an OCI archive."""

    path: Path
    digest: str
    media_type: str

    def descriptor(self) -> dict[str, Any]:
        """As manifests name it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.path.stat().st_size}


@dataclass(frozen=True)
class Layer:
    """``known``: files of it that bills of materials are made from."""

    blob: Blob
    diff_id: str
    known: dict[str, bytes]


@dataclass
class Layers:
    """The layers of all images of a release: each is written once, however many images have it."""

    folder: Path
    written: dict[str, Layer] = field(default_factory=dict)

    def of(self, archive: tarfile.TarFile, name: str) -> Layer:
        """The normalised one of a docker-archive's, which names layers by their content."""
        if name not in self.written:
            self.written[name] = self._write(archive, name)
        return self.written[name]

    def _write(self, archive: tarfile.TarFile, name: str) -> Layer:
        plain = self.folder / "layer.tar"
        with plain.open("wb") as out:
            known = normalise(_opened(archive, name), out)
        diff_id = f"sha256:{digest(plain)}"
        layer = Layer(_kept(_compressed(plain), _LAYER), diff_id, known)
        plain.unlink()
        return layer


@dataclass(frozen=True)
class Image:
    """An image of the release: its digest, and what bills of materials are made from, by path."""

    digest: str
    platform: str
    known: dict[str, bytes]


def write_image(
    archive: Path, target: Path, layers: Layers, labels: Mapping[str, str], created: str, name: str
) -> Image:
    """Write an OCI archive of a docker-archive. ``name`` is what a node calls it that imports the archive."""
    with tarfile.open(archive) as opened:
        (told,) = json.load(_opened(opened, "manifest.json"))
        config = json.load(_opened(opened, told["Config"]))
        found = [layers.of(opened, layer) for layer in told["Layers"]]
    body = {
        "created": created,
        "architecture": config["architecture"],
        "os": config["os"],
        "config": {key: config["config"][key] for key in _KEPT_OF_CONFIG if config["config"].get(key)}
        | {"Labels": dict(labels)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in found]},
    }
    settings = _blob(layers.folder, body, _CONFIG)
    manifest = _blob(
        layers.folder,
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": settings.descriptor(),
            "layers": [layer.blob.descriptor() for layer in found],
            "annotations": dict(labels),
        },
        _MANIFEST,
    )
    _pack(target, manifest, [settings, *(layer.blob for layer in found)], name)
    known = {path: content for layer in found for path, content in layer.known.items()}
    return Image(manifest.digest, f"{body['os']}/{body['architecture']}", known)


def normalise(source: IO[bytes], target: IO[bytes]) -> dict[str, bytes]:
    """Copy a layer without what differs from build to build; the files that bills of materials are made from."""
    known = {}
    with tarfile.open(fileobj=source) as old, tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as new:
        for entry in old:
            if entry.isfile() and entry.name.startswith(_TRACES):
                continue
            content = _content(old, entry)
            new.addfile(_plain(entry, len(content)), io.BytesIO(content) if entry.isreg() else None)
            if entry.name == DPKG_STATUS or entry.name.endswith(".dist-info/METADATA"):
                known[entry.name] = content
    return known


def _content(layer: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    opened = layer.extractfile(entry) if entry.isreg() else None
    content = opened.read() if opened else b""
    if entry.name in ("etc/shadow", "etc/shadow-"):
        return _without_dates(content)
    if entry.name.endswith(".pyc"):
        return _compiled_from_normalised(content)
    return content


def _without_dates(shadow: bytes) -> bytes:
    """Without the day of the last change of each password, which is the day of the build; nobody here has one."""
    lines = [line.split(b":") for line in shadow.splitlines()]
    return b"".join(b":".join([*fields[:2], b"", *fields[3:]]) + b"\n" for fields in lines)


def _compiled_from_normalised(module: bytes) -> bytes:
    """A compiled module names the time of its source; by another one Python would compile it again at each start."""
    by_time = len(module) >= 16 and module[4:8] == bytes(4)
    return module[:8] + MOMENT.to_bytes(4, "little") + module[12:] if by_time else module


def _plain(entry: tarfile.TarInfo, size: int) -> tarfile.TarInfo:
    """The same, but for times, names of accounts, and what tar programs add of their own."""
    plain = tarfile.TarInfo(entry.name)
    for same in ("mode", "type", "linkname", "uid", "gid", "devmajor", "devminor"):
        setattr(plain, same, getattr(entry, same))
    plain.mtime = MOMENT
    plain.size = size if entry.isreg() else 0
    # Capabilities of programs are among them: without its own, ping needs root.
    plain.pax_headers = {key: value for key, value in entry.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    return plain


def _pack(target: Path, manifest: Blob, blobs: list[Blob], name: str) -> None:
    """An OCI layout, as one tar file."""
    named = {"org.opencontainers.image.ref.name": name.rpartition(":")[2], "io.containerd.image.name": name}
    index = {
        "schemaVersion": 2,
        "mediaType": _INDEX,
        "manifests": [manifest.descriptor() | {"annotations": named}],
    }
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
            text = _json(content)
            archive.addfile(_entry(path, len(text)), io.BytesIO(text))
        for blob in sorted({blob.digest: blob for blob in (manifest, *blobs)}.values(), key=lambda blob: blob.digest):
            with blob.path.open("rb") as content:
                path = f"blobs/{blob.digest.replace(':', '/')}"
                archive.addfile(_entry(path, blob.path.stat().st_size), content)


def _entry(path: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.mtime = size, 0o644, MOMENT
    return entry


def _opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    opened = archive.extractfile(name)
    if opened is None:
        raise ValueError(f"{archive.name!r} has no file {name}")
    return opened


def _compressed(plain: Path) -> Path:
    packed = plain.with_suffix(".tar.gz")
    with (
        plain.open("rb") as source,
        packed.open("wb") as out,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    return packed


def _blob(folder: Path, content: Mapping[str, Any], media_type: str) -> Blob:
    path = folder / "blob.json"
    path.write_bytes(_json(content))
    return _kept(path, media_type)


def _kept(path: Path, media_type: str) -> Blob:
    sha256 = digest(path)
    return Blob(path.rename(path.with_name(f"sha256-{sha256}")), f"sha256:{sha256}", media_type)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
