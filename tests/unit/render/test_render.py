"""Everything that should exist, as data: the same world gives the same bytes, and a change touches what it must."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.digest import canonical
from mcs_operator.contract.linkstate import MediaState
from mcs_operator.contract.shards import ServedCertificate, ServedLink, certificates_files, links_file, packed
from mcs_operator.contract.slotfiles import FINGERPRINTS, SLOT_FILES, pins_in, slot_revision
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Unreadable, World
from mcs_operator.domain.keyring import Keys, Serving
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.pki.serving import serving
from mcs_operator.render import render as rendering
from mcs_operator.render.render import Desired, render, revocations
from mcs_operator.render.secrets import _slot_files
from mcs_operator.settings import ANNOTATION_PARTS, ANNOTATION_POD_PARTS, Settings
from support.templates import template_of
from support.worlds import (
    CERTIFICATE,
    HASH,
    NOW,
    community,
    fingerprint,
    given,
    identity,
    instance,
    keys_for,
    link,
    links,
    passwords,
    pin,
    portal,
    profile,
    report,
    slot,
    state,
)
from support.worlds import pod as a_pod


def rendered(*things: Any, keys: Keys | None = None) -> Desired:
    world = things[0] if isinstance(things[0], World) else given(*things)
    plan = decide(world)
    return render(world, plan, keys or keys_for(plan), Settings())


def by_name(*things: Any) -> dict[str, Manifest]:
    return {f"{m.kind}/{m.name}": m for m in rendered(*things).manifests}


def files(manifest: Manifest) -> dict[str, str]:
    data: dict[str, str] = manifest.body["data"]
    if manifest.kind == "Secret":
        return {name: base64.b64decode(text).decode() for name, text in data.items()}
    return data


def changed(before: dict[str, Manifest], after: dict[str, Manifest]) -> set[str]:
    return {
        name
        for name in {*before, *after}
        if name not in before or name not in after or canonical(before[name].body) != canonical(after[name].body)
    }


# --- all of it ---


def test_without_an_instance_nothing_is_wanted() -> None:
    assert rendered(given(community(), links(3))).manifests == ()


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251])
def test_every_served_link_has_a_slot_and_a_profile_and_nobody_else_has(count: int) -> None:
    names = by_name(instance(), community(), links(count))
    slots = [name for name in names if name.startswith("Secret/mcs-link-")]
    profiles = [name for name in names if name.endswith("-profile")]
    assert len(slots) == len(profiles) == min(count, 250)


def test_the_same_world_gives_the_same_bytes_in_whatever_order_it_was_seen() -> None:
    things = [link("a", age=3), link("b", age=2), link("c", age=1)]
    users = ("u1", "u2", "u3")
    one = by_name(instance(), community("x", users=users), community(), things)
    other = by_name(things[::-1], community(), community("x", users=users), instance())
    assert list(one) == list(other)
    assert changed(one, other) == set()


def test_waves_put_an_identity_before_its_slot_and_shards_before_their_checksums() -> None:
    manifests = rendered(instance(), community(users=("a",)), link("a")).manifests
    waves = [m.wave for m in manifests]
    assert waves == sorted(waves)
    at = {f"{m.kind}/{m.name}": m.wave for m in manifests}
    assert at["Secret/mcs-ca"] < at["Secret/a-profile"] < at["Secret/mcs-link-002"]
    assert at["ConfigMap/mcs-links"] < at["ConfigMap/mcs-manifest"] == Wave.CHECKSUMS


def test_what_is_retained_has_no_owner_and_the_rest_has_one() -> None:
    keeping = instance(retain={"storage": "Retain"})
    for name, manifest in by_name(keeping, community(users=("a",)), link("a")).items():
        owners = manifest.body["metadata"].get("ownerReferences", [])
        if name in ("Secret/mcs-ca", "Secret/a-profile", "PersistentVolumeClaim/mcs-data"):
            assert owners == [], name
        else:
            kind = "TVoxLink" if name.startswith("Secret/mcs-link-") else "MCSInstance"
            assert [(o["kind"], o["controller"]) for o in owners] == [(kind, True)], name
            assert "blockOwnerDeletion" not in owners[0]


def test_everything_is_labelled_as_ours_and_the_instances() -> None:
    for name, manifest in by_name(instance(), community(users=("a",)), link("a")).items():
        labels = manifest.body["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "mcs-operator", name
        assert labels["mcs.tvox.io/instance"] == "mcs", name


def test_only_what_stands_for_a_number_or_an_identity_is_claimed() -> None:
    claimed = {name for name, m in by_name(instance(), community(users=("a",)), link("a")).items() if m.claim}
    assert claimed == {"Secret/mcs-ca", "Secret/a-profile", "Secret/mcs-link-002"}


def test_keys_that_are_not_there_yet_are_no_defect() -> None:
    world = given(instance(), community(), link("a"))
    found = rendered(world, keys=Keys())
    assert found.defects == ()
    assert not [m for m in found.manifests if m.kind == "Secret"]


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_ca_signs_that_cannot_be_kept_is_not_handed_out(kept: bool) -> None:
    """The next run would make another CA, and every profile that was handed out would be void."""
    world = given(instance(), community(), link("a"), ca=kept)
    damaged: Any = "not an authority"
    found = rendered(world, keys=replace(keys_for(decide(world)), authority=damaged))
    assert len(found.defects) == 1
    assert ("mcs-agent" in {m.name for m in found.manifests}) is kept
    assert set(found.revisions) == ({2} if kept else set())


def test_a_manifest_of_a_link_says_whose_it_is_so_that_a_refused_write_is_told_there() -> None:
    of = {name: m.link for name, m in by_name(instance(), community(users=("a",)), link("a")).items() if m.link}
    assert of == {"Secret/a-profile": "a", "Secret/mcs-link-002": "a"}


# --- what cannot be made ---


class BrokenError(Exception):
    """What nobody thought of. Its text has a secret in it."""


PARTS = {
    "build_authority": ("the CA's Secret", {"Secret/mcs-ca"}),
    "build_stateful_set": ("the StatefulSet", {"StatefulSet/mcs"}),
    "build_agent": ("the agent's Secrets", {"Secret/mcs-agent", "Secret/mcs-metrics"}),
    "build_quota": ("the quota", {"ResourceQuota/mcs-max-250-tvoxlinks"}),
    "build_shards": ("the appliance's files", {"ConfigMap/mcs-links", "ConfigMap/mcs-manifest", "Secret/mcs-users-*"}),
    "build_services": ("the Services", {"Service/mcs"}),
    "build_network_policy": ("the NetworkPolicy", {"NetworkPolicy/mcs"}),
    "build_disruption_budget": ("the PodDisruptionBudget", {"PodDisruptionBudget/mcs"}),
    "build_volume_claim": ("the volume", {"PersistentVolumeClaim/mcs-data"}),
}
"""What it is called where it cannot be made, and the objects that are missed then."""


def breaking(monkeypatch: pytest.MonkeyPatch, builder: str) -> str:
    def breaks(*_: Any, **__: Any) -> Any:
        raise BrokenError("-----BEGIN PRIVATE KEY-----")

    monkeypatch.setattr(rendering, builder, breaks)
    return "BrokenError in render/render.py:"


@pytest.mark.parametrize("builder", PARTS)
def test_a_part_that_cannot_be_made_is_told_by_its_name_and_all_others_are_made(
    monkeypatch: pytest.MonkeyPatch, builder: str
) -> None:
    what, missed = PARTS[builder]
    world = given(instance(), community(users=("ann",)), link("a"))
    whole = rendered(world)
    error = breaking(monkeypatch, builder)
    found = rendered(world)
    (defect,) = found.defects
    assert defect.startswith(f"{what}: {error}") and "PRIVATE KEY" not in defect
    assert found.all_defects == [defect]
    left_out = {f"{m.kind}/{m.name}" for m in whole.manifests} - {f"{m.kind}/{m.name}" for m in found.manifests}
    assert {re.sub(r"users-..$", "users-*", name) for name in left_out} == missed
    assert found.revisions == whole.revisions
    assert found.checksums == ("" if builder == "build_shards" else whole.checksums)
    assert found.template == (None if builder == "build_stateful_set" else whole.template)


def test_a_link_whose_files_cannot_be_made_is_told_with_those_whose_keys_cannot_and_all_keep_what_they_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = rendering.build_slot

    def breaks(instance: Any, plan: Any, *other: Any) -> Any:
        if plan.link.name == "files":
            raise BrokenError("-----BEGIN PRIVATE KEY-----")
        return build(instance, plan, *other)

    monkeypatch.setattr(rendering, "build_slot", breaks)
    known = [(link(name), identity(name, number)) for name, number in (("files", 2), ("keys", 3), ("well", 4))]
    world = given(instance(), community(), known)
    keys = keys_for(decide(world))
    lost = replace(
        keys,
        links={name: of for name, of in keys.links.items() if name != "keys"},
        defects={"keys": "the link's keys: KeyError in pki/identities.py:1, x"},
    )
    found = rendered(world, keys=lost)
    assert set(found.link_defects) == {"keys", "files"}
    assert found.link_defects["keys"] == lost.defects["keys"]
    assert found.link_defects["files"].startswith("the link's files: BrokenError in render/render.py:")
    assert "PRIVATE" not in found.link_defects["files"]
    assert found.all_defects == [found.link_defects["keys"], found.link_defects["files"]]
    assert found.defects == ()
    assert {number: revision == "r" for number, revision in found.revisions.items()} == {2: True, 3: True, 4: False}


def test_a_link_without_keys_is_left_out_and_no_defect_and_so_is_everybody_without_a_ca() -> None:
    world = given(instance(), community(), link("a", age=2), link("b", age=1))
    keys = keys_for(decide(world))
    found = rendered(world, keys=replace(keys, links={"b": keys.links["b"]}))
    assert (set(found.revisions), found.all_defects, dict(found.failures)) == ({3}, [], {})
    assert rendered(world, keys=replace(keys, ca=None)).revisions == {}


def test_a_slot_that_is_kept_is_the_instances_own_and_one_that_the_pod_has() -> None:
    """Else the pod would be waited for, for ever, to run what it has no container for."""
    strange = [Unreadable(Kind.LINK, name, 1, "spec.protocol") for name in ("strange", "beyond", "theirs")]
    slots = [slot(2, "strange"), slot(3, "well"), slot(5, "theirs", owner="other"), slot(6, "beyond")]
    found = rendered(instance(vpn={"slots": 4}), community(), strange, slots)
    assert found.revisions == {2: "r"}


# --- who takes something away waits for nothing ---


def taken_away(*things: Any, keys: Keys | None = None) -> dict[str, bool]:
    found = rendered(instance(), community(), *things, keys=keys)
    return {m.name: m.takes_away for m in found.manifests if m.takes_away or "-link-" in m.name}


def test_a_slot_that_is_to_stop_or_to_accept_a_certificate_less_goes_before_all_else() -> None:
    two = (fingerprint("a"), fingerprint("older"))
    stopped = link("a", enabled=False)
    assert taken_away(link("a"), profile("a", 2), slot(2, "a", fingerprints=two)) == {"mcs-link-002": True}
    assert taken_away(stopped, identity("a", 2)) == {"mcs-link-002": True}
    assert taken_away(link("a"), identity("a", 2)) == {"mcs-link-002": False}, "nothing is taken away"
    more = slot(2, "a", fingerprints=(fingerprint("other"),))
    assert taken_away(link("a"), profile("a", 2), more) == {"mcs-link-002": False}, "it is given one more"
    assert taken_away(stopped, profile("a", 2), more) == {"mcs-link-002": False}, "which nobody has on record yet"
    assert taken_away(stopped) == {"mcs-link-002": False}, "there is no slot yet"


REVOKE = {"mcs.tvox.io/revoke-requested-at": "2026-03-01T12:00:00Z"}


def asking_for(of: Any) -> Any:
    """This link, with a revocation asked for."""
    return of.model_copy(update={"metadata": of.metadata.model_copy(update={"annotations": REVOKE})})


def revoked(*things: Any) -> dict[str, str]:
    """What is written where nothing else can be decided: names of slots, and whether their process is to run."""
    found = revocations(given(instance(), *things))
    assert all(manifest.takes_away and manifest.claim and manifest.wave is Wave.SLOT for manifest in found)
    return {manifest.name: files(manifest)["enabled"] for manifest in found}


def test_whatever_fails_who_is_disabled_or_revoked_is_stopped_and_nobody_else_is_touched() -> None:
    assert revoked(link("a", enabled=False), slot(17, "a")) == {"mcs-link-017": "false"}
    assert revoked(link("b"), slot(18, "b"), asking_for(link("a")), identity("a", 17)) == {"mcs-link-017": "false"}
    assert revoked(asking_for(link("a")), slot(17, "a")) == {"mcs-link-017": "false"}, "its profile is lost"
    assert revoked(link("a"), identity("a", 17)) == {}


def test_of_two_certificates_the_older_one_is_refused_and_the_process_goes_on() -> None:
    two = (fingerprint("old", created=NOW - timedelta(days=9)), fingerprint("new", deadline=NOW + timedelta(days=9)))
    (manifest,) = revocations(given(instance(), asking_for(link("a")), slot(17, "a", fingerprints=two)))
    assert files(manifest)["enabled"] == "true"
    assert pins_in(files(manifest)["server.conf"]) == (pin("new"),)
    known = (replace(profile("a", 17), fingerprints=two), slot(17, "a"))
    assert revocations(given(instance(), link("a"), *known)) == [], "the slot accepts no more than it did"
    theirs = replace(profile("a", 17, owner="former"), fingerprints=(replace(fingerprint("a"), revoked=NOW),))
    assert revoked(link("a"), theirs, slot(17, "a")) == {}, "by another instance's record nobody is revoked"


@pytest.mark.parametrize("lacking", [{"server": None}, {"tls_crypt": None}, {"ca": None}, {"tls_crypt": "damaged"}])
def test_a_slot_that_is_damaged_is_left_alone_and_the_next_one_is_stopped(lacking: dict[str, Any]) -> None:
    off = [link("a", enabled=False), link("b", enabled=False)]
    assert revoked(off, slot(17, "a", **lacking), slot(18, "b")) == {"mcs-link-018": "false"}


def test_a_slot_of_nobody_is_left_alone() -> None:
    off = link("a", enabled=False)
    assert revoked(off, slot(17, "gone"), slot(18, "a", owner="former")) == {}
    assert revoked(link("a", enabled=False, instance="former"), slot(17, "a")) == {}


def test_what_is_stopped_already_is_not_written_again() -> None:
    off = link("a", enabled=False)
    (manifest,) = revocations(given(instance(), off, slot(17, "a")))
    done = files(manifest)["revision"]
    assert revoked(off, slot(17, "a", revision=done, content=done)) == {}
    assert revoked(off, slot(17, "a", revision=done, content="edited")) == {"mcs-link-017": "false"}
    assert revoked(off, slot(17, "a", revision="edited", content=done)) == {"mcs-link-017": "false"}


# --- slots ---


def test_a_slot_secret_has_the_fixed_files_and_a_revision_that_is_their_checksum() -> None:
    manifest = by_name(instance(), community(), link("a"))["Secret/mcs-link-002"]
    content = files(manifest)
    assert set(content) == {*SLOT_FILES, FINGERPRINTS, "revision"}
    assert content["revision"] == slot_revision(content)
    assert manifest.body["metadata"]["labels"]["mcs.tvox.io/slot"] == "002"
    assert manifest.body["metadata"]["labels"]["mcs.tvox.io/link"] == "a"


def test_the_revision_is_what_sha256sum_says() -> None:
    """The supervisor computes it by `sha256sum FILES | sha256sum`."""
    content = files(by_name(instance(), community(), link("a"))["Secret/mcs-link-002"])
    lines = "".join(f"{hashlib.sha256(content[name].encode()).hexdigest()}  {name}\n" for name in sorted(SLOT_FILES))
    assert content["revision"] == hashlib.sha256(lines.encode()).hexdigest()


def test_a_slot_pins_the_links_own_certificate_and_no_other() -> None:
    all_of_them = by_name(instance(), community(), links(3))
    for number, name in ((2, "c0000"), (3, "c0001"), (4, "c0002")):
        assert pins_in(files(all_of_them[f"Secret/mcs-link-{number:03d}"])["server.conf"]) == (pin(name),)


def test_without_a_pinned_fingerprint_a_link_is_not_rendered_and_the_others_are() -> None:
    """A CA with an empty pin accepts every certificate of that CA."""
    world = given(instance(), community(), link("a", age=2), link("b", age=1))
    keys = keys_for(decide(world))
    unpinned = replace(keys, links={**keys.links, "a": replace(keys.links["a"], fingerprints=())})
    found = rendered(world, keys=unpinned)
    names = {m.name for m in found.manifests}
    assert "mcs-link-002" not in names
    assert "mcs-link-003" in names
    assert "fingerprint" in found.failures["a"]
    assert set(found.revisions) == {3}


@pytest.mark.parametrize("damaged", ["", "x", "-----BEGIN CERTIFICATE-----\n", CERTIFICATE + "dev tap0\n"])
def test_one_links_damaged_key_is_that_links_problem_alone_and_is_not_quoted(damaged: str) -> None:
    world = given(instance(), community(), link("a", age=2), link("b", age=1))
    keys = keys_for(decide(world))
    broken = replace(keys.links["a"], server=replace(keys.links["a"].server, key_pem=damaged))
    found = rendered(world, keys=replace(keys, links={**keys.links, "a": broken}))
    assert set(found.failures) == {"a"}
    assert not damaged.strip() or damaged.strip() not in found.failures["a"]
    assert set(found.revisions) == {3}


@pytest.mark.parametrize(
    "option",
    [
        {"protocol": "TCP"},
        {"enabled": False},
        {"allowedSources": ["203.0.113.0/24"]},
    ],
    ids=str,
)
def test_a_change_of_a_link_touches_its_own_slot_and_nobody_elses(option: dict[str, Any]) -> None:
    neighbours = [link("b", age=9), link("c", age=8)]
    identities = [identity("a", 17), identity("b", 2), identity("c", 3)]
    before = by_name(instance(), community(), neighbours, link("a"), identities)
    after = by_name(instance(), community(), neighbours, link("a", **option), identities)
    allowed = {"Secret/mcs-link-017", "Secret/a-profile", "ConfigMap/mcs-links", "ConfigMap/mcs-manifest"}
    assert "Secret/mcs-link-017" in changed(before, after)
    assert changed(before, after) <= allowed


# --- an operator's upgrade ---


def by_an_older_operator(number: int = 2, **options: Any) -> dict[str, str]:
    """The files of the slot of link `a`, as an operator wrote them before there were limits in its firewall."""
    world = given(instance(), community(), link("a", **options))
    (plan,) = decide(world).served
    (keys,) = keys_for(decide(world)).links.values()
    assert plan.number == number
    return _slot_files(world.instances[0], plan, keys, limited=False)


def upgraded(pod_is_older: bool, present: dict[str, str] | None = None, **options: Any) -> tuple[str, str]:
    """The firewall and the revision of `a` that this operator wants, in a namespace of an older one."""
    revision = slot_revision(present or by_an_older_operator())
    known = (profile("a", 2), slot(2, "a", revision=revision, content=revision))
    wanted = template_of(instance()).annotations
    annotations = {**wanted, ANNOTATION_POD_PARTS: '{"slots": "other"}'} if pod_is_older else dict(wanted)
    found = rendered(instance(), community(), link("a", **options), *known, a_pod(annotations=annotations))
    (secret,) = [m for m in found.manifests if m.name == "mcs-link-002"]
    return files(secret)["firewall.nft"], found.revisions[2]


def test_an_upgrade_of_the_operator_leaves_the_slots_of_an_older_pod_as_they_are() -> None:
    """Their supervisor restarts OpenVPN for each other revision: 250 customers would lose a second."""
    firewall, revision = upgraded(pod_is_older=True)
    assert revision == slot_revision(by_an_older_operator())
    assert firewall == by_an_older_operator()["firewall.nft"]


def test_what_is_written_to_a_slot_of_an_older_pod_for_another_reason_is_of_today() -> None:
    firewall, revision = upgraded(pod_is_older=True, allowedSources=["203.0.113.0/24"])
    assert revision != slot_revision(by_an_older_operator())
    assert "limit rate" in firewall


def test_a_pod_of_todays_template_takes_todays_firewall_for_it_costs_no_packet_there() -> None:
    firewall, _ = upgraded(pod_is_older=False)
    assert "limit rate" in firewall


def test_a_slot_of_today_is_never_taken_back_to_an_older_text() -> None:
    written = files(by_name(instance(), community(), link("a"))["Secret/mcs-link-002"])
    today = {name: written[name] for name in SLOT_FILES}
    assert upgraded(pod_is_older=True, present=today)[1] == slot_revision(today)


def test_of_two_revisions_that_a_slot_may_run_todays_is_kept() -> None:
    """Its Secret tells today's, and its files were taken back to the older ones: no second restart for it."""
    today = rendered(instance(), community(), link("a")).revisions[2]
    known = (profile("a", 2), slot(2, "a", revision=today, content=slot_revision(by_an_older_operator())))
    pod = a_pod(annotations={ANNOTATION_PARTS: '{"slots": "other"}'})
    assert rendered(instance(), community(), link("a"), *known, pod).revisions[2] == today


def test_a_damaged_slot_of_an_older_pod_is_mended_with_what_it_runs() -> None:
    revision = slot_revision(by_an_older_operator())
    known = (profile("a", 2), slot(2, "a", revision="0" * 64, content="damaged"))
    here = (a_pod(annotations={ANNOTATION_PARTS: '{"slots": "other"}'}), report(state(2, revision)))
    assert rendered(instance(), community(), link("a"), *known, *here).revisions[2] == revision


@pytest.mark.parametrize("parts", ["", "no JSON", "[]"])
def test_a_pod_whose_template_is_not_known_is_taken_for_an_older_one(parts: str) -> None:
    present = by_an_older_operator()
    revision = slot_revision(present)
    known = (profile("a", 2), slot(2, "a", revision=revision, content=revision))
    pod = a_pod(annotations={ANNOTATION_PARTS: parts})
    assert rendered(instance(), community(), link("a"), *known, pod).revisions[2] == revision


def test_without_a_pod_there_is_nobody_to_spare() -> None:
    revision = slot_revision(by_an_older_operator())
    known = (profile("a", 2), slot(2, "a", revision=revision, content=revision))
    assert rendered(instance(), community(), link("a"), *known).revisions[2] != revision


def test_a_links_other_domain_does_not_restart_its_tunnel() -> None:
    before = by_name(instance(), community(), link("a"))
    after = by_name(instance(), community(), link("a", domain="new.mcs.test"))
    assert changed(before, after) == {"ConfigMap/mcs-links", "ConfigMap/mcs-manifest"}


def test_a_new_link_touches_nobody_elses_objects() -> None:
    before = by_name(instance(), community(), links(3))
    after = by_name(instance(), community(), links(3), link("new"))
    assert changed(before, after) == {
        "Secret/new-profile",
        "Secret/mcs-link-005",
        "ConfigMap/mcs-links",
        "ConfigMap/mcs-manifest",
    }


def test_a_number_beyond_the_pods_slots_has_a_secret_and_no_revision_is_waited_for() -> None:
    found = rendered(instance(vpn={"slots": 2}), community(), links(3))
    assert set(found.revisions) == {2, 3}


def test_a_link_whose_profile_is_lost_keeps_its_slot_and_gets_no_new_profile() -> None:
    world = given(instance(), community(), link("a"), slot(17, "a"))
    plan = decide(world)
    keys = keys_for(plan)
    lost = replace(keys, links={"a": replace(keys.links["a"], profile=None)})
    names = {m.name for m in rendered(world, keys=lost).manifests}
    assert "mcs-link-017" in names
    assert "a-profile" not in names


# --- the profile ---


def test_a_profile_secret_is_the_identity() -> None:
    content = files(by_name(instance(), community(), link("a"), identity("a", 17))["Secret/a-profile"])
    assert set(content) == {"a.ovpn", "tls.crt", "tls.key", "tls-crypt.key", "identity.json"}
    told = json.loads(content["identity.json"])
    assert told["slot"] == 17
    assert [p["sha256"] for p in told["fingerprints"]] == [pin("a")]
    assert told["released"] is None


# --- the appliance's files ---


def checksums(manifests: dict[str, Manifest]) -> dict[str, str]:
    found: dict[str, str] = json.loads(files(manifests["ConfigMap/mcs-manifest"])["manifest.json"])["files"]
    return found


def shard_files(manifests: dict[str, Manifest]) -> dict[str, str]:
    shards = [m for m in manifests.values() if m.wave is Wave.SHARD]
    return {name: text for shard in shards for name, text in files(shard).items()}


@pytest.mark.parametrize("users", [0, 1, 1000])
def test_the_checksum_manifest_lists_exactly_the_files_that_are_there(users: int) -> None:
    manifests = by_name(instance(), community(users=[f"u{n}" for n in range(users)]), links(2))
    told = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in shard_files(manifests).items()}
    assert checksums(manifests) == told
    assert {"instance.json", "links.json", "communities.json"} <= set(told)


def test_the_desired_checksums_are_the_sha256_of_the_checksum_manifest() -> None:
    found = rendered(instance(), community(users=("a",)), links(1))
    (manifest,) = [m for m in found.manifests if m.name == "mcs-manifest"]
    assert found.checksums == hashlib.sha256(files(manifest)["manifest.json"].encode()).hexdigest()


def test_a_changed_user_touches_one_shard_and_the_manifest_only() -> None:
    many = [{"name": f"u{n}"} for n in range(500)]
    other = [*many[:250], many[250] | {"functions": ["Video"]}, *many[251:]]
    touched = changed(
        by_name(instance(), community(users=many), links(2)), by_name(instance(), community(users=other), links(2))
    )
    assert "ConfigMap/mcs-manifest" in touched
    (shard,) = touched - {"ConfigMap/mcs-manifest"}
    assert shard.startswith("Secret/mcs-users-")


def test_an_instance_without_users_has_no_users_secret() -> None:
    assert not [name for name in by_name(instance(), community()) if "-users-" in name]


# --- portals and passwords ---


def test_where_nobody_has_a_portal_or_a_password_nothing_is_written_that_was_not_before() -> None:
    """Also where Secrets with passwords lie about: without a portal nobody is given a hash."""
    there = passwords("passwords", f"u1:{HASH}")
    source = {"passwordsFrom": [{"secretRef": {"name": "passwords"}}]}
    plain, named = community(users=["u1"]), community(users=["u1"], authentication=source)
    before, after = by_name(instance(), plain), by_name(instance(), named, there)
    assert changed(before, after) == set()
    assert not [name for name in shard_files(before) if name.startswith("logins-")]
    assert "portalDomain" not in shard_files(before)["communities.json"]


def test_a_password_touches_the_secret_of_its_user_and_the_manifest_only() -> None:
    people = [f"u{n}" for n in range(500)]
    before = by_name(instance(), portal(users=people), links(2), passwords("passwords", ""))
    after = by_name(instance(), portal(users=people), links(2), passwords("passwords", f"u7:{HASH}"))
    touched = changed(before, after)
    (shard,) = touched - {"ConfigMap/mcs-manifest"}
    number = shard.removeprefix("Secret/mcs-users-")
    assert set(files(after[shard])) == {f"users-{number}.json", f"logins-{number}.json"}
    assert files(after[shard])[f"users-{number}.json"] == files(before[shard])[f"users-{number}.json"]
    assert json.loads(files(after[shard])[f"logins-{number}.json"]) == {
        "version": 1,
        "logins": [{"community": "acme", "name": "u7", "hash": HASH}],
    }


@pytest.mark.parametrize("count", [1, 1000])
def test_the_checksum_manifest_vouches_for_passwords_as_well(count: int) -> None:
    people = [f"u{n}" for n in range(count)]
    there = passwords("passwords", "".join(f"{name}:{HASH}\n" for name in people))
    manifests = by_name(instance(), portal(users=people), there)
    told = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in shard_files(manifests).items()}
    assert checksums(manifests) == told
    assert len([name for name in told if name.startswith("logins-")]) == min(count, 16)


def test_a_portal_is_described_as_the_contract_says_and_one_that_is_refused_is_not_there() -> None:
    manifests = by_name(instance(), portal(), portal("late", portalDomain="mcs.test"), community("none"))
    listed = json.loads(shard_files(manifests)["communities.json"])["communities"]
    assert {entry["name"]: entry.get("portalDomain") for entry in listed} == {
        "acme": "meet.acme.test",
        "late": None,
        "none": None,
    }


def test_no_hash_and_no_user_is_in_a_config_map() -> None:
    manifests = by_name(instance(), portal(users=["ada.lovelace"]), passwords("passwords", f"ada.lovelace:{HASH}"))
    public = [canonical(m.body) for m in manifests.values() if m.kind != "Secret"]
    assert not any("ada.lovelace" in text or HASH in text for text in public)


def test_portals_and_passwords_are_no_other_pod() -> None:
    people = [f"u{n}" for n in range(1000)]
    there = passwords("passwords", "".join(f"{name}:{HASH}\n" for name in people))
    before, after = by_name(instance(), community()), by_name(instance(), portal(users=people), there)
    assert before["StatefulSet/mcs"].body == after["StatefulSet/mcs"].body


def test_the_certificate_of_a_portal_is_among_the_others() -> None:
    world = given(instance(), portal())
    plan = decide(world)
    site = ServedCertificate("meet.acme.test", "chain", "key")
    found = render(world, plan, replace(keys_for(plan), serving=Serving(portals=(site,))), Settings())
    certs = [text for m in found.manifests if "-certs-" in m.name for text in files(m).values()]
    assert [json.loads(text)["certificates"][0]["domain"] for text in certs] == ["meet.acme.test"]


def test_users_are_spread_over_all_shards_and_each_is_in_one() -> None:
    manifests = by_name(instance(tier="UpTo10000"), community(users=[f"u{n}" for n in range(1000)]))
    shards = {name: text for name, text in shard_files(manifests).items() if name.startswith("users-")}
    names = [user["name"] for text in shards.values() for user in json.loads(text)["users"]]
    assert len(shards) == 16
    assert sorted(names) == sorted(f"u{n}" for n in range(1000))


def test_a_user_is_described_as_the_contract_says() -> None:
    anna = {"name": "anna", "displayName": "Anna A.", "functions": ["Video", "Audio"]}
    manifests = by_name(instance(), community(users=[anna]))
    (text,) = [text for name, text in shard_files(manifests).items() if name.startswith("users-")]
    assert json.loads(text) == {
        "version": 1,
        "users": [
            {"community": "acme", "name": "anna", "displayName": "Anna A.", "functions": ["Audio", "Video"]},
        ],
    }


def test_links_and_communities_are_described_as_the_contract_says() -> None:
    content = shard_files(
        by_name(instance(), community(displayName="ACME Spa"), link("a", enabled=False), identity("a", 17))
    )
    assert json.loads(content["links.json"])["links"] == [
        {
            "name": "a",
            "number": 17,
            "domain": "a.mcs.test",
            "address": "198.18.254.17",
            "community": "acme",
            "enabled": False,
        }
    ]
    assert json.loads(content["communities.json"])["communities"] == [
        {"name": "acme", "displayName": "ACME Spa", "enabled": True}
    ]


def test_a_refused_link_and_a_community_of_another_instance_are_not_in_the_appliances_files() -> None:
    content = shard_files(
        by_name(instance(), community(), community("foreign", instance="other"), link("a", vpnAddress="10.0.0.9"))
    )
    assert json.loads(content["links.json"])["links"] == []
    assert [c["name"] for c in json.loads(content["communities.json"])["communities"]] == ["acme"]


def test_a_domain_is_never_given_to_two_links_although_both_keep_their_tunnels() -> None:
    one, other = link("one", age=9, domain="x.mcs.test"), link("other", domain="x.mcs.test")
    content = shard_files(by_name(instance(), community(), one, other, identity("one", 2), identity("other", 3)))
    assert [entry["name"] for entry in json.loads(content["links.json"])["links"]] == ["one"]


def test_a_link_that_cannot_be_read_keeps_its_line_its_certificate_and_its_slot() -> None:
    line = ServedLink("strange", 17, "strange.mcs.test", "198.18.254.17", "acme", True)
    certificate = ServedCertificate("strange.mcs.test", "chain", "key")
    shards = packed(links_file([line]) | certificates_files([certificate]))
    unreadable = Unreadable(Kind.LINK, "strange", 3, "spec.protocol: 'SCTP'")
    world = given(instance(), community(), unreadable, identity("strange", 17), link("a"), shards=shards)
    plan = decide(world)
    found = render(world, plan, replace(keys_for(plan), serving=serving(world, plan)), Settings())
    content = shard_files({f"{m.kind}/{m.name}": m for m in found.manifests})
    assert [entry["name"] for entry in json.loads(content["links.json"])["links"]] == ["a", "strange"]
    assert [c for name, text in content.items() if name.startswith("certs-") for c in json.loads(text)["certificates"]]
    running = [state(number, revision) for number, revision in found.revisions.items()]
    assert found.revisions[17] == "r"
    assert not found.behind(report(*running)), "nobody has to be woken for it"


def test_a_community_that_is_deleted_does_not_take_the_customers_site_along() -> None:
    """A mistake in the customer's objects, or a GitOps order that is unlucky, ends no tunnel and closes no site."""
    manifests = by_name(instance(), link("a"), identity("a", 17), link("b", community="gone"), identity("b", 18))
    content = shard_files(manifests)
    assert [entry["name"] for entry in json.loads(content["links.json"])["links"]] == ["a", "b"]


def test_the_manifest_is_of_version_1() -> None:
    text = by_name(instance())["ConfigMap/mcs-manifest"].body["data"]["manifest.json"]
    assert json.loads(text)["version"] == 1


# --- services ---


def test_the_service_finds_the_one_pod_and_no_second_replica_and_also_while_a_slot_is_not_ready() -> None:
    spec = by_name(instance())["Service/mcs"].body["spec"]
    assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == "mcs-0"
    assert spec["selector"]["mcs.tvox.io/instance"] == "mcs"
    assert spec["publishNotReadyAddresses"] is True
    assert spec["clusterIP"] == "None"


@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork"])
def test_without_a_load_balancer_there_is_no_public_service(mode: str) -> None:
    assert "Service/mcs-public" not in by_name(instance(network={"mode": mode}))


@pytest.mark.parametrize("slots", [1, 250])
def test_a_load_balancer_carries_every_port_of_the_pod_and_no_other(slots: int) -> None:
    manifests = by_name(instance(network={"mode": "LoadBalancer"}, vpn={"slots": slots}))
    spec = manifests["Service/mcs-public"].body["spec"]
    pod = manifests["StatefulSet/mcs"].body["spec"]["template"]["spec"]
    declared = {(p["containerPort"], p["protocol"]) for c in pod["containers"] for p in c.get("ports", [])}
    assert {(p["port"], p["protocol"]) for p in spec["ports"]} == declared
    assert {p["targetPort"] for p in spec["ports"]} == {p["port"] for p in spec["ports"]}
    names = [p["name"] for p in spec["ports"]]
    assert len(names) == len(set(names))
    assert spec["externalTrafficPolicy"] == "Local"


# --- storage ---


@pytest.mark.parametrize(("spec", "size"), [({"storage": {}}, "150G"), ({"storage": {"size": "200G"}}, "200G")])
def test_the_data_volume_has_the_tiers_size_or_the_users(spec: dict[str, Any], size: str) -> None:
    claim = by_name(instance(**spec))["PersistentVolumeClaim/mcs-data"].body["spec"]
    assert claim["resources"]["requests"]["storage"] == size


def test_the_data_volume_is_of_the_class_that_the_user_names_and_else_of_the_clusters_default() -> None:
    def spec(**storage: Any) -> dict[str, Any]:
        found: dict[str, Any] = by_name(instance(storage=storage))["PersistentVolumeClaim/mcs-data"].body["spec"]
        return found

    assert spec(className="fast")["storageClassName"] == "fast"
    assert "storageClassName" not in spec()


def test_what_the_user_wants_gone_with_the_instance_belongs_to_it_and_is_never_pruned_before() -> None:
    """As an owner and not as a controller: an identity is never pruned."""
    of_mcs = {"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "MCSInstance", "name": "mcs", "uid": instance().uid}
    found = by_name(instance(retain={"pki": "Delete"}), community(), link("a"))
    for name in ("Secret/mcs-ca", "Secret/a-profile"):
        assert found[name].body["metadata"]["ownerReferences"] == [of_mcs], name


def test_a_users_own_ca_makes_the_profile_verify_the_servers_name() -> None:
    """Else everybody with a server's certificate of that CA could pose as this MCS."""
    own = instance(vpn={"slots": 250, "caSecretRef": {"name": "company-ca"}})
    for of, verified in ((own, True), (instance(), False)):
        text = files(by_name(of, community(), link("a"), identity("a", 17))["Secret/a-profile"])["a.ovpn"]
        assert ("verify-x509-name link-017.mcs name" in text) is verified


# --- whether the pod has it all ---


def test_a_pod_that_runs_every_revision_and_the_manifest_is_not_behind() -> None:
    found = rendered(instance(), community(), links(2))
    states = [state(number, revision) for number, revision in found.revisions.items()]
    assert not found.behind(report(*states, media=MediaState(config=found.checksums)))


@pytest.mark.parametrize(
    "states",
    [
        pytest.param([], id="a slot that has not begun"),
        pytest.param([state(2, "old")], id="a slot that runs the revision before"),
        pytest.param([state(2, None)], id="a slot that is starting"),
    ],
)
def test_a_pod_that_lacks_a_revision_is_behind(states: list[Any]) -> None:
    assert rendered(instance(), community(), links(1)).behind(report(*states))


def test_a_pod_that_still_runs_a_deleted_link_is_behind() -> None:
    assert rendered(instance(), community()).behind(report(state(2, "r")))


def test_a_pod_whose_appliance_has_another_manifest_is_behind() -> None:
    assert rendered(instance(), community()).behind(report(media=MediaState(config="old")))


def test_the_poke_changes_with_anything_that_is_mounted_and_with_nothing_else() -> None:
    before = rendered(instance(), community(), links(1))
    assert before.poke != rendered(instance(), community(users=("a",)), links(1)).poke
    assert before.poke != rendered(instance(), community(), links(2)).poke
    assert before.poke == rendered(instance(drainSeconds=99), community(), links(1)).poke


# --- suspended ---


def replicas(*things: Any) -> int:
    found: int = by_name(*things)["StatefulSet/mcs"].body["spec"]["replicas"]
    return found


def test_a_suspended_instance_has_no_replica_but_keeps_its_pod_until_that_was_drained_and_deleted() -> None:
    suspended = instance(suspend=True)
    assert replicas(suspended) == replicas(suspended, a_pod(terminating=True)) == 0
    assert replicas(suspended, a_pod()) == 1
    assert replicas(instance()) == replicas(instance(), a_pod(terminating=True)) == 1


def test_the_pod_that_comes_back_is_no_other_one() -> None:
    found = [by_name(instance(suspend=asked))["StatefulSet/mcs"].body["spec"]["template"] for asked in (True, False)]
    assert found[0] == found[1]
