"""Changes: from the plan and what is desired to all that has to be done. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from mcs_operator.api import Impact, MCSInstance
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.changes import (
    Changes,
    Forgotten,
    KeepDraining,
    Mark,
    PodChanges,
    PodStep,
    Poke,
    Removal,
    Replace,
    Resize,
    SetImages,
    StartDraining,
    StopDraining,
)
from mcs_operator.domain.facts.world import DamagedProfile, Pod, Profile, SlotSecret, World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.pod.disruptions import Cause, note_of
from mcs_operator.domain.pod.fallback import asked_again, note_of_change
from mcs_operator.domain.pod.ledger import interrupted, over_now, read_ledger, sent_away
from mcs_operator.domain.pod.rollout import LOOK_AGAIN, Rollout, Step, decide_rollout
from mcs_operator.domain.pod.template import Template, brought_up_to_date, image_of
from mcs_operator.domain.pod.updates import Update, customers_left
from mcs_operator.domain.rules.issuance import Queue
from mcs_operator.domain.status.events import Note
from mcs_operator.render.objects import identity_owners
from mcs_operator.render.outofservice import TOLD_AGAIN, kept_out_of_service, stays_out_of_service
from mcs_operator.render.render import Desired, revocations
from mcs_operator.render.secrets import identity_json
from mcs_operator.settings import (
    ANNOTATION_DISRUPTIONS,
    ANNOTATION_DRAINING,
    ANNOTATION_DRAINING_FOR,
    ANNOTATION_LINK_IMAGE,
    ANNOTATION_MEDIA_CHANGED,
    ANNOTATION_POKE,
    ANNOTATION_REFUSED_RESIZE,
    MEDIA_CONTAINER,
    link_name,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a namespace, and what is to be done for it."""

    world: World
    plan: Plan
    keys: Keys
    desired: Desired
    changes: Changes
    queue: Queue = field(default_factory=Queue)
    """Of certificates to be ordered; known when what was decided is written."""

    def vouched(self, checksums: str) -> Decision:
        """The same where another manifest.json than the desired one had to be written; its digest, if so."""
        return replace(self, desired=replace(self.desired, checksums=checksums or self.desired.checksums))


def changes(world: World, plan: Plan, desired: Desired, leftovers: Iterable[SlotSecret] = ()) -> Changes:
    """All that has to be done about objects. Each part is worked out by itself: one that fails is in the errors, and
    keeps no revocation from being written. Only nothing is pruned then."""
    left = Changes(world.namespace, world.now, leftovers=_leftovers(leftovers))
    instance = plan.instance
    if instance is None:
        return left
    errors: list[Exception] = []
    forgotten = _part(errors, lambda: _forgotten(plan))
    marks = _part(errors, lambda: tuple(_released(world, p) for p in plan.released if p not in plan.forgotten))
    displaced = _part(errors, lambda: _displaced(world, plan, instance))
    owners = _part(errors, lambda: tuple(identity_owners(instance)))
    return replace(
        left,
        instance=instance.name,
        uid=instance.uid,
        forgotten=forgotten or (),
        marks=marks or (),
        # Where it is not known who has to wait for a number, nobody new gets one.
        manifests=tuple(m for m in desired.manifests if m.takes_away or forgotten is not None),
        displaced=displaced or (),
        unmanaged=_unmanaged(world, instance, desired) if owners is not None else (),
        owners=owners or (),
        # With a defect it is not known what nobody wants any more.
        prune=not desired.defects and not errors,
        errors=tuple(errors),
    )


def _part(errors: list[Exception], make: Callable[[], T]) -> T | None:
    try:
        return make()
    except Exception as error:
        errors.append(error)
        return None


def revoking(world: World, leftovers: Iterable[SlotSecret] = ()) -> Changes:
    """What takes something away and waits for nothing, whatever it is that cannot be decided, signed or rendered."""
    found = tuple(revocations(world))
    return Changes(world.namespace, world.now, leftovers=_leftovers(leftovers), manifests=found)


def _leftovers(slots: Iterable[SlotSecret]) -> tuple[Removal, ...]:
    return tuple(_removal(slot, "its identity went with an earlier instance") for slot in slots)


def _removal(slot: SlotSecret, why: str) -> Removal:
    return Removal(f"{slot.instance}-{link_name(slot.number)}", why)


def _displaced(world: World, plan: Plan, instance: MCSInstance) -> tuple[Removal, ...]:
    """Slots of links that have another number by now, or none."""
    placed = {p.link.name: p.number for p in plan.served}
    return tuple(
        _removal(slot, "its link has no place there any more")
        for slot in world.slots.values()
        if slot.instance == instance.name and slot.link not in plan.untouched and placed.get(slot.link) != slot.number
    )


def _forgotten(plan: Plan) -> tuple[Forgotten, ...]:
    holders: dict[int | None, tuple[str, ...]] = {}
    for served in plan.served if plan.forgotten else ():
        holders[served.number] = (*holders.get(served.number, ()), served.link.name)
    found = []
    for profile in plan.forgotten:
        early = profile in plan.given_up
        why = "its number is needed" if early else "spec.retain.links is over"
        removal = Removal(f"{profile.link}-profile", f"its link is gone, and {why}")
        note = _given_up(profile) if early else None
        found.append(Forgotten(removal, holders.get(profile.number, ()), note))
    return tuple(found)


def _given_up(profile: Profile) -> Note:
    """Whoever creates that link again will wonder why its TVox needs a new profile."""
    text = (
        f"the identity of the deleted TVoxLink {profile.link} is given up before spec.retain.links is over: its "
        f"number {profile.number} is needed, as no unused one has a slot; created again, it gets a new profile"
    )
    return Note(True, "IdentityGivenUp", "Replace", text)


def _released(world: World, profile: Profile) -> Mark:
    """The retention clock of an identity whose link is gone starts."""
    return Mark(f"{profile.link}-profile", "identity.json", identity_json(profile.released_at(world.now)))


def _unmanaged(world: World, instance: MCSInstance, desired: Desired) -> tuple[str, ...]:
    """Identities that no manifest is about: their link is gone, or their CA is not to be used."""
    rendered = {manifest.name for manifest in desired.manifests}
    damaged = [identity for identity in world.damaged if identity.instance]  # the others are copies
    identities: tuple[Profile | DamagedProfile, ...] = (*world.profiles.values(), *damaged)
    names = [f"{instance.name}-ca", *(f"{identity.link}-profile" for identity in identities)]
    return tuple(name for name in names if name not in rendered)


def pod_changes(decision: Decision, confirmed: LinkReport | None, outcome: Outcome) -> PodChanges:
    """What has to be done about the running pod, after what came of the other changes.

    ``confirmed`` is what the agent says at present: by what it said before it fell silent nobody's call is ended.
    Nothing is done before the new template is written: the next pod would be made from the old one.
    """
    world, plan, desired = decision.world, decision.plan, decision.desired
    instance, pod = plan.instance, world.pod
    if instance is None or pod is None:
        return PodChanges()
    poke, template = _poke(world, pod, desired, outcome), desired.template
    if template is None:
        return PodChanges(pod.name, poke, step=kept_out_of_service(None, instance, pod, confirmed))
    rollout = decide_rollout(world, instance, pod, template, confirmed)
    rollout = rollout if outcome.is_written(f"StatefulSet {instance.name}") else replace(rollout, step=Step.NOTHING)
    dues = (
        rollout.due,
        desired.fallback.due if desired.fallback else None,
        asked if (asked := asked_again(pod, world.now)) and asked > world.now else None,
        *(pull.made_anew for pull in world.pulls if pull.made_anew and pull.made_anew > world.now),
    )
    due = min(((due - world.now).total_seconds() for due in dues if due), default=None)
    again = LOOK_AGAIN if rollout.step in _DRAINS else due
    planned = _step(world, instance, pod, template, rollout)
    step = kept_out_of_service(planned, instance, pod, confirmed)
    if step is not planned:  # at rest nobody looks: such a pod drains for weeks
        again = TOLD_AGAIN if isinstance(step, StartDraining) else due
    ledger = _ledger(world, instance, template, rollout, confirmed)
    return PodChanges(pod.name, poke, rollout, step, again, _notes(pod, rollout), ledger)


_DRAINS = (
    Step.START_DRAINING,
    Step.KEEP_DRAINING,
    Step.DRAIN_AGAIN,
    Step.STOP_DRAINING,
    Step.REPLACE,
    Step.SET_IMAGE,
    Step.UPDATE,
)


def _poke(world: World, pod: Pod, desired: Desired, outcome: Outcome) -> Poke | None:
    if pod.terminating:
        return None
    # Unknown is not behind: an operator that has just started must not write before it has asked.
    behind = desired.behind(world.report) if world.report else outcome.writes > 0
    return Poke(desired.poke, pod.annotations.get(ANNOTATION_POKE, ""), behind)


def _notes(pod: Pod, rollout: Rollout) -> dict[str, str | None]:
    """Since when each cause is known, on the pod; not on one that goes, nor where the step itself writes it."""
    if pod.terminating or rollout.step in (Step.REPLACE, Step.SET_IMAGE, Step.UPDATE):
        return {}
    return _noted_causes(pod, rollout)


def _noted_causes(pod: Pod, rollout: Rollout) -> dict[str, str | None]:
    note = note_of(rollout.disruptions)
    return {} if note == pod.annotations.get(ANNOTATION_DISRUPTIONS) else {ANNOTATION_DISRUPTIONS: note}


def _ledger(
    world: World, instance: MCSInstance, template: Template, rollout: Rollout, confirmed: LinkReport | None
) -> dict[str, str]:
    """What is noted of interruptions: that one begins with this step, or that one is over."""
    known, current, pod = read_ledger(world.noted), rollout.current, world.pod
    if pod is None:
        return {}
    if rollout.update and rollout.update.reconnects is not None:
        left = len(customers_left(pod, template, confirmed))
        images = pod.annotations.get(ANNOTATION_LINK_IMAGE, ""), template.link_image
        noted = sent_away(known, pod, world.now, left, images)
        return dict([noted.annotation]) if noted else {}
    if current is None or rollout.step not in (Step.REPLACE, Step.SET_IMAGE):
        out = stays_out_of_service(instance, confirmed)
        left = any(one.cause is Cause.SLOT_IMAGES for one in rollout.disruptions)
        return dict(one.annotation for one in over_now(known, pod, world.now, out_of_service=out, sends_away=left))
    images = image_of(pod, template), template.media_image
    tunnels, begun = current.impact is Impact.RESTART, rollout.since or world.now
    new = interrupted(known, pod, current.cause, begun, confirmed, tunnels=tunnels, images=images)
    return dict([new.annotation]) if new else {}


def _step(world: World, instance: MCSInstance, pod: Pod, template: Template, rollout: Rollout) -> PodStep | None:
    match rollout.step:
        case Step.START_DRAINING:
            cause = str(rollout.current.cause) if rollout.current else ""
            return StartDraining(world.now, cause, _drained_by(rollout, instance, world.now))
        case Step.DRAIN_AGAIN:
            return StartDraining(until=_drained_by(rollout, instance, world.now))
        case Step.KEEP_DRAINING:
            return KeepDraining(_drained_by(rollout, instance, world.now))
        case Step.STOP_DRAINING:
            return StopDraining(noted=ANNOTATION_DRAINING in pod.annotations)
        case Step.REPLACE:
            text = f"pod {pod.name} (UID {pod.uid}) is {rollout.becomes}: {rollout.cause}"
            return Replace(pod.uid, pod.name.removesuffix("-0"), Note(True, "Restarting", "Replace", text))
        case Step.SET_IMAGE:
            text = f"the media container of pod {pod.name} is replaced, tunnels stay up: {rollout.cause}"
            note = Note(True, "MediaRestarting", "Replace", text)
            left = note_of(one for one in rollout.disruptions if one is not rollout.current)
            over: dict[str, str | None] = {
                ANNOTATION_DRAINING: None,
                ANNOTATION_DRAINING_FOR: None,
                ANNOTATION_DISRUPTIONS: left,
            }
            over[ANNOTATION_MEDIA_CHANGED] = note_of_change(pod, world.now)
            annotations = over | brought_up_to_date(pod, template, template.media_image)
            images = {MEDIA_CONTAINER: template.media_image}
            return SetImages(pod.uid, pod.name.removesuffix("-0"), images, annotations, note)
        case Step.RESIZE:
            noted = brought_up_to_date(pod, template, image_of(pod, template))
            # What was refused was another size: if it stayed, the pod would be taken for one that waits for that.
            over = {ANNOTATION_REFUSED_RESIZE: None} if ANNOTATION_REFUSED_RESIZE in pod.annotations else {}
            return Resize(pod.uid, template.size, _changed(pod, noted) | over)
        case Step.UPDATE if rollout.update:
            update, annotations = rollout.update, {**_noted_causes(pod, rollout), **rollout.update.annotations}
            name, told = pod.name.removesuffix("-0"), _told_update(pod, update)
            return SetImages(pod.uid, name, update.images, annotations, told, update.exits)
        case _:
            return None


def _drained_by(rollout: Rollout, instance: MCSInstance, now: datetime) -> datetime:
    """When a drain that goes on is over at the latest. A note of its beginning may have any year."""
    passed = (now - (rollout.since or now)).total_seconds()
    return now + timedelta(seconds=instance.spec.drain_seconds - max(0.0, passed))


def _told_update(pod: Pod, update: Update) -> Note | None:
    """Of slots that carry no tunnel once is enough: nobody notices."""
    image = next(iter(update.images.values()))
    if not update.exits:
        text = f"the link agent of pod {pod.name} gets image {image} in place: nobody notices"
    elif update.reconnects:
        text = f"{link_name(update.reconnects)} of pod {pod.name} gets image {image} in place: its TVox reconnects once"
    elif update.begins:
        text = f"slots of pod {pod.name} get image {image} in place, those without a tunnel first: nobody notices"
    else:
        return None
    return Note(False, "Updating", "Replace", text)


def _changed(pod: Pod, annotations: dict[str, str]) -> dict[str, str | None]:
    return {key: value for key, value in annotations.items() if pod.annotations.get(key) != value}
