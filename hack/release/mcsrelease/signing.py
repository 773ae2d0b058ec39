"""Signatures by a key, with cosign: of the digests of all files, and of what they were built from. No service is asked
and no log is told, so that it works without a network, and a release can be made where nobody shall know of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mcsrelease.source import ROOT

SUMS = "SHA256SUMS"
PROVENANCE = "provenance.intoto.json"
BUNDLE = ".sigstore.json"
# A signing configuration of no services, which cosign would rather have, makes it ask for the roots of all of them.
_OFFLINE = ("--use-signing-config=false", "--tlog-upload=false", "--yes")


def sign(folder: Path, key: str) -> None:
    """Write a bundle beside each of the two. ``key``: a file of cosign's (its password in COSIGN_PASSWORD), or what
    else cosign takes for one, such as the name of a key in a KMS."""
    sums, provenance = folder / SUMS, folder / PROVENANCE
    cosign("sign-blob", f"--key={key}", *_OFFLINE, f"--bundle={sums}{BUNDLE}", sums)
    cosign("attest-blob", f"--key={key}", *_OFFLINE, f"--statement={provenance}", f"--bundle={provenance}{BUNDLE}")
    for signed in (sums, provenance):
        Path(f"{signed}{BUNDLE}").chmod(0o644)  # it is for everybody, and no secret


def cosign(*arguments: str | Path) -> str:
    """The pinned cosign, which is built the first time; what it prints."""
    command = [ROOT / "hack" / "tool", "cosign", *arguments]
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout
