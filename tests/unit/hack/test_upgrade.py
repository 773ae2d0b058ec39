"""`make upgrade`: which version it begins from. In a repository of its own, as this one may have no tag yet."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from upgrade.before import UNTAGGED, last_version


def git(repository: Path, *command: str) -> None:
    names = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *names, *command], cwd=repository, check=True, capture_output=True)


def commit(repository: Path, tag: str = "") -> None:
    """One more, under this tag."""
    git(repository, "commit", "-q", "--allow-empty", "--message=more")
    if tag:
        git(repository, "tag", tag)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit, no tag. Nobody says where to begin."""
    monkeypatch.delenv("MCS_FROM", raising=False)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def test_it_is_the_last_release_before_this_commit(repository: Path) -> None:
    commit(repository, "v0.1.0")
    commit(repository, "v0.2.0")
    commit(repository)
    assert last_version(repository) == "v0.2.0"


def test_at_the_commit_of_a_release_it_is_the_release_before(repository: Path) -> None:
    commit(repository, "v0.1.0")
    commit(repository)
    commit(repository, "v0.2.0")
    assert last_version(repository) == "v0.1.0"


def test_a_release_of_another_branch_is_none_of_ours(repository: Path) -> None:
    commit(repository, "v0.1.0")
    git(repository, "checkout", "-q", "-b", "other")
    commit(repository, "v0.1.1")
    git(repository, "checkout", "-q", "-")
    commit(repository)
    assert last_version(repository) == "v0.1.0"


@pytest.mark.parametrize("commits", [0, 2])
def test_before_the_first_release_it_is_a_commit_that_we_chose(repository: Path, commits: int) -> None:
    for _ in range(commits):
        commit(repository)
    assert last_version(repository) == UNTAGGED


def test_who_names_a_commit_has_that(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCS_FROM", "abc123")
    commit(repository, "v0.1.0")
    commit(repository)
    assert last_version(repository) == "abc123"
