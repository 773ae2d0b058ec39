"""Rotation, revocation, renewal and a CA of one's own, against a real API server with the real operator.

No kubelet runs here: the link agent is a fake that speaks the real one's wire format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mcs_operator.contract.slotfiles import pins_in
from mcs_operator.pki import Authority, fingerprint, issued_by, mint_ca, mint_server, not_after
from mcs_operator.settings import ANNOTATION_REVOKE
from support.api import Api, Object
from support.certificates import case_pair
from support.fake_agent import FakeAgent, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.snapshots import encoded, files, identities, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

ACME, BOLT = 2, 3
Files = dict[str, str]


@pytest.fixture
def agent(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """An instance with links acme (2) and bolt (3), both connected."""
    base = free_base_port()
    api.create(an_instance(vpn={"slots": 6, "basePort": base}), a_community())
    for name, number in (("acme", ACME), ("bolt", BOLT)):
        api.create(a_link(name, vpnAddress=f"198.18.254.{number}"))
    with fake_agent(api, base) as agent:
        for name, number in (("acme", ACME), ("bolt", BOLT)):
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed")
            agent.show(number, current(api, name))
            api.wait_condition("TVoxLink", name, "Connected", "True", "Established")
            api.wait_condition("TVoxLink", name, "DomainResolved", "False", "NotResolved")  # asked a second later
        api.wait_condition("MCSInstance", "mcs", "DomainResolved", "False", "NotResolved")
        settled(api)
        yield agent


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slot(api: Api, number: int) -> Files:
    return files(api.get("Secret", f"mcs-link-{number:03d}"))


def pins(api: Api, number: int) -> tuple[str, ...]:
    content = slot(api, number)
    return pins_in(content["server.conf"]) if content["enabled"] == "true" else ()


def current(api: Api, name: str) -> str:
    return fingerprint(files(api.get("Secret", f"{name}-profile"))["tls.crt"])


def rotate(api: Api, name: str) -> str:
    """Ask for a rotation, and wait for it; the new fingerprint."""
    found = api.find("Secret", f"{name}-profile")
    old = fingerprint(files(found)["tls.crt"]) if found else ""
    made = until("the clock is past the last certificate's second", lambda: _later_than_newest(api, name))
    api.annotate("TVoxLink", name, rotate_requested_at=made)
    until("a new profile", lambda: (new := api.find("Secret", f"{name}-profile")) and _differs(new, old))
    return current(api, name)


def _differs(secret: Object, old: str) -> bool:
    return fingerprint(files(secret)["tls.crt"]) != old


def _later_than_newest(api: Api, name: str) -> str:
    found = api.find("Secret", f"{name}-profile")
    listed = json.loads(files(found)["identity.json"])["fingerprints"] if found else []
    return now() if all(pin["created"] < now() for pin in listed) else ""


def events(api: Api, name: str) -> list[str]:
    return [event["reason"] for event in api.list("Event") if event["involvedObject"]["name"] == name]


# --- rotation ---


def test_a_rotation_costs_its_link_two_restarts_and_no_other_link_any(api: Api, agent: FakeAgent) -> None:
    (old,), other, before = pins(api, ACME), versions(api)["Secret/mcs-link-003"], identities(api)
    new = rotate(api, "acme")
    message = api.wait_condition("TVoxLink", "acme", "RotationPending", "True", "NewNotSeen")
    assert "acme-profile" in message
    until("both are pinned", lambda: pins(api, ACME) == (old, new))
    api.wait_condition("TVoxLink", "acme", "Ready", "True", "Programmed")
    api.wait_condition("TVoxLink", "acme", "Connected", "True", "Established")
    settled(api)
    assert pins(api, ACME) == (old, new), "the TVox still shows its old certificate"

    agent.show(ACME, new)  # somebody has uploaded the new profile
    until("the old one is refused", lambda: pins(api, ACME) == (new,))
    api.wait_condition("TVoxLink", "acme", "RotationPending", "False", "UpToDate")
    api.wait_condition("TVoxLink", "acme", "Ready", "True", "Programmed")
    settled(api)
    assert agent.restarts(ACME) == 2
    assert (agent.restarts(BOLT), versions(api)["Secret/mcs-link-003"]) == (0, other)
    after = identities(api)
    assert after["bolt"] == before["bolt"]
    assert (after["acme"].number, after["acme"].tls_crypt) == (before["acme"].number, before["acme"].tls_crypt)
    assert "NewNotSeen" in events(api, "acme")


def test_a_rotation_that_is_taken_back_leaves_the_profile_that_the_tvox_has(api: Api, agent: FakeAgent) -> None:
    (old,), before = pins(api, ACME), files(api.get("Secret", "acme-profile"))["acme.ovpn"]
    rotate(api, "acme")
    api.wait_condition("TVoxLink", "acme", "RotationPending", "True", "NewNotSeen")
    until("the slot accepts both", lambda: agent.restarts(ACME) == 1)
    api.annotate("TVoxLink", "acme", undo_rotate_requested_at=now())
    api.wait_condition("TVoxLink", "acme", "RotationPending", "False", "UpToDate")
    until("the new one is refused", lambda: pins(api, ACME) == (old,))
    settled(api)
    assert files(api.get("Secret", "acme-profile"))["acme.ovpn"] == before
    assert current(api, "acme") == old
    assert (agent.restarts(ACME), agent.restarts(BOLT)) == (2, 0)


def test_an_operator_that_dies_during_a_rotation_makes_no_second_profile(
    api: Api, agent: FakeAgent, operator: Operator
) -> None:
    api.annotate("TVoxLink", "acme", rotate_requested_at=until("a second", lambda: _later_than_newest(api, "acme")))
    operator.kill()
    operator.start()
    api.wait_condition("TVoxLink", "acme", "RotationPending", "True", "NewNotSeen")
    seen, made = settled(api), current(api, "acme")
    operator.stop()
    operator.start()
    assert settled(api) == seen, "an operator that starts anew writes nothing"
    assert current(api, "acme") == made
    agent.show(ACME, made)
    until("the old one is refused", lambda: pins(api, ACME) == (made,))
    assert agent.restarts(ACME) <= 2


@pytest.mark.parametrize("annotation", ["rotate_requested_at", "revoke_requested_at"])
@pytest.mark.parametrize("text", ["true", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_a_typing_error_a_request_of_the_past_and_one_to_come_do_nothing(
    api: Api, agent: FakeAgent, annotation: str, text: str
) -> None:
    before = settled(api)
    api.annotate("TVoxLink", "acme", **{annotation: text})
    after = settled(api)
    assert {name for name in after if after[name] != before.get(name)} == {"TVoxLink/acme"}
    assert agent.restarts(ACME) == 0


def test_a_lost_profile_keeps_the_tunnel_and_is_healed_by_a_rotation(api: Api, agent: FakeAgent) -> None:
    (old,), outer = pins(api, ACME), slot(api, ACME)["tls-crypt.key"]
    api.delete("Secret", "acme-profile", wait=10)
    api.wait_condition("TVoxLink", "acme", "Stalled", "True", "ProfileLost")
    settled(api)
    assert agent.restarts(ACME) == 0
    new = rotate(api, "acme")
    until("both are pinned", lambda: pins(api, ACME) == (old, new))
    api.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    assert files(api.get("Secret", "acme-profile"))["tls-crypt.key"] == outer == slot(api, ACME)["tls-crypt.key"]
    agent.show(ACME, new)
    until("the old one is refused", lambda: pins(api, ACME) == (new,))
    assert agent.restarts(BOLT) == 0


def test_an_older_profile_put_back_after_a_rotation_locks_nobody_out_and_is_healed_by_another(
    api: Api, agent: FakeAgent
) -> None:
    backup = api.get("Secret", "acme-profile")["data"]
    new = rotate(api, "acme")
    agent.show(ACME, new)
    until("the old one is refused", lambda: pins(api, ACME) == (new,))
    settled(api)
    restarts = agent.restarts(ACME)

    api.merge("Secret", "acme-profile", {"data": backup})

    message = api.wait_condition("TVoxLink", "acme", "Stalled", "True", "ProfileLost")
    assert "newest backup" in message
    settled(api)
    assert pins(api, ACME) == (new,)
    assert agent.restarts(ACME) == restarts
    assert api.get("Secret", "acme-profile")["data"] == backup
    newest = rotate(api, "acme")
    until("both are pinned", lambda: pins(api, ACME) == (new, newest))
    api.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    agent.show(ACME, newest)
    until("the one before is refused", lambda: pins(api, ACME) == (newest,))


# --- revocation ---


def test_a_revoked_link_is_stopped_at_once_and_comes_back_with_a_new_profile(api: Api, agent: FakeAgent) -> None:
    (revoked,) = pins(api, ACME)
    api.annotate("TVoxLink", "acme", revoke_requested_at=now())
    until("it is stopped", lambda: pins(api, ACME) == (), timeout=20)
    api.wait_condition("TVoxLink", "acme", "Connected", "False", "Revoked")
    api.wait_condition("TVoxLink", "acme", "Ready", "True", "Revoked")
    assert api.condition("TVoxLink", "acme", "Reconciling")[0] == "False"
    assert "<peer-fingerprint>\n</peer-fingerprint>" not in slot(api, ACME)["server.conf"]
    settled(api)
    assert pins(api, ACME) == ()
    new = rotate(api, "acme")
    until("only the new one is accepted", lambda: pins(api, ACME) == (new,))
    api.wait_condition("TVoxLink", "acme", "RotationPending", "True", "OldRefused")
    agent.show(ACME, new)
    api.wait_condition("TVoxLink", "acme", "Connected", "True", "Established")
    api.wait_condition("TVoxLink", "acme", "RotationPending", "False", "UpToDate")
    assert revoked != new
    assert agent.restarts(BOLT) == 0
    assert "Revoked" in events(api, "acme")


def test_during_a_rotation_the_old_certificate_is_revoked_and_the_new_one_stays(api: Api, agent: FakeAgent) -> None:
    new = rotate(api, "acme")
    api.annotate("TVoxLink", "acme", revoke_requested_at=now())
    until("only the new one is accepted", lambda: pins(api, ACME) == (new,), timeout=20)
    api.wait_condition("TVoxLink", "acme", "RotationPending", "True", "OldRefused")
    settled(api)
    assert pins(api, ACME) == (new,)
    assert agent.restarts(BOLT) == 0


# --- renewal ---


@pytest.mark.parametrize("age", [360, 500], ids=["after most of its life", "after its end"])
def test_an_old_server_certificate_is_renewed_with_one_restart_of_that_link(
    api: Api, agent: FakeAgent, age: int
) -> None:
    before, other = identities(api), slot(api, BOLT)
    secret = files(api.get("Secret", "mcs-ca"))
    then = datetime.now(UTC) - timedelta(days=age)
    old = mint_server(Authority(secret["ca.crt"], secret["ca.key"]), "link-002.mcs", then)
    data = encoded(**{"tls.crt": old.cert_pem, "tls.key": old.key_pem})
    ran = agent.restarts(ACME)
    api.merge("Secret", "mcs-link-002", {"data": data})
    until("it is renewed", lambda: not_after(slot(api, ACME)["tls.crt"]) > datetime.now(UTC) + timedelta(days=390))
    api.wait_condition("TVoxLink", "acme", "Ready", "True", "Programmed")
    settled(api)
    assert agent.restarts(ACME) == ran + 1
    assert (identities(api), slot(api, BOLT)) == (before, other)


# --- a CA of one's own ---


def a_ca_secret(ca: Authority, name: str = "our-ca") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "data": encoded(**{"tls.crt": ca.cert_pem, "tls.key": ca.key_pem}),
    }


def test_a_ca_of_ones_own_may_come_late_signs_everything_and_is_never_copied(api: Api, operator: Operator) -> None:
    api.create(an_instance(vpn={"slots": 6, "caSecretRef": {"name": "our-ca"}}), a_community(), a_link("acme"))
    assert "our-ca" in api.wait_condition("MCSInstance", "mcs", "Reconciling", "True", "CaNotFound")
    api.wait_condition("TVoxLink", "acme", "Programmed", "False", "CaNotFound")
    assert not identities(api)
    ours = mint_ca("Our Company", datetime.now(UTC))
    api.create(a_ca_secret(ours))
    until("the profile", lambda: identities(api))
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    settled(api)
    profile = files(api.get("Secret", "acme-profile"))
    assert issued_by(profile["tls.crt"], ours.cert_pem)
    assert "verify-x509-name link-002.mcs name" in profile["acme.ovpn"]
    assert issued_by(slot(api, ACME)["tls.crt"], ours.cert_pem)
    key = ours.key_pem.splitlines()[2]
    holders = [s["metadata"]["name"] for s in api.list("Secret") if any(key in text for text in files(s).values())]
    assert holders == ["our-ca"]


def test_another_ca_in_its_place_signs_nothing_and_what_is_there_goes_on(api: Api, operator: Operator) -> None:
    ours = mint_ca("Our Company", datetime.now(UTC))
    api.create(a_ca_secret(ours))
    api.create(an_instance(vpn={"slots": 6, "caSecretRef": {"name": "our-ca"}}), a_community(), a_link("acme"))
    until("the profile", lambda: identities(api))
    settled(api)
    before, content = identities(api), slot(api, ACME)
    api.apply(a_ca_secret(mint_ca("Our Company", datetime.now(UTC))))
    assert "another CA" in api.wait_condition("MCSInstance", "mcs", "Stalled", "True", "CaInvalid")
    api.create(a_link("bolt"))
    api.wait_condition("TVoxLink", "bolt", "Programmed", "False", "CaInvalid")
    settled(api)
    assert (identities(api), slot(api, ACME)) == (before, content)
    api.apply(a_ca_secret(ours))
    until("bolt has its profile", lambda: "bolt" in identities(api))
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("ca-aki-without-serial", "are malformed: make it anew"),
        ("ekuserver", "unsuitable certificate purpose"),
        ("critx", "unhandled critical extension"),
    ],
)
def test_a_ca_that_openssl_refuses_signs_nothing_and_a_revocation_is_carried_out(
    api: Api, operator: Operator, case: str, says: str
) -> None:
    ours, strange = mint_ca("Our Company", datetime.now(UTC)), case_pair(case)
    api.create(a_ca_secret(ours))
    api.create(an_instance(vpn={"slots": 6, "caSecretRef": {"name": "our-ca"}}), a_community(), a_link("acme"))
    until("the profile", lambda: identities(api))
    settled(api)
    api.apply(a_ca_secret(Authority(strange.cert_pem, strange.key_pem)))
    assert says in api.wait_condition("MCSInstance", "mcs", "Stalled", "True", "CaInvalid")
    api.merge("TVoxLink", "acme", {"metadata": {"annotations": {ANNOTATION_REVOKE: now()}}})
    until("its process is stopped", lambda: slot(api, ACME)["enabled"].strip() == "false")
