"""All files of a release, and their digests."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from mcsrelease import krew, sbom
from mcsrelease.archives import write_tar
from mcsrelease.chart import build_chart
from mcsrelease.plugin import PLATFORMS, build_plugin
from mcsrelease.source import ROOT, moment, version

SUMS = "SHA256SUMS"
_NOWHERE = "https://releases.example.com/mcs-operator"


def main(arguments: Sequence[str]) -> int:
    """Build; the folder is made anew."""
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--platform", action="append", choices=PLATFORMS, help="of the plugin; all of them unless told")
    parser.add_argument("--url", default=_NOWHERE, help="where the plugin's archives will be, for krew")
    chosen = parser.parse_args(arguments)
    shutil.rmtree(chosen.folder, ignore_errors=True)
    chosen.folder.mkdir(parents=True)
    build(chosen.folder, chosen.platform or list(PLATFORMS), chosen.url)
    for line in (chosen.folder / SUMS).read_text(encoding="utf-8").splitlines():
        print(line)
    return 0


def build(folder: Path, platforms: Iterable[str], url: str) -> None:
    """Write everything into this folder."""
    number = version()
    plugins(folder, number, platforms, url)
    build_chart(folder / f"mcs-operator-{number}.tgz")
    for name, text in bills(number).items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copyfile(ROOT / "CHANGELOG.md", folder / "CHANGELOG.md")
    sums = [f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")


def plugins(folder: Path, number: str, platforms: Iterable[str], url: str) -> None:
    """The plugin as one file, the same in an archive for krew, and krew's manifest."""
    digests = {}
    for platform in platforms:
        program = folder / f"kubectl-mcs-{number}-{platform}"
        archive = folder / krew.archive_name(number, platform)
        build_plugin(program, platform, number)
        write_tar(archive, {"kubectl-mcs": program.read_bytes()}, moment(), mode=0o755)
        digests[platform] = digest(archive)
    (folder / "mcs.yaml").write_text(krew.manifest(number, url, digests), encoding="utf-8")


def bills(number: str) -> dict[str, str]:
    """One for what is made of Python alone (operator, link agent, plugin), one for the reference appliance."""
    locks, appliance = ROOT / "requirements", ROOT / "images" / "appliance"
    operator = sbom.of_pip((locks / "runtime.txt").read_text(encoding="utf-8"))
    parts = sbom.of_pip((appliance / "requirements.txt").read_text(encoding="utf-8"))
    parts += sbom.of_npm((appliance / "web" / "package-lock.json").read_text(encoding="utf-8"))
    for module in sorted(appliance.glob("go/*/go.mod")):
        parts += sbom.of_go(module.read_text(encoding="utf-8"))
    return {
        f"mcs-operator-{number}.cdx.json": sbom.bill("mcs-operator", number, moment(), operator),
        f"mcs-appliance-{number}.cdx.json": sbom.bill("mcs-appliance", number, moment(), parts),
    }


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
