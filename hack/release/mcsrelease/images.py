"""The images of a release, what names them by digest, and their bills of materials."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from mcsrelease import oci, sbom
from mcsrelease.source import ROOT, commit, moment

NAMES = ("operator", "link", "appliance")
"""Those that a team runs; `tvox` stands in for a customer's site, in tests."""
LOCAL = "localhost/mcs"
"""Where images are that no registry has, as chart and manifests name them."""
_DISTRIBUTION = "debian-12"
_METADATA = re.compile(r"/([^/]+)-([^/-]+)\.dist-info/METADATA$")
_VALUES = """\
# For Helm: the images of release {version}, by digest, where you have pushed them to.
# `spec.image` of an MCSInstance for the reference appliance:
#   {appliance}
"""


@dataclass(frozen=True)
class Release:
    """The images of one: ``registry`` is where they will be."""

    version: str
    registry: str
    images: dict[str, oci.Image]

    def reference(self, name: str) -> str:
        """By tag, for people, and by digest, which counts."""
        return f"{self.registry}/{name}:{self.version}@{self.images[name].digest}"


def write_images(folder: Path, version: str, registry: str, built: Mapping[str, Path]) -> Release:
    """An OCI archive of each, `images.json`, and what names them: values for the chart, and a manifest for kubectl."""
    created = datetime.fromtimestamp(moment(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    images = {}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        layers = oci.Layers(Path(scratch))
        for name, archive in built.items():
            labels = {
                "org.opencontainers.image.title": f"mcs-{name}",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": commit(),
                "org.opencontainers.image.created": created,
            }
            target = folder / archive_name(name, version)
            images[name] = oci.write_image(archive, target, layers, labels, created, f"{LOCAL}/{name}:{version}")
    release = Release(version, registry, images)
    told = {
        name: {"file": archive_name(name, version), "digest": image.digest, "platform": image.platform}
        for name, image in images.items()
    }
    _write(folder / "images.json", json.dumps(told, indent=2) + "\n")
    _write(folder / f"mcs-operator-{version}.values.yaml", values(release))
    _write(folder / f"mcs-operator-{version}.yaml", manifest(release))
    return release


def build(names: tuple[str, ...] = NAMES) -> dict[str, Path]:
    """The docker-archive of each, by hack/images/build: from the cache of all, or from that which MCS_IMAGES_CACHE
    names. In an empty one they are built with Debian's packages of today."""
    cache = os.environ.get("MCS_IMAGES_CACHE")
    options = [f"--cache={cache}"] if cache else []
    command = [ROOT / "hack" / "images" / "build", *options, *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(names, map(Path, done.stdout.split()), strict=True))


def archive_name(name: str, version: str) -> str:
    """Of the OCI archive of this image."""
    return f"mcs-{name}-{version}.oci.tar"


def values(release: Release) -> str:
    """For `helm --values`."""
    named = {
        key: {
            "repository": f"{release.registry}/{name}",
            "tag": release.version,
            "digest": release.images[name].digest,
        }
        for key, name in (("image", "operator"), ("linkImage", "link"))
    }
    head = _VALUES.format(version=release.version, appliance=release.reference("appliance"))
    return head + yaml.safe_dump(named, sort_keys=False, width=200)


def manifest(release: Release) -> str:
    """manifests/install.yaml with these images."""
    text = (ROOT / "manifests" / "install.yaml").read_text(encoding="utf-8")
    for name in ("operator", "link"):
        text = text.replace(f"{LOCAL}/{name}:dev", release.reference(name))
    return text


def bills(release: Release) -> dict[str, str]:
    """What is in each image, by the name of the file."""
    found = {}
    for name, image in release.images.items():
        debian = sbom.of_debian(image.known[oci.DPKG_STATUS].decode(), _DISTRIBUTION)
        parts = [*installed(locked(name), image.known), *debian]
        text = sbom.bill(f"mcs-{name}", release.version, moment(), parts, image.digest)
        found[f"mcs-{name}-{release.version}.cdx.json"] = text
    return found


def locked(name: str) -> list[sbom.Component]:
    """What lock files bring into an image."""
    appliance = ROOT / "images" / "appliance"
    match name:
        case "operator":
            return sbom.of_pip(_read(ROOT / "requirements" / "runtime.txt"))
        case "appliance":
            modules = [part for file in sorted(appliance.glob("go/*/go.mod")) for part in sbom.of_go(_read(file))]
            pages = sbom.of_npm(_read(appliance / "web" / "package-lock.json"))
            return [*sbom.of_pip(_read(appliance / "requirements.txt")), *pages, *modules]
    return []


def installed(components: Iterable[sbom.Component], known: Mapping[str, bytes]) -> list[sbom.Component]:
    """Without those of Python that a lock file has for other systems and are not in the image."""
    names = [match.groups() for path in known if (match := _METADATA.search(path))]
    there = {(sbom.normal(name), version) for name, version in names}
    return [c for c in components if not c["purl"].startswith("pkg:pypi/") or (c["name"], c["version"]) in there]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
