"""All files of a release, and their digests."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcsrelease import images, krew, provenance, sbom, signing
from mcsrelease.archives import write_tar
from mcsrelease.chart import build_chart
from mcsrelease.plugin import PLATFORMS, build_plugin
from mcsrelease.source import ROOT, digest, is_changed, moment, version

_NOWHERE = "https://releases.example.com/mcs-operator"


@dataclass(frozen=True)
class Wanted:
    """What was asked for. ``url``: where the plugin's archives will be; ``registry``: where the images will be;
    ``archives``: docker-archives that they are made of, by name."""

    platforms: tuple[str, ...]
    url: str
    registry: str
    archives: Mapping[str, Path]


def main(arguments: Sequence[str]) -> int:
    """Build; the folder is made anew."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--platform", action="append", choices=PLATFORMS, help="of the plugin; all of them unless told")
    parser.add_argument("--url", default=_NOWHERE, help="where the plugin's archives will be, for krew")
    parser.add_argument("--registry", default=images.LOCAL, help="where the images will be, for the chart")
    parser.add_argument("--without-images", action="store_true", help="where neither root nor a Docker engine is")
    parser.add_argument("--archive", action="append", metavar="NAME=FILE", help="images that were built elsewhere")
    parser.add_argument("--key", default="", help="cosign's, to sign with")
    parser.add_argument("--only-sign", action="store_true", help="what is in the folder, where the key is")
    chosen = parser.parse_args(arguments)
    if chosen.only_sign:
        signing.sign(chosen.folder, chosen.key)
        return 0
    if chosen.key and is_changed():
        print("release: not signed, and not built: the tree holds what no commit has", file=sys.stderr)
        return 1
    shutil.rmtree(chosen.folder, ignore_errors=True)
    chosen.folder.mkdir(parents=True)
    build(chosen.folder, wanted(chosen))
    print((chosen.folder / signing.SUMS).read_text(encoding="utf-8"), end="")
    if chosen.key:
        signing.sign(chosen.folder, chosen.key)
    else:
        print("release: not signed, as no key was named (KEY=)", file=sys.stderr)
    return 0


def wanted(chosen: argparse.Namespace) -> Wanted:
    """Images are built, unless they are given or there shall be none."""
    archives: dict[str, Path] = {}
    if chosen.archive:
        archives = {name: Path(file) for name, _, file in (text.partition("=") for text in chosen.archive)}
    elif not chosen.without_images:
        archives = images.build()
    return Wanted(tuple(chosen.platform or PLATFORMS), chosen.url, chosen.registry.rstrip("/"), archives)


def build(folder: Path, wanted: Wanted) -> None:
    """Write everything into this folder."""
    number = version()
    plugins(folder, number, wanted.platforms, wanted.url)
    build_chart(folder / f"mcs-operator-{number}.tgz")
    shutil.copyfile(ROOT / "CHANGELOG.md", folder / "CHANGELOG.md")
    locked = sbom.of_pip((ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))
    bills = {f"kubectl-mcs-{number}.cdx.json": sbom.bill("kubectl-mcs", number, moment(), locked)}
    named = {}
    if wanted.archives:
        release = images.write_images(folder, number, wanted.registry, wanted.archives)
        bills |= images.bills(release)
        named = {f"{wanted.registry}/{name}": image.digest for name, image in release.images.items()}
    for name, text in bills.items():
        (folder / name).write_text(text, encoding="utf-8")
    asked = {"platforms": wanted.platforms, "url": wanted.url, "registry": wanted.registry}
    statement = provenance.statement(digests(folder), named, asked)
    (folder / signing.PROVENANCE).write_text(statement, encoding="utf-8")
    sums = [f"{digest}  {name}\n" for name, digest in digests(folder).items()]
    (folder / signing.SUMS).write_text("".join(sums), encoding="utf-8")


def plugins(folder: Path, number: str, platforms: Iterable[str], url: str) -> None:
    """The plugin as one file, the same in an archive for krew, and krew's manifest."""
    archives = {}
    for platform in platforms:
        program = folder / f"kubectl-mcs-{number}-{platform}"
        archive = folder / krew.archive_name(number, platform)
        build_plugin(program, platform, number)
        write_tar(archive, {"kubectl-mcs": program.read_bytes()}, moment(), mode=0o755)
        archives[platform] = digest(archive)
    (folder / "mcs.yaml").write_text(krew.manifest(number, url, archives), encoding="utf-8")


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by name."""
    return {path.name: digest(path) for path in sorted(folder.iterdir())}
