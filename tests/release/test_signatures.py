"""Signatures of a release: made by a key, checked by its public half alone, and refused for anything else."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.api import ROOT

RELEASE = Path(os.environ.get("MCS_RELEASE", ROOT / "build" / "release"))
SUMS, PROVENANCE, BUNDLE = "SHA256SUMS", "provenance.intoto.json", ".sigstore.json"
CHECK_SUMS = ("verify-blob", "--insecure-ignore-tlog", f"--bundle={SUMS}{BUNDLE}", SUMS)
CHECK_PROVENANCE = (
    "verify-blob-attestation",
    "--insecure-ignore-tlog",
    "--type=slsaprovenance1",
    f"--bundle={PROVENANCE}{BUNDLE}",
)


def cosign(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The pinned one, without a network."""
    environment = os.environ | {"COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", ""), "HOME": str(folder)}
    environment |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    environment.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    command = [ROOT / "hack" / "tool", "cosign", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def public_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of the one who releases, and of somebody else."""
    keys = {}
    for who in ("ours", "theirs"):
        folder = tmp_path_factory.mktemp(who)
        made = cosign(folder, "generate-key-pair")
        assert made.returncode == 0, made.stderr
        keys[who] = folder / "cosign.pub"
    return keys


@pytest.fixture
def signed(public_keys: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the release, signed by a key that nobody has afterwards."""
    for path in RELEASE.iterdir():
        if not path.name.endswith(BUNDLE):
            (tmp_path / path.name).symlink_to(path)
    key = public_keys["ours"].with_name("cosign.key")
    command = [sys.executable, ROOT / "hack" / "release" / "release", tmp_path, "--only-sign", f"--key={key}"]
    environment = os.environ | {"COSIGN_PASSWORD": ""}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_the_public_key_alone_and_no_network_show_that_the_digests_are_ours(
    signed: Path, public_keys: dict[str, Path]
) -> None:
    good = cosign(signed, *CHECK_SUMS, f"--key={public_keys['ours']}")
    assert good.returncode == 0, good.stderr
    all_files = subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=signed, check=False)
    assert all_files.returncode == 0
    assert cosign(signed, *CHECK_SUMS, f"--key={public_keys['theirs']}").returncode != 0


def test_openssl_says_the_same(signed: Path, public_keys: dict[str, Path], tmp_path: Path) -> None:
    """For those who have no cosign."""
    told = json.loads((signed / f"{SUMS}{BUNDLE}").read_text())["messageSignature"]["signature"]
    (tmp_path / "signature").write_bytes(base64.b64decode(told))
    command = ["openssl", "dgst", "-sha256", "-verify", public_keys["ours"], "-signature", "signature", SUMS]
    assert subprocess.run(command, cwd=signed, capture_output=True, check=False).returncode == 0


def test_digests_that_were_changed_are_refused(signed: Path, public_keys: dict[str, Path]) -> None:
    tampered = (signed / SUMS).read_text().replace("0", "1", 1)
    (signed / SUMS).unlink()
    (signed / SUMS).write_text(tampered)
    bad = cosign(signed, *CHECK_SUMS, f"--key={public_keys['ours']}")
    assert bad.returncode != 0
    assert "signature" in bad.stderr


def test_the_provenance_is_signed_for_each_file_and_for_no_other(signed: Path, public_keys: dict[str, Path]) -> None:
    (chart,) = signed.glob("mcs-operator-*.tgz")
    (image,) = signed.glob("mcs-operator-*.oci.tar")
    for file in (chart, image):
        good = cosign(signed, *CHECK_PROVENANCE, f"--key={public_keys['ours']}", file.name)
        assert good.returncode == 0, good.stderr
    content = chart.read_bytes()
    chart.unlink()
    chart.write_bytes(content + b"\0")
    assert cosign(signed, *CHECK_PROVENANCE, f"--key={public_keys['ours']}", chart.name).returncode != 0


def test_what_was_signed_with_the_teams_own_key_is_verified_by_it(tmp_path: Path) -> None:
    """Where `make release` was given one; else it is not signed at all."""
    key = os.environ.get("MCS_KEY", "")
    if not key:
        assert not list(RELEASE.glob(f"*{BUNDLE}")), "without a key nothing is signed"
        return
    key = str(Path(key).resolve()) if Path(key).exists() else key  # or the name of one in a KMS
    public = cosign(tmp_path, "public-key", f"--key={key}")
    assert public.returncode == 0, public.stderr
    (tmp_path / "cosign.pub").write_text(public.stdout)
    shutil.copytree(RELEASE, tmp_path / "release", symlinks=True)
    good = cosign(tmp_path / "release", *CHECK_SUMS, f"--key={tmp_path / 'cosign.pub'}")
    assert good.returncode == 0, good.stderr
