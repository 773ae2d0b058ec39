"""What a TVoxLink is refused for, or warned of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter

from mcs_operator.api import TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.api.vpn import Vpn
from mcs_operator.domain.admission import missing
from mcs_operator.domain.admission.known import (
    Cluster,
    Finding,
    Object,
    at,
    community_limit,
    count_of,
    domain_taken,
    name_of,
    nearly_full,
    reference_of,
    refuse,
    slots_of,
)
from mcs_operator.domain.facts.world import Profile
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.addressing import address_of, last_number, number_of
from mcs_operator.domain.rules.costs import costs
from mcs_operator.domain.rules.precedence import fits
from mcs_operator.settings import MAX_LINKS

_DEFAULT_VPN = Vpn()


def check(cluster: Cluster, namespace: str, new: TVoxLink, old: TVoxLink | None, _: datetime) -> Iterator[Finding]:
    """What is wrong with the new one, or what a change costs."""
    instance = cluster.find(Kind.INSTANCE, namespace, new.spec.instance_ref.name)
    stored = cluster.find(Kind.LINK, namespace, new.name)
    if old is None:
        yield from _room(cluster, namespace, instance, new, stored)
    if old is None or old.spec.domain != new.spec.domain:
        yield from domain_taken(cluster, Kind.LINK, namespace, new.name, new.spec.domain)
    if instance is None:
        yield Finding(
            f"spec.instanceRef.name: no MCSInstance {new.spec.instance_ref.name!r} in namespace {namespace} yet; "
            "the link waits for it"
        )
    elif new.spec.vpn_address and (old is None or old.spec.vpn_address != new.spec.vpn_address):
        yield from _address(cluster, namespace, instance, new)
    if instance is not None and (old is None or old.spec.community_ref != new.spec.community_ref):
        yield from _links_of_community(cluster, namespace, instance, new)
    yield from _community_of(cluster, namespace, new)
    yield from missing.certificate(cluster, namespace, new, old)
    if old is not None:
        yield from map(Finding, costs(old, new, at(stored, "status")))


def _room(
    cluster: Cluster, namespace: str, instance: Object | None, new: TVoxLink, stored: Object | None
) -> Iterator[Finding]:
    """Whether there is room for a new link. ``stored``: one of its name, if there is one; it does not count twice."""
    name = new.spec.instance_ref.name
    others = count_of(cluster.links(namespace), name) - (stored is not None and reference_of(stored) == name)
    if not fits(others):
        yield refuse(messages.too_many_links(name, others).message)
    elif instance is not None:
        yield from _slot(cluster, namespace, instance, new.name, others)


def _slot(cluster: Cluster, namespace: str, instance: Object, name: str, others: int) -> Iterator[Finding]:
    """Whether a new link gets a slot, beside so many others; those whose number is above all slots take none."""
    slots = slots_of(instance)
    if slots < MAX_LINKS:  # else no number is above all slots, and to look at all of them is most of a review
        held = cluster.slots(namespace, name_of(instance))
        others -= len({owner for number, owner in held.items() if number > last_number(slots)} - {name})
    if others >= slots and not any(i.link == name for i in cluster.identities(namespace, name_of(instance))):
        yield Finding(f"{messages.no_free_slot(name_of(instance), slots).message}; the link waits")
    else:
        yield from nearly_full(instance, attrgetter("links"), others, others + 1)


def _address(cluster: Cluster, namespace: str, instance: Object, link: TVoxLink) -> Iterator[Finding]:
    cidr = str(at(instance, "spec", "vpn", "cidr") or _DEFAULT_VPN.cidr)
    address = str(link.spec.vpn_address)
    number = number_of(address, cidr)
    if number is None:
        yield refuse(messages.address_out_of_range(address, cidr).message)
        return
    name = name_of(instance)
    holders = cluster.slots(namespace, name)
    wishes = (
        name_of(body)
        for body in cluster.links(namespace)
        if at(body, "spec", "vpnAddress") == address and reference_of(body) == name
    )
    kept = {i.link: i.number for i in cluster.identities(namespace, name) if isinstance(i, Profile)}
    if link.name not in kept and number > last_number(slots := slots_of(instance)):
        yield refuse(messages.address_without_slot(address, slots, cidr).message)
        return
    if (held := kept.pop(link.name, number)) != number:
        yield refuse(messages.address_immutable(address, address_of(held, cidr)).message)
    elif any(owner and owner != link.name for owner in (holders.get(number), *wishes)):
        yield refuse(messages.address_taken(address, messages.USED).message)
    elif number in kept.values():
        yield refuse(messages.address_taken(address, messages.KEPT).message)


def _links_of_community(cluster: Cluster, namespace: str, instance: Object, link: TVoxLink) -> Iterator[Finding]:
    limit, name = community_limit(instance, "links"), link.spec.community_ref.name
    if limit is None:
        return
    count = sum(
        at(body, "spec", "communityRef", "name") == name and name_of(body) != link.name
        for body in cluster.links(namespace)
        if reference_of(body) == name_of(instance)
    )
    if not fits(count, limit):
        yield refuse(messages.too_many_links_of_community(name, limit).message)


def _community_of(cluster: Cluster, namespace: str, link: TVoxLink) -> Iterator[Finding]:
    name = link.spec.community_ref.name
    community = cluster.find(Kind.COMMUNITY, namespace, name)
    if community is None:
        yield Finding(f"spec.communityRef.name: no Community {name!r} in namespace {namespace} yet")
    elif reference_of(community) != link.spec.instance_ref.name:
        yield Finding(messages.community_of_another(name, link.spec.instance_ref.name).message)
