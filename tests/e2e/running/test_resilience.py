"""Whatever is lost, deleted or killed: the declared world comes back, and the customers keep what they have."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
from pathlib import Path

import pytest

from support.api import Api, Object
from support.mcs import POD, Mcs
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.probe import probing
from support.processes import kill_container, processes_of
from support.sites import profile_of
from support.snapshots import encoded, files
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"
RESTART = "mcs.tvox.io/restart-requested-at"


def test_an_operator_killed_during_fifty_link_changes_ends_them_all_right(mcs: Mcs, operator: Operator) -> None:
    stopped, again = [f"stopped-{number}" for number in range(5)], [f"again-{number}" for number in range(5)]
    both = [*stopped, *again]

    def died() -> None:
        operator.kill()
        operator.start()

    with mcs.unnoticed(by=FIRST):
        for name in both:  # ten come, and change twice; five are stopped, five go and come back; and it dies four times
            mcs.api.apply(mcs.a_link(name))
        died()
        for name in both:
            mcs.api.change("TVoxLink", name, protocol="TCP")
        died()
        for name in both:
            mcs.api.change("TVoxLink", name, allowedSources=["192.0.2.0/24"])
        for name in again:
            mcs.api.delete("TVoxLink", name)
        died()
        for name in stopped:
            mcs.api.change("TVoxLink", name, enabled=False, domain=mcs.domain(f"new-{name}"))
        for name in stopped:
            mcs.api.annotate("TVoxLink", name, rotate_requested_at=now())
        for name in again:
            mcs.api.create(mcs.a_link(name))
        died()
        for name in stopped:
            mcs.api.wait_condition("TVoxLink", name, "Connected", "False", "Disabled", timeout=60)
        for name in again:
            mcs.api.wait_condition("TVoxLink", name, "Connected", "False", "NeverConnected", timeout=60)
    numbers = {name: mcs.status(name)["slot"] for name in [*both, FIRST]}
    slots = {body["metadata"]["name"]: files(body) for body in mcs.api.list("Secret", "mcs.tvox.io/slot")}
    found = {name: slots.pop(f"{INSTANCE}-link-{number:03d}") for name, number in numbers.items()}
    assert slots == {}, "slots of nobody"
    for name in stopped:
        assert found[name]["enabled"] == "false" and "proto tcp4" in found[name]["server.conf"]
        assert "192.0.2.0/24" in found[name]["firewall.nft"]
        assert "proto tcp-client" in profile_of(mcs.api, name)
    for name in again:
        assert found[name]["enabled"] == "true" and "proto udp4" in found[name]["server.conf"]
        assert "192.0.2.0/24" not in found[name]["firewall.nft"]
    for name in both:
        mcs.remove(name)


@pytest.mark.slow
def test_a_killed_agent_costs_no_tunnel_and_is_missed_only_when_it_does_not_come_back(mcs: Mcs) -> None:
    before, tunnel = mcs.identity(), mcs.status(FIRST)["tunnel"]
    if not processes_of(mcs.api, POD):
        pytest.skip("the node is not this machine: nobody can kill its processes")

    def missed() -> bool:
        # The kubelet starts it again at once the first time, then after 10 s, 20 s, 40 s: only that is longer than the
        # 30 s for which the operator goes by what the agent said last.
        kill_container(mcs.api, POD, "agent")
        return mcs.api.condition("TVoxLink", FIRST, "Connected")[:2] == ("Unknown", "AgentUnreachable")

    with probing(mcs.api, POD, mcs.status(FIRST)["vpnAddress"]) as probe:
        until("the agent is missed", missed, 180, pause=1)
        mcs.api.wait_condition("TVoxLink", FIRST, "Ready", "Unknown", "AgentUnreachable")
        mcs.api.wait_condition("TVoxLink", FIRST, "Ready", "True", timeout=60)
        mcs.connected(FIRST)
        report = probe.finish()
    print(f"probe over {FIRST}: {report}")
    assert report.lost == 0 and report.received == report.sent > 0, str(report)
    assert mcs.status(FIRST)["tunnel"] == tunnel, "what the former agent knew is forgotten"
    after = mcs.identity()
    assert after.uid == before.uid
    assert {name for name, count in after.restarts.items() if count != before.restarts[name]} == {"agent"}


def test_a_slot_whose_secret_is_damaged_keeps_its_last_good_state_until_the_operator_has_mended_it(
    mcs: Mcs, globex: str, operator: Operator
) -> None:
    slot = f"link-{mcs.status(globex)['slot']:03d}"
    secret, tunnel = f"{INSTANCE}-{slot}", mcs.status(globex)["tunnel"]
    before = files(mcs.api.get("Secret", secret))

    def state() -> str:
        return str(json.loads(mcs.run(slot, "cat", "/run/link/state.json"))["state"])

    with mcs.unnoticed(by=globex):
        operator.kill()  # or the damage would not last long enough to be seen
        mcs.api.merge("Secret", secret, {"data": encoded(revision="0" * 64, **{"server.conf": "port 1"})})

        def is_seen() -> bool:
            mcs.api.annotate("Pod", POD, poke=f"by-hand-{time.time()}")  # or the kubelet looks in a minute
            return state() == "Quarantined"

        until("the slot has seen it", is_seen, 60, pause=1)
        operator.start()
        until("an Event says so", lambda: ("Quarantined", globex) in events(mcs))
        mcs.api.wait_condition("TVoxLink", globex, "Programmed", "True", "Programmed")
        until("the slot has taken the mended one", lambda: state() == "Running", 30)
    mcs.release(globex)
    assert files(mcs.api.get("Secret", secret)) == before
    assert mcs.status(globex)["tunnel"] == tunnel


def test_a_lost_ca_is_said_and_nothing_is_minted_anew_while_the_tunnels_stay(mcs: Mcs, globex: str) -> None:
    authority = mcs.api.get("Secret", f"{INSTANCE}-ca")
    with mcs.unnoticed(by=FIRST):
        mcs.api.delete("Secret", f"{INSTANCE}-ca")
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Stalled", "True", "IdentityLost")
        mcs.api.apply(mcs.a_link("newcomer"))
        mcs.api.wait_condition("TVoxLink", "newcomer", "Programmed", "False", "IdentityLost")
        assert mcs.api.find("Secret", f"{INSTANCE}-ca") is None
        assert mcs.api.find("Secret", "newcomer-profile") is None
        mcs.api.create(restored(authority))
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Stalled", "False")
        mcs.programmed("newcomer")
    assert mcs.api.condition("TVoxLink", globex, "Connected")[:2] == ("True", "Established")
    mcs.remove("newcomer")


def test_a_lost_profile_is_said_and_its_customer_stays_connected(mcs: Mcs) -> None:
    # A name of its own: a TVox of the same identity that another test switched off may still be on its way out.
    name = "hooli"
    mcs.link(name)
    since = mcs.connect(name)["tunnel"]["since"]
    profile = mcs.api.get("Secret", f"{name}-profile")
    with mcs.unnoticed(by=FIRST):
        mcs.api.delete("Secret", f"{name}-profile")
        mcs.api.wait_condition("TVoxLink", name, "Stalled", "True", "ProfileLost")
    assert mcs.api.find("Secret", f"{name}-profile") is None, "a new profile would cost a visit nobody asked for"
    assert mcs.status(name)["tunnel"]["since"] == since
    mcs.api.create(restored(profile))
    mcs.api.wait_condition("TVoxLink", name, "Stalled", "False")
    assert mcs.status(name)["tunnel"]["since"] == since
    mcs.remove(name)


def test_a_certificate_for_a_customers_domain_is_served_without_a_restart_and_a_broken_one_changes_nothing(
    mcs: Mcs, globex: str, tmp_path: Path
) -> None:
    domain = mcs.domain(globex)
    good = certificate_for(domain, tmp_path)
    with mcs.unnoticed(by=FIRST):
        mcs.api.create(tls_secret("globex-tls", *good))
        mcs.api.change("TVoxLink", globex, tls={"secretRef": {"name": "globex-tls"}})
        until("the certificate is served", lambda: mcs.certificate(domain) == good[0], 40)
        mcs.api.apply(tls_secret("globex-tls", good[0], "nonsense"))
        mcs.api.wait_condition("TVoxLink", globex, "Stalled", "True", "CertificateInvalid")
        until("it still is", lambda: mcs.certificate(domain) == good[0], 10)
    assert mcs.api.condition("TVoxLink", globex, "Ready")[0] == "True"
    mcs.api.change("TVoxLink", globex, tls=None)
    mcs.api.delete("Secret", "globex-tls")


def test_a_namespace_with_everything_in_it_is_gone_in_seconds_while_the_operator_is_dead(
    mcs: Mcs, server: Api, operator: Operator
) -> None:
    other = server.within(f"mcs-gone-{secrets.token_hex(3)}")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other.namespace}})
    other.apply(an_instance(node=mcs.node.name), a_community(), a_link("lost"))
    until("it is served", lambda: other.get("TVoxLink", "lost").get("status", {}).get("slot"))

    operator.kill()
    begun = time.monotonic()
    server.delete("Namespace", other.namespace, wait=60)

    print(f"namespace gone after {time.monotonic() - begun:.1f} s")
    operator.start()


def test_asked_for_a_restart_the_pod_is_drained_and_replaced_and_its_customers_come_back_by_themselves(
    mcs: Mcs, globex: str
) -> None:
    mcs.release(*mcs.witnesses)
    before = mcs.identity().uid
    mcs.api.merge("MCSInstance", INSTANCE, {"metadata": {"annotations": {RESTART: now()}}})
    back(mcs, before)
    for name in (FIRST, globex):
        mcs.connected(name, timeout=60)
    assert ("Restarting", INSTANCE) in events(mcs)
    time.sleep(5)
    assert mcs.api.get("Pod", POD)["metadata"]["uid"] != before, "and replaced once only"


def test_a_changed_field_of_impact_restart_restarts_the_pod_once(mcs: Mcs) -> None:
    mcs.release(*mcs.witnesses)
    before = mcs.identity().uid
    mcs.api.change("MCSInstance", INSTANCE, tolerations=[{"key": "example.com/media", "operator": "Exists"}])
    after = back(mcs, before)
    mcs.connected(FIRST, timeout=60)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
    assert mcs.identity().uid == after


def test_an_instance_that_is_deleted_and_applied_again_serves_the_old_profiles(mcs: Mcs, globex: str) -> None:
    mcs.release(*mcs.witnesses)
    mcs.api.change("MCSInstance", INSTANCE, retain={"storage": "Retain", "pki": "Retain"})
    for kind, name in (("Secret", f"{INSTANCE}-ca"), ("PersistentVolumeClaim", f"{INSTANCE}-data")):
        until(f"{name} has no owner", lambda k=kind, n=name: not mcs.api.get(k, n)["metadata"].get("ownerReferences"))
    declared = mcs.api.get("MCSInstance", INSTANCE)
    profiles = {name: profile_of(mcs.api, name) for name in (FIRST, globex)}
    numbers = {name: mcs.status(name)["slot"] for name in (FIRST, globex)}
    volume = mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")["metadata"]["uid"]

    begun = time.monotonic()
    mcs.api.allow_deletion(INSTANCE)
    mcs.api.delete("MCSInstance", INSTANCE, wait=5)
    mcs.api.wait_condition("TVoxLink", FIRST, "Accepted", "False", "InstanceNotFound")
    until("the pod is gone", lambda: mcs.api.find("Pod", POD) is None, 60)
    print(f"pod gone after {time.monotonic() - begun:.1f} s")
    mcs.api.apply(restored(declared))
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=120)

    for name in (FIRST, globex):
        mcs.connected(name, timeout=60)
        assert profile_of(mcs.api, name) == profiles[name]
        assert mcs.status(name)["slot"] == numbers[name]
    assert mcs.api.get("PersistentVolumeClaim", f"{INSTANCE}-data")["metadata"]["uid"] == volume
    mcs.api.change("MCSInstance", INSTANCE, retain={"storage": "Delete", "pki": "Delete"})


def back(mcs: Mcs, before: str) -> str:
    """Wait for another pod whose media is ready; its UID."""

    def look() -> str:
        pod = mcs.api.find("Pod", POD)
        assert pod is not None and pod["metadata"]["uid"] != before, "the old pod is still there"
        return str(pod["metadata"]["uid"])

    uid = until("another pod is there", look, 90)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=120)
    return uid


def events(mcs: Mcs) -> set[tuple[str, str]]:
    """Reason and object of each."""
    return {(event["reason"], event["involvedObject"]["name"]) for event in mcs.api.list("Event")}


def restored(body: Object) -> Object:
    """An object as a backup has it: without what the API server decides."""
    metadata = {key: body["metadata"][key] for key in ("name", "labels", "annotations") if key in body["metadata"]}
    return {key: value for key, value in body.items() if key != "status"} | {"metadata": metadata}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))


def certificate_for(domain: str, folder: Path) -> tuple[str, str]:
    """A self-signed certificate and its key, PEM."""
    files = [folder / "tls.crt", folder / "tls.key"]
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"
    names = ["-addext", f"subjectAltName=DNS:{domain}", "-out", files[0], "-keyout", files[1]]
    subprocess.run([*request.split(), *names], check=True, capture_output=True)
    return files[0].read_text(), files[1].read_text()


def tls_secret(name: str, certificate: str, key: str) -> Object:
    data = {"tls.crt": certificate, "tls.key": key}
    encoded = {entry: base64.b64encode(text.encode()).decode() for entry, text in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "data": encoded,
    }
