"""What a release is made of: each byte follows from the sources, and the plugin starts from one file."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from support.api import ROOT

HASHES = "0" * 64, "f" * 64
PIP = f"""\
aiohttp==3.14.5 \\
    --hash=sha256:{HASHES[1]} \\
    --hash=sha256:{HASHES[0]}
# a comment
typing_Extensions==4.16.0 ; python_version < '4' \\
    --hash=sha256:{HASHES[0]}
"""
NPM = {
    "": {"name": "pages", "version": "0.0.0"},
    "node_modules/react": {"version": "19.3.1", "integrity": "sha512-" + base64.b64encode(b"x" * 64).decode()},
    "node_modules/@bufbuild/protobuf": {"version": "1.10.1"},
    "node_modules/a/node_modules/b": {"version": "2.0.0"},
    "node_modules/vite": {"version": "6.4.6", "dev": True},
}
GO = """\
module relay

go 1.26

tool example.com/cmd/server

require github.com/pion/turn/v4 v4.1.4

require (
	cel.dev/expr v0.25.2 // indirect
	buf.build/gen/go/x v1.36.11-20260709200747-435963d16310.1 // indirect
)
"""

CHANGELOG = """\
# Changelog

## 2.0

### Added

- One
  of two lines.
- Two.

### Fixed

- Three.

## 1.0

### Added

- Old.
"""

Part = Callable[[str], ModuleType]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Part:
    """Gives the module of this name."""
    monkeypatch.syspath_prepend(str(ROOT / "hack"))
    monkeypatch.syspath_prepend(str(ROOT / "hack" / "release"))
    return importlib.import_module


# --- archives ---


def test_archives_are_the_same_whatever_the_order_of_their_files_and_the_time(
    release: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives, files = release("mcsrelease.archives"), {"b/x": b"1", "a": b"2" * 10_000}
    for name, content in (("one", files), ("two", dict(reversed(files.items())))):
        archives.write_zip(tmp_path / f"{name}.zip", content, b"#!/bin/sh\n")
        archives.write_tar(tmp_path / f"{name}.tgz", content, 1_700_000_000)
        later = time.time() + 5000
        monkeypatch.setattr(time, "time", lambda later=later: later)
    for kind in ("zip", "tgz"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert archives.read_tar(tmp_path / "one.tgz") == files
    with tarfile.open(tmp_path / "one.tgz") as packed:
        assert [(entry.name, entry.mtime, entry.uid) for entry in packed] == [
            ("a", 1_700_000_000, 0),
            ("b/x", 1_700_000_000, 0),
        ]


# --- the plugin ---


def a_plugin(release: Part, folder: Path, pythons: tuple[str, ...] = (), **modules: str) -> Path:
    """One whose modules only say that they run."""
    known = {
        "mcs_operator/__init__.py": "",
        "mcs_operator/cli/__init__.py": "",
        "mcs_operator/cli/main.py": "import sys\ndef main(): print('plugin', *sys.argv[1:], __file__)",
        "mcs_operator/cli/complete.py": "def main(): print('completions')",
    } | modules
    content = {name: text.encode() for name, text in known.items()}
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    release("mcsrelease.plugin").write_plugin(folder / "kubectl-mcs", content, pythons or (here,), "1.0")
    return folder / "kubectl-mcs"


def started(
    program: Path, *arguments: str, home: Path, path: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": path or f"{Path(sys.executable).parent}:/usr/bin:/bin"} | more
    return subprocess.run([program, *arguments], env=environment, text=True, capture_output=True, check=False)


def test_the_plugin_starts_as_one_file_and_unpacks_itself_once(release: Part, tmp_path: Path) -> None:
    program = a_plugin(release, tmp_path)
    first = started(program, "status", home=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"plugin status {tmp_path}/.cache/kubectl-mcs/")
    (folder,) = (tmp_path / ".cache" / "kubectl-mcs").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    before = (folder / "site").stat().st_mtime_ns
    assert started(program, home=tmp_path).returncode == 0
    assert (folder / "site").stat().st_mtime_ns == before
    assert [path.name for path in (tmp_path / ".cache" / "kubectl-mcs").iterdir()] == [folder.name]


def test_another_release_has_a_folder_of_its_own(release: Part, tmp_path: Path) -> None:
    for text in ("", "# changed"):
        program = a_plugin(release, tmp_path, **{"mcs_operator/__init__.py": text})
        assert started(program, home=tmp_path).returncode == 0
    assert len(list((tmp_path / ".cache" / "kubectl-mcs").iterdir())) == 2


def test_without_a_home_it_runs_from_a_folder_that_is_gone_afterwards(release: Part, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    done = started(a_plugin(release, tmp_path), home=tmp_path / "file", TMPDIR=str(tmp_path / "tmp"))
    assert done.stdout.startswith("plugin"), done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_somebody_else_may_write_to_is_not_run(release: Part, tmp_path: Path) -> None:
    program = a_plugin(release, tmp_path)
    assert started(program, home=tmp_path).returncode == 0
    (folder,) = (tmp_path / ".cache" / "kubectl-mcs").iterdir()
    folder.chmod(0o777)
    done = started(program, home=tmp_path)
    assert done.returncode == 1
    assert "cannot unpack itself" in done.stderr


def test_by_its_other_name_it_completes_command_lines(release: Part, tmp_path: Path) -> None:
    other = tmp_path / "kubectl_complete-mcs"
    other.symlink_to(a_plugin(release, tmp_path))
    assert started(other, home=tmp_path).stdout == "completions\n"


def test_a_python_that_it_has_no_modules_for_is_named_and_another_one_beside_it_is_taken(
    release: Part, tmp_path: Path
) -> None:
    program, found = a_plugin(release, tmp_path, pythons=("3.98", "3.99")), tmp_path / "bin"
    done = started(program, home=tmp_path)
    assert done.returncode == 1
    assert "needs Python 3.98, 3.99; this is 3." in done.stderr
    found.mkdir()
    (found / "python3.98").write_text('#!/bin/sh\necho "in the other: $2"\n')
    (found / "python3.98").chmod(0o755)
    path = f"{found}:{Path(sys.executable).parent}:/usr/bin:/bin"
    assert started(program, "links", home=tmp_path, path=path).stdout == "in the other: links\n"


def test_modules_of_all_pythons_are_in_it_and_what_differs_under_one_name_is_no_release(release: Part) -> None:
    plugin = release("mcsrelease.plugin")
    trees = {"a.py": b"1", "x.cpython-311.so": b"2"}, {"a.py": b"1", "x.cpython-312.so": b"3"}
    assert set(plugin.merged(trees)) == {"a.py", "x.cpython-311.so", "x.cpython-312.so"}
    with pytest.raises(plugin.ConflictError, match=r"a\.py"):
        plugin.merged([{"a.py": b"1"}, {"a.py": b"2"}])


def test_of_what_is_installed_programs_and_its_own_story_are_left_out(release: Part, tmp_path: Path) -> None:
    kept = "a/__init__.py", "a-1.dist-info/METADATA", "a-1.dist-info/licenses/LICENSE", "a/RECORD"
    left_out = (
        "bin/a",
        "a/__pycache__/x.pyc",
        "a-1.dist-info/RECORD",
        "a-1.dist-info/WHEEL",
        "a-1.dist-info/sboms/a.json",
        ".lock",
    )
    for name in (*kept, *left_out):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert set(release("mcsrelease.plugin").read_tree(tmp_path)) == set(kept)


def test_every_python_that_the_plugin_has_modules_for_is_one_that_the_operator_takes(release: Part) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first, *_ = release("mcsrelease.plugin").PYTHONS
    assert project["requires-python"] == f">={first}"


# --- krew ---


def test_krew_finds_each_platforms_archive_with_its_digest(release: Part) -> None:
    text = release("mcsrelease.krew").manifest(
        "1.2.3", "https://example.com/r/", {"linux-amd64": "ab", "darwin-arm64": "cd"}
    )
    plugin = yaml.safe_load(text)
    assert plugin["metadata"]["name"] == "mcs"
    assert plugin["spec"]["version"] == "v1.2.3"
    told = {(p["selector"]["matchLabels"]["os"], p["uri"], p["sha256"]) for p in plugin["spec"]["platforms"]}
    assert told == {
        ("linux", "https://example.com/r/kubectl-mcs-1.2.3-linux-amd64.tar.gz", "ab"),
        ("darwin", "https://example.com/r/kubectl-mcs-1.2.3-darwin-arm64.tar.gz", "cd"),
    }
    assert len(plugin["spec"]["shortDescription"]) <= 50, "krew's own list would cut it"


# --- bills of materials ---


def test_a_bill_has_every_package_of_a_lock_file_with_its_hashes(release: Part) -> None:
    sbom = release("mcsrelease.sbom")
    found = {c["purl"]: c for c in sbom.of_pip(PIP)}
    assert set(found) == {"pkg:pypi/aiohttp@3.14.5", "pkg:pypi/typing-extensions@4.16.0"}
    files = found["pkg:pypi/aiohttp@3.14.5"]["externalReferences"]
    assert [file["hashes"] for file in files] == [[{"alg": "SHA-256", "content": text}] for text in HASHES]


def test_a_bill_of_pages_has_what_ends_up_in_them_and_not_what_builds_them(release: Part) -> None:
    found = {c["purl"]: c for c in release("mcsrelease.sbom").of_npm(json.dumps({"packages": NPM}))}
    assert set(found) == {"pkg:npm/react@19.3.1", "pkg:npm/%40bufbuild/protobuf@1.10.1", "pkg:npm/b@2.0.0"}
    ((known,),) = [file["hashes"] for file in found["pkg:npm/react@19.3.1"]["externalReferences"]]
    assert known == {"alg": "SHA-512", "content": (b"x" * 64).hex()}
    assert found["pkg:npm/%40bufbuild/protobuf@1.10.1"]["group"] == "@bufbuild"


def test_a_bill_has_every_module_of_a_go_program(release: Part) -> None:
    assert [c["purl"] for c in release("mcsrelease.sbom").of_go(GO)] == [
        "pkg:golang/github.com/pion/turn/v4@v4.1.4",
        "pkg:golang/cel.dev/expr@v0.25.2",
        "pkg:golang/buf.build/gen/go/x@v1.36.11-20260709200747-435963d16310.1",
    ]


def test_a_bill_names_itself_by_what_is_in_it(release: Part) -> None:
    sbom = release("mcsrelease.sbom")
    parts = sbom.of_pip(PIP)
    one, same, another = (sbom.bill("x", "1", 0, some) for some in (parts, parts[::-1], parts[:1]))
    assert one == same
    assert json.loads(one)["serialNumber"] != json.loads(another)["serialNumber"]
    assert json.loads(one)["metadata"]["timestamp"] == "1970-01-01T00:00:00Z"


def test_the_bills_have_all_that_is_locked(release: Part) -> None:
    operator, appliance = release("mcsrelease.main").bills("1").values()
    locked = [
        line for line in (ROOT / "requirements" / "runtime.txt").read_text().splitlines() if "==" in line.split(" ")[0]
    ]
    assert len(json.loads(operator)["components"]) == len(locked) > 30
    kinds = {c["purl"].split("/")[0] for c in json.loads(appliance)["components"]}
    assert kinds == {"pkg:pypi", "pkg:npm", "pkg:golang"}


# --- the changelog ---


def test_the_newest_version_of_the_changelog_is_the_one_that_is_built(release: Part) -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.split("\n## ")[1].split(" ")[0] == release("mcsrelease.source").version()


def test_the_chart_tells_artifact_hub_each_change_of_the_newest_version(release: Part) -> None:
    changes = release("generate_chart")._changes(CHANGELOG)
    assert changes == [
        {"kind": "added", "description": "One of two lines."},
        {"kind": "added", "description": "Two."},
        {"kind": "fixed", "description": "Three."},
    ]
    annotations = yaml.safe_load((ROOT / "charts" / "mcs-operator" / "Chart.yaml").read_text())["annotations"]
    told = yaml.safe_load(annotations["artifacthub.io/changes"])
    assert {change["kind"] for change in told} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    kinds = [kind["kind"] for kind in yaml.safe_load(annotations["artifacthub.io/crds"])]
    assert [example["kind"] for example in examples] == kinds
