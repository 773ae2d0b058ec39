"""A release as a team consumes it: `make release` builds it and then runs these, by nothing but what it has built."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.api import ROOT

PLATFORM = "linux-amd64"
RELEASE = Path(os.environ.get("MCS_RELEASE", ROOT / "build" / "release"))
SAMPLES = ROOT / "manifests" / "samples" / "demo"


@pytest.fixture(scope="module")
def sums() -> dict[str, str]:
    """SHA-256 of each file, by name, as the release tells it."""
    lines = (RELEASE / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def the(ending: str) -> Path:
    """The file with this ending."""
    (found,) = RELEASE.glob(f"*{ending}")
    return found


def test_every_file_is_what_its_digest_says(sums: dict[str, str]) -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in RELEASE.iterdir()}
    del found["SHA256SUMS"]
    assert found == sums


@pytest.mark.timeout(600)
def test_built_again_it_is_the_same_to_the_byte(sums: dict[str, str], tmp_path: Path) -> None:
    """In another time zone, with other default modes, into another folder."""
    command = [sys.executable, ROOT / "hack" / "release" / "release", tmp_path / "again", "--platform", PLATFORM]
    done = subprocess.run(command, env=os.environ | {"TZ": "Asia/Tokyo"}, umask=0o077, check=False)
    assert done.returncode == 0
    again = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "again").iterdir()}
    of_all_platforms = {"SHA256SUMS", "mcs.yaml"}
    assert {name: sums[name] for name in again if name not in of_all_platforms} == {
        name: digest for name, digest in again.items() if name not in of_all_platforms
    }
    assert len(again) == 8


def plugin(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the system's Python, which has none of our packages."""
    python, environment = Path("/usr/bin/python3"), {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    command = [python, "-I", the(f"-{PLATFORM}"), *arguments]
    return subprocess.run(command, cwd=home, env=environment, text=True, capture_output=True, check=False)


def test_the_plugin_runs_from_one_file_without_pip(tmp_path: Path) -> None:
    done = plugin(tmp_path, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kubectl mcs, version")
    good = plugin(tmp_path, "validate", "-f", str(SAMPLES))
    assert good.returncode == 0, good.stderr + good.stdout
    rendered = plugin(tmp_path, "render", "-f", str(SAMPLES))
    assert rendered.returncode == 0, rendered.stderr
    assert "StatefulSet" in rendered.stdout


def test_krew_installs_what_is_there(sums: dict[str, str]) -> None:
    platforms = yaml.safe_load((RELEASE / "mcs.yaml").read_text())["spec"]["platforms"]
    assert {p["uri"].rsplit("/", 1)[1]: p["sha256"] for p in platforms} == {
        name: digest for name, digest in sums.items() if name.startswith("kubectl-mcs-") and name.endswith(".tar.gz")
    }


def rendered(chart: Path) -> str:
    command = [ROOT / "hack" / "helm", "template", "mcs-operator", chart, "--namespace", "mcs-system"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_packaged_chart_renders_as_the_folder_does() -> None:
    (chart,) = RELEASE.glob("mcs-operator-*.tgz")
    assert rendered(chart) == rendered(ROOT / "charts" / "mcs-operator")


def test_the_bills_are_in_the_form_of_cyclonedx() -> None:
    bills = [json.loads(path.read_text()) for path in RELEASE.glob("*.cdx.json")]
    assert len(bills) == 2
    for bill in bills:
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
        refs = [component["bom-ref"] for component in bill["components"]]
        assert len(refs) == len(set(refs)) > 30
