"""An identity is what it is, not what its labels say: copies, and what a restore brings, with real keys."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from mcs_operator.contract.digest import canonical
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.world import Damaged, DamagedProfile, TlsSecret, World
from mcs_operator.pki import belief, believed, fingerprint, mint_ca, mint_client
from mcs_operator.settings import ANNOTATION_REVOKE, ANNOTATION_ROTATE, LABEL_INSTANCE, LABEL_LINK, LABEL_SLOT
from support.rounds import Rounds
from support.worlds import conditions, instance, link, message

Body = dict[str, Any]


def served(*names: str) -> Rounds:
    return Rounds([link(name, age=len(names) - at) for at, name in enumerate(names)]).round()


def of_today(space: Rounds, *names: str) -> Rounds:
    """With identities as earlier operators wrote them: identity.json names nobody."""
    for name in names:
        told = identity(space, name)
        del told["link"], told["instance"]
        write(space.secrets[f"{name}-profile"], "identity.json", canonical(told))
    return space


def identity(space: Rounds, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(space.profile(name)["identity.json"])
    return found


def write(body: Body, file: str, text: str) -> None:
    body["data"][file] = base64.b64encode(text.encode()).decode()


def copied(space: Rounds, secret: str, name: str, **labels: str | None) -> Body:
    """As `kubectl get -o yaml | sed | kubectl create` does it."""
    body = copy.deepcopy(space.secrets[secret])
    body["metadata"]["name"] = name
    for label, value in labels.items():
        key = {"link": LABEL_LINK, "slot": LABEL_SLOT, "instance": LABEL_INSTANCE}[label]
        body["metadata"]["labels"][key] = value
    space.secrets[name] = body
    return body


def told_of_the_instance(space: Rounds) -> str:
    status = next(status for (kind, _), status in space.statuses.items() if kind.value == "MCSInstance")
    assert conditions(status)["Stalled"] == ("False", "ObjectsIgnored")
    return message(status, "Stalled")


def doubted(space: Rounds) -> World:
    return believed(space.world())


def snapshot(space: Rounds) -> str:
    return json.dumps(space.secrets, sort_keys=True)


# --- copies of profiles ---


@pytest.mark.parametrize("today", [False, True], ids=["named", "of today"])
def test_a_labelled_copy_of_a_profile_changes_nothing_and_is_told(today: bool) -> None:
    space = served("acme", "bolt")
    if today:
        of_today(space, "acme", "bolt")
    copied(space, "acme-profile", "acme-backup-profile")
    before = snapshot(space)
    space.round(seconds=1)
    assert snapshot(space) == before
    assert "Secret acme-backup-profile is a copy of Secret acme-profile" in told_of_the_instance(space)
    assert conditions(space.status("acme"))["Ready"] == ("True", "Programmed")


def test_a_copy_from_before_a_rotation_does_not_bring_back_the_certificate_that_was_retired() -> None:
    space = served("acme")
    copied(space, "acme-profile", "acme-2025-profile")
    retired = space.current("acme")
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round().show("acme")
    assert space.round(days=1).pins("acme") == (space.current("acme"),)
    for _ in range(3):
        assert retired not in space.round(days=10).pins("acme")
    assert space.restarts == {"acme": 2}


def test_a_copy_from_before_a_revocation_does_not_bring_back_the_certificate_that_was_revoked() -> None:
    space = served("acme")
    revoked = space.current("acme")
    copied(space, "acme-profile", "acme-backup-profile")
    copied(space, "mcs-link-002", "mcs-link-002-backup")
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    assert space.round().slot("acme")["enabled"] == "false"
    space.ask("acme", ANNOTATION_REVOKE, "")  # the request is taken away, as a pipeline may
    for _ in range(3):
        assert space.round(days=1).slot("acme")["enabled"] == "false"
    assert identity(space, "acme")["fingerprints"][0]["sha256"] == revoked


def test_a_copy_for_another_name_is_nobodys_identity_and_that_link_is_told() -> None:
    """Also where the labels were changed with the name: the content still tells whose it is."""
    space = served("acme")
    body = copied(space, "acme-profile", "bolt-profile", link="bolt")
    space.links.append(link("bolt"))
    before = copy.deepcopy(body)
    space.round(seconds=1)
    assert space.secrets["bolt-profile"] == before
    assert conditions(space.status("bolt"))["Accepted"] == ("False", "NameTaken")
    assert "is a copy of Secret acme-profile" in message(space.status("bolt"), "Accepted")
    assert conditions(space.status("acme"))["Ready"] == ("True", "Programmed")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_profiles_of_today_with_one_certificate_the_one_whose_slot_it_is_is_believed(order: int) -> None:
    """By sed also the profile's file name was changed; nothing but the slot tells who is the original."""
    space = of_today(served("acme"), "acme")
    body = copied(space, "acme-profile", "bolt-profile", link="bolt")
    body["data"]["bolt.ovpn"] = body["data"].pop("acme.ovpn")
    space.secrets = dict(list(space.secrets.items())[::order])
    world = doubted(space)
    assert set(world.profiles) == {"acme"}
    assert [str(ignored) for ignored in world.ignored] == ["Secret bolt-profile is a copy of Secret acme-profile"]


def test_of_two_named_profiles_with_one_certificate_neither_needs_the_slot() -> None:
    space = served("acme")
    body = copied(space, "acme-profile", "bolt-profile", link="bolt")
    body["data"]["bolt.ovpn"] = body["data"].pop("acme.ovpn")
    del space.secrets["mcs-link-002"]
    assert set(doubted(space).profiles) == {"acme"}


# --- what the certificate says ---


def test_a_profile_with_the_certificate_of_another_number_is_not_believed_and_not_written_over() -> None:
    space = served("acme", "bolt")
    for file in ("tls.crt", "tls.key"):
        space.secrets["acme-profile"]["data"][file] = space.secrets["bolt-profile"]["data"][file]
    pins, before = space.pins("acme"), copy.deepcopy(space.secrets["acme-profile"])
    space.round(seconds=1)
    assert space.secrets["acme-profile"] == before
    assert space.pins("acme") == pins, "the customer stays connected on what his slot has"
    assert conditions(space.status("acme"))["Stalled"] == ("True", "ProfileLost")
    assert "link-003.mcs" in message(space.status("acme"), "Stalled")


def test_a_certificate_that_another_ca_signed_is_not_believed() -> None:
    space = served("acme", "bolt")
    forged = mint_client(mint_ca("mcs", space.now - timedelta(days=1)), "link-002.mcs", space.now)
    body = space.secrets["acme-profile"]
    write(body, "tls.crt", forged.cert_pem)
    write(body, "tls.key", forged.key_pem)
    told = identity(space, "acme")
    told["fingerprints"][0]["sha256"] = fingerprint(forged.cert_pem)
    write(body, "identity.json", json.dumps(told))
    space.round(seconds=1)
    assert fingerprint(forged.cert_pem) not in space.pins("acme")
    assert "did not sign" in message(space.status("acme"), "Stalled")
    assert conditions(space.status("bolt"))["Stalled"] == ("False", "NotStalled")


def test_an_old_certificate_put_beside_the_present_list_is_not_believed() -> None:
    space = served("acme")
    old = dict(space.secrets["acme-profile"]["data"])
    space.round(days=100).ask("acme", ANNOTATION_ROTATE)
    space.round().show("acme")
    space.round(days=1)
    space.secrets["acme-profile"]["data"] |= {file: old[file] for file in ("tls.crt", "tls.key")}
    assert "does not list" in doubted(space).damaged[0].why


def test_where_no_profile_is_of_the_ca_it_is_the_ca_that_is_told_and_nobody_is_doubted() -> None:
    space = served("acme", "bolt")
    other = mint_ca("mcs", space.now - timedelta(days=1))
    write(space.secrets["mcs-ca"], "ca.crt", other.cert_pem)
    write(space.secrets["mcs-ca"], "ca.key", other.key_pem)
    for number in (2, 3):  # with these, the CA that they have would still vouch
        del space.secrets[f"mcs-link-{number:03d}"]
    assert set(doubted(space).profiles) == {"acme", "bolt"}
    space.round(seconds=1)
    status = next(status for (kind, _), status in space.statuses.items() if kind.value == "MCSInstance")
    assert conditions(status)["Stalled"] == ("True", "CaInvalid")


def test_without_a_ca_the_names_in_the_certificates_still_count() -> None:
    space = served("acme", "bolt")
    del space.secrets["mcs-ca"]
    assert set(doubted(space).profiles) == {"acme", "bolt"}
    space.secrets["acme-profile"]["data"]["tls.crt"] = space.secrets["bolt-profile"]["data"]["tls.crt"]
    assert set(doubted(space).profiles) == {"bolt"}


def test_a_certificate_that_the_users_own_ca_did_not_sign_is_not_believed() -> None:
    """Also where the namespace has yet another CA of the operator's: by whose it is measured the instance says."""
    links = [link("acme", age=2), link("bolt", age=1)]
    ca = mint_ca("ours", Rounds([]).now - timedelta(days=1))
    own = instance(vpn={"caSecretRef": {"name": "our-ca"}})
    space = Rounds(links, instance=own, tls={"our-ca": TlsSecret("our-ca", ca.cert_pem, ca.key_pem)}).round()
    assert set(doubted(space).profiles) == {"acme", "bolt"}
    forged = mint_client(mint_ca("ours", space.now - timedelta(days=1)), "link-002.mcs", space.now)
    write(space.secrets["acme-profile"], "tls.crt", forged.cert_pem)
    told = identity(space, "acme")
    told["fingerprints"][0]["sha256"] = fingerprint(forged.cert_pem)
    write(space.secrets["acme-profile"], "identity.json", json.dumps(told))
    world = doubted(space)
    assert set(world.profiles) == {"bolt"}
    assert world.damaged == (
        DamagedProfile("acme", "mcs", 2, "has a certificate that the CA of MCSInstance 'mcs' did not sign"),
    )


@pytest.mark.parametrize("text", ["damaged", "\udcff"], ids=["rubbish", "half of a pair"])
def test_a_profile_whose_certificate_is_none_is_treated_as_one_that_cannot_be_read(text: str) -> None:
    world = served("acme", "bolt").world()
    acme = world.profiles["acme"]
    spoilt = replace(acme, client=KeyPair(text, acme.client.key_pem))
    found = believed(replace(world, profiles={**world.profiles, "acme": spoilt}))
    assert set(found.profiles) == {"bolt"}
    assert found.damaged == (DamagedProfile("acme", "mcs", None, "cannot be read: tls.crt is not a certificate"),)


def test_a_certificate_is_asked_once_as_long_as_its_secret_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for question in ("common_name", "fingerprint", "issued_by"):
        monkeypatch.setattr(belief, question, _noting(asked, question, getattr(belief, question)))
    world = served("acme", "bolt").world()
    for _ in range(3):
        believed(world)
    assert sorted(asked) == ["common_name"] * 4 + ["fingerprint"] * 2 + ["issued_by"] * 2
    world.authorities["mcs"] = mint_ca("mcs", world.now)
    believed(world)
    assert asked.count("issued_by") == 4, "another CA is another question"


def test_nothing_is_remembered_of_certificates_that_have_gone() -> None:
    before = len(belief._answers)
    for _ in range(3):
        world = served("acme", "bolt").world()
        believed(world)
        assert len(belief._answers) == before + 4
    del world
    assert len(belief._answers) == before


def _noting(asked: list[str], question: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *about: (asked.append(question), ask(*about))[1]


# --- slots ---


@pytest.mark.parametrize("labels", [{}, {"slot": "009"}], ids=["by sed of the name", "and of the label"])
def test_a_copy_of_a_slot_under_another_number_has_no_effect_but_that_nobody_gets_the_number(
    labels: dict[str, str],
) -> None:
    space = served("acme")
    copied(space, "mcs-link-002", "mcs-link-009", **labels)
    before = snapshot(space)
    space.round(seconds=1)
    assert snapshot(space) == before
    assert "mcs-link-009" in told_of_the_instance(space)
    del space.secrets["acme-profile"]
    space.round(seconds=1)
    assert space.number("acme") == 2, "also where the slot alone tells the number"
    space.links += [link(f"new{number}", age=-number) for number in range(8)]
    space.round(seconds=1)
    assert 9 not in {space.number(f"new{number}") for number in range(8)}


def test_what_is_a_copy_is_told_as_somebody_elses_with_the_number_that_it_blocks() -> None:
    space = served("acme")
    copied(space, "mcs-link-002", "mcs-link-009", slot="009")
    body = copied(space, "acme-profile", "bolt-profile", link="bolt")
    body["data"]["bolt.ovpn"] = body["data"].pop("acme.ovpn")
    world = doubted(space)
    assert world.ignored == (
        Damaged("Secret", "bolt-profile", "is a copy of Secret acme-profile", foreign=True),
        Damaged(
            "Secret",
            "mcs-link-009",
            "has the certificate of link-002.mcs: it is a copy of another slot's",
            foreign=True,
            slot=("mcs", 9),
        ),
    )
    assert world.blocked == {("mcs", 9): "mcs-link-009"}
    assert (set(world.profiles), set(world.slots)) == ({"acme"}, {("mcs", 2)})


def test_an_address_that_is_blocked_by_a_copy_is_taken_and_the_secret_is_named() -> None:
    space = served("acme")
    copied(space, "mcs-link-002", "mcs-link-009", slot="009")
    space.links.append(link("wishing", vpnAddress="198.18.254.9"))
    space.round(seconds=1)
    assert conditions(space.status("wishing"))["Accepted"] == ("False", "AddressTaken")
    assert "Secret mcs-link-009" in message(space.status("wishing"), "Accepted")


def test_a_slot_with_a_damaged_certificate_still_holds_its_number() -> None:
    space = served("acme", "bolt")
    write(space.secrets["mcs-link-002"], "tls.crt", "damaged")
    del space.secrets["acme-profile"]
    assert space.round(seconds=1).number("acme") == 2


# --- profiles of today, and restores ---


def test_a_takeover_writes_no_profile_only_for_the_names() -> None:
    space = of_today(served("acme", "bolt"), "acme", "bolt")
    before = snapshot(space)
    space.round(seconds=1)
    assert snapshot(space) == before


def test_the_names_are_written_with_the_next_thing_that_is() -> None:
    space = of_today(served("acme", "bolt"), "acme", "bolt")
    space.round(days=1).ask("acme", ANNOTATION_REVOKE)
    space.round()
    assert (identity(space, "acme")["link"], identity(space, "acme")["instance"]) == ("acme", "mcs")
    assert "link" not in identity(space, "bolt")
    space.ask("bolt", ANNOTATION_ROTATE)
    assert identity(space.round(days=1), "bolt")["link"] == "bolt"


def test_a_restore_of_profiles_of_today_finds_every_identity_again() -> None:
    """Whatever UIDs and namespace the restore gave them: neither is asked."""
    space = of_today(served("acme", "bolt", "core"), "acme", "bolt", "core")
    kept = {name: body for name, body in space.secrets.items() if name.endswith(("-profile", "-ca"))}
    again = Rounds([link(name, age=3 - at) for at, name in enumerate(("acme", "bolt", "core"))])
    again.secrets = {
        name: body | {"metadata": body["metadata"] | {"namespace": "elsewhere", "uid": f"new-{name}"}}
        for name, body in kept.items()
    }
    again.round()
    for name in ("acme", "bolt", "core"):
        assert again.current(name) == space.current(name)
        assert again.number(name) == space.number(name)
        assert again.pins(name) == space.pins(name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slots", [True, False], ids=["with slots", "without slots"])
@pytest.mark.parametrize("today", [True, False], ids=["of today", "named"])
def test_identities_restored_one_by_one_over_what_was_made_meanwhile_are_all_found_again(
    seed: int, slots: bool, today: bool
) -> None:
    """In any order, with a look at the world after each: for a while the Secrets are of two CAs."""
    names = ("acme", "bolt", "core")
    space = served(*names)
    if today:
        of_today(space, *names)
    kept = {name: body for name, body in space.secrets.items() if name.endswith(("-profile", "-ca"))}
    kept |= {name: body for name, body in space.secrets.items() if slots and "-link-" in name}
    meanwhile = served(*names)
    assert meanwhile.current("acme") != space.current("acme")
    order = sorted(kept)
    Random(seed).shuffle(order)  # noqa: S311 - a repeatable order
    for name in order:
        meanwhile.secrets[name] = copy.deepcopy(kept[name])
        meanwhile.round(seconds=1)
    meanwhile.round(seconds=1)
    for name in names:
        assert meanwhile.profile(name)["tls.key"] == space.profile(name)["tls.key"]
        assert meanwhile.profile(name)[f"{name}.ovpn"] == space.profile(name)[f"{name}.ovpn"]
        assert meanwhile.number(name) == space.number(name)
        assert space.current(name) in meanwhile.pins(name)
        assert conditions(meanwhile.status(name))["Stalled"] == ("False", "NotStalled")
