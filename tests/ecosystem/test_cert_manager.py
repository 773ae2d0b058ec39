"""cert-manager as its users run it: it issues and renews, and our operator serves what is in its Secrets.

No kubelet runs: a fake link agent stands in for the pod.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from support.api import Api, Object, know_kinds, until_established
from support.fake_agent import FakeAgent, fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.programs import built, running
from support.shards import certificates, until_served
from support.snapshots import audited, files, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = "cert-manager, which is built the first time: 4 minutes on two busy cores. Then it takes a minute."
OWN, PORTAL = "mcs.example.test", "meet.acme.test"
ACME = f"acme.{OWN}"


@pytest.fixture(scope="module")
def cert_manager(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Its controllers and its cainjector; there when an Issuer is ready."""
    with left_out_if_missing():
        programs = built("cert-manager")
    server.kubectl("apply", "--server-side", "-f", f"{programs}/crds")
    until_established(server)
    know_kinds("/apis/cert-manager.io/v1", Certificate="certificates", Issuer="issuers")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}})
    home, log = server.within("cert-manager"), tmp_path_factory.mktemp("cert-manager") / "log"
    home.create(issuer("any", selfSigned={}))

    def ready() -> bool:
        return home.condition("Issuer", "any", "Ready")[0] == "True"

    known = {"KUBECONFIG": str(server.kubeconfig)}
    program = programs / "cert-manager"
    # Nobody is asked there: no test orders by DNS-01.
    with running("cert-manager", program, "--nameservers=127.0.0.1:53", log=log, ready=ready, **known):
        yield


def issuer(name: str, **spec: Any) -> Object:
    return {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": name}, "spec": spec}


def a_certificate(name: str, *domains: str, issuer: str = "ca", **more: Any) -> Object:
    """Of cert-manager; its Secret has the same name."""
    spec = {"secretName": name, "issuerRef": {"name": issuer}, "dnsNames": list(domains)} | more
    return {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def ca(cert_manager: None, api: Api) -> None:
    """An issuer of the namespace with a CA of its own."""
    root = a_certificate("root", issuer="self", isCA=True, commonName="Customers")
    del root["spec"]["dnsNames"]
    api.create(issuer("self", selfSigned={}), root, issuer("ca", ca={"secretName": "root"}))
    api.wait_condition("Issuer", "ca", "Ready", "True")


@pytest.fixture
def agent(ca: None, api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """A link and a portal that name Secrets; cert-manager is asked for them afterwards, and makes them."""
    base = free_base_port()
    portal = a_community(portalDomain=PORTAL, tls={"secretRef": {"name": "portal"}})
    link = a_link("acme", domain=ACME, tls={"secretRef": {"name": "link"}})
    api.create(an_instance(domain=OWN, vpn={"slots": 6, "basePort": base}), portal, link)
    api.wait_condition("TVoxLink", "acme", "Reconciling", "True", "CertificateNotFound")
    api.create(a_certificate("link", ACME), a_certificate("portal", PORTAL))
    with fake_agent(api, base) as agent:
        api.wait_condition("TVoxLink", "acme", "Ready", "True")
        yield agent


def issued(api: Api, name: str) -> str:
    """The chain in a Secret; empty while there is none."""
    return files(api.find("Secret", name) or {}).get("tls.crt", "")


def until_all_served(api: Api) -> None:
    until("both are issued", lambda: issued(api, "link") and issued(api, "portal"))
    until_served(api, {ACME: issued(api, "link"), PORTAL: issued(api, "portal")}, read=certificates)


def renew(api: Api, name: str) -> str:
    """What `cmctl renew` does, until the Secret has another certificate: that one."""
    before, body = issued(api, name), api.get("Certificate", name)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    asked = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now}
    api.merge_status("Certificate", name, {"conditions": [*body["status"]["conditions"], asked]})
    until("it is renewed", lambda: issued(api, name) not in ("", before))
    return issued(api, name)


def test_what_is_issued_for_a_link_and_for_a_portal_is_served(api: Api, agent: FakeAgent) -> None:
    until_all_served(api)
    for kind in ("TVoxLink", "Community"):
        api.wait_condition(kind, "acme", "CertificateReady", "True", "Provided")


def test_a_renewed_certificate_is_served_by_two_writes_and_nothing_restarts(api: Api, agent: FakeAgent) -> None:
    until_all_served(api)
    audit, before = audited(api), versions(api)
    renew(api, "link")
    until_all_served(api)
    now = settled(api, quiet=3)
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    (shard,) = (name for name in changed if name.startswith("Secret/mcs-certs-"))
    assert changed == {"Secret/link", shard, "ConfigMap/mcs-manifest"}
    written = [f"patch secrets/{shard.removeprefix('Secret/')}", "patch configmaps/mcs-manifest"]
    assert sorted(audit.writes(api.namespace)) == sorted(written)
    assert {number: agent.restarts(number) for number in agent.revisions} == dict.fromkeys(agent.revisions, 0)


def test_at_rest_nobody_writes(api: Api, agent: FakeAgent) -> None:
    """cert-manager neither: it does not take what the operator writes for its own."""
    until_all_served(api)
    audit, before = audited(api), versions(api)
    time.sleep(15)
    assert versions(api) == before
    for program in ("mcs-operator", "cert-manager"):
        assert audit.writes(api.namespace, program) == [], program
