"""Fixtures of `make ecosystem`: other projects' real programs beside the operator. Each part, a module here, has an API
server of its own, since its programs bring CRDs and policies for the whole cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import Api, install_crds
from support.git_server import Repository, git_server
from support.levels import left_out_if_missing
from support.operator import Operator, running

HERE = Path(__file__).parent


def pytest_collection_finish(session: pytest.Session) -> None:
    """Each part says what it needs and how long it takes, before it begins; one that does not say it is refused."""
    told = session.config.pluginmanager.get_plugin("terminalreporter")
    modules = dict.fromkeys(item.getparent(pytest.Module) for item in session.items)
    for module in modules:
        if module is None or module.path.parent != HERE:  # of another folder that is collected along with this one
            continue
        part, needs = module.path.stem.removeprefix("test_"), getattr(module.obj, "NEEDS", "")
        if not needs:
            raise pytest.UsageError(f"{module.path}: NEEDS has to say what {part} needs and how long it takes")
        if told:
            told.write_line(f"{part}: {needs}")


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    """An API server of the part's own, whatever KUBECONFIG says."""
    with left_out_if_missing(), cluster.new_api_server() as path:
        yield path


@pytest.fixture(scope="module")
def server(kubeconfig: Path) -> Api:
    """A client of it. It serves our three kinds."""
    api = Api(kubeconfig)
    install_crds(api)
    return api


@pytest.fixture(scope="module")
def operator_process(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator of this part."""
    yield from running(server, tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The Git repository that a GitOps tool follows."""
    with left_out_if_missing(), git_server(tmp_path_factory.mktemp("git")) as served:
        yield served
