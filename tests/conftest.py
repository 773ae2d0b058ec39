"""Fixtures of the tests that need an API server. tests/e2e has the same names for a real node.

The operator is the real one, as a process, against that server; nothing of Kubernetes is imitated.
"""

from __future__ import annotations

import resource
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cluster
from support.api import Api, install_crds
from support.levels import left_out_if_missing, must_run
from support.operator import Operator, running
from support.snapshots import CHILDREN, OURS
from support.waiting import until

FILES = 8192
"""How many this process may have open at least, where it may say so itself."""


def pytest_configure() -> None:
    """A run that is told to end, or whose terminal is closed, ends as with ^C: with all that its fixtures started."""
    for ending in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(ending) is signal.SIG_DFL:  # nohup ignores the one
            signal.signal(ending, signal.default_int_handler)
    # Strangers come by the thousand, and sudo leaves a process 1,024 files unless it is told otherwise.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < FILES:
        most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The time-out is a test's own, not that of a fixture that starts a cluster (the first time it builds one)."""
    for item in items:
        if any(item.get_closest_marker(level) for level in ("integration", "e2e")):
            given = item.get_closest_marker("timeout")
            seconds = given.args[0] if given and given.args else 300
            item.add_marker(pytest.mark.timeout(seconds, func_only=True), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test, or fixture, shows what the operator said of late. In CI, where green must mean tested, a skipped
    one has failed."""
    report = yield
    if report.skipped and must_run() and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"must not be left out in CI: {report.longrepr}"
    if report.failed and Operator.latest and call.excinfo is not None:
        report.sections.append(("operator's log", Operator.latest.since(0)[-8000:]))
    return report


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """An API server: MCS_TEST_KUBECONFIG, KUBECONFIG, or one of our own for this session."""
    with left_out_if_missing(), cluster.api_server() as path:
        yield path


@pytest.fixture(scope="session")
def server(kubeconfig: Path) -> Api:
    """A client of that API server, which serves our three kinds."""
    api = Api(kubeconfig)
    install_crds(api)
    return api


@pytest.fixture
def namespace(server: Api) -> Iterator[str]:
    """A namespace of the test's own."""
    yield from fresh_namespace(server)


@pytest.fixture
def api(server: Api, namespace: str) -> Api:
    """The client, in the test's namespace."""
    return server.within(namespace)


@pytest.fixture(scope="session")
def operator_process(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The one operator of this session."""
    yield from running(server, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def operator(operator_process: Operator) -> Operator:
    """The operator, running. A test may stop it: the next one starts it again."""
    operator_process.ensure()
    return operator_process


def fresh_namespace(server: Api) -> Iterator[str]:
    """A namespace that lives as long as the fixture that yields from here. Pod Security as the media pod needs it."""
    name = f"mcs-test-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "mcs.tvox.io/test": "true"}
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    api = server.within(name)
    # What controllers put into each: pods need the one, and comparisons would take the other for something written.
    for kind, its in (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")):
        until(f"{kind} {its} of {name}", lambda kind=kind, its=its: api.find(kind, its), 60)
    yield name
    # Ours first, and at once: their public names are one object's in the whole cluster, and the next test wants them.
    for kind in (*OURS, *CHILDREN):
        api.delete_all(kind, {"gracePeriodSeconds": "0"})
    # A server of our own ends soon, with all namespaces. In each it would look for sixty kinds: 0.1 s of CPU.
    if cluster.somebodys():
        server.delete("Namespace", name)
