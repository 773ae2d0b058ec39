"""Keys over the years, with real ones: every round sees nothing but the Secrets of the round before, and a clock."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mcs_operator.api import MCSInstance
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.domain.decide import decide, without_leftovers
from mcs_operator.domain.facts.keys import Authority
from mcs_operator.domain.facts.world import AgentCredentials, Fingerprint, TlsSecret
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.rules.addressing import agent_name
from mcs_operator.domain.rules.pins import OVERLAP
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.pki import (
    common_name,
    fingerprint,
    identities,
    issued_by,
    mint_agent,
    mint_ca,
    mint_server,
    not_after,
)
from mcs_operator.pki.foreign import ForeignError
from mcs_operator.pki.inspect import is_for
from mcs_operator.pki.renewal import renew_at
from mcs_operator.pki.serving import serving
from mcs_operator.settings import ANNOTATION_REVOKE, ANNOTATION_ROTATE, ANNOTATION_UNDO_ROTATE, LABEL_SLOT
from support.certificates import case_pair
from support.rounds import Rounds
from support.worlds import NAMESPACE, NOW, PAIR, community, conditions, given, instance, link, links, message, slot

DAY = timedelta(days=1)
BROUGHT = "our-ca"


def served(*names: str, **more: Any) -> Rounds:
    return Rounds([link(name, age=len(names) - at) for at, name in enumerate(names or ("acme",))], **more).round()


def rotating() -> Rounds:
    """A link whose rotation has begun."""
    space = served("acme", "bolt")
    space.show("acme")
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    return space.round()


def put(space: Rounds, secret: str, **files: str | None) -> None:
    """Edit a Secret by hand; None removes a file."""
    data = space.secrets[secret]["data"]
    for name, text in files.items():
        key = name.replace("__", "-").replace("_", ".")
        if text is None:
            del data[key]
        else:
            data[key] = base64.b64encode(text.encode()).decode()


# --- nothing is made that is there ---


def test_a_second_round_changes_no_byte() -> None:
    space = served("acme", "bolt")
    before = json.dumps(space.secrets, sort_keys=True)
    assert json.dumps(space.round(seconds=1).secrets, sort_keys=True) == before
    assert not space.restarts


def test_a_client_certificate_ends_with_the_ca_and_the_server_accepts_it_alone() -> None:
    space = served()
    assert not_after(space.profile("acme")["tls.crt"]) == not_after(space.slot("acme")["ca.crt"])
    assert space.pins("acme") == (space.current("acme"),)


def test_a_former_slot_of_a_link_that_cannot_be_removed_restarts_nobody() -> None:
    """Restored from an old backup, and held by somebody's finalizer."""
    space = served("acme", "bolt")
    number, ca = space.number("acme"), space.keys.authority
    assert ca is not None
    before = space.slot("acme")
    former = copy.deepcopy(space.secrets[f"mcs-link-{number:03d}"])
    former["metadata"] |= {"name": "mcs-link-009", "labels": former["metadata"]["labels"] | {LABEL_SLOT: "009"}}
    space.secrets["mcs-link-009"] = former
    pair = mint_server(ca, "link-009.mcs", NOW)
    put(space, "mcs-link-009", tls_crt=pair.cert_pem, tls_key=pair.key_pem)
    for _ in range(3):
        space.round(seconds=5)
    assert not space.restarts
    assert space.slot("acme") == before


# --- renewal ---


def test_in_19_years_no_profile_changes_and_each_server_is_restarted_once_a_renewal() -> None:
    space = served("acme", "bolt", "coil")
    profiles = {name: space.profile(name) for name in ("acme", "bolt", "coil")}
    for _ in range(19 * 12):
        space.round(days=30.4)
        for name in profiles:
            assert not_after(space.slot(name)["tls.crt"]) > space.now + 30 * DAY
            assert not_after(space.keys.agent.tls.cert_pem) > space.now + 30 * DAY  # type: ignore[union-attr]
    assert {name: space.profile(name) for name in profiles} == profiles
    assert all(19 <= space.restarts[name] <= 28 for name in profiles), space.restarts


def test_a_renewal_restarts_that_link_once_and_no_other() -> None:
    space = served("acme", "bolt")
    first, second = sorted(("acme", "bolt"), key=lambda name: renew_at(space.slot(name)["tls.crt"], name))
    moment = renew_at(space.slot(first)["tls.crt"], first)
    old = space.slot(first)
    space.round(seconds=(moment - space.now).total_seconds() + 1)
    assert space.restarts == {first: 1}
    changed = {name for name, text in space.slot(first).items() if text != old[name]}
    assert changed == {"tls.crt", "tls.key", "revision"}
    assert space.keys.due == renew_at(space.slot(second)["tls.crt"], second), "the next look is at the next renewal"
    space.round(seconds=1)
    assert space.restarts == {first: 1}


def test_when_the_operator_was_away_for_two_years_the_links_are_renewed_ten_a_minute() -> None:
    space = Rounds(links(25)).round()
    done = []
    space.now += 730 * DAY
    for _ in range(4):
        space.round(minutes=1)
        done.append(sum(space.restarts.values()))
    assert done == [10, 20, 25, 25]
    assert max(space.restarts.values()) == 1


def test_a_damaged_server_certificate_is_made_anew_and_the_profile_stays() -> None:
    space = served("acme", "bolt")
    profile = space.profile("acme")
    put(space, "mcs-link-002", tls_crt="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    space.round(seconds=1)
    assert issued_by(space.slot("acme")["tls.crt"], space.slot("acme")["ca.crt"])
    assert space.profile("acme") == profile
    assert set(space.restarts) == {"acme"}


@pytest.mark.parametrize("file", ["tls_crt", "tls_key", "ca_crt", "server_conf", "fingerprints_json", "tls-crypt_key"])
@pytest.mark.parametrize("text", ["", "rubbish", None])
def test_whatever_is_damaged_in_a_slots_secret_the_next_round_puts_right(file: str, text: str | None) -> None:
    space = served()
    profile = space.profile("acme")
    put(space, "mcs-link-002", **{file: text})
    space.round(seconds=1)
    slot = space.slot("acme")
    assert issued_by(slot["tls.crt"], slot["ca.crt"])
    assert space.pins("acme") == (space.current("acme"),)
    assert space.profile("acme") == profile


# --- rotation ---


def test_a_rotation_makes_a_new_profile_beside_the_old_one() -> None:
    space = served("acme", "bolt")
    old, other = space.profile("acme"), space.profile("bolt")
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round()
    new = space.profile("acme")
    assert space.pins("acme") == (fingerprint(old["tls.crt"]), fingerprint(new["tls.crt"]))
    assert new["tls.key"] != old["tls.key"]
    assert new["tls.crt"] in new["acme.ovpn"]
    assert new["tls-crypt.key"] == old["tls-crypt.key"]
    assert common_name(new["tls.crt"]) == common_name(old["tls.crt"]) == "link-002.mcs"
    assert json.loads(new["identity.json"])["slot"] == 2
    assert space.profile("bolt") == other


def test_while_the_tvox_has_not_moved_its_link_says_so_and_stays_ready() -> None:
    space = rotating()
    for _ in range(3):
        space.round(days=5)
        found = conditions(space.status("acme"))
        assert found["RotationPending"] == ("True", "NewNotSeen")
        assert found["Ready"] == ("True", "Programmed")
        assert found["Reconciling"] == ("False", "Reconciled")
        assert found["Stalled"] == ("False", "NotStalled")
    assert "until 2026-07-09T12:00:00Z" in message(space.status("acme"), "RotationPending")
    assert conditions(space.status("bolt"))["RotationPending"] == ("False", "UpToDate")


def test_a_rotation_restarts_that_link_twice_and_no_other() -> None:
    space = rotating()
    space.round(days=3)
    assert space.restarts == {"acme": 1}
    space.show("acme")
    space.round(days=3)
    assert space.pins("acme") == (space.current("acme"),)
    assert conditions(space.status("acme"))["RotationPending"] == ("False", "UpToDate")
    (left,) = json.loads(space.profile("acme")["identity.json"])["fingerprints"]
    assert left["seen"] == f"{space.now:%Y-%m-%dT%H:%M:%SZ}"
    space.round(days=40)
    assert space.restarts == {"acme": 2}


def test_a_rotation_that_is_taken_back_leaves_the_profile_as_it_was_and_restarts_no_other_link() -> None:
    space = served("acme", "bolt")
    space.show("acme")
    old = space.round(days=100).profile("acme")
    space.ask("acme", ANNOTATION_ROTATE)
    void = space.round().current("acme")
    assert space.profile("acme")["previous.crt"] == old["tls.crt"]
    space.round(days=3).ask("acme", ANNOTATION_UNDO_ROTATE)
    after = space.round().profile("acme")
    assert {name: text for name, text in after.items() if name != "identity.json"} == {
        name: text for name, text in old.items() if name != "identity.json"
    }
    assert space.pins("acme") == (space.current("acme"),) != (void,)
    assert conditions(space.status("acme"))["RotationPending"] == ("False", "UpToDate")
    assert space.restarts == {"acme": 2}
    assert space.round(days=40).profile("acme") == after, "and the request that made it makes no other one"
    assert space.restarts == {"acme": 2}


def test_a_rotation_asked_for_twice_is_taken_back_to_what_the_tvox_has() -> None:
    space = rotating()
    (in_use, _) = space.pins("acme")
    space.round(days=2).ask("acme", ANNOTATION_ROTATE)
    space.round(days=2).ask("acme", ANNOTATION_UNDO_ROTATE)
    assert space.round().pins("acme") == (in_use,) == (space.current("acme"),)


def test_what_the_tvox_had_is_kept_no_longer_than_it_can_be_taken_back() -> None:
    seen, late, revoked = rotating(), rotating(), rotating()
    seen.show("acme")
    revoked.ask("acme", ANNOTATION_REVOKE)
    for space, days in ((seen, 1.0), (late, 31.0), (revoked, 0.0)):
        made = space.current("acme")
        assert "previous.key" in space.profile("acme")
        space.round(days=days).ask("acme", ANNOTATION_UNDO_ROTATE)
        assert "previous.key" not in space.round().profile("acme")
        assert space.pins("acme") == (made,)


def test_a_backup_from_the_midst_of_a_rotation_that_was_taken_back_brings_it_not_back() -> None:
    space = rotating()
    (in_use, _), backup = space.pins("acme"), copy.deepcopy(space.secrets["acme-profile"])
    space.ask("acme", ANNOTATION_UNDO_ROTATE)
    space.round(days=1)
    space.secrets["acme-profile"] = backup
    space.links[0].annotations.pop(ANNOTATION_UNDO_ROTATE)
    assert space.round(days=1).pins("acme") == (in_use,) == (space.current("acme"),)


def test_what_somebody_wrote_as_the_profile_of_before_is_not_taken() -> None:
    space = rotating()
    both = space.pins("acme")
    put(space, "acme-profile", previous_crt=space.profile("bolt")["tls.crt"])
    space.ask("acme", ANNOTATION_UNDO_ROTATE)
    assert space.round(days=1).pins("acme") == both


def test_after_the_deadline_the_old_certificate_is_refused_and_the_link_says_what_to_do() -> None:
    space = rotating()
    assert space.round().keys.due == space.now + OVERLAP
    space.round(days=29.9)
    assert len(space.pins("acme")) == 2
    space.round(days=0.2)
    assert space.pins("acme") == (space.current("acme"),)
    assert conditions(space.status("acme"))["RotationPending"] == ("True", "OldRefused")
    assert space.restarts == {"acme": 2}
    space.show("acme")
    space.round(days=1)
    assert conditions(space.status("acme"))["RotationPending"] == ("False", "UpToDate")
    assert space.restarts == {"acme": 2}


def test_asked_for_again_before_it_was_seen_the_certificate_in_use_stays_and_the_unused_one_goes() -> None:
    space = rotating()
    in_use, unused = space.pins("acme")
    space.round(days=2).ask("acme", ANNOTATION_ROTATE)
    space.round()
    assert space.pins("acme") == (in_use, space.current("acme"))
    assert unused not in space.pins("acme")
    before = space.current("acme")
    assert space.round(seconds=1).current("acme") == before


def test_a_request_that_stays_on_the_object_makes_one_profile_and_not_one_a_round() -> None:
    space = rotating()
    made = space.current("acme")
    for _ in range(5):
        assert space.round(seconds=0.3).current("acme") == made


# --- a lost profile ---


def test_a_lost_profile_keeps_the_pin_and_waits() -> None:
    space = served("acme", "bolt")
    pins = space.pins("acme")
    del space.secrets["acme-profile"]
    space.round(days=1)
    assert "acme-profile" not in space.secrets
    assert space.pins("acme") == pins
    assert conditions(space.status("acme"))["Stalled"] == ("True", "ProfileLost")
    assert ANNOTATION_ROTATE in message(space.status("acme"), "Stalled")
    assert not space.restarts


def test_a_lost_profile_is_healed_by_a_rotation_at_the_same_number_with_the_old_pin_kept() -> None:
    space = served("acme", "bolt")
    (old,), outer = space.pins("bolt"), space.slot("bolt")["tls-crypt.key"]
    del space.secrets["bolt-profile"]
    space.round(days=1).ask("bolt", ANNOTATION_ROTATE)
    space.round()
    assert space.pins("bolt") == (old, space.current("bolt"))
    assert space.profile("bolt")["tls-crypt.key"] == outer
    assert json.loads(space.profile("bolt")["identity.json"])["slot"] == 3
    space.round(seconds=1)
    found = conditions(space.status("bolt"))
    assert (found["Stalled"], found["RotationPending"]) == (("False", "NotStalled"), ("True", "NewNotSeen"))
    space.show("bolt")
    assert space.round(days=1).pins("bolt") == (space.current("bolt"),)
    assert space.restarts == {"bolt": 2}


def test_a_request_of_last_year_makes_no_new_profile_when_the_present_one_is_lost() -> None:
    """It was carried out then; whoever wants one now asks now. What was made when is told by the slot's Secret too."""
    space = rotating()
    space.show("acme")
    pins = space.round(days=200).pins("acme")
    del space.secrets["acme-profile"]
    space.round(days=1)
    assert "acme-profile" not in space.secrets
    assert space.pins("acme") == pins


def test_a_lost_profile_can_be_revoked() -> None:
    space = served()
    del space.secrets["acme-profile"]
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    assert space.round().pins("acme") == ()


# --- a profile restored from an older backup ---


def test_a_profile_from_before_a_finished_rotation_neither_locks_the_tvox_out_nor_lets_the_retired_one_in() -> None:
    space = served("acme", "bolt")
    backup = space.secrets["acme-profile"]
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round().show("acme")
    (new,) = space.round(days=1).pins("acme")
    space.restarts.clear()
    space.secrets["acme-profile"] = backup
    space.round(days=1)
    assert space.pins("acme") == (new,)
    assert space.secrets["acme-profile"] == backup, "what was restored is looked at by a person, not written over"
    assert conditions(space.status("acme"))["Stalled"] == ("True", "ProfileLost")
    assert "older" in message(space.status("acme"), "Stalled")
    assert not space.restarts
    space.ask("acme", ANNOTATION_ROTATE)
    assert space.round().pins("acme") == (new, space.current("acme"))
    assert conditions(space.round(seconds=1).status("acme"))["Stalled"] == ("False", "NotStalled")
    space.show("acme")
    assert space.round(days=1).pins("acme") == (space.current("acme"),)


def test_the_newest_backup_put_back_after_an_older_one_heals_without_a_restart() -> None:
    space = served("acme")
    older = space.secrets["acme-profile"]
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round().show("acme")
    newest = space.round(days=1).secrets["acme-profile"]
    space.restarts.clear()
    space.secrets["acme-profile"] = older
    space.round(days=1)
    space.secrets["acme-profile"] = newest
    space.round(days=1)
    assert conditions(space.status("acme"))["Stalled"] == ("False", "NotStalled")
    assert space.pins("acme") == (space.current("acme"),)
    assert not space.restarts


def test_a_profile_from_the_midst_of_a_rotation_does_not_bring_the_old_certificate_back() -> None:
    space = served("acme")
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    midst = space.round().secrets["acme-profile"]
    space.show("acme")
    (new,) = space.round(days=1).pins("acme")
    space.restarts.clear()
    space.shown.clear()
    space.secrets["acme-profile"] = midst
    assert space.round(days=1).pins("acme") == (new,)
    assert conditions(space.status("acme"))["Stalled"] == ("False", "NotStalled"), "its profile is the one in use"
    assert not space.restarts


def test_a_profile_from_before_a_rotation_that_is_under_way_takes_away_neither_certificate() -> None:
    space = served("acme")
    backup = space.secrets["acme-profile"]
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    both = space.round().pins("acme")
    assert len(both) == 2
    space.secrets["acme-profile"] = backup
    assert space.round(days=1).pins("acme") == both
    assert conditions(space.status("acme"))["Stalled"] == ("True", "ProfileLost")


def test_a_profile_from_before_a_revocation_stays_revoked_also_without_the_annotation() -> None:
    space = served("acme")
    backup = space.secrets["acme-profile"]
    space.round(days=100).ask("acme", ANNOTATION_REVOKE)
    assert space.round().pins("acme") == ()
    space.secrets["acme-profile"] = backup
    space.ask("acme", ANNOTATION_REVOKE, "")
    assert space.round(days=1).pins("acme") == ()


def test_an_identity_restored_late_replaces_the_one_that_was_made_meanwhile() -> None:
    space = served("acme")
    backup = dict(space.secrets)
    space.secrets.clear()
    space.round(days=1)
    made = space.current("acme")
    space.secrets |= {name: backup[name] for name in ("acme-profile", "mcs-ca")}
    space.round(days=1)
    assert space.profile("acme")["tls.crt"] == base64.b64decode(backup["acme-profile"]["data"]["tls.crt"]).decode()
    assert space.pins("acme") == (space.current("acme"),) != (made,)
    assert conditions(space.status("acme"))["Stalled"] == ("False", "NotStalled")


def test_an_older_slot_secret_put_back_changes_nothing() -> None:
    space = served("acme")
    number, backup = space.number("acme"), space.secrets[f"mcs-link-{space.number('acme'):03d}"]
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round().show("acme")
    pins = space.round(days=1).pins("acme")
    space.secrets[f"mcs-link-{number:03d}"] = backup
    assert space.round(days=1).pins("acme") == pins == (space.current("acme"),)
    assert conditions(space.status("acme"))["Stalled"] == ("False", "NotStalled")


# --- revocation ---


def test_the_only_certificate_revoked_stops_the_process_and_nothing_else() -> None:
    space = served("acme", "bolt")
    before = space.slot("bolt")
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    assert space.slot("acme")["enabled"] == "false"
    assert "<peer-fingerprint>\n</peer" not in space.slot("acme")["server.conf"]
    found = conditions(space.status("acme"))
    assert found["Connected"] == ("False", "Revoked")
    assert found["Programmed"] == found["Ready"] == ("True", "Revoked")
    assert found["Reconciling"] == ("False", "Reconciled")
    assert space.slot("bolt") == before
    assert space.restarts == {"acme": 1}


def test_a_revoked_link_stays_so_until_a_rotation_and_then_accepts_the_new_profile_alone() -> None:
    space = served()
    revoked = space.current("acme")
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    assert space.round(days=60).pins("acme") == ()
    space.ask("acme", ANNOTATION_ROTATE)
    space.round()
    assert space.pins("acme") == (space.current("acme"),)
    assert space.current("acme") != revoked
    assert conditions(space.status("acme"))["RotationPending"] == ("True", "OldRefused")
    space.show("acme")
    assert conditions(space.round(days=1).status("acme"))["RotationPending"] == ("False", "UpToDate")


def test_during_a_rotation_the_old_certificate_is_revoked_and_the_new_one_goes_on() -> None:
    space = rotating()
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    assert space.pins("acme") == (space.current("acme"),)
    for _ in range(3):
        assert space.round(days=20).pins("acme") == (space.current("acme"),)
    assert space.restarts["acme"] == 2


def test_a_revocation_outlives_the_link() -> None:
    space = served("acme", "bolt")
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    (slot,) = [name for name in space.secrets if name == "mcs-link-002"]
    del space.secrets[slot]
    space.links[0] = link("acme", uid="another")
    space.round(days=1)
    assert space.pins("acme") == ()
    assert conditions(space.status("acme"))["Connected"] == ("False", "Revoked")


# --- the CA ---


def a_ca(name: str = "Our CA", key: Any = None, years: int = 5, now: datetime = NOW) -> tuple[str, str]:
    """A company's CA, certificate and key: it signs for others as well, and allows sub-CAs."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + years * 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key.private_bytes(*form).decode()


CERT, KEY = a_ca()


def bringing(cert: str = CERT, key: str = KEY) -> Rounds:
    """A namespace whose instance names a CA of the user's."""
    brought: MCSInstance = instance(vpn={"slots": 250, "caSecretRef": {"name": BROUGHT}})
    return Rounds(
        [link("acme", age=2), link("bolt", age=1)], instance=brought, tls={BROUGHT: TlsSecret(BROUGHT, cert, key)}
    )


def stalled(space: Rounds) -> tuple[str, str]:
    return conditions(space.statuses[Kind.INSTANCE, "mcs"])["Stalled"]


def test_a_ca_of_the_users_signs_and_is_copied_nowhere() -> None:
    space = bringing().round()
    assert issued_by(space.profile("acme")["tls.crt"], CERT)
    assert issued_by(space.slot("acme")["tls.crt"], CERT)
    assert not_after(space.profile("acme")["tls.crt"]) == not_after(CERT)
    assert "mcs-ca" not in space.secrets
    secret = KEY.splitlines()[2]  # the line before it is the same for every key of this curve
    contents = [base64.b64decode(text).decode() for body in space.secrets.values() for text in body["data"].values()]
    assert not any(secret in content for content in contents)
    assert stalled(space) == ("False", "NotStalled")


def test_under_a_ca_that_signs_for_others_a_tvox_trusts_its_own_server_alone() -> None:
    space = bringing().round()
    assert "verify-x509-name link-002.mcs name\n" in space.profile("acme")["acme.ovpn"]
    assert common_name(space.slot("acme")["tls.crt"]) == "link-002.mcs"
    assert "verify-x509-name" not in served().profile("acme")["acme.ovpn"]


def test_without_the_secret_nothing_is_made_and_the_instance_says_so() -> None:
    space = bringing()
    space.tls.clear()
    space.round()
    assert not space.secrets.keys() & {"mcs-ca", "acme-profile", "mcs-link-002", "mcs-agent"}
    assert conditions(space.statuses[Kind.INSTANCE, "mcs"])["Reconciling"] == ("True", "CaNotFound")
    assert BROUGHT in message(space.statuses[Kind.INSTANCE, "mcs"], "Reconciling")
    assert conditions(space.status("acme"))["Programmed"] == ("False", "CaNotFound")


def test_when_it_comes_late_everything_is_made() -> None:
    space = bringing()
    there = dict(space.tls)
    space.tls.clear()
    space.round()
    space.tls.update(there)
    space.round(days=1)
    assert space.pins("acme") == (space.current("acme"),)
    assert stalled(space) == ("False", "NotStalled")


OTHER_CERT, OTHER_KEY = a_ca()
STRANGE = dataclasses.astuple(case_pair("ca-aki-without-serial"))
LEAF = mint_server(mint_ca("x", NOW), "leaf", NOW)


@pytest.mark.parametrize(
    ("cert", "key", "says"),
    [
        pytest.param("", "", "PEM", id="empty"),
        pytest.param(CERT, OTHER_KEY, "does not belong", id="another key"),
        pytest.param(LEAF.cert_pem, LEAF.key_pem, "not a CA", id="not a CA"),
        pytest.param(*a_ca(now=NOW - 4000 * DAY), "expired", id="expired"),
        pytest.param(OTHER_CERT, OTHER_KEY, "another CA", id="another CA of the same name"),
        pytest.param(*STRANGE, "malformed", id="a malformed extension"),
        pytest.param(CERT + "#" * 30_000, KEY, "at most", id="a megabyte, or less"),
    ],
)
def test_a_ca_that_cannot_be_used_leaves_the_tunnels_as_they_are(cert: str, key: str, says: str) -> None:
    space = bringing().round()
    before = json.dumps(space.secrets, sort_keys=True)
    space.tls[BROUGHT] = TlsSecret(BROUGHT, cert, key)
    space.links.append(link("coil"))
    space.round(days=300)
    assert json.dumps(space.secrets, sort_keys=True) == before
    assert stalled(space) == ("True", "CaInvalid")
    assert says in message(space.statuses[Kind.INSTANCE, "mcs"], "Stalled")
    assert conditions(space.status("acme"))["Ready"] == ("True", "Programmed")
    assert conditions(space.status("coil"))["Programmed"] == ("False", "CaInvalid")


@pytest.mark.parametrize(
    "tls", [{}, {BROUGHT: TlsSecret(BROUGHT, *STRANGE)}], ids=["no CA", "a CA with a malformed extension"]
)
def test_a_revocation_needs_no_ca(tls: dict[str, TlsSecret]) -> None:
    space = bringing().round()
    space.tls.clear()
    space.tls.update(tls)
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    assert space.round().pins("acme") == ()


def test_the_agents_credentials_outlive_a_lost_ca() -> None:
    """Without them in what is rendered the Secret would be pruned, and the running agent forgotten."""
    space = served()
    agent = space.keys.agent
    del space.secrets["mcs-ca"]
    space.round(days=1)
    assert agent is not None
    assert space.keys.agent == agent


def test_where_nothing_can_be_signed_the_ca_is_read_from_a_slot_that_has_a_readable_one() -> None:
    space = served("acme", "bolt")
    del space.secrets["mcs-ca"]
    put(space, "mcs-link-002", ca_crt="rubbish")
    space.round(days=1)
    assert space.keys.ca == space.slot("bolt")["ca.crt"]


def test_where_nothing_can_be_signed_a_slot_of_another_instance_tells_nothing_about_the_ca() -> None:
    """Nor is anybody cut off for it: whose CA is the right one, this instance's own slots say."""
    far, own = slot(2, "far", owner="other", ca=OTHER_CERT), slot(3, "gone", ca=CERT)
    lost = given(instance(), community(), far, own, ca=False)
    assert identities.complete(lost, decide(lost)).ca == CERT
    alone = given(instance(), community(), far, authorities={"mcs": Authority(CERT, KEY)})
    assert identities.complete(alone, decide(alone)).problem is None


def test_one_links_material_that_is_gone_is_told_at_that_link_and_the_other_goes_on() -> None:
    space = served("acme", "bolt")
    del space.secrets["acme-profile"]
    put(space, "mcs-link-002", tls__crypt_key=None)
    space.round(days=1)
    assert set(space.keys.links) == {"bolt"}
    assert "acme-profile is gone" in space.keys.damaged["acme"]
    assert "mcs-link-002" in space.keys.damaged["acme"]


def test_a_revocation_stops_also_a_slot_of_which_little_is_left() -> None:
    space = served("acme", "bolt")
    del space.secrets["acme-profile"]
    put(space, "mcs-link-002", tls__crypt_key=None)
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    assert space.slot("acme")["enabled"] == "false"
    assert not space.keys.damaged
    before = space.slot("acme")
    assert space.round(days=1).slot("acme") == before


@pytest.mark.parametrize(
    ("name", "wrong", "other"), [("link-002.mcs", "acme", "bolt"), ("link-003.mcs", "bolt", "acme")]
)
def test_one_links_keys_that_cannot_be_made_are_no_reason_to_make_none(
    name: str, wrong: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it get those of the link before it."""
    world = Rounds([link("acme", age=2), link("bolt", age=1)]).world()
    for error in (ForeignError("out of order"), KeyError("nobody thought of it")):

        def mint(ca: Any, whose: str, now: datetime, error: Exception = error) -> Any:
            if whose == name:
                raise error
            return mint_server(ca, whose, now)

        monkeypatch.setattr(identities, "mint_server", mint)
        keys = identities.complete(world, decide(world))
        assert set(keys.links) == {other}
        if isinstance(error, ForeignError):
            assert (keys.damaged, keys.defects) == ({wrong: "its keys cannot be made: out of order"}, {})
        else:
            assert (keys.damaged, set(keys.defects)) == ({}, {wrong})
            assert keys.defects[wrong].startswith("the link's keys: KeyError in pki/identities.py:")


def test_without_an_instance_there_are_no_keys() -> None:
    world = given(community(), link("acme"))
    assert identities.complete(world, decide(world)) == Keys()


def test_the_certificates_of_the_domains_come_with_the_keys() -> None:
    world = given(instance(tls={"secretRef": {"name": "web"}}), community(), ca=False)
    plan = decide(world)
    found = identities.complete(world, plan).serving
    assert found == serving(world, plan)
    assert found.problems, "the Secret is missing, which is told at the instance"


def test_a_rotation_without_a_ca_waits_and_drops_nothing() -> None:
    space = bringing().round()
    space.round(days=1).ask("acme", ANNOTATION_ROTATE)
    both = space.round().pins("acme")
    there = space.tls.pop(BROUGHT)
    space.round(days=1).ask("acme", ANNOTATION_ROTATE)
    assert space.round().pins("acme") == both
    space.tls[BROUGHT] = there
    assert space.round(days=1).pins("acme") == (both[0], space.current("acme"))


def test_a_ca_renewed_with_its_key_reaches_each_link_with_its_next_server_certificate() -> None:
    key = serialization.load_pem_private_key(KEY.encode(), password=None)
    space = bringing().round()
    renewed, _ = a_ca(key=key, years=10)
    space.tls[BROUGHT] = TlsSecret(BROUGHT, renewed, KEY)
    space.round(days=1)
    assert stalled(space) == ("False", "NotStalled")
    assert not space.restarts, "250 links must not restart at once because a CA was renewed"
    assert space.slot("acme")["ca.crt"] == CERT
    assert renewed in space.profile("acme")["acme.ovpn"]
    space.round(days=350)
    assert space.slot("acme")["ca.crt"] == renewed
    assert space.restarts == {"acme": 1, "bolt": 1}


def test_under_a_ca_of_the_users_a_lost_profile_is_not_taken_for_the_remains_of_an_earlier_instance() -> None:
    brought = instance(vpn={"caSecretRef": {"name": BROUGHT}}, retain={"pki": "Delete"})
    known = {"mcs": AgentCredentials(PAIR, "token")}
    for agents, leftovers in ((known, 0), ({}, 1)):
        world = given(brought, community(), link("acme"), slot(2, "acme"), ca=False, agents=agents)
        assert len(without_leftovers(world)[1]) == leftovers


def test_near_the_end_of_the_ca_nothing_is_renewed_in_ever_shorter_steps() -> None:
    space = bringing(*a_ca(years=1)).round()
    for _ in range(36):
        space.round(days=10)
    assert sum(space.restarts.values()) == 0
    assert not_after(space.slot("acme")["tls.crt"]) == not_after(space.profile("acme")["tls.crt"])


def test_the_own_ca_lost_while_customers_exist_is_never_made_anew() -> None:
    space = served()
    before = dict(space.secrets)
    del space.secrets["mcs-ca"]
    space.round(days=1)
    assert "mcs-ca" not in space.secrets
    assert stalled(space) == ("True", "IdentityLost")
    assert space.secrets["mcs-link-002"] == before["mcs-link-002"]


PUT_BACK = "is another CA than the one that signed the existing profiles; put that one back"


def test_what_is_wrong_with_a_ca_is_told_with_the_place_where_it_is_named() -> None:
    own, brought = served(), bringing().round()
    put(own, "mcs-ca", ca_crt=OTHER_CERT, ca_key=OTHER_KEY)
    assert own.round().keys.problem == Verdict(Reason.CA_INVALID, f"Secret 'mcs-ca' {PUT_BACK}")
    put(own, "mcs-ca", ca_crt=OTHER_CERT, ca_key=KEY)
    unfit = "the key does not belong to the CA's certificate; nothing is signed until it is put right"
    assert own.round().keys.problem == Verdict(Reason.CA_INVALID, f"Secret 'mcs-ca': {unfit}")

    brought.tls[BROUGHT] = TlsSecret(BROUGHT, OTHER_CERT, OTHER_KEY)
    where = "spec.vpn.caSecretRef: Secret 'our-ca'"
    assert brought.round().keys.problem == Verdict(Reason.CA_INVALID, f"{where} {PUT_BACK}")
    brought.tls[BROUGHT] = TlsSecret(BROUGHT, OTHER_CERT, KEY)
    assert brought.round().keys.problem == Verdict(Reason.CA_INVALID, f"{where}: {unfit}")
    brought.tls.clear()
    problem = brought.round().keys.problem
    assert problem is not None
    assert problem.reason is Reason.CA_NOT_FOUND
    assert problem.message.startswith("spec.vpn.caSecretRef: there is no Secret 'our-ca' of type kubernetes.io/tls")


def test_what_stands_around_a_brought_ca_reaches_no_tvox() -> None:
    space = bringing(f"# our own remarks\n{CERT}# and more\n").round()
    assert space.keys.ca == space.slot("acme")["ca.crt"] == CERT
    assert "remarks" not in space.profile("acme")["acme.ovpn"]


def test_which_ca_signed_is_known_also_where_only_the_server_certificates_are_left() -> None:
    space = bringing().round()
    for name in ("acme", "bolt"):
        del space.secrets[f"{name}-profile"]
    put(space, "mcs-link-002", ca_crt=None, tls_crt=None)
    put(space, "mcs-link-003", ca_crt=None)
    space.tls[BROUGHT] = TlsSecret(BROUGHT, OTHER_CERT, OTHER_KEY)
    problem = space.round().keys.problem
    assert problem == Verdict(Reason.CA_INVALID, f"spec.vpn.caSecretRef: Secret 'our-ca' {PUT_BACK}")
    space.tls[BROUGHT] = TlsSecret(BROUGHT, CERT, KEY)
    assert space.round().keys.problem is None


def test_another_ca_in_a_slot_is_replaced_by_the_one_that_signed() -> None:
    """A TVox verifies nothing by it, but the server its TVox."""
    space = bringing().round()
    put(space, "mcs-link-002", ca_crt=OTHER_CERT)
    assert space.round(seconds=1).slot("acme")["ca.crt"] == CERT


def test_without_a_ca_a_slot_without_a_server_certificate_has_no_keys_and_the_other_has_its_own() -> None:
    space = bringing().round()
    before = space.round(seconds=1).keys.links["bolt"]
    space.tls.clear()
    put(space, "mcs-link-002", tls_crt=None)
    keys = space.round(seconds=1).keys
    assert keys.links == {"bolt": before}
    assert (keys.damaged, keys.defects) == ({}, {})


def test_without_any_ca_certificate_there_are_no_keys() -> None:
    space = bringing().round()
    space.tls.clear()
    for number in (2, 3):
        put(space, f"mcs-link-{number:03d}", ca_crt=None)
    world = space.world()
    keys = identities.complete(world, decide(world))
    assert (keys.links, keys.ca, keys.damaged, keys.defects) == ({}, None, {}, {})


def test_a_slot_without_fingerprints_is_not_enough_where_the_profile_is_lost() -> None:
    space = served("acme", "bolt")
    del space.secrets["acme-profile"]
    put(space, "mcs-link-002", fingerprints_json=None, server_conf=None)
    keys = space.round(days=1).keys
    assert set(keys.links) == {"bolt"}
    assert keys.damaged == {
        "acme": "Secret acme-profile is gone, and Secret mcs-link-002 lacks what would be left of it (tls-crypt.key, a "
        "fingerprint); restore one of them from the backup, or ask for a new profile by annotation "
        f"{ANNOTATION_ROTATE}"
    }


def test_the_agents_credentials_stay_until_they_are_due() -> None:
    space = served()
    agent = space.keys.agent
    assert agent is not None
    assert len(base64.urlsafe_b64decode(agent.token + "=")) == 32
    assert space.round(days=1).keys.agent == agent
    renewed = space.round(days=396).keys.agent
    assert renewed is not None
    assert renewed.token == agent.token
    assert renewed.tls != agent.tls


def test_an_agents_certificate_from_another_namespaces_backup_is_made_anew_and_nothing_else() -> None:
    space = served()
    ca, agent, slot = space.keys.authority, space.keys.agent, space.slot("acme")
    assert ca is not None
    assert agent is not None
    strange = mint_agent(ca, ["mcs.another-namespace.svc"], NOW)
    put(space, "mcs-agent", tls_crt=strange.cert_pem, tls_key=strange.key_pem)
    renewed = space.round(seconds=5).keys.agent
    assert renewed is not None
    assert is_for(renewed.tls.cert_pem, agent_name("mcs", NAMESPACE))
    assert renewed.token == agent.token
    assert space.slot("acme") == slot
    assert space.round(seconds=5).keys.agent == renewed


def test_a_profile_is_written_with_the_moment_that_is_read_from_it() -> None:
    """In whole seconds, which is what identity.json tells: else the next round would find another one."""
    space = Rounds([link("acme")], now=NOW + timedelta(microseconds=123_456)).round()
    made = space.keys.links["acme"]
    first, space.now = made.fingerprints, space.now + timedelta(days=100)
    assert first == (Fingerprint(space.current("acme"), not_after(space.keys.ca or ""), created=NOW),)
    assert made.profile is not None
    assert made.profile.created == NOW
    world = space.world()
    assert world.profiles["acme"].fingerprints == first

    space.ask("acme", ANNOTATION_ROTATE)
    then = NOW + timedelta(days=100)
    end = not_after(space.keys.ca or "")
    pins = space.round().keys.links["acme"].fingerprints
    assert pins == (*first, Fingerprint(space.current("acme"), end, created=then, deadline=then + OVERLAP))


def test_a_profile_of_an_earlier_operator_gets_its_names_when_it_is_written_for_another_reason() -> None:
    space = served("acme")
    world = space.world()

    def kept(**other: Any) -> Any:
        profile = dataclasses.replace(world.profiles["acme"], named=False, **other)
        now = dataclasses.replace(world, profiles={"acme": profile}, links=tuple(space.links))
        return identities.complete(now, decide(now)).links["acme"].profile

    assert kept() == dataclasses.replace(world.profiles["acme"], named=False), "not for that alone"
    assert kept(released=NOW - DAY) == world.profiles["acme"]
    (pin,) = world.profiles["acme"].fingerprints
    space.now += DAY
    world = space.world()
    space.ask("acme", ANNOTATION_REVOKE)
    revoked = kept()
    assert revoked.named
    assert revoked.fingerprints == (dataclasses.replace(pin, revoked=space.now),)
    space.ask("acme", ANNOTATION_REVOKE, "")
    space.ask("acme", ANNOTATION_ROTATE)
    rotated = kept()
    assert rotated.named
    assert len(rotated.fingerprints) == 2


def test_an_own_ca_that_was_replaced_by_another_one_signs_nothing() -> None:
    space = served()
    other = mint_ca("mcs", datetime.now(UTC))
    put(space, "mcs-ca", ca_crt=other.cert_pem, ca_key=other.key_pem)
    slot = space.slot("acme")
    space.round(days=1)
    assert stalled(space) == ("True", "CaInvalid")
    assert space.slot("acme") == slot


def test_what_stands_around_our_own_ca_reaches_no_tvox_and_stays_where_it_is() -> None:
    """A restore by hand may write a remark before the certificate: no link is without its keys for that."""
    space = served()
    before, written = space.slot("acme")["ca.crt"], f"# from the backup\n{space.keys.ca}"
    put(space, "mcs-ca", ca_crt=written)
    space.round(seconds=1)
    assert space.slot("acme")["ca.crt"] == before
    assert space.keys.authority is not None
    assert space.keys.authority.cert_pem == written
    assert not space.restarts
