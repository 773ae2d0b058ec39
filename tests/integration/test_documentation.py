"""The commands in the documentation, run as they stand there, page by page, against a real API server.

What needs a kubelet is marked so in the page, and is run by the module of this name in tests/e2e.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import ROOT, Api, samples
from support.documented import NAMESPACE, SERVER, pages_to_run, run
from support.fake_agent import FakeAppliance, fake_agent, free_base_port
from support.objects import a_link
from support.operator import Operator

pytestmark = pytest.mark.integration

LINKS = ("acme", "globex", "bolt")
ARGO_CD = "argocd"
"""Where one of the pages puts a part of its configuration."""


@pytest.fixture(scope="module")
def demo(server: Api, operator_process: Operator) -> Iterator[Api]:
    """What the pages speak of: the demo's samples, and `bolt`, whose TVox is stolen in one of them."""
    operator_process.ensure()
    assert server.find("Namespace", NAMESPACE) is None, "there is a demo already: make demo-clean"
    api, base = server.within(NAMESPACE), free_base_port()
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO_CD}})
    try:
        declare(api, base)
        with fake_agent(api, base) as agent:
            agent.appliance = FakeAppliance(api, "mcs")
            all_run(api)
            time.sleep(1.1)  # a rotation that is asked for in the second of a certificate is none
            yield api
    finally:
        for kind in ("MCSInstance", "Community", "TVoxLink"):
            api.delete_all(kind)
        server.kubectl("delete", "--ignore-not-found", "-f", str(ROOT / "manifests" / "tenancy" / "policy.yaml"))
        for namespace in (NAMESPACE, ARGO_CD):
            server.delete("Namespace", namespace)


def declare(api: Api, base: int) -> None:
    """The samples, with the agent at a port that is free here."""
    for body in samples("demo"):
        if body["kind"] == "MCSInstance":
            body["spec"]["vpn"]["basePort"] = base
        api.apply(body)
    api.apply(a_link("bolt"))


def all_run(api: Api) -> None:
    """Wait until every link's slot has what is declared."""
    for name in LINKS:
        # The names may be those of a test before this one, whose namespaces are still being deleted.
        api.wait_condition("TVoxLink", name, "Ready", "True", timeout=120)


LONG = ("docs/moving.md",)
"""Of all pages the dearest: most of its 37 s of processor time are starts of the plugin."""


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in pages_to_run(SERVER)]
)
def test_the_commands_of_a_page_do_what_it_says(page: str, demo: Api, operator: Operator, tmp_path: Path) -> None:
    all_run(demo)
    run(page, SERVER, tmp_path, demo.kubeconfig)
