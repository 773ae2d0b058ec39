"""What `cluster unload` takes from the node's containerd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CTR = """#!/bin/sh
case "$*" in
  *"images list") cat <<END
REF TYPE DIGEST SIZE
registry:5000/mcs/link@sha256:1 m sha256:1 9
registry:5000/mcs/tvox@sha256:2 m sha256:2 9
registry:50001/mcs/link:1 m sha256:3 9
localhost/mcs/tvox:dev m sha256:2 9
sha256:a m sha256:1 9
sha256:b m sha256:2 9
sha256:c m sha256:3 9
END
  ;;
  *) echo "$*" >> {log} ;;
esac
"""


@pytest.fixture
def runtime(mcscluster: Callable[[str], ModuleType], tmp_path: Path) -> Any:
    """A containerd with a few images, which notes in `removed` what is taken from it."""
    ctr = tmp_path / "ctr"
    ctr.write_text(CTR.format(log=tmp_path / "removed"))
    ctr.chmod(0o755)
    return mcscluster("runtime").Runtime(tmp_path, tmp_path, tmp_path, None)


def test_images_of_a_registry_go_with_their_ids_and_what_another_name_needs_stays(runtime: Any, tmp_path: Path) -> None:
    pulled = ["registry:5000/mcs/link@sha256:1", "registry:5000/mcs/tvox@sha256:2"]
    assert runtime.unload("registry:5000") == pulled
    removed = (tmp_path / "removed").read_text()
    assert removed.partition(" images remove --sync ")[2].split() == [*pulled, "sha256:a"]


def test_nothing_is_removed_of_a_registry_that_nothing_came_from(runtime: Any, tmp_path: Path) -> None:
    assert runtime.unload("elsewhere:5000") == []
    assert not (tmp_path / "removed").exists()
