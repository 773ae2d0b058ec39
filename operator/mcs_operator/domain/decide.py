"""Decide: from the world as it is to the plan, without I/O, clock or chance.

Read top-down, `decide` is the specification of who is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcs_operator.api import Community, MCSInstance, RetentionPolicy
from mcs_operator.api.conditions import Kind
from mcs_operator.contract.shards import ServedCommunity, ServedLink, communities_in, links_in
from mcs_operator.domain.allocation import allocate, domains_served, domains_taken, held_by, no_instance, slots_of
from mcs_operator.domain.facts.world import DamagedProfile, Profile, SlotSecret, World
from mcs_operator.domain.plan import Kept, LinkPlan, Plan
from mcs_operator.domain.rules import logins, portals, retention, users
from mcs_operator.domain.rules.dialled import Dialled, dialled
from mcs_operator.domain.rules.pins import decide_pins
from mcs_operator.domain.rules.tiers import TIERS
from mcs_operator.domain.rules.verdict import Verdict


def decide(world: World) -> Plan:
    """The plan for one namespace."""
    instance, occupants = choose_instance(world)
    if instance is None:
        return Plan(
            instance=None,
            links=tuple(LinkPlan(link, no_instance(world, link.spec.instance_ref.name), None) for link in world.links),
            communities={c.name: no_instance(world, c.spec.instance_ref.name) for c in world.communities},
        )
    differs = _dialled(world, instance)
    instance = differs.on(instance)
    mine = {name: p for name, p in world.profiles.items() if p.instance == instance.name}
    # What cannot be read is not gone: an older operator must not cut off, or forget, what a newer one has accepted.
    untouched = frozenset(u.name for u in world.unreadable if u.kind is Kind.LINK)
    strange = frozenset(u.name for u in world.unreadable if u.kind is Kind.COMMUNITY)
    kept = Kept(_kept_links(world, instance, mine, untouched), _kept_communities(world, instance, strange))
    communities = {c.name: _community(world, instance, c) for c in world.communities}
    accepted = [c for c in world.communities if communities[c.name] is None]
    wanted = portals.wishes(accepted)
    placed = allocate(world, instance, mine, untouched, kept, wanted)
    links = tuple(_with_pins(world, plan, mine) for plan in placed)
    served = users.serve(
        accepted,
        world.users_files,
        TIERS[instance.spec.tier].users,
        world.shards,
        strange,
        instance.spec.community_limits.users,
    )
    taken = domains_taken(world, instance) | domains_served(links, kept) if wanted else ()
    needed = {plan.number for plan in links if plan.number is not None and plan.link.name not in mine}
    alive = untouched | _names_of_links(world, instance)
    without_link = [p for p in mine.values() if p.link not in alive]
    retained = retention.of(without_link, instance.spec.retain.links_seconds, needed, world.now)
    return Plan(
        instance=instance,
        occupants=occupants,
        identity_lost=_has_lost_its_ca(world, instance, mine),
        links=links,
        communities=communities,
        users=served,
        portals=portals.portals(accepted, taken),
        logins=logins.log_in(accepted, served.users, world.passwords, world.shards, strange),
        released=tuple(p for p in without_link if p.released is None),
        forgotten=(*retained.expired, *retained.given_up),
        given_up=retained.given_up,
        untouched=untouched,
        kept=kept,
        dialled=differs,
        due=retained.next_end,
    )


def _has_lost_its_ca(world: World, instance: MCSInstance, mine: Mapping[str, Profile]) -> bool:
    """A CA that the user brought is not ours to lose: what is wrong with it is said where it is read."""
    if instance.spec.vpn.ca_secret_ref is not None or instance.name in world.authorities:
        return False
    return bool(mine or slots_of(world, instance) or [d for d in world.damaged if d.instance == instance.name])


def _names_of_links(world: World, instance: MCSInstance) -> frozenset[str]:
    return frozenset(link.name for link in world.links if link.spec.instance_ref.name == instance.name)


def _dialled(world: World, instance: MCSInstance) -> Dialled:
    return dialled(instance, world.profiles.values(), world.slots.values(), _names_of_links(world, instance))


def without_leftovers(world: World) -> tuple[World, tuple[SlotSecret, ...]]:
    """The world without the slots of identities that went with an earlier instance, and those slots.

    Where retain.pki is Delete, CA and identities go with their instance, but the slots stay with their links. They
    are of no use without: the next instance of the name would take them for the remains of a lost CA.
    """
    instance, _ = choose_instance(world)
    if instance is None or instance.spec.retain.pki is RetentionPolicy.RETAIN:
        return world, ()
    # A CA that the user brought outlives any instance; the agent's credentials go with theirs.
    served = world.agents if instance.spec.vpn.ca_secret_ref else world.authorities
    identities: tuple[Profile | DamagedProfile, ...] = (*world.profiles.values(), *world.damaged)
    if instance.name in served or any(identity.instance == instance.name for identity in identities):
        return world, ()
    slots = {key: slot for key, slot in world.slots.items() if slot.instance != instance.name}
    return replace(world, slots=slots), tuple(slot for key, slot in world.slots.items() if key not in slots)


def choose_instance(world: World) -> tuple[MCSInstance | None, tuple[MCSInstance, ...]]:
    """The instance that has the namespace, and the others.

    Who has a CA or customers here was here first, whatever the creation times say after a restore; then age, name.
    """
    known = {*world.authorities, *(profile.instance for profile in world.profiles.values())}
    ranked = sorted(world.instances, key=lambda i: (i.name not in known, i.created, i.name))
    return (ranked[0], tuple(ranked[1:])) if ranked else (None, ())


def _community(world: World, instance: MCSInstance, community: Community) -> Verdict | None:
    name = community.spec.instance_ref.name
    return None if name == instance.name else no_instance(world, name)


def _kept_links(
    world: World, instance: MCSInstance, profiles: Mapping[str, Profile], untouched: frozenset[str]
) -> tuple[ServedLink, ...]:
    """Lines of links that cannot be read, as far as their numbers and names are still theirs."""
    if not untouched:
        return ()
    taken = domains_taken(world, instance)
    return tuple(
        line
        for line in links_in(world.shards)
        if line.name in untouched
        and line.domain not in taken
        and line.number == held_by(world, instance, profiles, line.name)
    )


def _with_pins(world: World, plan: LinkPlan, profiles: Mapping[str, Profile]) -> LinkPlan:
    """With the decision about its TVox's certificates, for a link that has any."""
    number, name = plan.number, plan.link.name
    if number is None or not (plan.profile_lost or name in profiles):
        return plan
    has_previous = False
    if plan.profile_lost:
        owner = plan.link.spec.instance_ref.name  # a slot of another instance may be a namesake's
        slots = (slot for slot in world.slots.values() if slot.instance == owner)
        known = next(slot.fingerprints for slot in slots if slot.link == name)
    else:
        known, has_previous = profiles[name].fingerprints, profiles[name].previous is not None
    states = world.report.links if world.report else []
    shown = next((state.tunnel.fingerprint for state in states if state.slot == number), None)
    return replace(plan, pins=decide_pins(known, plan.link.annotations, shown, world.now, has_previous))


def _kept_communities(world: World, instance: MCSInstance, strange: frozenset[str]) -> tuple[ServedCommunity, ...]:
    """Lines of communities that cannot be read, as far as the names of their portals are still theirs."""
    if not strange:
        return ()
    taken = domains_taken(world, instance)
    lines = (line for line in communities_in(world.shards) if line.name in strange)
    return tuple(replace(line, portal=None) if line.portal in taken else line for line in lines)
