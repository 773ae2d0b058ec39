"""The page "Your first real customer", from a node that has nothing of ours to two people who talk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.api import Api, install_crds, remove_namespaces
from support.browser import CHROMIUM, GIVING, beside, launched
from support.cluster import Node
from support.documented import FIRST, run
from support.people import sign_in, talk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PAGE, DOMAIN = "docs/first-customer.md", "mcs.example.com"
PORTAL = f"meet.acme.{DOMAIN}"
CRDS = [f"{kind}.mcs.tvox.io" for kind in ("mcsinstances", "communities", "tvoxlinks")]


@pytest.fixture
def nothing(node: Node, server: Api) -> Iterator[Api]:
    """A cluster in which nobody has heard of us; and afterwards the same."""
    assert not server.kubectl("get", "mcsinstances,communities,tvoxlinks", "--all-namespaces", "--output=name").strip()
    server.kubectl("delete", "crd", *CRDS, timeout=60)
    try:
        yield server
    finally:
        remove_all(server)
        install_crds(server)  # the next module needs them


def remove_all(server: Api) -> None:
    """As docs/uninstall.md has it: customers first, as an instance with tunnels up is not deleted."""
    for kind in ("tvoxlinks", "communities", "mcsinstances"):
        server.kubectl("delete", kind, "--all", "-n", "mcs", "--ignore-not-found", timeout=120, check=False)
    # Its pods first, as `remove_namespaces` has it: a namespace's end waits for half of their grace period.
    server.within("mcs-system").kubectl(
        "delete", "deployment", "--all", "--cascade=foreground", timeout=60, check=False
    )
    remove_namespaces(server, "mcs", "site-acme", "mcs-system")
    owned = "clusterroles,clusterrolebindings,validatingwebhookconfigurations"
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings,crd"
    selector = "app.kubernetes.io/instance=mcs-operator"
    server.kubectl("delete", f"{owned},{policies}", "-l", selector, "--ignore-not-found", timeout=120, check=False)
    server.kubectl("delete", "crd", *CRDS, "--ignore-not-found", timeout=60, check=False)


def test_the_page_leads_from_nothing_to_a_call(
    nothing: Api, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("DOMAIN", DOMAIN), ("ADDRESS", node.ip), ("NODE", node.name)):
        monkeypatch.setenv(name, value)
    begun = time.monotonic()
    run(PAGE, FIRST, tmp_path, node.kubeconfig)
    print(f"from nothing to a login: {time.monotonic() - begun:.0f} s")
    assert nothing.within("mcs").condition("TVoxLink", "acme", "Connected")[0] == "True"
    assert "<html" in (tmp_path / "work" / "page.html").read_text().lower()
    if CHROMIUM is None:
        pytest.skip("no Chromium: nobody logged in and called")
    passwords = {user: (tmp_path / "work" / f"{user}.password").read_text().strip() for user in ("anna", "bruno")}
    asyncio.run(two_talk(node.ip, passwords))
    print(f"from nothing to a call: {time.monotonic() - begun:.0f} s")


async def two_talk(address: str, passwords: dict[str, str]) -> None:
    with beside(address) as program:
        async with launched(GIVING, f"--host-resolver-rules=MAP {PORTAL} {address}", program=program) as browser:
            anna, bruno = [await sign_in(browser, PORTAL, user, passwords[user]) for user in ("anna", "bruno")]
            await anna.call(bruno.name)
            await bruno.accept()
            await talk(anna, bruno)
            await anna.hang_up()
