"""Who of the links is served, and at which number.

The order inside of `_refusal` is the order in which a user is told what to mend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from mcs_operator.api import MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.domain.facts.world import Profile, SlotSecret, World
from mcs_operator.domain.plan import Kept, LinkPlan
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.addressing import address_of, free_numbers, last_number, number_of
from mcs_operator.domain.rules.precedence import fits, precedence
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import MAX_LINKS


def no_instance(world: World, name: str) -> Verdict:
    """Why who refers to this MCSInstance is not served."""
    there = {i.name for i in world.instances} | {u.name for u in world.unreadable if u.kind is Kind.INSTANCE}
    return messages.no_instance(world.namespace, name, name in there)


@dataclass(frozen=True, slots=True)
class _Damaged:
    """Identities that cannot be read: why, by link, and the links of those that have a number. Gone through once: who
    fills a namespace with ten thousand of them must not have them gone through for each of 250 links.

    Numbers are of this instance's, and of those that a lost label leaves nobody's: a copy has no number.
    """

    why: Mapping[str, str]
    numbers: Mapping[int, frozenset[str]]

    @classmethod
    def of(cls, world: World, instance: MCSInstance) -> _Damaged:
        """Those of a namespace."""
        numbers: dict[int, set[str]] = {}
        for damaged in world.damaged:
            if damaged.number is not None and damaged.instance in ("", instance.name):
                numbers.setdefault(damaged.number, set()).add(damaged.link)
        why = {damaged.link: damaged.why for damaged in reversed(world.damaged)}
        return cls(why, {number: frozenset(links) for number, links in numbers.items()})


@dataclass
class _Allocation:
    """What has been given away so far while the links are gone through in their order of precedence."""

    world: World
    instance: MCSInstance
    profiles: Mapping[str, Profile]
    domains: set[str]
    numbers: dict[int, str] = field(default_factory=dict)
    accepted: int = 0
    of_community: Counter[str] = field(default_factory=Counter)
    damaged: _Damaged = field(init=False)

    def __post_init__(self) -> None:
        self.damaged = _Damaged.of(self.world, self.instance)

    def held_by(self, name: str) -> int | None:
        """Number that a link already has."""
        return held_by(self.world, self.instance, self.profiles, name)

    def accept(self, link: TVoxLink, number: int | None) -> None:
        """Count a link as served, at a number or at one that is found later."""
        if number is not None:
            self.numbers[number] = link.name
        self.domains.add(link.spec.domain)
        self.accepted += 1
        self.of_community[link.spec.community_ref.name] += 1


_NO_REASON_TO_CUT_OFF = (
    Reason.COMMUNITY_NOT_FOUND,
    Reason.INSTANCE_MISMATCH,
    Reason.DOMAIN_TAKEN,
    Reason.ADDRESS_OUT_OF_RANGE,
    Reason.ADDRESS_IMMUTABLE,
)
"""The tunnel depends on none of these: a mistake in a customer's objects, or in a neighbour's, leaves it as it was."""


def held_by(world: World, instance: MCSInstance, profiles: Mapping[str, Profile], name: str) -> int | None:
    """Number that a link has: by its profile, or else by its slot Secret."""
    if profile := profiles.get(name):
        return profile.number
    return next((s.number for s in slots_of(world, instance) if s.link == name), None)


def allocate(
    world: World, instance: MCSInstance, profiles: Mapping[str, Profile], untouched: frozenset[str], kept: Kept
) -> tuple[LinkPlan, ...]:
    """First who is served, in the order of precedence; then numbers for those who have none and name none, so that
    nobody gets a number that somebody else wishes for."""
    allocation = _Allocation(world, instance, profiles, domains=domains_taken(world, instance))
    for name in sorted(untouched):
        if (number := allocation.held_by(name)) is not None:
            allocation.numbers[number] = name
            allocation.accepted += 1
    allocation.domains |= {line.domain for line in kept.links}
    slots = {slot.link for slot in slots_of(world, instance)}
    plans = []
    for link in precedence(world.links, holders=slots | set(profiles)):
        plan = _link(allocation, link)
        plans.append(replace(plan, profile_lost=link.name in slots - set(profiles) and plan.number is not None))
    spare = _spare_numbers(allocation, {link.name for link in world.links} | untouched)
    return tuple(
        _numbered(allocation, plan, spare) if plan.accepted and plan.number is None else plan for plan in plans
    )


def _spare_numbers(allocation: _Allocation, alive: set[str]) -> Iterator[int]:
    """Numbers for whoever names none; to be asked when all others are settled."""
    kept = {p.number: p.released or allocation.world.now for p in allocation.profiles.values() if p.link not in alive}
    foreign = {
        s.number
        for s in slots_of(allocation.world, allocation.instance)
        if s.link not in alive and s.number not in kept
    }
    blocked = {number for owner, number in allocation.world.blocked if owner == allocation.instance.name}
    yield from free_numbers(
        {*allocation.numbers, *foreign, *allocation.damaged.numbers, *blocked}, kept, allocation.instance.spec.vpn.slots
    )


def _numbered(allocation: _Allocation, plan: LinkPlan, spare: Iterator[int]) -> LinkPlan:
    number = next(spare, None)
    if number is None:
        return replace(plan, refusal=_no_number(allocation))
    allocation.numbers[number] = plan.link.name
    return replace(plan, number=number)


def _link(allocation: _Allocation, link: TVoxLink) -> LinkPlan:
    """One link's plan, yet without a number where any will do."""
    held = allocation.held_by(link.name)
    refusal = _reference(allocation, link) or _refusal(allocation, link, held)
    if refusal is None:
        wish = number_of(link.spec.vpn_address, allocation.instance.spec.vpn.cidr) if link.spec.vpn_address else None
        number = held if held is not None else wish
        allocation.accept(link, number)
        return LinkPlan(link, None, number)
    if held is not None and refusal.reason in _NO_REASON_TO_CUT_OFF and not _owner_of(allocation, held, link):
        allocation.accept(link, held)
        return LinkPlan(link, refusal, held)
    return LinkPlan(link, refusal, None)


def _reference(allocation: _Allocation, link: TVoxLink) -> Verdict | None:
    """References that may still come true by another object."""
    if link.spec.instance_ref.name != allocation.instance.name:
        return no_instance(allocation.world, link.spec.instance_ref.name)
    wanted = link.spec.community_ref.name
    community = next((c for c in allocation.world.communities if c.name == wanted), None)
    if community is None:
        there = any(u.kind is Kind.COMMUNITY and u.name == wanted for u in allocation.world.unreadable)
        return messages.no_community(allocation.world.namespace, wanted, there)
    if community.spec.instance_ref.name != allocation.instance.name:
        return messages.community_of_another(wanted, allocation.instance.name)
    return None


def _refusal(allocation: _Allocation, link: TVoxLink, held: int | None) -> Verdict | None:
    """What only the user can change."""
    spec, cidr = link.spec, allocation.instance.spec.vpn.cidr
    if held is None and (verdict := _in_the_way(allocation, link)):
        return verdict
    if spec.domain in allocation.domains:
        return messages.domain_taken(spec.domain)
    if spec.vpn_address:
        number = number_of(spec.vpn_address, cidr)
        if number is None:
            return messages.address_out_of_range(spec.vpn_address, cidr)
        if held is not None and held != number:
            return messages.address_immutable(spec.vpn_address, address_of(held, cidr))
        if held is None and number > last_number(allocation.instance.spec.vpn.slots):
            return messages.address_without_slot(spec.vpn_address, allocation.instance.spec.vpn.slots, cidr)
        if taken := _owner_of(allocation, number, link):
            return messages.address_taken(spec.vpn_address, taken)
    elif held is not None and (taken := _owner_of(allocation, held, link)):
        return Verdict(Reason.ADDRESS_TAKEN, f"{address_of(held, cidr)}, in this link's profile, {taken}")
    if not fits(allocation.accepted):
        return _too_many(allocation)
    return None if held is not None else _beyond_limit(allocation, spec.community_ref.name)


def _beyond_limit(allocation: _Allocation, community: str) -> Verdict | None:
    """For who has no number yet: a limit that is lowered takes nothing from who is served."""
    limit = allocation.instance.spec.community_limits.links
    if limit is None or fits(allocation.of_community[community], limit):
        return None
    return messages.too_many_links_of_community(community, limit)


def _in_the_way(allocation: _Allocation, link: TVoxLink) -> Verdict | None:
    """An identity at the link's name that is not its own, or may be and cannot be read: not to be written over."""
    if (other := allocation.world.profiles.get(link.name)) is not None:
        return messages.identity_of_another(link.name, other.instance)
    why = allocation.damaged.why.get(link.name, "")
    return messages.identity_unreadable(link.name, why) if why else None


def _owner_of(allocation: _Allocation, number: int, link: TVoxLink) -> str:
    """What has the number, in words; empty where it is free for this link.

    Of several who hold one number (backups of two moments, restored together) the first in precedence has it.
    """
    if number in allocation.numbers:
        return messages.USED
    if allocation.held_by(link.name) == number:
        return ""
    kept = {profile.link for profile in allocation.profiles.values() if profile.number == number}
    if (kept | allocation.damaged.numbers.get(number, frozenset())) - {link.name}:
        return messages.KEPT
    if secret := allocation.world.blocked.get((allocation.instance.name, number)):
        return f"is blocked by Secret {secret}, which is not the operator's"
    slot = allocation.world.slots.get((allocation.instance.name, number))
    return messages.USED if slot and slot.link != link.name else ""


def _too_many(allocation: _Allocation) -> Verdict:
    return _waiting(messages.too_many_links(allocation.instance.name, allocation.accepted))


def _no_number(allocation: _Allocation) -> Verdict:
    slots = allocation.instance.spec.vpn.slots
    if slots == MAX_LINKS:
        return _too_many(allocation)
    return _waiting(messages.no_free_slot(allocation.instance.name, slots))


def _waiting(verdict: Verdict) -> Verdict:
    return replace(verdict, message=f"{verdict.message}; this one takes over when a place frees up")


def domains_taken(world: World, instance: MCSInstance) -> set[str]:
    """The domains that no link here can have."""
    return {*world.elsewhere, instance.spec.domain}


def slots_of(world: World, instance: MCSInstance) -> list[SlotSecret]:
    """Slot Secrets of the instance."""
    return [slot for slot in world.slots.values() if slot.instance == instance.name]
