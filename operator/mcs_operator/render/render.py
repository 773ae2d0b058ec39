"""Render: everything that should exist in a namespace, as data. Pure: the same plan and keys give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcs_operator.api import MCSInstance
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.linkstate import LinkReport
from mcs_operator.domain.manifest import Manifest, canonical, digest
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.restart import differing_parts
from mcs_operator.domain.world import SlotSecret, World
from mcs_operator.render.network import build_network_policy, build_services
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.render.quota import build_quota
from mcs_operator.render.secrets import build_agent, build_authority, build_identity, build_slot
from mcs_operator.render.shards import build_shards
from mcs_operator.render.storage import build_volume_claim
from mcs_operator.settings import ANNOTATION_PARTS, FIRST_NUMBER, Settings


@dataclass(frozen=True, slots=True)
class Desired:
    """All manifests, and what follows from them.

    ``revisions``: the slot revision wanted, by number, of those slots that the pod has. ``voucher``: SHA-256 of the
    manifest.json that the appliance should have taken. ``failures``: links whose files could not be rendered, and why.
    ``template``: annotations of the wanted pod template.
    """

    manifests: tuple[Manifest, ...] = ()
    revisions: Mapping[int, str] = field(default_factory=dict)
    voucher: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, str] = field(default_factory=dict)

    @property
    def poke(self) -> str:
        """Changes whenever something that the pod has mounted changes."""
        return digest(canonical([self.voucher, sorted(self.revisions.items())]))[:16]

    def behind(self, report: LinkReport) -> bool:
        """Whether the pod has yet to take something that is mounted in it, by its own word."""
        running = {state.slot: state.revision for state in report.links if state.revision}
        config = report.media.config if report.media else None
        return running != dict(self.revisions) or config not in (None, self.voucher)


def _goes_on(slot: SlotSecret, plan: Plan, instance: MCSInstance) -> bool:
    """Whether this slot is to run what it has, as its link cannot be read."""
    return slot.instance == instance.name and slot.link in plan.untouched


def _in_force(world: World, instance: MCSInstance, template: Mapping[str, str]) -> dict[int | None, set[str]]:
    """What the slots of a pod run that is of an older template, by number: see ``build_slot``. By their Secrets, and by
    the agent's word, because a Secret may have been damaged."""
    if world.pod is None:
        return {}
    differing = differing_parts(world.pod.annotations.get(ANNOTATION_PARTS, ""), template[ANNOTATION_PARTS])
    if not {"slots", "template"} & set(differing):  # the latter: it cannot be told
        return {}
    reported = {state.slot: state.revision for state in world.report.links} if world.report else {}
    return {
        slot.number: {slot.content, slot.revision, reported.get(slot.number) or ""}
        for slot in world.slots.values()
        if slot.instance == instance.name
    }


def render(world: World, plan: Plan, keys: Keys, settings: Settings) -> Desired:
    """The desired state of one namespace; empty where no instance is served there."""
    instance = plan.instance
    if instance is None:
        return Desired()
    manifests = [build_quota(instance), *build_authority(instance, keys), *build_agent(instance, keys)]
    revisions: dict[int, str] = {}
    failures: dict[str, str] = {}
    slots = range(FIRST_NUMBER, FIRST_NUMBER + instance.spec.vpn.slots)
    workload = build_stateful_set(instance, settings)
    template: Mapping[str, str] = workload.body["spec"]["template"]["metadata"]["annotations"]
    in_force = _in_force(world, instance, template)
    for link_plan in plan.served:
        link_keys = keys.links.get(link_plan.link.name)
        if link_keys is None or keys.ca is None:
            continue
        try:
            if link_keys.profile is not None:
                manifests.append(build_identity(instance, link_plan, link_keys.profile, keys.ca))
            slot, revision = build_slot(instance, link_plan, link_keys, in_force.get(link_plan.number, ()))
        except ValueError as error:  # one link's damaged key must not keep the 249 others from being rendered
            failures[link_plan.link.name] = str(error)
            continue
        manifests.append(slot)
        if link_plan.number is not None and link_plan.number in slots:
            revisions[link_plan.number] = revision
    revisions |= {
        s.number: s.revision for s in world.slots.values() if _goes_on(s, plan, instance) and s.number in slots
    }
    shards = build_shards(world, plan, keys, instance)
    voucher = digest(shards[-1].body["data"]["manifest.json"])
    manifests += shards
    manifests += [*build_services(instance), *build_network_policy(instance, settings)]
    manifests += [build_volume_claim(instance), workload]
    return Desired(
        manifests=tuple(sorted(manifests, key=lambda manifest: manifest.wave)),
        revisions=revisions,
        voucher=voucher,
        failures=failures,
        template=template,
    )
