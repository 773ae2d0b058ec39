"""The validating webhook as the API server calls it: by a Service, over TLS, with the certificate that it issues."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from conftest import fresh_namespace
from mcs_operator.handlers.registration import Registration
from mcs_operator.kube import client
from mcs_operator.settings import WEBHOOK
from support.api import Api, Refused
from support.door import Door, kubectl
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import create_once_counted
from support.snapshots import settled
from support.waiting import until

pytestmark = pytest.mark.integration

IN_FLIGHT = 64
SLOWEST = 9.0
"""Seconds: no create may hang longer, whatever becomes of the webhook; an API server would wait 10 s for one that says
nothing of its own, and ours says 3."""


@pytest.fixture
def home(server: Api) -> Iterator[str]:
    """The namespace that the operator itself is in."""
    yield from fresh_namespace(server)


@pytest.fixture
def door(server: Api, home: str, operator_process: Operator, tmp_path: Path) -> Iterator[Door]:
    """One replica that leads and serves. The session's own operator is stopped meanwhile."""
    operator_process.stop()
    with Door(server, home, tmp_path).open() as door:
        first = door.replica()
        door.lead_to(first)
        first.start()
        until("the webhook serves", lambda: door.serves(first), 30)
        early = server.within(home), a_link("early")
        until("the API server asks it", lambda: "Warning: " in kubectl(*early, "--dry-run=server").stderr, 30)
        yield door


def until_known(api: Api, domain: str) -> None:
    """Wait until the webhook knows of a link with this domain, and would refuse another."""
    rival = a_link("new", domain=domain)
    until("the webhook knows the link", lambda: "denied the request" in kubectl(api, rival, "--dry-run=server").stderr)


def test_what_is_refused_is_told_by_kubectl_in_one_line(api: Api, door: Door) -> None:
    api.create(an_instance(), a_community(), a_link("acme", domain="x.mcs.test"))
    until_known(api, "x.mcs.test")
    said = kubectl(api, a_link("new", domain="x.mcs.test")).stderr
    assert (
        'admission webhook "validate.mcs.tvox.io" denied the request: '
        "spec.domain: x.mcs.test is in use, and a public name belongs to one object of the cluster; choose another"
    ) in said
    assert len(said.strip().splitlines()) == 1
    assert api.find("TVoxLink", "new") is None


def test_what_only_waits_is_let_in_with_a_warning(api: Api, door: Door) -> None:
    done = kubectl(api, a_link("early"))
    assert done.returncode == 0
    assert f"Warning: spec.instanceRef.name: no MCSInstance 'mcs' in namespace {api.namespace} yet" in done.stderr
    passes_on = an_instance(tls={"http01": {"serviceRef": {"name": "solvers"}}})
    missing = f"Warning: spec.tls.http01.serviceRef.name: no Service 'solvers' in namespace {api.namespace} yet"
    assert missing in kubectl(api, passes_on, "--dry-run=server").stderr
    api.kubectl("create", "service", "clusterip", "solvers", "--clusterip=None")
    assert "solvers" not in kubectl(api, passes_on, "--dry-run=server").stderr


def test_secrets_that_are_named_and_not_there_are_a_warning_and_what_is_in_them_is_not_asked_for(
    api: Api, door: Door
) -> None:
    key = {"keyID": "me", "keySecretRef": {"name": "eab"}}
    acme = {"server": "https://acme.example.com/directory", "externalAccountBinding": key}
    instance = an_instance(tls={"acme": acme}, imagePullSecrets=[{"name": "registry"}])
    said = kubectl(api, instance, "--dry-run=server").stderr
    where = f"in namespace {api.namespace} yet"
    assert f"Warning: spec.tls.acme.externalAccountBinding.keySecretRef.name: no Secret 'eab' {where}" in said
    assert f"Warning: spec.imagePullSecrets: no Secret 'registry' {where}" in said
    for name in ("eab", "registry"):
        api.kubectl("create", "secret", "generic", name, "--from-literal=secret=x")
    assert "no Secret" not in kubectl(api, instance, "--dry-run=server").stderr
    by = {"authentication": {"passwordsFrom": [{"secretRef": {"name": "heads"}}]}}
    community = a_community(portalDomain="meet.mcs.test", **by)
    assert f"no Secret 'heads' with label mcs.tvox.io/passwords=acme {where}" in kubectl(api, community).stderr


def test_who_cuts_his_tvox_off_is_warned_with_its_address_and_the_command_for_its_profile(api: Api, door: Door) -> None:
    api.create(an_instance(), a_community(), a_link("acme", domain="x.mcs.test"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    api.merge_status("TVoxLink", "acme", {"tunnel": {"peer": "203.0.113.9:40000"}})
    patch = json.dumps({"spec": {"protocol": "TCP", "allowedSources": ["198.51.100.0/24"]}})

    def said() -> str:
        command = api.kubectl_command("patch", "tvl", "acme", "--type=merge", "--dry-run=server", "--patch", patch)
        return subprocess.run(command, text=True, capture_output=True, check=True, timeout=60).stderr

    until("the webhook knows the peer", lambda: "TVoxLink acme is connected from 203.0.113.9" in said())
    assert "Warning: spec.protocol: the TVox is cut off until its new profile is uploaded to it" in said()
    assert f"kubectl mcs profile -n {api.namespace} acme" in said()


def test_another_tenants_domain_is_refused_without_his_name(api: Api, server: Api, door: Door) -> None:
    for namespace in fresh_namespace(server):
        other = server.within(namespace)
        other.create(an_instance("far", domain="far.test", node="elsewhere"), a_community(instance="far"))
        other.create(a_link("tenants-secret", instance="far", domain="x.mcs.test"))
        until_known(api, "x.mcs.test")
        said = kubectl(api, a_link("new", domain="x.mcs.test")).stderr
        assert "spec.domain: x.mcs.test is in use" in said
        for name in ("tenants-secret", "far", namespace):
            assert name not in said


def test_who_is_not_served_keeps_no_name_from_anybody(api: Api, server: Api, door: Door) -> None:
    for namespace in fresh_namespace(server):
        server.within(namespace).create(*(a_link(f"s{n:02d}", domain=f"s{n:02d}.squat.test") for n in range(30)))
        api.create(an_instance(), a_community())
        until_known_there(server.within(namespace), "s29")
        for number in (0, 29):
            assert kubectl(api, a_link(f"new{number}", domain=f"s{number:02d}.squat.test")).returncode == 0
        api.wait_condition("TVoxLink", "new29", "Accepted", "True")


def until_known_there(there: Api, name: str) -> None:
    """Wait until the operator has seen this link, which waits for an instance."""
    there.wait_condition("TVoxLink", name, "Accepted", "False", "InstanceNotFound")


def test_an_instance_is_not_replaced_by_one_that_its_tvoxes_do_not_find(api: Api, door: Door) -> None:
    """As `kubectl replace --force` and Flux's `force` do: delete, and create."""
    keeping = {"retain": {"storage": "Retain", "pki": "Retain"}}
    was = an_instance(vpn={"slots": 6, "basePort": 23000}, **keeping)
    api.create(was, a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    profile = api.get("Secret", "acme-profile")["data"]
    changed = an_instance(vpn={"slots": 6}, **keeping)
    done = subprocess.run(
        api.kubectl_command("replace", "--force", "-f", "-"),
        input=yaml.safe_dump(changed),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert "spec.vpn.basePort: 21000: 1 profiles of this instance's TVoxes have 23000" in done.stderr
    assert api.get("Secret", "acme-profile")["data"] == profile
    create_once_counted(api, was)  # as it was it may come back
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    assert api.get("Secret", "acme-profile")["data"] == profile


def test_whoever_got_by_the_webhook_is_told_the_same_by_a_condition(api: Api, server: Api, operator: Operator) -> None:
    for namespace in fresh_namespace(server):
        other = server.within(namespace)
        other.create(an_instance("far", domain="far.test"), a_community(instance="far"))
        other.create(a_link("first", instance="far", domain="x.mcs.test"))
        other.wait_condition("TVoxLink", "first", "Accepted", "True")
        api.create(an_instance(), a_community(), a_link("second", domain="x.mcs.test"))
        message = api.wait_condition("TVoxLink", "second", "Accepted", "False", "DomainTaken")
        assert message.startswith(
            "spec.domain: x.mcs.test is in use, and a public name belongs to one object of the cluster"
        )
        other.delete("TVoxLink", "first")
        api.wait_condition("TVoxLink", "second", "Accepted", "True")


def test_an_instance_of_a_domain_that_is_taken_says_so_and_serves(api: Api, server: Api, operator: Operator) -> None:
    for namespace in fresh_namespace(server):
        server.within(namespace).create(an_instance("far"))
        server.within(namespace).wait_condition("MCSInstance", "far", "Accepted", "True")
        time.sleep(1.1)  # creation times are in seconds
        api.create(an_instance())
        message = api.wait_condition("MCSInstance", "mcs", "Stalled", "True", "DomainTaken")
        assert message.startswith(
            "spec.domain: mcs.test is in use, and a public name belongs to one object of the cluster"
        )
        until("its pod is wanted all the same", lambda: api.find("StatefulSet", "mcs"))


@pytest.fixture
def burst(api: Api) -> Iterator[Callable[[int], list[tuple[str, float]]]]:
    """Create so many links, 64 at a time; each one's outcome and seconds."""
    api.create(an_instance(vpn={"slots": 250}), a_community())

    def create(number: int) -> tuple[str, float]:
        begun = time.monotonic()
        try:
            api.create_at_once(a_link(f"c{number:04d}"))
        except Refused as refused:
            return str(refused), time.monotonic() - begun
        return "", time.monotonic() - begun

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        yield lambda count: list(pool.map(create, range(count)))


def judged(api: Api, outcomes: list[tuple[str, float]]) -> None:
    """Never more than 250, nobody hung, and everybody else was told why."""
    assert max(seconds for _, seconds in outcomes) < SLOWEST
    refused = [text for text, _ in outcomes if text]
    assert all("250" in text for text in refused), [text for text in refused if "250" not in text][:3]
    accepted = [
        link
        for link in api.list("TVoxLink")
        if api.condition("TVoxLink", link["metadata"]["name"], "Accepted")[0] == "True"
    ]
    assert len(accepted) <= 250


def test_when_it_dies_amid_a_burst_nobody_hangs(
    api: Api, door: Door, burst: Callable[[int], list[tuple[str, float]]]
) -> None:
    first = next(iter(door._replicas.values()))
    timer = threading.Timer(0.4, first.kill)
    timer.start()
    outcomes = burst(400)
    timer.join()
    assert not first.runs
    judged(api, outcomes)
    first.start()
    until("it judges again", lambda: door.serves(first) and kubectl(api, a_link("more")).returncode, 30)


def test_its_certificate_changes_amid_a_burst_and_nobody_notices(
    api: Api, door: Door, burst: Callable[[int], list[tuple[str, float]]]
) -> None:
    before = door.trusted()
    first = next(iter(door._replicas.values()))

    async def renew() -> None:
        connected = await client.Api.connect(kubeconfig=client.Kubeconfig(str(api.kubeconfig)))
        in_two_months = datetime.now(UTC) + timedelta(days=61)
        registration = Registration(connected, door.home.namespace, lambda: in_two_months)
        try:
            await registration.keep()
        finally:
            await connected.close()

    rotation = threading.Thread(target=lambda: asyncio.run(renew()))
    rotation.start()
    outcomes = burst(400)
    rotation.join()
    judged(api, outcomes)
    assert door.trusted() != before
    assert before and base64.b64decode(before) in base64.b64decode(door.trusted())
    # 400 creates on a busy machine may cost the leader its Lease, with which it ends. A certificate is no reason to.
    assert first.runs or "the Lease could not be renewed" in first.since(0)
    assert "Traceback" not in first.since(0)


def test_two_replicas_serve_with_one_certificate(
    api: Api, door: Door, burst: Callable[[int], list[tuple[str, float]]]
) -> None:
    second = door.replica(1)
    second.begin()
    until("the second replica serves", lambda: door.serves(second), 30)
    timer = threading.Timer(0.3, door.lead_to, [second])
    timer.start()
    outcomes = burst(400)
    timer.join()
    judged(api, outcomes)
    assert len({path.read_bytes() for path in door._folder.glob("*/tls.crt")}) == 1
    until("the second one judges", lambda: kubectl(api, a_link("more")).returncode, 10)


def forged(door: Door, path: str, body: bytes = b"{}") -> int:
    """What a pod of the cluster is answered that found the Service."""
    trust = ssl.create_default_context(cadata=base64.b64decode(door.trusted()).decode())
    trust.check_hostname = False
    asked = urllib.request.Request(f"https://localhost:{door.port()}{path}", data=body)
    try:
        with urllib.request.urlopen(asked, timeout=10, context=trust) as answer:  # noqa: S310 - https, above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_whoever_does_not_know_the_path_is_told_nothing(api: Api, door: Door) -> None:
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u"}}
    body = json.dumps(review).encode()
    assert re.fullmatch(r"/validate/[0-9a-f]{64}", door.path())
    for path in ("/", "/validate", "/validate/", door.path()[:-1], door.path() + "/x"):
        assert forged(door, path, body) == 404, path
    assert forged(door, door.path(), body) == 400, "it is asked at this path, and this is no review"


def test_a_path_that_somebody_takes_away_comes_back_and_all_replicas_keep_to_it(api: Api, door: Door) -> None:
    path = door.path()
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/service/path", "value": "/validate"}]
    door.home.kubectl("patch", "validatingwebhookconfiguration", WEBHOOK, "--type=json", "-p", json.dumps(patch))
    second = door.replica(1)
    second.begin()
    until("the second replica serves", lambda: door.serves(second), 30)
    until("the leader registers it again", lambda: door.path() == path, 90)
    early = api, a_link("early")
    until("the API server asks there", lambda: "Warning: " in kubectl(*early, "--dry-run=server").stderr, 30)


def test_silent_and_large_strangers_do_not_keep_the_api_server_out(api: Api, door: Door) -> None:
    silent = [socket.create_connection(("localhost", door.port()), timeout=5) for _ in range(300)]
    try:
        until("it judges all the same", lambda: "Warning: " in kubectl(api, a_link("e"), "--dry-run=server").stderr, 20)
        with ThreadPoolExecutor(20) as pool:
            assert set(pool.map(lambda _: refused_large(door), range(40))) <= {404, 0}
        until("it judges all the same", lambda: "Warning: " in kubectl(api, a_link("e"), "--dry-run=server").stderr, 20)
    finally:
        for connection in silent:
            connection.close()
    first = next(iter(door._replicas.values()))
    assert first.runs
    assert "Traceback" not in first.since(0)


def refused_large(door: Door) -> int:
    """7 MB of a stranger; 0 where the connection was closed while he was still sending."""
    try:
        return forged(door, "/validate", b"x" * 7_000_000)
    except OSError:
        return 0


def test_whoever_meddles_with_what_is_trusted_is_set_right(api: Api, door: Door) -> None:
    wanted = door.trusted()
    assert wanted

    async def look() -> None:
        connected = await client.Api.connect(kubeconfig=client.Kubeconfig(str(api.kubeconfig)))
        try:
            await Registration(connected, door.home.namespace, lambda: datetime.now(UTC)).keep()
        finally:
            await connected.close()

    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]
    door.home.kubectl("patch", "validatingwebhookconfiguration", WEBHOOK, "--type=json", "-p", yaml.safe_dump(patch))
    asyncio.run(look())
    assert door.trusted() == wanted
    version = door.home.get("ValidatingWebhookConfiguration", WEBHOOK)["metadata"]["resourceVersion"]
    asyncio.run(look())
    assert door.home.get("ValidatingWebhookConfiguration", WEBHOOK)["metadata"]["resourceVersion"] == version
