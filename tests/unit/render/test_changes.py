"""What is to be done, as data: from a world to the changes, without any cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import MediaState
from mcs_operator.domain.changes import (
    Changes,
    Forgotten,
    KeepDraining,
    PodChanges,
    Removal,
    Replace,
    Resize,
    SetImages,
    StartDraining,
    StopDraining,
)
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import DamagedProfile, Pod, Pull, Unreadable
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod.ledger import Interruption, read_ledger
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.status.events import Note
from mcs_operator.render import changes as module
from mcs_operator.render.changes import Decision, changes, pod_changes, revoking
from mcs_operator.render.render import Desired, render
from mcs_operator.render.secrets import identity_json
from mcs_operator.settings import (
    ANNOTATION_AGENT_IMAGE,
    ANNOTATION_DISRUPTIONS,
    ANNOTATION_DRAINING,
    ANNOTATION_DRAINING_FOR,
    ANNOTATION_LINK_IMAGE,
    ANNOTATION_MEDIA_CHANGED,
    ANNOTATION_PARTS,
    ANNOTATION_POD_HASH,
    ANNOTATION_POKE,
    ANNOTATION_RESTART,
    ANNOTATION_RESTART_HASH,
    Settings,
    link_name,
)
from support.templates import made_from, template_of
from support.worlds import (
    NOW,
    community,
    fingerprint,
    given,
    identity,
    instance,
    keys_for,
    link,
    pod,
    profile,
    report,
    slot,
    state,
)

LEFT = "its identity went with an earlier instance"


def changed(*things: Any, **desired: Any) -> Changes:
    world = given(instance(), community(), *things)
    plan = decide(world)
    return changes(world, plan, Desired(**desired) if desired else render(world, plan, keys_for(plan), Settings()))


def test_a_served_link_is_written_and_nothing_is_taken_away() -> None:
    found = changed(link("acme"), identity("acme", 2))
    assert {"acme-profile", "mcs-link-002"} <= {manifest.name for manifest in found.manifests}
    assert (found.removals, found.marks, found.prune) == ((), (), True)


def test_the_identity_of_a_deleted_link_is_marked_and_its_slot_goes() -> None:
    found = changed(profile("acme", 2), slot(2, "acme"))
    assert [(mark.secret, mark.entry) for mark in found.marks] == [("acme-profile", "identity.json")]
    assert [removal.secret for removal in found.displaced] == ["mcs-link-002"]
    assert "acme-profile" in found.unmanaged


def test_an_identity_goes_when_its_retention_is_over() -> None:
    found = changed(profile("acme", 2, released=NOW - timedelta(days=365)))
    assert [forgotten.removal.secret for forgotten in found.forgotten] == ["acme-profile"]
    assert found.marks == () and found.forgotten[0].note is None


def test_with_a_defect_nothing_is_pruned() -> None:
    assert not changed(defects=("the quota: KeyError",)).prune


@pytest.mark.parametrize("part", ["identity_owners", "identity_json"])
def test_a_part_that_cannot_be_worked_out_keeps_no_other_from_being_done(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    error = KeyError("x")

    def breaks(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(module, part, breaks)
    found = changed(link("bolt"), identity("bolt", 3), profile("acme", 2), slot(2, "acme"))
    assert found.errors == (error,) and not found.prune
    assert found.manifests and found.displaced


def test_a_place_that_is_needed_is_given_up_by_the_identity_of_a_deleted_link_and_that_is_told() -> None:
    """Whoever creates that link again will wonder why its TVox needs a new profile."""
    few = instance(vpn={"slots": 1})
    world = given(few, community(), link("new"), profile("old", 2, released=NOW), slot(2, "old"))
    plan = decide(world)
    found = changes(world, plan, render(world, plan, keys_for(plan), Settings()))
    text = (
        "the identity of the deleted TVoxLink old is given up before spec.retain.links is over: its number 2 is "
        "needed, as no unused one has a slot; created again, it gets a new profile"
    )
    removal = Removal("old-profile", "its link is gone, and its number is needed")
    assert found.forgotten == (Forgotten(removal, ("new",), Note(True, "IdentityGivenUp", "Replace", text)),)
    assert found.displaced == (Removal("mcs-link-002", "its link has no place there any more"),)
    assert found.marks == (), "what goes needs no clock"


def test_all_is_told_of_an_identity_whose_retention_is_over_and_of_who_gets_its_number() -> None:
    old = profile("old", 2, released=NOW - timedelta(days=365))
    found = changed(link("new", vpnAddress="198.18.254.2"), identity("new", 2), old)
    assert found.forgotten == (
        Forgotten(Removal("old-profile", "its link is gone, and spec.retain.links is over"), ("new",)),
    )


def test_the_clock_of_an_identity_whose_link_is_gone_starts_now() -> None:
    (mark,) = changed(profile("acme", 2)).marks
    assert json.loads(mark.text) == json.loads(identity_json(profile("acme", 2, released=NOW)))
    assert json.loads(mark.text)["released"] == "2026-03-01T12:00:00Z"


def test_what_is_to_be_done_is_told_with_its_instance_and_its_time() -> None:
    found = changed(link("acme"))
    assert (found.namespace, found.now) == ("demo", NOW)
    assert (found.instance, found.uid) == ("mcs", instance().uid)


def test_without_an_instance_nothing_is_done_but_to_what_an_earlier_one_left() -> None:
    world = given(community(), link("acme"))
    found = changes(world, decide(world), Desired(), [slot(17, "acme", owner="gone")])
    assert found == Changes("demo", NOW, leftovers=(Removal("gone-link-017", LEFT),))
    assert found.removals == found.leftovers


def test_what_an_earlier_instance_left_goes_also_where_nothing_can_be_decided() -> None:
    world = given(instance(), community())
    assert revoking(world, [slot(17, "acme")]) == Changes("demo", NOW, leftovers=(Removal("mcs-link-017", LEFT),))


def test_all_that_goes_is_told_first_what_was_left_then_what_is_forgotten_then_what_is_displaced() -> None:
    old = profile("old", 2, released=NOW - timedelta(days=365))
    world = given(instance(), community(), old, slot(3, "gone"))
    found = changes(world, decide(world), Desired(), [slot(9, "before")])
    assert [removal.secret for removal in found.removals] == ["mcs-link-009", "old-profile", "mcs-link-003"]


def test_a_slot_is_displaced_only_where_its_own_link_has_another_number_or_none() -> None:
    strange = Unreadable(Kind.LINK, "strange", 1, "spec.protocol")
    world = given(
        instance(), community(), link("acme"), identity("acme", 2), slot(5, "acme"), strange, slot(7, "strange"),
        slot(9, "theirs", owner="other"),
    )  # fmt: skip
    found = changes(world, decide(world), Desired())
    assert [removal.secret for removal in found.displaced] == ["mcs-link-005"]


def test_identities_that_no_manifest_is_about_are_kept_with_the_owners_that_the_user_wants() -> None:
    damaged = (DamagedProfile("bolt", "mcs", 3), DamagedProfile("copy", "", None))
    world = given(instance(retain={"pki": "Delete"}), community(), profile("acme", 2), damaged=damaged)
    plan = decide(world)
    found = changes(world, plan, render(world, plan, replace(keys_for(plan), authority=None), Settings()))
    assert found.unmanaged == ("mcs-ca", "acme-profile", "bolt-profile")
    assert [owner["name"] for owner in found.owners] == ["mcs"]
    assert "controller" not in found.owners[0]
    assert changed(link("acme"), identity("acme", 2)).unmanaged == (), "those that are rendered have theirs"


def test_identities_that_are_to_outlive_the_instance_are_to_have_no_owner() -> None:
    world = given(instance(retain={"pki": "Retain"}), community(), profile("acme", 2))
    assert changes(world, decide(world), Desired()).owners == ()


def test_where_it_is_not_known_who_has_to_wait_for_a_number_nobody_new_gets_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(_: Any) -> Any:
        raise KeyError

    monkeypatch.setattr(module, "_forgotten", breaks)
    revoked = replace(slot(2, "acme"), fingerprints=(fingerprint("acme"), fingerprint("older")))
    found = changed(link("acme"), profile("acme", 2), revoked, link("new"))
    assert [manifest.name for manifest in found.manifests] == ["mcs-link-002"], "who takes something away waits not"
    assert found.forgotten == ()


# --- the running pod ---


def about(
    thing: Pod | None = None,
    *more: Any,
    outcome: Outcome | None = None,
    world: dict[str, Any] | None = None,
    **options: Any,
) -> PodChanges:
    """What is done about a pod that is of another template, by a restart that is asked for."""
    observed = given(instance(**options), community(), *(() if thing is None else (thing,)), *more, **(world or {}))
    plan = decide(observed)
    keys = keys_for(plan)
    desired = render(observed, plan, keys, Settings())
    decision = Decision(observed, plan, keys, desired, changes(observed, plan, desired))
    return pod_changes(decision, observed.report, outcome or Outcome())


def of_today(**annotations: str) -> dict[str, str]:
    world = given(instance(), community())
    plan = decide(world)
    template = render(world, plan, keys_for(plan), Settings()).template
    assert template
    return {**template.annotations, **annotations}


CALM = report(media=MediaState(config="other", connections=3))


def test_without_a_pod_or_an_instance_nothing_is_done_about_it() -> None:
    world = given(community(), pod())
    decision = Decision(world, decide(world), keys_for(decide(world)), Desired(), Changes("demo", NOW))
    assert pod_changes(decision, None, Outcome()) == about() == PodChanges()


def test_a_pod_of_the_wanted_template_is_left_alone_and_woken_for_what_it_has_not_taken() -> None:
    found = about(pod(annotations=of_today(**{ANNOTATION_POKE: "before"})), CALM)
    assert (found.pod, found.step, found.again) == ("mcs-0", None, None)
    assert found.rollout == Rollout(Step.NOTHING)
    assert found.poke is not None
    assert (found.poke.annotated, found.poke.behind, len(found.poke.target)) == ("before", True, 16)


def test_a_pod_that_goes_is_not_woken() -> None:
    assert about(pod(terminating=True), CALM).poke is None


@pytest.mark.parametrize("writes", [0, 1])
def test_what_is_not_known_to_be_behind_is_woken_only_for_what_was_just_written(writes: int) -> None:
    """An operator that has just started must not write before it has asked."""
    poke = about(pod(annotations=of_today()), outcome=Outcome(writes=writes)).poke
    assert poke is not None and poke.annotated == ""
    assert poke.behind is (writes > 0)


def test_a_restart_begins_with_a_drain_and_is_looked_at_again_in_a_second() -> None:
    found = about(pod(annotations=of_today(**{ANNOTATION_POD_HASH: "x"})), CALM, drainSeconds=300)
    assert found.step == StartDraining(NOW, "SpecChanged", until=NOW + timedelta(seconds=300))
    assert (found.rollout.step, found.again) == (Step.START_DRAINING, 1.0)


def test_an_appliance_that_has_forgotten_that_it_drains_is_told_again_and_the_time_stays() -> None:
    since = NOW - timedelta(seconds=100)
    marks = {ANNOTATION_POD_HASH: "x", ANNOTATION_DRAINING: since.isoformat()}
    found = about(pod(annotations=of_today(**marks)), CALM, drainSeconds=300)
    assert found.step == StartDraining(until=since + timedelta(seconds=300))
    assert found.again == 1.0


@pytest.mark.parametrize("seconds", [300, 3600])
def test_who_is_on_a_drain_is_told_its_end_by_drain_seconds_as_they_are_now(seconds: int) -> None:
    since = NOW - timedelta(seconds=100)
    marks = {ANNOTATION_POD_HASH: "x", ANNOTATION_DRAINING: since.isoformat()}
    drains = report(media=MediaState(draining=True, connections=3))
    found = about(pod(annotations=of_today(**marks)), drains, drainSeconds=seconds)
    assert (found.step, found.again) == (KeepDraining(since + timedelta(seconds=seconds)), 1.0)


def test_a_drain_that_is_noted_to_begin_in_another_age_ends_in_this_one() -> None:
    marks = {ANNOTATION_POD_HASH: "x", ANNOTATION_DRAINING: "9999-12-31T23:59:59Z"}
    found = about(pod(annotations=of_today(**marks)), CALM, drainSeconds=300)
    assert found.step == StartDraining(until=NOW + timedelta(seconds=300))


@pytest.mark.parametrize("noted", [True, False])
def test_a_drain_that_nobody_wants_any_more_ends_and_the_mark_goes_where_there_is_one(noted: bool) -> None:
    mark = {ANNOTATION_DRAINING: "2026-03-01T11:59:00Z"} if noted else {}
    draining = report(media=MediaState(draining=True, connections=3))
    found = about(pod(annotations=of_today(**mark), media_ready=False, media_runs=True), draining)
    assert found.step == StopDraining(noted=noted)
    assert found.again == 1.0


def test_an_instance_out_of_service_is_drained_without_a_note_and_told_again_in_ten_seconds() -> None:
    found = about(pod(annotations=of_today()), CALM, serviceState="OutOfService")
    assert (found.step, found.again) == (StartDraining(None), 10.0)
    drains = report(media=MediaState(draining=True, connections=3))
    found = about(pod(annotations=of_today()), drains, serviceState="OutOfService")
    assert (found.step, found.again) == (None, None), "at rest nothing is looked at"


def test_a_pod_is_replaced_by_its_uid_and_it_is_told_before_why() -> None:
    marks = {ANNOTATION_POD_HASH: "x", ANNOTATION_DRAINING: "2026-03-01T11:59:00Z"}
    silent = report(media=MediaState(draining=True, connections=0))
    found = about(pod(annotations=of_today(**marks)), silent)
    text = f"pod mcs-0 (UID uid-of-pod) is replaced: {found.rollout.cause}"
    assert found.step == Replace("uid-of-pod", "mcs", Note(True, "Restarting", "Replace", text))
    assert "spec of MCSInstance mcs changed" in text


def test_a_pod_is_not_replaced_before_the_new_template_is_written() -> None:
    """The next one would be made from the old template."""
    unwritten = Outcome(failures={"StatefulSet mcs": "Forbidden"})
    found = about(pod(annotations=of_today(**{ANNOTATION_POD_HASH: "x"})), CALM, outcome=unwritten)
    assert (found.step, found.again, found.rollout.step) == (None, None, Step.NOTHING)
    assert "changed in a field" in found.rollout.cause


def test_a_restart_that_is_asked_for_in_advance_is_looked_at_when_it_is_due() -> None:
    asking = instance().metadata.model_copy(update={"annotations": {ANNOTATION_RESTART: "2026-03-01T12:01:30Z"}})
    asked = instance().model_copy(update={"metadata": asking})
    world = given(asked, community(), pod(annotations=of_today()), CALM)
    plan = decide(world)
    desired = render(world, plan, keys_for(plan), Settings())
    decision = Decision(world, plan, keys_for(plan), desired, Changes("demo", NOW))
    found = pod_changes(decision, world.report, Outcome())
    assert (found.step, found.again) == (None, 90.0)


def test_a_pod_of_which_no_template_is_known_is_left_alone() -> None:
    world = given(instance(), community(), pod(annotations={ANNOTATION_POD_HASH: "x"}), CALM)
    decision = Decision(world, decide(world), keys_for(decide(world)), Desired(), Changes("demo", NOW))
    found = pod_changes(decision, world.report, Outcome())
    assert (found.step, found.again, found.rollout) == (None, None, Rollout(Step.NOTHING))


NEXT = "localhost/mcs/appliance:next"
PULLED = {"pulls": (Pull("p", NEXT, "mcs-node", done=True),)}


def test_before_an_image_is_pulled_the_pod_is_told_since_when_it_waits() -> None:
    found = about(pod(annotations=of_today()), CALM, image=NEXT)
    assert (found.step, found.again) == (None, None)
    assert found.notes == {ANNOTATION_DISRUPTIONS: '{"MediaImage":"2026-03-01T12:00:00Z"}'}
    noted = pod(annotations=of_today(**{ANNOTATION_DISRUPTIONS: '{"MediaImage":"2026-03-01T11:00:00Z"}'}))
    assert about(noted, CALM, image=NEXT).notes == {}, "it is known since then"


def test_what_is_no_disruption_any_more_is_taken_off_the_pod() -> None:
    noted = pod(annotations=of_today(**{ANNOTATION_DISRUPTIONS: '{"MediaImage":"2026-03-01T11:00:00Z"}'}))
    assert about(noted, CALM).notes == {ANNOTATION_DISRUPTIONS: None}


def test_another_image_is_put_into_the_pod_with_all_that_it_is_known_by() -> None:
    marks = {
        ANNOTATION_DRAINING: "2026-03-01T11:59:00Z",
        ANNOTATION_DISRUPTIONS: '{"MediaImage":"2026-03-01T11:00:00Z"}',
    }
    silent = report(media=MediaState(draining=True, connections=0))
    found = about(pod(annotations=of_today(**marks)), silent, world=PULLED, image=NEXT)
    assert isinstance(found.step, SetImages) and found.notes == {}
    assert (found.step.uid, found.step.instance, found.step.images) == ("uid-of-pod", "mcs", {"media": NEXT})
    wanted = template_of(instance(image=NEXT)).annotations
    gone: dict[str, Any] = dict.fromkeys((ANNOTATION_DRAINING, ANNOTATION_DRAINING_FOR, ANNOTATION_DISRUPTIONS))
    gone |= {ANNOTATION_MEDIA_CHANGED: '{"at":"2026-03-01T12:00:00Z","restarts":-1}'}
    of_others = {ANNOTATION_AGENT_IMAGE, ANNOTATION_LINK_IMAGE}
    assert found.step.annotations == {key: text for key, text in {**wanted, **gone}.items() if key not in of_others}
    text = f"the media container of pod mcs-0 is replaced, tunnels stay up: the media is to run image {NEXT}"
    assert found.step.note == Note(True, "MediaRestarting", "Replace", text)


def test_another_size_is_given_to_the_pod_with_what_earlier_releases_know_it_by() -> None:
    found = about(made_from(instance()), CALM, tier="UpTo10000", resources=None)
    wanted = template_of(instance(tier="UpTo10000", resources=None))
    by_the_old_rule = {name: wanted.annotations[name] for name in (ANNOTATION_RESTART_HASH, ANNOTATION_PARTS)}
    assert found.step == Resize("uid-of-pod", wanted.size, by_the_old_rule)


@pytest.mark.parametrize("image", [NEXT, "localhost/mcs/appliance:dev"])
def test_the_next_image_is_pulled_as_long_as_the_media_has_another_one(image: str) -> None:
    world = given(instance(image=image), community(), pod(annotations=of_today()))
    plan = decide(world)
    pulls = [m.body for m in render(world, plan, keys_for(plan), Settings()).manifests if m.kind == "Pod"]
    assert [pod["spec"]["containers"][0]["image"] for pod in pulls] == ([NEXT] if image == NEXT else [])


def test_the_digest_that_had_to_be_written_is_the_one_that_is_waited_for() -> None:
    world = given(instance(), community())
    decision = Decision(world, decide(world), keys_for(decide(world)), Desired(checksums="a"), Changes("demo", NOW))
    assert decision.vouched("b").desired.checksums == "b"
    assert decision.vouched("").desired.checksums == "a"


# --- the ledger ---

DRAINED = report(state(2, "r"), media=MediaState(draining=True, connections=0))
ENTRY = "mcs.tvox.io/interruption-1"


def test_an_interruption_is_noted_with_the_step_that_makes_it() -> None:
    drains = {ANNOTATION_DRAINING: "2026-03-01T11:59:00Z"}
    found = about(pod(annotations=of_today(**drains)), DRAINED, vpn={"slots": 7})
    assert isinstance(found.step, Replace)
    said = json.loads(found.ledger[ENTRY])
    assert said == {
        "number": 1,
        "cause": "SpecChanged",
        "begun": "2026-03-01T11:59:00Z",
        "links": 1,
        "pod": "uid-of-pod",
    }


def test_of_the_media_alone_no_tunnel_goes_down_and_the_images_are_noted() -> None:
    drains = {ANNOTATION_DRAINING: "2026-03-01T11:59:00Z"}
    found = about(pod(annotations=of_today(**drains)), DRAINED, world=PULLED, image=NEXT)
    assert isinstance(found.step, SetImages)
    said = json.loads(found.ledger[ENTRY])
    assert (said["cause"], said["before"], said["after"]) == ("MediaImage", "localhost/mcs/appliance:dev", NEXT)
    assert "links" not in said


def test_while_it_drains_nothing_is_noted_yet() -> None:
    drains = {ANNOTATION_DRAINING: "2026-03-01T11:59:59Z"}
    talks = report(media=MediaState(draining=True, connections=3))
    assert about(pod(annotations=of_today(**drains)), talks, drainSeconds=60, vpn={"slots": 7}).ledger == {}


BEGUN = Interruption(1, "SpecChanged", NOW - timedelta(minutes=2), pod="uid-of-the-pod-before")


def test_when_the_media_serves_again_that_is_noted_once() -> None:
    well = pod(annotations=of_today())
    found = about(well, CALM, world={"noted": dict([BEGUN.annotation])})
    assert (found.step, found.ledger) == (None, dict([replace(BEGUN, over=NOW).annotation]))
    assert about(well, CALM, world={"noted": found.ledger}).ledger == {}


def test_at_rest_nothing_is_noted() -> None:
    found = about(pod(annotations=of_today()), CALM)
    assert (found.step, found.notes, found.ledger) == (None, {}, {})


@pytest.mark.parametrize(
    ("image", "connected", "told"),
    [
        (ANNOTATION_AGENT_IMAGE, (), "the link agent of pod mcs-0 gets image localhost/mcs/operator:dev in place"),
        (ANNOTATION_LINK_IMAGE, (), "slots of pod mcs-0 get image localhost/mcs/link:dev in place"),
        (ANNOTATION_LINK_IMAGE, range(2, 252), "link-002 of pod mcs-0 gets image localhost/mcs/link:dev in place"),
    ],
)
def test_an_image_of_a_newer_operator_is_told_and_put_into_the_pod(
    image: str, connected: Iterable[int], told: str
) -> None:
    known = template_of(instance())
    said = report(*(state(number, "r") for number in connected))
    pulls = {"pulls": tuple(Pull("p", one, "mcs-node", done=True) for one in (known.agent_image, known.link_image))}
    its_pod = pod(annotations=of_today(**{image: "earlier"}), images=known.images)
    changes_found = about(its_pod, said, world=pulls)
    found = changes_found.step
    assert isinstance(found, SetImages) and found.note
    (entry,) = read_ledger(changes_found.ledger) or (None,)
    assert (entry.cause, entry.links) == ("SlotImages", 250) if entry else not connected
    assert found.note.note.startswith(told) and not found.note.warning
    assert set(found.images) == ({"agent"} if image == ANNOTATION_AGENT_IMAGE else {link_name(n) for n in found.exits})
    noted = ANNOTATION_DISRUPTIONS in found.annotations
    assert noted is bool(connected), "since when customers wait is noted in the same request"
