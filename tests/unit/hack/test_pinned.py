"""What is fetched to build and test with is pinned by digest: a tag may name something else tomorrow."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from support.api import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
REGISTRIES = re.compile(
    rb"""\b(?:
      (?:registry(?:\.[a-z0-9-]+)?|ghcr|quay|gcr|azurecr|jfrog)\.io   # of images: many clouds', and Kubernetes' own
    | [a-z0-9-]+\.docker\.(?:io|com) | docker\.io/                   # alone it is a package of Debian
    | mcr\.microsoft\.com | public\.ecr\.aws | ecr\.[a-z0-9-]+\.amazonaws\.com | (?:pkg|gcr)\.dev
    | registry\.(?:gitlab|[a-z.]*redhat)\.com | pkg\.github\.com
    | npmjs\.(?:org|com) | yarnpkg\.com                              # of packages
    | pypi\.(?:python\.)?org | pythonhosted\.org
    | (?:proxy|sum)\.golang\.org | goproxy\.(?:io|cn)
    | (?:index|static)\.crates\.io | rubygems\.org
    )""",
    re.VERBOSE,
)
"""Written so that this file names none of them itself."""


def test_every_action_is_pinned_by_its_commit_with_its_version_beside_it() -> None:
    used = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_every_kubernetes_that_is_tested_is_pinned_by_the_digest_of_its_image() -> None:
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    versions = [v for job in jobs for v in job.get("strategy", {}).get("matrix", {}).get("kubernetes", [])]
    assert versions
    assert [v for v in versions if not re.fullmatch(r"v1\.\d+\.\d+@sha256:[0-9a-f]{64}", v)] == []


@pytest.mark.parametrize(
    "parts",
    [
        ("registry", "k8s", "io"),
        ("ghcr", "io"),
        ("us", "gcr", "io"),
        ("registry-1", "docker", "io"),
        ("hub", "docker", "com"),
        ("docker", "io/library/debian"),
        ("mcr", "microsoft", "com"),
        ("public", "ecr", "aws"),
        ("1234", "dkr", "ecr", "eu-west-1", "amazonaws", "com"),
        ("europe-docker", "pkg", "dev"),
        ("ours", "jfrog", "io"),
        ("ours", "azurecr", "io"),
        ("registry", "gitlab", "com"),
        ("registry", "access", "redhat", "com"),
        ("npm", "pkg", "github", "com"),
        ("registry", "npmjs", "org"),
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("index", "crates", "io"),
    ],
    ids="-".join,
)
def test_the_host_of_a_registry_is_known_as_one(parts: tuple[str, ...]) -> None:
    assert REGISTRIES.search(f"https://{'.'.join(parts)}/v2".encode())


@pytest.mark.parametrize(
    "other", ["apt-get install docker.io", "k8s.io/api v0.35", "google.golang.org/grpc", "registry.example.com/mcs"]
)
def test_what_only_looks_like_one_is_none(other: str) -> None:
    assert not REGISTRIES.search(other.encode())


def test_no_file_names_the_host_of_a_registry() -> None:
    """Where images come from is for the machine to say, and for the programs that we run."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    assert files
    assert [path for path in files if path.is_file() and REGISTRIES.search(path.read_bytes())] == []
