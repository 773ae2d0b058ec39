"""cert-manager as its users run it: it issues and renews, by a CA and by ACME, and our operator serves what is in its
Secrets; and it issues for the operator's own webhook.

No kubelet runs: a fake link agent stands in for the pod, and by ACME the real appliance beside it.
"""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from mcs_operator.settings import WEBHOOK
from support import chart
from support.api import Api, Object, remove_namespaces
from support.cert_manager import a_certificate, cert_manager, create_ca, issued, renew
from support.documented import documents
from support.door import Door
from support.fake_agent import FakeAgent, FakeAppliance, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.pebble import Pebble, pebble
from support.pod_network import NETWORK, PodNetwork, pod_network
from support.public_dns import PublicDns, public_dns
from support.shards import certificates, until_served
from support.site import Site, site
from support.snapshots import Audit, assert_rests, audited, encoded, settled, versions
from support.solver_pods import solver_pods
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = "cert-manager and Pebble, built the first time: 5 minutes on two busy cores; Knot. Then it takes six minutes."
OWN, PORTAL = "mcs.example.test", "meet.acme.test"
ACME = f"acme.{OWN}"
LAST_OF_SITE = 10
SITE = f"{NETWORK}.{LAST_OF_SITE}"
"""Where the appliance is, among the pods."""


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicDns]:
    """The world's, where our names lead to the appliance."""
    records = (f"mcs A {SITE}", f"*.mcs A {SITE}")
    with public_dns(tmp_path_factory.mktemp("dns"), "example.com", *records) as it:
        yield it


@pytest.fixture(scope="module")
def programs(server: Api, dns: PublicDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of cert-manager's, which runs."""
    with cert_manager(server, tmp_path_factory.mktemp("cert-manager"), dns.place) as folder:
        yield folder


@pytest.fixture
def ca(programs: Path, api: Api) -> None:
    create_ca(api)


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


def until_all_served(api: Api) -> None:
    until("both are issued", lambda: issued(api, "link") and issued(api, "portal"))
    until_served(api, {ACME: issued(api, "link"), PORTAL: issued(api, "portal")}, read=certificates)


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


# ------------------------------------------------------------------------------------------ the operator's own webhook

EMPTY_ISSUER = "empty Issuer DN"


def documented_values() -> tuple[str, ...]:
    """What docs/admission.md says to give the chart."""
    (values,) = documents("docs/admission.md")
    return tuple(flat(values))


def flat(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    """As `helm --set` takes them."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={yaml.safe_dump(value).split()[0]}"


@pytest.fixture
def home(server: Api, programs: Path) -> Iterator[Api]:
    """Where the chart installs the operator."""
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mcs-system"}})
    yield server.within("mcs-system")
    remove_namespaces(server, "mcs-system")


@pytest.fixture(params=["self-signed", "of one's own"])
def door(request: pytest.FixtureRequest, home: Api, operator_process: Operator, tmp_path: Path) -> Iterator[Door]:
    """The webhook with what the chart makes for cert-manager, by each kind of issuer; the API server asks it."""
    operator_process.stop()
    values = documented_values()
    if request.param != "self-signed":
        values += ("webhook.certManager.issuerRef.name=ca",)
        create_ca(home)
    made = chart.rendered(*values)
    home.apply(*(body for (kind, _), body in made.items() if kind in ("Issuer", "Certificate")))
    registration = made["ValidatingWebhookConfiguration", WEBHOOK]
    issues = "--issue-webhook-certificate" in chart.operator(*values)["args"]
    with Door(home, home.namespace, tmp_path, registration, issues=issues).open() as door:
        first = door.replica()
        door.lead_to(first)
        first.start()
        until("the webhook serves", lambda: door.serves(first), 60)
        yield door


def applied(api: Api, body: dict[str, object], *how: str) -> str:
    """What `kubectl apply` says."""
    return api.kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump(body), check=False, merge=True)


def until_refused(api: Api) -> None:
    """A link with the name of another one. Not stored: an API server that waits too long for an answer lets it in."""
    rival = a_link("rival", domain=ACME)
    said = f"spec.domain: {ACME} is in use"
    until("the API server asks", lambda: said in applied(api, rival, "--dry-run=server"))


def is_trusted(door: Door, ca: str) -> bool:
    return ca.strip() in base64.b64decode(door.trusted()).decode()


def until_trusted(door: Door) -> str:
    """cainjector has told the API server of the CA in the Secret: that one."""
    ca = until("there is a CA", lambda: issued(door.home, WEBHOOK, "ca.crt"))
    until("the API server trusts it", lambda: is_trusted(door, ca))
    return ca


def shown(door: Door) -> str:
    return ssl.get_server_certificate(("localhost", door.port()))


def test_the_webhook_refuses_with_a_certificate_of_cert_manager_and_a_renewed_one_is_served_at_once(
    api: Api, door: Door
) -> None:
    api.create(an_instance(domain=OWN), a_community(), a_link("acme", domain=ACME))
    former = until_trusted(door)
    until_refused(api)
    replica = door.first()
    pid = replica.pid
    assert shown(door) in issued(door.home, WEBHOOK)
    renewed = renew(door.home, WEBHOOK)
    until("it is served", lambda: shown(door) in renewed)
    until_trusted(door)
    assert is_trusted(door, former), "a replica may have the former certificate for a while"
    until_refused(api)
    assert replica.runs and replica.pid == pid


def test_beside_cainjector_the_operator_writes_nothing_of_its_webhook(api: Api, door: Door) -> None:
    until_trusted(door)
    until("a path is registered", door.path)
    settled(door.home, quiet=3)
    audit = Audit.of(door.home)
    assert audit is not None
    before = door.home.get("ValidatingWebhookConfiguration", WEBHOOK)
    time.sleep(15)
    assert door.home.get("ValidatingWebhookConfiguration", WEBHOOK) == before
    written = [str(one) for one in audit.asked(None) if one.writes and one.resource != "leases"]
    assert written == []


def test_the_charts_certificate_has_an_issuer_with_a_name(home: Api) -> None:
    """cert-manager warns of one that has none, by an event."""
    made = chart.rendered(*documented_values())
    home.apply(made["Issuer", WEBHOOK], made["Certificate", WEBHOOK])
    home.wait_condition("Certificate", WEBHOOK, "Ready", "True")
    home.create(a_certificate("nameless", "nameless.example.test", issuer=WEBHOOK))
    home.wait_condition("Certificate", "nameless", "Ready", "True")

    def warned() -> list[str]:
        found = [event for event in home.list("Event") if EMPTY_ISSUER in event["message"]]
        return [str(event["involvedObject"]["name"]) for event in found]

    until("it has warned of the other one", warned)
    assert [name for name in warned() if not name.startswith("nameless")] == []


# ------------------------------------------------------------------------------------------------------------- by ACME

PAGE = "docs/acme.md"


@pytest.fixture(scope="module")
def acme_server(dns: PublicDns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """It asks that DNS, and whoever that leads to at port 80."""
    with pebble(tmp_path_factory.mktemp("pebble"), 80, dns=dns.place) as it:
        yield it


@pytest.fixture
def network(tmp_path: Path) -> Iterator[PodNetwork]:
    with pod_network(tmp_path) as it:
        yield it


@pytest.fixture
def appliance(api: Api, network: PodNetwork) -> Iterator[Site]:
    """The real one, in the place of the media pod."""
    pod = network.plug_in(LAST_OF_SITE, "media")
    with site(api, network.within(pod, api.namespace), SITE) as it:
        yield it


def recipe(kind: str, name: str, **acme: str) -> Object:
    """An object of the page; an issuer asks another server."""
    bodies = [body for body in documents(PAGE) if body.get("kind") == kind and body["metadata"]["name"] == name]
    (body,) = bodies
    if acme:
        body["spec"]["acme"] |= acme
    return body


def recipe_tls(field: str) -> Object:
    """What the page says to set at an object of ours."""
    parts = [body.get("spec", {}).get("tls", {}) for body in documents(PAGE) if "kind" not in body]
    (tls,) = (tls for tls in parts if field in tls)
    return dict(tls)


@contextmanager
def instance_runs(api: Api, *more: Object, tls: Object) -> Iterator[None]:
    """An instance, and what else is created beside it."""
    base = free_base_port()
    api.create(an_instance(domain="mcs.example.com", address=SITE, vpn={"slots": 6, "basePort": base}, tls=tls), *more)
    with fake_agent(api, base) as agent:
        agent.appliance = FakeAppliance(api, "mcs")
        agent.appliance.answers_challenges = True
        yield


def until_shown(appliance: Site, server: Pebble, certificate: str, *domains: str) -> None:
    """A browser gets this certificate, and takes it."""
    for domain in domains:

        def has_it(domain: str = domain) -> bool:
            leaf = appliance.shown(domain, server.root())
            return bool(leaf) and leaf in certificate

        until(f"{domain} has it", has_it, 60)


def test_challenges_of_http01_pass_through_the_appliance_and_the_certificate_is_served(
    api: Api,
    operator: Operator,
    programs: Path,
    acme_server: Pebble,
    network: PodNetwork,
    appliance: Site,
    tmp_path: Path,
) -> None:
    """ACME server -> the appliance's port 80 -> cert-manager's own solver, found by the documented Service."""
    service, ordered = recipe("Service", "acme-solver"), recipe("Certificate", "acme-tls")
    (domain,) = ordered["spec"]["dnsNames"]
    link = a_link("acme", domain=domain, tls={"secretRef": {"name": "acme-tls"}})
    api.create(service, recipe("Issuer", "letsencrypt", **acme_server.acme()))
    solvers = solver_pods(api, network, programs / "cert-manager", "acme-solver", tmp_path / "solvers.log")
    with instance_runs(api, a_community(), link, tls=recipe_tls("http01")), solvers as pods:
        api.create(ordered)
        api.wait_condition("TVoxLink", "acme", "CertificateReady", "True", "Provided", 120)
        until_shown(appliance, acme_server, issued(api, "acme-tls"), domain)
        until_shown(appliance, acme_server, renew(api, "acme-tls", 120), domain)
        assert pods.solved == [domain, domain]
        assert_rests(api)
    assert appliance.process.poll() is None


def test_one_wildcard_by_dns01_serves_instance_link_and_portal_and_nothing_else_is_ordered(
    api: Api, server: Api, operator: Operator, programs: Path, dns: PublicDns, acme_server: Pebble, appliance: Site
) -> None:
    """ACME server and cert-manager ask one DNS, which cert-manager has written to."""
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme-tsig"}, "data": encoded(secret=dns.secret)}
    server.within("cert-manager").apply(key)
    by = recipe("ClusterIssuer", "letsencrypt-dns", **acme_server.acme())
    (solver,) = by["spec"]["acme"]["solvers"]
    solver["dns01"]["rfc2136"]["nameserver"] = dns.place
    # Its own look at the DNS waits a minute for each challenge, one after the other.
    solver["waitInsteadOfSelfCheck"] = "1s"
    server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(by))
    before = acme_server.orders()
    tls = recipe_tls("secretRef") | {"acme": acme_server.acme()}
    portal, link = a_community(portalDomain="meet.mcs.example.com"), a_link("acme", domain="acme.mcs.example.com")
    with instance_runs(api, portal, link, tls=tls):
        api.wait_condition("MCSInstance", "mcs", "CertificateReady", "False", "CertificateNotFound")
        api.create(recipe("Certificate", "mcs-wildcard"))
        for kind, name in (("MCSInstance", "mcs"), ("TVoxLink", "acme"), ("Community", "acme")):
            api.wait_condition(kind, name, "CertificateReady", "True", timeout=120)
        names = ("mcs.example.com", "acme.mcs.example.com", "meet.mcs.example.com")
        until_shown(appliance, acme_server, issued(api, "mcs-wildcard"), *names)
        assert_rests(api)
    assert acme_server.orders() == before + 1
