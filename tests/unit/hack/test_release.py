"""What a release is made of: each byte follows from the sources, and the plugin starts from one file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import io
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

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u13
Description: a library
 of many lines: with colons

Package: login
Status: install ok installed
Architecture: amd64
Source: shadow (1:4.13+dfsg1)
Version: 1:4.13

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
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


def test_a_bill_of_an_image_has_the_debian_packages_that_are_installed_and_their_sources(release: Part) -> None:
    found = {c["purl"] for c in release("mcsrelease.sbom").of_debian(DPKG, "debian-12")}
    assert found == {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:deb/debian/login@1%3A4.13?arch=amd64&distro=debian-12&upstream=shadow%401%3A4.13%2Bdfsg1",
    }


def test_the_bills_have_all_that_is_locked(release: Part) -> None:
    images = release("mcsrelease.images")
    lines = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    assert len(images.locked("operator")) == len([line for line in lines if "==" in line.split(" ")[0]]) > 30
    kinds = {c["purl"].split("/")[0] for c in images.locked("appliance")}
    assert kinds == {"pkg:pypi", "pkg:npm", "pkg:golang"}


def test_of_the_locked_packages_a_bill_has_those_that_are_in_the_image(release: Part) -> None:
    images, oci = release("mcsrelease.images"), release("mcsrelease.oci")
    known = {
        "opt/mcs/typing_extensions-4.16.0.dist-info/METADATA": b"",
        "opt/mcs/aiohttp-3.13.0.dist-info/METADATA": b"",  # of another marker
        oci.DPKG_STATUS: DPKG.encode(),
    }
    found = images.installed(release("mcsrelease.sbom").of_pip(PIP), known)
    assert [c["purl"] for c in found] == ["pkg:pypi/typing-extensions@4.16.0"]


# --- images ---


def a_layer(entries: dict[str, bytes], moment: int) -> io.BytesIO:
    """As an engine writes it, at that time; a name that ends with / is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as layer:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.size, entry.mtime, entry.mode, entry.uname = len(content), moment, 0o755, "builder"
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.pax_headers = {"atime": str(moment + 0.5), "SCHILY.xattr.security.capability": "\x01\udcff\0"}
            layer.addfile(entry, io.BytesIO(content))
    out.seek(0)
    return out


def built_at(moment: int, source: bytes = b"x = 1\n") -> dict[str, bytes]:
    compiled = b"\xa7\r\r\n" + bytes(4) + moment.to_bytes(4, "little") + len(source).to_bytes(4, "little") + b"code"
    return {
        "etc/shadow": f"root:*:{moment // 86400}:0:99999:7:::\n".encode(),
        "opt/x.py": source,
        "opt/__pycache__/x.cpython-311.pyc": compiled,
        "run/adduser": b"",
        "var/log/": b"",
        "var/log/dpkg.log": str(moment).encode(),
        "var/lib/dpkg/status": DPKG.encode(),
    }


def test_a_layer_says_nothing_of_when_and_where_it_was_built(release: Part) -> None:
    oci, written = release("mcsrelease.oci"), []
    for moment in (1_700_000_000, 1_800_000_000):
        out = io.BytesIO()
        assert oci.normalise(a_layer(built_at(moment), moment), out) == {"var/lib/dpkg/status": DPKG.encode()}
        written.append(out.getvalue())
    assert written[0] == written[1]
    with tarfile.open(fileobj=io.BytesIO(written[0])) as layer:
        names = layer.getnames()
        assert "var/log" in names, "programs expect the folder"
        assert not {"var/log/dpkg.log", "run/adduser"} & set(names)
        entry = layer.getmember("opt/x.py")
        assert entry.mode == 0o755
        kept = {key: text for key, text in entry.pax_headers.items() if key != "hdrcharset"}
        assert kept == {"SCHILY.xattr.security.capability": "\x01\udcff\0"}, "ping would need root"


def test_a_compiled_module_fits_its_source_still(release: Part) -> None:
    """Or each start would compile it anew, which a read-only root does not keep."""
    out = io.BytesIO()
    release("mcsrelease.oci").normalise(a_layer(built_at(1_700_000_000), 1_700_000_000), out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as layer:
        compiled = layer.extractfile("opt/__pycache__/x.cpython-311.pyc")
        assert compiled
        assert int.from_bytes(compiled.read()[8:12], "little") == layer.getmember("opt/x.py").mtime


def an_archive(path: Path, *layers: dict[str, bytes], moment: int = 1_700_000_000) -> Path:
    """A docker-archive."""
    told = {"Config": "config.json", "RepoTags": ["localhost/mcs/x:dev"], "Layers": []}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "65532", "Labels": {"io.buildah.version": "1"}},
    }
    files = {"config.json": json.dumps(config | {"created": str(moment)}).encode()}
    for content in layers:
        layer = a_layer(content, moment).getvalue()
        name = f"{hashlib.sha256(layer).hexdigest()}.tar"
        told["Layers"].append(name)
        files[name] = layer
    release_file = json.dumps([told]).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in (files | {"manifest.json": release_file}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_an_image_of_the_same_content_has_the_same_digest_and_each_blob_is_what_its_name_says(
    release: Part, tmp_path: Path
) -> None:
    oci, images = release("mcsrelease.oci"), []
    for moment in (1_700_000_000, 1_800_000_000):
        folder = tmp_path / str(moment)
        folder.mkdir()
        archive = an_archive(folder / "docker.tar", {"usr/bin/x": b"1"}, built_at(moment), moment=moment)
        images.append(
            oci.write_image(archive, folder / "oci.tar", oci.Layers(folder), {"a": "b"}, "now", "localhost/mcs/x:1")
        )
    assert images[0].digest == images[1].digest
    packed = tmp_path / "1700000000" / "oci.tar"
    assert packed.read_bytes() == (tmp_path / "1800000000" / "oci.tar").read_bytes()
    with tarfile.open(packed) as layout:
        blobs = {entry.name: content.read() for entry in layout if (content := layout.extractfile(entry))}
    assert json.loads(blobs.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(blobs.pop("index.json"))
    assert all(name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for name, content in blobs.items())
    assert index["manifests"][0]["digest"] == images[0].digest
    manifest = json.loads(blobs[f"blobs/sha256/{images[0].digest.removeprefix('sha256:')}"])
    config = json.loads(blobs[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert config["config"] == {"User": "65532", "Labels": {"a": "b"}}
    layers = [gzip.decompress(blobs[f"blobs/{layer['digest'].replace(':', '/')}"]) for layer in manifest["layers"]]
    assert [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers] == config["rootfs"]["diff_ids"]


def test_chart_and_manifest_name_the_images_by_digest(release: Part) -> None:
    images, oci = release("mcsrelease.images"), release("mcsrelease.oci")
    known = {name: oci.Image(f"sha256:{name}", "linux/amd64", {}) for name in images.NAMES}
    made = images.Release("1.2", "registry.example.com/mcs", known)
    values = yaml.safe_load(images.values(made))
    assert values["linkImage"] == {
        "repository": "registry.example.com/mcs/link",
        "tag": "1.2",
        "digest": "sha256:link",
    }
    text = images.manifest(made)
    assert "image: registry.example.com/mcs/operator:1.2@sha256:operator" in text
    assert "localhost/" not in text


# --- where it is from ---


def test_the_provenance_names_what_was_built_and_the_commit_and_lock_files_that_it_was_built_from(
    release: Part,
) -> None:
    text = release("mcsrelease.provenance").statement({"a.tgz": "ab"}, {"r/operator": "sha256:cd"}, {"url": "u"})
    told = json.loads(text)
    assert told["subject"] == [
        {"name": "a.tgz", "digest": {"sha256": "ab"}},
        {"name": "r/operator", "digest": {"sha256": "cd"}},
    ]
    built_from = told["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert built_from[0] == {"name": "source", "digest": {"gitCommit": release("mcsrelease.source").commit()}}
    assert {"requirements/runtime.txt", "images/appliance/web/package-lock.json"} <= {
        part["name"] for part in built_from
    }


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
