"""The image builder (hack/images/build): what its keys depend on, and how it reads a machine's Debian sources."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BUILD = Path(__file__).resolve().parents[3] / "hack" / "images" / "build"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The builder, looking at a repository of its own: images base, link and tvox with one file each."""
    loader = importlib.machinery.SourceFileLoader("image_builder", str(BUILD))
    spec = importlib.util.spec_from_loader("image_builder", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "image_builder", module)  # dataclasses look their module up
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "REPO", tmp_path)
    for name in ("base", "link", "tvox"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "Containerfile").write_text(f"# {name}")
    return module


def keys(build: ModuleType) -> dict[str, str]:
    return {name: build.content_key(build.IMAGES[name], "buildah") for name in ("base", "link", "tvox")}


def rewrite(path: Path) -> None:
    path.write_text("other")


def add_program(path: Path) -> None:
    (path.parent / "program").write_text("")


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def compile_beside(path: Path) -> None:
    (path.parent / "__pycache__").mkdir()
    (path.parent / "__pycache__" / "x.pyc").write_text("")


@pytest.mark.parametrize(
    ("image", "change", "changed"),
    [
        pytest.param("link", rewrite, {"link"}, id="content"),
        pytest.param("link", add_program, {"link"}, id="a new file"),
        pytest.param("link", lambda path: path.chmod(0o755), {"link"}, id="executable bit"),
        pytest.param("base", rewrite, {"base", "link", "tvox"}, id="the image below"),
        pytest.param("link", touch, set(), id="not the time of change"),
        pytest.param("link", lambda path: path.chmod(0o600), set(), id="not the umask of the clone"),
        pytest.param("link", compile_beside, set(), id="not what Python leaves behind"),
    ],
)
def test_key_follows_what_goes_into_the_image(
    build: ModuleType, tmp_path: Path, image: str, change: Callable[[Path], None], changed: set[str]
) -> None:
    before = keys(build)
    change(tmp_path / "images" / image / "Containerfile")
    after = keys(build)
    assert {name for name in before if before[name] != after[name]} == changed


def test_another_debian_under_docker_is_another_image_and_buildah_knows_nothing_of_it(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {engine: build.content_key(build.IMAGES["link"], engine) for engine in ("docker", "buildah")}
    assert re.fullmatch(r"debian:bookworm-slim@sha256:[0-9a-f]{64}", build.DEBIAN)
    monkeypatch.setattr(build, "DEBIAN", "debian:bookworm-slim@sha256:0")
    after = {engine: build.content_key(build.IMAGES["link"], engine) for engine in before}
    assert {engine for engine in before if before[engine] != after[engine]} == {"docker"}


def test_context_holds_the_hashed_files_with_plain_modes(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "images" / "link" / "supervisor").write_text("#!/bin/bash")
    (tmp_path / "images" / "link" / "supervisor").chmod(0o700)
    compile_beside(tmp_path / "images" / "link" / "Containerfile")
    build.stage_context(build.IMAGES["link"], tmp_path / "context")
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "context").rglob("*")}
    assert modes == {"Containerfile": "0o644", "supervisor": "0o755"}


MAKER = """#!/bin/sh
if [ "$1" = --key ]; then echo "{key}"; else echo "{folder}"; fi
"""


def with_something_made(build: ModuleType, tmp_path: Path, key: str = "1") -> object:
    """An image of which a program is built outside of the Containerfile."""
    made = tmp_path / "made"
    made.mkdir(exist_ok=True)
    (made / "program").write_text("binary")
    (made / "program").chmod(0o700)
    maker = tmp_path / "hack/images/maker"
    maker.parent.mkdir(parents=True, exist_ok=True)
    maker.write_text(MAKER.format(key=key, folder=made))
    maker.chmod(0o755)
    (tmp_path / "images/link/go").mkdir(exist_ok=True)
    (tmp_path / "images/link/go/main.go").write_text(f"// {key}")
    build.made_by.cache_clear()
    return build.Image("link", "images/link", without=("go/",), made=(build.Made("maker", "bin"),))


def test_key_follows_what_something_is_made_from_and_nothing_is_built_for_it(build: ModuleType, tmp_path: Path) -> None:
    one, same = (build.content_key(with_something_made(build, tmp_path), "buildah") for _ in range(2))
    other = build.content_key(with_something_made(build, tmp_path, key="2"), "buildah")
    assert one == same != other


def test_context_holds_what_was_made_and_not_what_it_was_made_from(build: ModuleType, tmp_path: Path) -> None:
    build.stage_context(with_something_made(build, tmp_path), tmp_path / "context")
    context = tmp_path / "context"
    found = {path.relative_to(context).as_posix(): path for path in context.rglob("*") if path.is_file()}
    assert set(found) == {"Containerfile", "bin/program"}
    assert oct(found["bin/program"].stat().st_mode & 0o777) == "0o755"


def test_what_cannot_be_made_is_named(build: ModuleType, tmp_path: Path) -> None:
    image = with_something_made(build, tmp_path)
    (tmp_path / "hack/images/maker").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(build.BuildError, match="hack/images/maker ended with 3"):
        build.stage_context(image, tmp_path / "context")


def test_missing_input_is_named(build: ModuleType) -> None:
    with pytest.raises(build.BuildError, match="images/appliance is missing"):
        build.content_key(build.IMAGES["appliance"], "buildah")


def test_image_is_built_after_all_that_it_stands_on(build: ModuleType) -> None:
    assert [image.name for image in build.needed_images(["operator"])] == ["base", "runtime", "operator"]


DEB822 = """Types: deb
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.test/node
Suites: nodistro
"""


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        pytest.param("debian.sources", DEB822, "http://mirror.test/debian", id="deb822"),
        pytest.param("x.list", "deb http://a.test bookworm main\n", "http://a.test", id="one line"),
        pytest.param("x.list", "deb [signed-by=/k] http://a.test bookworm main\n", "http://a.test", id="with options"),
        pytest.param("x.list", "# deb http://a.test bookworm main\n", None, id="commented out"),
        pytest.param("x.list", "deb http://a.test bookworm-security main\n", None, id="updates alone are no mirror"),
        pytest.param("x.sources", DEB822.replace("Types: deb\n#", "Enabled: no\nTypes: deb\n#"), None, id="disabled"),
        pytest.param("x.sources", DEB822.replace("bookworm", "trixie"), None, id="another release"),
    ],
)
def test_mirror_is_the_one_of_this_machine(
    build: ModuleType, tmp_path: Path, name: str, text: str, mirror: str | None
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    sources = build.debian_sources(tmp_path)
    if mirror:
        assert build.mirror(sources) == mirror
    else:
        with pytest.raises(build.BuildError, match="no mirror of Debian bookworm"):
            build.mirror(sources)
