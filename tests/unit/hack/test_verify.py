"""`make verify`: what is committed is what its source says. The real script, in a repository of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.api import ROOT

GENERATOR = "#!/bin/sh\ntr a-z A-Z <source >generated\n"


def git(repository: Path, *command: str) -> None:
    names = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *names, *command], cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A source, its generator, and what that makes of it; all committed."""
    (tmp_path / "generate").write_text(GENERATOR)
    (tmp_path / "generate").chmod(0o755)
    (tmp_path / "source").write_text("text\n")
    (tmp_path / "generated").write_text("TEXT\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def verify(repository: Path) -> tuple[int, str]:
    """Exit code, and what it complains about."""
    command = [ROOT / "hack" / "verify", "generate"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_what_is_as_its_source_says_passes(repository: Path) -> None:
    assert verify(repository) == (0, "")


def test_a_source_that_was_changed_alone_is_told_with_the_difference_and_nothing_is_mended(repository: Path) -> None:
    (repository / "source").write_text("other\n")
    code, said = verify(repository)
    assert code == 1
    assert " M generated" in said and "+OTHER" in said
    assert (repository / "generated").read_text() == "TEXT\n"


def test_a_generated_file_that_nobody_committed_is_told(repository: Path) -> None:
    git(repository, "rm", "-q", "--cached", "generated")
    code, said = verify(repository)
    assert code == 1
    assert "?? generated" in said


def test_any_file_that_git_does_not_know_is_told(repository: Path) -> None:
    (repository / "new").write_text("")
    code, said = verify(repository)
    assert code == 1
    assert "?? new" in said


def test_a_file_that_is_ignored_is_nobodys_business(repository: Path) -> None:
    (repository / ".gitignore").write_text("/build\n/.gitignore\n")
    (repository / "build").write_text("")
    assert verify(repository) == (0, "")


def test_a_file_that_was_deleted_and_is_the_last_one_hides_nothing(repository: Path) -> None:
    (repository / "zzz").write_text("")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "more")
    (repository / "zzz").unlink()
    (repository / "source").write_text("other\n")
    code, said = verify(repository)
    assert code == 1
    assert " M generated" in said
