"""What is fetched to build and test with is pinned by digest: a tag may name something else tomorrow."""

from __future__ import annotations

import re
import subprocess

import yaml

from support.api import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
REGISTRIES = re.compile(rb"\b(?:registry(?:\.[a-z0-9-]+)?|ghcr|quay|gcr)\.io\b")


def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it() -> None:
    used = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_every_kubernetes_that_is_tested_is_pinned_by_the_digest_of_its_image() -> None:
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    versions = [v for job in jobs for v in job.get("strategy", {}).get("matrix", {}).get("kubernetes", [])]
    assert versions
    assert [v for v in versions if not re.fullmatch(r"v1\.\d+\.\d+@sha256:[0-9a-f]{64}", v)] == []


def test_no_file_names_the_host_of_a_registry() -> None:
    """Where images come from is for the machine to say, and for the programs that we run."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert files
    assert [path for path in files if path.is_file() and REGISTRIES.search(path.read_bytes())] == []
