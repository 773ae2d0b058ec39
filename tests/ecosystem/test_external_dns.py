"""external-dns keeps customers' names, by the Service of the page, at a DNS that is asked as anybody asks it.

No kubelet runs: a fake link agent stands in for the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from support.api import ROOT, Api, Object
from support.documented import documents
from support.external_dns import external_dns
from support.fake_agent import fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.public_dns import PublicDns, public_dns
from support.snapshots import assert_rests
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = "external-dns, built the first time: ten minutes of CPU; Knot. Then it takes two minutes."
PAGE, ZONE, ADDRESS = "docs/gitops.md", "mcs.example.com", "10.89.0.1"
LINK, PORTAL = f"acme.{ZONE}", f"meet.acme.{ZONE}"
LEADS_HERE = [f"{ZONE}.", ADDRESS]
HOSTNAME = "external-dns.alpha.kubernetes.io/hostname"


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicDns]:
    """The world's, where the instance's own name is."""
    with public_dns(tmp_path_factory.mktemp("dns"), ZONE, f"@ A {ADDRESS}", f"other A {ADDRESS}") as it:
        yield it


@pytest.fixture(scope="module", autouse=True)
def beside(server: Api, dns: PublicDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """external-dns, with the flags that the page tells."""
    text = (ROOT / PAGE).read_text().partition("## Names by external-dns")[2].partition("\n## ")[0]
    flags = re.findall(r"`(--[a-z-]+=\S+?)`", text)
    assert {flag.partition("=")[0] for flag in flags} == {"--source", "--service-type-filter", "--policy"}
    with external_dns(server, tmp_path_factory.mktemp("external-dns"), dns, ZONE, *flags):
        yield


def documented(api: Api) -> Object:
    """The Service of the page, in the test's namespace."""
    (service,) = (body for body in documents(PAGE) if body["kind"] == "Service")
    return service | {"metadata": service["metadata"] | {"namespace": api.namespace}}


def until_said(dns: PublicDns, name: str, *wanted: str) -> None:
    until(f"{name} is {wanted}", lambda: dns.says(name) == list(wanted), 60)


def test_a_customers_names_come_change_and_go_with_his_service(api: Api, operator: Operator, dns: PublicDns) -> None:
    assert dns.says(LINK) == dns.says(PORTAL) == []
    api.create(documented(api))
    for name in (LINK, PORTAL):
        until_said(dns, name, *LEADS_HERE)
        assert dns.says(name, "CNAME") == LEADS_HERE[:1]
    api.merge("Service", "acme", {"metadata": {"annotations": {HOSTNAME: LINK}}})
    until_said(dns, PORTAL)
    assert dns.says(LINK) == LEADS_HERE, "the other name stays"
    api.change("Service", "acme", externalName=f"other.{ZONE}")
    until_said(dns, LINK, f"other.{ZONE}.", ADDRESS)
    api.delete("Service", "acme")
    until_said(dns, LINK)
    assert dns.says(ZONE) == [ADDRESS], "what somebody has made by hand stays"


def test_names_come_by_the_commands_of_the_page_too_and_beside_external_dns_the_operator_rests(
    api: Api, operator: Operator, dns: PublicDns
) -> None:
    base = free_base_port()
    api.create(an_instance(domain=ZONE, address=ADDRESS, vpn={"slots": 6, "basePort": base}))
    api.create(a_community(portalDomain=PORTAL), a_link("acme", domain=LINK))
    with fake_agent(api, base):
        api.wait_condition("TVoxLink", "acme", "Ready", "True", "Programmed")
        api.kubectl("create", "service", "externalname", "acme", f"--external-name={ZONE}")
        api.kubectl("annotate", "service", "acme", f"{HOSTNAME}={LINK},{PORTAL}")
        for name in (LINK, PORTAL):
            until_said(dns, name, *LEADS_HERE)
        assert_rests(api)
