"""A release as a team consumes it: `make release` builds it and then runs these, by nothing but what it has built."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from release.layout import Layout
from support.api import ROOT

PLATFORM = "linux-amd64"
RELEASE = Path(os.environ.get("MCS_RELEASE", ROOT / "build" / "release"))
SAMPLES = ROOT / "manifests" / "samples" / "demo"
IMAGES = ("operator", "link", "appliance")
DIFFERS_BY_PLATFORM = {"SHA256SUMS", "mcs.yaml", "provenance.intoto.json"}


@pytest.fixture(scope="module")
def sums() -> dict[str, str]:
    """SHA-256 of each file, by name, as the release tells it."""
    lines = (RELEASE / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


@pytest.fixture(scope="module")
def images() -> dict[str, dict[str, str]]:
    """File, digest and platform of each, by name."""
    told: dict[str, dict[str, str]] = json.loads((RELEASE / "images.json").read_text())
    assert set(told) == set(IMAGES)
    return told


def the(ending: str) -> Path:
    """The file with this ending."""
    (found,) = RELEASE.glob(f"*{ending}")
    return found


def digests(folder: Path) -> dict[str, str]:
    """Of what is in it, but for the digests themselves and signatures."""
    files = [
        path for path in folder.iterdir() if path.name != "SHA256SUMS" and not path.name.endswith(".sigstore.json")
    ]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_file_is_what_its_digest_says(sums: dict[str, str]) -> None:
    assert digests(RELEASE) == sums


@pytest.mark.timeout(600)
def test_built_again_it_is_the_same_to_the_byte(sums: dict[str, str], tmp_path: Path) -> None:
    """In another time zone, with other default modes, into another folder."""
    command = [sys.executable, ROOT / "hack" / "release" / "release", tmp_path / "again", "--platform", PLATFORM]
    done = subprocess.run(command, env=os.environ | {"TZ": "Asia/Tokyo"}, umask=0o077, check=False)
    assert done.returncode == 0
    named_by_registry = {name for name in sums if name.endswith((".values.yaml", f"-{version()}.yaml"))}
    again = {name: digest for name, digest in digests(tmp_path / "again").items() if name not in DIFFERS_BY_PLATFORM}
    expected = {name: sums[name] for name in again}
    assert {name for name in again if again[name] != expected[name]} <= named_by_registry
    assert set(sums) - set(again) == DIFFERS_BY_PLATFORM - {"SHA256SUMS"} | {
        name for name in sums if re.search(r"-(linux-arm64|darwin-arm64)(\.tar\.gz)?$", name)
    }


def version() -> str:
    """Of this release."""
    return the(".tgz").name.removeprefix("mcs-operator-").removesuffix(".tgz")


# --- the plugin ---


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


def test_krews_manifest_has_each_archive_with_its_digest(sums: dict[str, str]) -> None:
    platforms = yaml.safe_load((RELEASE / "mcs.yaml").read_text())["spec"]["platforms"]
    assert {p["uri"].rsplit("/", 1)[1]: p["sha256"] for p in platforms} == {
        name: digest for name, digest in sums.items() if name.startswith("kubectl-mcs-") and name.endswith(".tar.gz")
    }


def test_krew_installs_it_and_it_runs(tmp_path: Path) -> None:
    """Krew itself, by the manifest and the archive of this machine's platform; nothing is fetched."""
    programs = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}
    krew = os.environ | programs | {"HOME": str(tmp_path), "KREW_ROOT": str(tmp_path / "krew")}
    what = [f"--manifest={the('mcs.yaml')}", f"--archive={the(f'-{PLATFORM}.tar.gz')}"]
    command = [ROOT / "hack" / "tool", "krew", "install", *what]
    done = subprocess.run(command, env=krew, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = [tmp_path / "krew" / "bin" / "kubectl-mcs", "--version"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    said = subprocess.run(installed, env=environment, text=True, capture_output=True, check=False)
    assert said.stdout.startswith("kubectl mcs, version"), said.stderr


def test_the_bill_of_the_plugin_has_every_package_that_is_in_each_of_its_files_and_no_other() -> None:
    bill = json.loads(the(f"kubectl-mcs-{version()}.cdx.json").read_text())
    told = {component["purl"] for component in bill["components"]}
    programs = [path for path in RELEASE.glob("kubectl-mcs-*") if path.suffix not in (".gz", ".json")]
    assert programs
    assert {path.name: python_packages(path) for path in programs} == {path.name: told for path in programs}


def python_packages(program: Path) -> set[str]:
    """As a bill names them, of what pip has installed; our own package is what the bill is about."""
    listed = re.compile(r"site/(?!mcs_operator-)([^/]+)-([^/-]+)\.dist-info/METADATA$")
    with zipfile.ZipFile(program) as opened:
        found = [match for name in opened.namelist() if (match := listed.match(name))]
    return {f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{number}" for name, number in (m.groups() for m in found)}


# --- images ---


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_a_whole_oci_layout_with_the_digest_that_is_told(
    images: dict[str, dict[str, str]], name: str
) -> None:
    layout = Layout(RELEASE / images[name]["file"])
    assert layout.damaged() == []
    assert layout.manifest_digest == images[name]["digest"]
    assert f"{layout.config['os']}/{layout.config['architecture']}" == images[name]["platform"]
    assert layout.config["config"]["Entrypoint"]
    # A slot needs root in its container, for the device of its tunnel; nobody else does.
    assert layout.config["config"].get("User", "") == ("" if name == "link" else "65532:65532")


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_no_trace_of_the_machine_and_the_time_that_it_was_built(
    images: dict[str, dict[str, str]], name: str
) -> None:
    layout = Layout(RELEASE / images[name]["file"])
    entries = list(layout.entries())
    assert {entry.mtime for entry, _ in entries} == {1}
    files = {entry.name: content for entry, content in entries if entry.isreg()}
    assert [path for path in files if path.startswith(("var/log/", "var/cache/", "tmp/", "root/.cache"))] == []
    assert [files[path] for path in ("etc/resolv.conf", "etc/hostname") if files.get(path, b"")] == []
    assert files.get("etc/machine-id", b"").strip() in (b"", b"uninitialized")
    assert [path for path in files if path.startswith("etc/apt/auth.conf")] == []
    sources = b"".join(text for path, text in files.items() if path.startswith("etc/apt/sources.list"))
    assert set(re.findall(rb"https?://([^/\s]+)", sources)) <= {b"deb.debian.org"}, "a mirror of the machine's own"
    stale = [path for path in files if path.endswith(".pyc") and files[path][4:8] == bytes(4) and is_stale(files[path])]
    assert stale == [], "Python would compile these anew at each start"


def is_stale(module: bytes) -> bool:
    """Whether it was compiled from a source of another time than all files have."""
    return int.from_bytes(module[8:12], "little") != 1


@pytest.mark.parametrize("name", IMAGES)
def test_the_bill_of_an_image_has_every_package_of_debian_and_of_python_that_is_in_it_and_no_other(
    images: dict[str, dict[str, str]], name: str
) -> None:
    layout = Layout(RELEASE / images[name]["file"])
    bill = json.loads(the(f"mcs-{name}-{version()}.cdx.json").read_text())
    assert bill["metadata"]["component"]["hashes"][0]["content"] == images[name]["digest"].removeprefix("sha256:")
    told = {c["purl"].partition("@")[0] for c in bill["components"]}
    assert {purl for purl in told if purl.startswith("pkg:deb/")} == {
        f"pkg:deb/debian/{package}".replace("+", "%2B") for package in layout.debian_packages()
    }
    assert {purl for purl in told if purl.startswith("pkg:pypi/")} == {
        f"pkg:pypi/{package}" for package in layout.python_packages()
    }
    assert any(purl.startswith("pkg:golang/") for purl in told) == (name == "appliance")


# --- chart and manifest ---


def rendered(chart: Path, *options: str) -> str:
    command = [ROOT / "hack" / "helm", "template", "mcs-operator", chart, "--namespace", "mcs-system", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_packaged_chart_renders_as_the_folder_does() -> None:
    assert rendered(the(".tgz")) == rendered(ROOT / "charts" / "mcs-operator")


def test_chart_and_manifest_run_the_images_of_this_release_by_their_digests(images: dict[str, dict[str, str]]) -> None:
    by_helm = rendered(the(".tgz"), f"--values={the('.values.yaml')}")
    by_kubectl = the(f"mcs-operator-{version()}.yaml").read_text()
    for text in (by_helm, by_kubectl):
        named = set(re.findall(r"[^\s\"']+/(operator|link):\S*?@(sha256:[0-9a-f]{64})", text))
        assert named == {(name, images[name]["digest"]) for name in ("operator", "link")}
        assert not re.search(r"/(operator|link):[^@\s]+(\s|\"|$)", text), "one goes by its tag alone"


# --- bills ---


def test_the_bills_are_in_the_form_of_cyclonedx() -> None:
    bills = [json.loads(path.read_text()) for path in RELEASE.glob("*.cdx.json")]
    assert len(bills) == 1 + len(IMAGES)
    for bill in bills:
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
        refs = [component["bom-ref"] for component in bill["components"]]
        assert len(refs) == len(set(refs)) > 30
