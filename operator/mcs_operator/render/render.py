"""Render: everything that should exist in a namespace, as data. Pure: the same plan and keys give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mcs_operator.api import MCSInstance, NetworkMode, TVoxLink
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.facts.world import SlotSecret, World
from mcs_operator.domain.keyring import Keys, LinkKeys
from mcs_operator.domain.manifest import Manifest
from mcs_operator.domain.plan import LinkPlan, Plan
from mcs_operator.domain.pod.fallback import Fallback, fallback
from mcs_operator.domain.pod.running import as_it_runs
from mcs_operator.domain.pod.template import Template, other_parts
from mcs_operator.domain.rules.pins import accepted, decide_pins
from mcs_operator.domain.status.faults import told
from mcs_operator.render.budget import build_disruption_budget
from mcs_operator.render.certificates import build_account, build_certificates
from mcs_operator.render.network import build_network_policy, build_services
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.render.pull import build_image_pulls
from mcs_operator.render.quota import build_quota
from mcs_operator.render.secrets import build_agent, build_authority, build_identity, build_slot
from mcs_operator.render.shards import build_shards
from mcs_operator.render.storage import build_volume_claim
from mcs_operator.render.template import template_of
from mcs_operator.settings import FIRST_NUMBER, Settings


@dataclass(frozen=True, slots=True)
class Desired:
    """All manifests, and what follows from them.

    ``revisions``: the slot revision wanted, by number, of those slots that the pod has. ``checksums``: SHA-256 of the
    checksum manifest that the appliance should have taken. ``failures``: links whose files could not be rendered, and
    why. ``template``: what the running pod is compared with, ``fallback``: from what its media is made. ``defects``:
    parts that could not be made, ``link_defects``: links at whose keys or files the operator fails; what is there of
    them stays as it is.
    """

    manifests: tuple[Manifest, ...] = ()
    revisions: Mapping[int, str] = field(default_factory=dict)
    checksums: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    template: Template | None = None
    fallback: Fallback | None = None
    defects: tuple[str, ...] = ()
    link_defects: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_defects(self) -> list[str]:
        """Of parts and of links."""
        return [*self.defects, *self.link_defects.values()]

    @property
    def poke(self) -> str:
        """Changes whenever something that the pod has mounted changes."""
        return digest(canonical([self.checksums, sorted(self.revisions.items())]))[:16]

    def behind(self, report: LinkReport) -> bool:
        """Whether the pod has yet to take something that is mounted in it, by its own word."""
        running = {state.slot: state.revision for state in report.links if state.revision}
        config = report.media.config if report.media else None
        return running != dict(self.revisions) or (self.checksums != "" and config not in (None, self.checksums))


def _in_force(world: World, instance: MCSInstance, template: Template | None) -> dict[int | None, set[str]]:
    """What the slots of a pod run that is of an older template, by number: see ``build_slot``. By their Secrets, and by
    the agent's word, because a Secret may have been damaged."""
    if world.pod is None:
        return {}
    # Without a template it cannot be told, as where there is no account of the parts.
    if template and not {"slots", "template"} & set(other_parts(world.pod, template)):
        return {}
    reported = {state.slot: state.revision for state in world.report.links} if world.report else {}
    return {
        slot.number: {slot.content, slot.revision, reported.get(slot.number) or ""}
        for slot in world.slots.values()
        if slot.instance == instance.name
    }


def render(world: World, plan: Plan, keys: Keys, settings: Settings) -> Desired:
    """The desired state of one namespace; empty where no instance is served there.

    Each part is made by itself: what cannot be made is left as it is, and told, and the rest goes on.
    """
    instance = plan.instance
    if instance is None:
        return Desired()
    made = _Made()
    made.part("the CA's Secret", lambda: build_authority(instance, keys))
    is_kept = not made.defects or instance.name in world.authorities
    instead, runs = fallback(world, instance), as_it_runs(instance, world.pod)
    template = made.workload(world, instance, settings, instead)
    if is_kept:  # what a CA signs that cannot be kept would be void at the next run, which makes another one
        made.part("the agent's Secrets", lambda: build_agent(instance, keys))
        made.slots(world, plan, keys, runs, _in_force(world, instance, template))
    made.part("the account for certificates", lambda: build_account(instance, keys))
    made.part("the certificates", lambda: build_certificates(instance, world.orders))
    made.part("the quota", lambda: [build_quota(instance)])
    shards = made.part("the appliance's files", lambda: build_shards(world, plan, keys, runs, instead.size))
    made.part("the Services", lambda: build_services(_balanced(instance, runs)))
    made.part("the NetworkPolicy", lambda: build_network_policy(_held(instance, runs), settings))
    made.part("the PodDisruptionBudget", lambda: [build_disruption_budget(instance)])
    made.part("the volume", lambda: [build_volume_claim(instance)])
    return Desired(
        manifests=tuple(sorted(made.manifests, key=lambda manifest: manifest.wave)),
        revisions=made.revisions,
        checksums=digest(shards[-1].body["data"]["manifest.json"]) if shards else "",
        failures=made.failures,
        template=template,
        fallback=instead,
        defects=tuple(made.defects),
        link_defects=dict(keys.defects) | made.link_defects,
    )


def _balanced(instance: MCSInstance, runs: MCSInstance) -> MCSInstance:
    """Whose Services there are: a load balancer takes its time, and is there before the pod that needs it, and as long
    as the one that does."""
    return runs if runs.spec.network.mode is NetworkMode.LOAD_BALANCER else instance


def _held(instance: MCSInstance, runs: MCSInstance) -> MCSInstance:
    """To whose ports the pod is held: a pod on the node's network to none, and the next one from its first moment."""
    return instance if runs.spec.network.mode is NetworkMode.HOST_NETWORK else runs


@dataclass(slots=True)
class _Made:
    """What has been made so far."""

    manifests: list[Manifest] = field(default_factory=list)
    revisions: dict[int, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)
    link_defects: dict[str, str] = field(default_factory=dict)

    def part(self, what: str, build: Callable[[], Sequence[Manifest]]) -> Sequence[Manifest]:
        """One part, or nothing where it cannot be made."""
        try:
            manifests = build()
        except Exception as error:
            self.defects.append(f"{what}: {told(error)}")
            return ()
        self.manifests += manifests
        return manifests

    def workload(self, world: World, instance: MCSInstance, settings: Settings, instead: Fallback) -> Template | None:
        """The StatefulSet, and what has to be there before its media's image is; what the pod is compared with."""
        stops = world.suspends(instance)
        found = self.part("the StatefulSet", lambda: [build_stateful_set(instance, settings, instead, suspended=stops)])
        if not found:
            return None
        template = template_of(found[0].body, instance, settings, world.pod, instead)
        spec = found[0].body["spec"]["template"]["spec"]
        self.part("the image's pull", lambda: build_image_pulls(world, instance, template, spec))
        return template

    def slots(
        self, world: World, plan: Plan, keys: Keys, instance: MCSInstance, in_force: Mapping[int | None, set[str]]
    ) -> None:
        """Identities and slots of all links. Whose link cannot be read, or rendered, is to run what it has.

        ``in_force``: what the slots of an older pod have, see ``build_slot``.
        """
        numbers = range(FIRST_NUMBER, FIRST_NUMBER + instance.spec.vpn.slots)
        for link_plan in plan.served:
            name, number = link_plan.link.name, link_plan.number
            link_keys = keys.links.get(name)
            if link_keys is None or keys.ca is None:
                continue
            try:
                manifests, revision = _link(
                    world, instance, plan, link_plan, link_keys, keys.ca, in_force.get(number, ())
                )
            except ValueError as error:  # one link's damaged key must not keep the 249 others from being rendered
                self.failures[name] = str(error)
                continue
            except Exception as error:
                self.link_defects[name] = f"the link's files: {told(error)}"
                continue
            self.manifests += manifests
            if number is not None and number in numbers:
                self.revisions[number] = revision
        ailing = {*plan.untouched, *self.failures, *self.link_defects, *keys.defects}
        self.revisions |= {
            s.number: s.revision
            for s in world.slots.values()
            if s.instance == instance.name and s.link in ailing and s.number in numbers
        }


def _link(
    world: World,
    instance: MCSInstance,
    plan: Plan,
    link_plan: LinkPlan,
    keys: LinkKeys,
    ca: str,
    in_force: Collection[str],
) -> tuple[list[Manifest], str]:
    """The two Secrets of one link, and the revision of its slot."""
    identity = []
    if keys.profile is not None:
        identity = [build_identity(instance, link_plan, keys.profile, ca, domain=plan.dialled.domain or "")]
    slot, revision = build_slot(instance, link_plan, keys, in_force)
    known = world.slots.get((instance.name, link_plan.number or 0))
    if known and known.link == link_plan.link.name:
        slot = replace(slot, takes_away=_takes_away(known, keys, link_plan.link.spec.enabled))
    return [*identity, slot], revision


def _takes_away(slot: SlotSecret, keys: LinkKeys, enabled: bool) -> bool:
    """Whether the slot is to accept less than it does, and nothing that is not on record yet."""
    before, after = ({pin.sha256 for pin in accepted(pins)} for pins in (slot.fingerprints, keys.fingerprints))
    return after <= before and (after != before or not enabled)


def revocations(world: World) -> list[Manifest]:
    """The slots that must stop, or accept a certificate less, made from nothing but their link and their own Secret.

    For when the operator fails at their namespace: whatever it fails at, who is revoked is let in no more.
    """
    instances = {instance.name: instance for instance in world.instances}
    links = {(link.spec.instance_ref.name, link.name): link for link in world.links}
    found = []
    for slot in world.slots.values():
        instance, link = instances.get(slot.instance), links.get((slot.instance, slot.link))
        if instance is None or link is None:
            continue
        try:
            found += _revocation(world, instance, link, slot)
        except Exception:  # noqa: S112 - this one is damaged: the next one's turn
            continue
    return found


def _revocation(world: World, instance: MCSInstance, link: TVoxLink, slot: SlotSecret) -> list[Manifest]:
    profile = world.profiles.get(link.name)
    known = profile.fingerprints if profile and profile.instance == slot.instance else slot.fingerprints
    pins = decide_pins(known, link.annotations, None, world.now)
    if slot.server is None or slot.tls_crypt is None or slot.ca is None:
        return []
    keys = LinkKeys(slot.server, slot.tls_crypt, pins.known, None, slot.ca)
    if not _takes_away(slot, keys, link.spec.enabled):
        return []
    manifest, revision = build_slot(as_it_runs(instance, world.pod), LinkPlan(link, None, slot.number), keys)
    return [] if revision == slot.revision == slot.content else [replace(manifest, takes_away=True)]
