"""The commands of the runbooks, and of the pages on roles and GitOps, as they stand there. What needs a kubelet is run
at the node's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import ROOT, Api
from support.fake_agent import FakeAgent, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.pages import DOCS, blocks, run, runbooks, with_plugin
from support.snapshots import settled
from support.waiting import until

pytestmark = pytest.mark.integration

NOTHING_SAID = {"MCSRestartPending"}
"""Where silence is the answer."""


@pytest.fixture
def served(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """An instance with one customer, as the runbooks' examples name them."""
    base = free_base_port()
    api.create(an_instance(vpn={"slots": 6, "basePort": base}), a_community(), a_link("acme"))
    with fake_agent(api, base) as agent:
        api.wait_condition("TVoxLink", "acme", "Ready", "True", "Programmed")
        settled(api)
        yield agent


def test_every_runbook_has_commands_that_work(api: Api, served: FakeAgent, tmp_path: Path) -> None:
    plugins = with_plugin(tmp_path)
    names = {"NAMESPACE": api.namespace, "INSTANCE": "mcs", "LINK": "acme", "SLOT": "link-002"}
    told = {name: run(text, api, plugins, **names) for name, text in runbooks("sh") if name != "README"}
    assert told.keys() == {page.stem for page in (DOCS / "runbooks").glob("*.md")} - {"README"}
    assert {name for name, text in told.items() if not text.strip()} == NOTHING_SAID
    assert "acme.mcs.test" in told["TVoxLinkDown"]
    assert "notAfter=" in told["MCSCertificateExpiresSoon"]


def test_a_command_that_fails_would_have_been_seen(api: Api, tmp_path: Path) -> None:
    """So that the test above can fail."""
    with pytest.raises(AssertionError, match="NotFound"):
        run("kubectl get mcs -n $NAMESPACE nobody\ntrue\n", api, with_plugin(tmp_path), NAMESPACE=api.namespace)


@pytest.fixture
def named_there(server: Api) -> Iterator[None]:
    """The namespaces that the pages name, as long as they are not somebody's."""
    names = ("argocd", "mcs-demo")
    if any(server.find("Namespace", name) for name in names):
        pytest.skip("the cluster has a namespace argocd or mcs-demo of its own")
    for name in names:
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield
    server.kubectl("delete", "--ignore-not-found", "-f", str(ROOT / "manifests" / "tenancy" / "policy.yaml"))
    for name in names:
        server.delete("Namespace", name)


def test_the_pages_on_gitops_and_roles_have_commands_that_work(server: Api, named_there: None, tmp_path: Path) -> None:
    lines = [
        line for page in ("gitops", "rbac") for text in blocks(DOCS / f"{page}.md", "sh") for line in text.splitlines()
    ]
    questions = [line.split("#") for line in lines if " can-i " in line]
    for line in lines:
        if " can-i " not in line:
            assert run(line, server, tmp_path)
    assert len(questions) == 2
    for command, answer in questions:
        until(command, lambda: run(f"{command} || true", server, tmp_path).strip() == answer.strip(), 10)  # noqa: B023
