"""What is refused, or warned of, before an object is stored: the rules that no schema can say, because they are about
several objects. Pure: `review` looks at one request and at what the store knows.

It is the polite door, not the exact one: two requests at the same moment do not see each other. What must never
happen is kept from happening by the API server's quota and by the reconciler. So only what makes things worse is
refused: whoever changes a label of something that is in a bad state already must not be kept from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol

from mcs_operator.api import Community, Impact, InvalidObjectError, KubernetesObject, MCSInstance, NetworkMode, TVoxLink
from mcs_operator.api.changes import Change
from mcs_operator.api.conditions import Kind
from mcs_operator.api.instance import Vpn
from mcs_operator.domain.facts.networks import Network, met_by
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.gate import foretold
from mcs_operator.domain.pod.prediction import Resizing, predicted
from mcs_operator.domain.rules import messages, portals
from mcs_operator.domain.rules.addressing import address_of, last_number, number_of
from mcs_operator.domain.rules.capacity import Capacity, Line, capacity_of, crossings
from mcs_operator.domain.rules.costs import costs, refused
from mcs_operator.domain.rules.dialled import Dialled, dialled
from mcs_operator.domain.rules.precedence import fits
from mcs_operator.domain.rules.tiers import TIERS
from mcs_operator.domain.rules.windows import problems
from mcs_operator.settings import MAX_LINKS

Object = Mapping[str, Any]
WARNING_LIMIT = 256
"""Characters: the API server cuts off, or drops, what is longer."""


class Operation(StrEnum):
    """What is reviewed; nobody is kept from deleting anything."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True)
class Request:
    """One object on its way into the store. ``old`` is None where it is created."""

    kind: Kind
    operation: Operation
    namespace: str
    name: str
    new: Object
    old: Object | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Refused where there is a refusal; warnings are shown either way."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Cluster(Protocol):
    """What is known of the objects that are stored, as the API server returns them."""

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""

    def instances(self, namespace: str | None = None) -> Iterable[Object]:
        """Of one namespace, or of all."""

    def communities(self, namespace: str) -> Iterable[Object]:
        """Of one namespace."""

    def links(self, namespace: str) -> Iterable[Object]:
        """Of one namespace."""

    def domain_holders(self, namespace: str, domain: str) -> Iterable[tuple[Kind, str]]:
        """Kind and name of all in this namespace that have this domain."""

    def is_domain_owned_elsewhere(self, namespace: str, domain: str, kind: Kind, name: str) -> bool:
        """Whether an object of another namespace is served under this name, and will be when this one is there."""

    def slots(self, namespace: str, instance: str) -> Mapping[int, str]:
        """Names of the links that hold a slot, by number."""

    def networks(self) -> Iterable[Network]:
        """The cluster's own networks, as far as they are known."""

    def resizing(self) -> Resizing:
        """Which sizes the cluster gives a container that runs."""

    def identities(self, namespace: str, instance: str) -> Iterable[Profile | SlotSecret]:
        """What links of an instance of this name have, or had, as far as it was read."""


def review(request: Request, cluster: Cluster, now: datetime) -> Answer:
    """The answer to one request."""
    model, check = _CHECKS[request.kind]
    try:
        new = model.from_object(request.new)
    except InvalidObjectError:
        return Answer()  # the schema's to refuse, in its own words
    try:
        old = model.from_object(request.old) if request.old else None
    except InvalidObjectError:
        old = None  # stored by a schema before ours: whatever it is now, it is new
    refusals: list[str] = []
    warnings: list[str] = []
    if old is None or old.model_dump()["spec"] != new.model_dump()["spec"]:
        for finding in check(cluster, request.namespace, new, old, now):
            (refusals if finding.refused else warnings).append(finding.message)
    shown = (text if len(text) <= WARNING_LIMIT else text[: WARNING_LIMIT - 1] + "…" for text in warnings)
    return Answer(tuple(refusals), tuple(shown))


@dataclass(frozen=True, slots=True)
class _Finding:
    message: str
    refused: bool = False


def _refuse(message: str) -> _Finding:
    return _Finding(message, refused=True)


# ---- TVoxLink


def _link(cluster: Cluster, namespace: str, new: TVoxLink, old: TVoxLink | None, _: datetime) -> Iterator[_Finding]:
    instance = cluster.find(Kind.INSTANCE, namespace, new.spec.instance_ref.name)
    count = _count_of(cluster.links(namespace), new.spec.instance_ref.name, but=new.name)
    if old is None and not fits(count):
        yield _refuse(messages.too_many_links(new.spec.instance_ref.name, count).message)
    elif old is None and instance is not None:
        yield from _slot(cluster, namespace, instance, new.name, count)
    if old is None or old.spec.domain != new.spec.domain:
        yield from _domain(cluster, Kind.LINK, namespace, new.name, new.spec.domain)
    if instance is None:
        yield _Finding(
            f"spec.instanceRef.name: no MCSInstance {new.spec.instance_ref.name!r} in namespace {namespace} yet; "
            "the link waits for it"
        )
    elif new.spec.vpn_address and (old is None or old.spec.vpn_address != new.spec.vpn_address):
        yield from _address(cluster, namespace, instance, new)
    if instance is not None and (old is None or old.spec.community_ref != new.spec.community_ref):
        yield from _links_of_community(cluster, namespace, instance, new)
    yield from _community_of(cluster, namespace, new)
    if old is not None:
        stored = cluster.find(Kind.LINK, namespace, new.name)
        yield from map(_Finding, costs(old, new, _at(stored, "status", "tunnel", "peer")))


def _slot(cluster: Cluster, namespace: str, instance: Object, name: str, others: int) -> Iterator[_Finding]:
    """Whether a new link gets a slot, beside so many others; those whose number is above all slots take none."""
    slots, held = _slots(instance), cluster.slots(namespace, _name(instance))
    others -= len({owner for number, owner in held.items() if number > last_number(slots)} - {name})
    if others >= slots and not any(i.link == name for i in cluster.identities(namespace, _name(instance))):
        yield _Finding(f"{messages.no_free_slot(_name(instance), slots).message}; the link waits")
    else:
        yield from _near(instance, attrgetter("links"), others, others + 1)


def _address(cluster: Cluster, namespace: str, instance: Object, link: TVoxLink) -> Iterator[_Finding]:
    cidr = str(_at(instance, "spec", "vpn", "cidr") or _DEFAULT_VPN.cidr)
    address = str(link.spec.vpn_address)
    number = number_of(address, cidr)
    if number is None:
        yield _refuse(messages.address_out_of_range(address, cidr).message)
        return
    name = _name(instance)
    holders = cluster.slots(namespace, name)
    wishes = (
        _name(body)
        for body in cluster.links(namespace)
        if _at(body, "spec", "vpnAddress") == address and _reference(body) == name
    )
    kept = {i.link: i.number for i in cluster.identities(namespace, name) if isinstance(i, Profile)}
    if link.name not in kept and number > last_number(slots := _slots(instance)):
        yield _refuse(messages.address_without_slot(address, slots, cidr).message)
        return
    if (held := kept.pop(link.name, number)) != number:
        yield _refuse(messages.address_immutable(address, address_of(held, cidr)).message)
    elif any(owner and owner != link.name for owner in (holders.get(number), *wishes)):
        yield _refuse(messages.address_taken(address, messages.USED).message)
    elif number in kept.values():
        yield _refuse(messages.address_taken(address, messages.KEPT).message)


def _links_of_community(cluster: Cluster, namespace: str, instance: Object, link: TVoxLink) -> Iterator[_Finding]:
    limit, name = _community_limit(instance, "links"), link.spec.community_ref.name
    if limit is None:
        return
    count = sum(
        _at(body, "spec", "communityRef", "name") == name and _name(body) != link.name
        for body in cluster.links(namespace)
        if _reference(body) == _name(instance)
    )
    if not fits(count, limit):
        yield _refuse(messages.too_many_links_of_community(name, limit).message)


def _community_of(cluster: Cluster, namespace: str, link: TVoxLink) -> Iterator[_Finding]:
    name = link.spec.community_ref.name
    community = cluster.find(Kind.COMMUNITY, namespace, name)
    if community is None:
        yield _Finding(f"spec.communityRef.name: no Community {name!r} in namespace {namespace} yet")
    elif _reference(community) != link.spec.instance_ref.name:
        yield _Finding(messages.community_of_another(name, link.spec.instance_ref.name).message)


def _domain(
    cluster: Cluster, kind: Kind, namespace: str, name: str, domain: str, field: str = "spec.domain"
) -> Iterator[_Finding]:
    here = any(holder != (kind, name) for holder in cluster.domain_holders(namespace, domain))
    if here or cluster.is_domain_owned_elsewhere(namespace, domain, kind, name):
        yield _refuse(messages.domain_taken(domain, field).message)


# ---- Community


def _community(
    cluster: Cluster, namespace: str, new: Community, old: Community | None, _: datetime
) -> Iterator[_Finding]:
    name = new.spec.instance_ref.name
    if old is not None and old.spec.instance_ref.name != name:
        using = sum(1 for body in cluster.links(namespace) if _at(body, "spec", "communityRef", "name") == new.name)
        if using:
            yield _refuse(messages.community_in_use(name, old.spec.instance_ref.name, using))
    if (domain := new.spec.portal_domain) and (old is None or old.spec.portal_domain != domain):
        yield from _domain(cluster, Kind.COMMUNITY, namespace, new.name, domain, portals.FIELD)
    yield from map(_Finding, portals.advice(old, new))
    instance = cluster.find(Kind.INSTANCE, namespace, name)
    if instance is None:
        yield _Finding(
            f"spec.instanceRef.name: no MCSInstance {name!r} in namespace {namespace} yet; the Community waits for it"
        )
        return
    added = _enabled(new) - (_enabled(old) if old else 0)
    tier = str(_at(instance, "spec", "tier"))
    if tier not in TIERS:
        return  # stored by another schema than ours: the reconciler tells
    capacity = TIERS[tier].users
    total = _users(cluster, namespace, name) + added
    if added > 0 and total > capacity:
        yield _refuse(messages.users_beyond_tier(tier, capacity, _enabled(new), total))
    else:
        yield from _near(instance, attrgetter("users"), total - added, total)
    limit, known = _community_limit(instance, "users"), cluster.find(Kind.COMMUNITY, namespace, new.name)
    own = (_counted_users(known) if known else 0) + added
    if limit is not None and added > 0 and own > limit:
        yield _refuse(messages.users_beyond_limit(limit, _enabled(new), own))


def _community_limit(instance: Object, what: str) -> int | None:
    """Of each Community, so many users or links; None where the platform team has set none."""
    return _count(_at(instance, "spec", "communityLimits", what))


def _enabled(community: Community) -> int:
    return sum(user.enabled for user in community.spec.users) if community.spec.enabled else 0


def _users(cluster: Cluster, namespace: str, instance: str) -> int:
    """Enabled users of all communities as they were last counted, files included; what is new is counted inline."""
    return sum(_counted_users(body) for body in cluster.communities(namespace) if _reference(body) == instance)


def _counted_users(community: Object) -> int:
    if (served := _count(_at(community, "status", "users", "served"))) is not None:
        return served + (_count(_at(community, "status", "users", "notServed")) or 0)
    if _at(community, "spec", "enabled") is False:
        return 0
    users = _at(community, "spec", "users")
    return sum(_at(user, "enabled") is not False for user in users) if isinstance(users, list) else 0


# ---- MCSInstance


def _instance(
    cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None, now: datetime
) -> Iterator[_Finding]:
    if old is None and any(_name(body) != new.name for body in cluster.instances(namespace)):
        yield _refuse(messages.namespace_occupied(namespace).message)
    if old is None:
        yield from map(_refuse, _dialled(cluster, namespace, new).found)
        if taken := met_by(new.spec.vpn.cidr, cluster.networks()):
            yield _refuse(messages.network_taken(new.spec.vpn.cidr, taken.cidr, taken.what).message)
    served = _count_of(cluster.links(namespace), new.name)
    if old is None or old.spec.domain != new.spec.domain:
        yield from _domain(cluster, Kind.INSTANCE, namespace, new.name, new.spec.domain)
    known = problems(old.spec.disruptions.windows) if old else ()
    yield from (_refuse(problem) for problem in problems(new.spec.disruptions.windows) if problem not in known)
    if old is not None:
        if served and old.spec.domain != new.spec.domain:
            yield _refuse(messages.domain_in_profiles(new.spec.domain, old.spec.domain, served))
        yield from _lowered(cluster, namespace, new, old)
        yield from map(_Finding, refused(old, new, f"{served} customers"))
        status = _at(cluster.find(Kind.INSTANCE, namespace, new.name), "status")
        yield from _disrupted(predicted(old, new, cluster.resizing(), status), new, served, now)
    yield from _same_node(cluster, namespace, new, old)


def _disrupted(differing: Iterable[Change], new: MCSInstance, served: int, now: datetime) -> Iterator[_Finding]:
    """What costs every customer something, and when."""
    differing = [change for change in differing if change.impact in (Impact.RESTART, Impact.MEDIA_RESTART)]
    if not differing:
        return
    if planned := foretold(new, now):
        yield _Finding(f"spec.disruptions: {planned}")
    if new.spec.suspend:
        yield _Finding(f"spec.suspend: the media pod drains and stops, {served} customers are interrupted")
        return
    for impact, what in (
        (Impact.RESTART, f"the media pod drains and restarts, {served} customers are interrupted"),
        (Impact.MEDIA_RESTART, f"the media drains and restarts: calls of {served} customers end, tunnels stay up"),
    ):
        if fields := [change.path for change in differing if change.impact is impact]:
            yield _Finding(f"{', '.join(fields)}: {what}")


def _dialled(cluster: Cluster, namespace: str, new: MCSInstance) -> Dialled:
    """An instance that comes back: what cannot be changed while it exists cannot be changed by its deletion either."""
    known = list(cluster.identities(namespace, new.name))
    alive = {_name(body) for body in cluster.links(namespace) if _reference(body) == new.name}
    profiles = [identity for identity in known if isinstance(identity, Profile)]
    slots = [identity for identity in known if isinstance(identity, SlotSecret)]
    # Slots alone may be leftovers of identities that went with their instance (retain.pki).
    return dialled(new, profiles, slots, alive) if profiles else Dialled()


def _lowered(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance) -> Iterator[_Finding]:
    capacity, users = TIERS[new.spec.tier].users, _users(cluster, namespace, new.name)
    if capacity < TIERS[old.spec.tier].users and users > capacity:
        yield _refuse(messages.tier_below_users(new.spec.tier, old.spec.tier, capacity, users))
    slots, held = new.spec.vpn.slots, cluster.slots(namespace, new.name)
    if held and slots < old.spec.vpn.slots and (highest := max(held)) > slots + 1:
        yield _refuse(messages.slots_below_numbers(slots, highest, new.spec.vpn.cidr))


def _same_node(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[_Finding]:
    """Two pods with host ports do not fit one node: both serve web and STUN/TURN at the same ports."""
    moved = old is None or (old.spec.node_selector, old.spec.network) != (new.spec.node_selector, new.spec.network)
    if not moved or new.spec.network.mode is NetworkMode.LOAD_BALANCER:
        return
    mine = dict(new.spec.node_selector)
    perhaps = False
    for body in cluster.instances():
        place = _at(body, "metadata", "namespace"), _name(body)
        theirs = _at(body, "spec", "nodeSelector")
        balanced = _at(body, "spec", "network", "mode") == NetworkMode.LOAD_BALANCER
        if place == (namespace, new.name) or balanced or not isinstance(theirs, dict) or not theirs:
            continue
        if any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys()):
            continue
        if mine.get(_HOSTNAME) and mine.get(_HOSTNAME) == theirs.get(_HOSTNAME):
            yield _refuse(messages.node_taken(_HOSTNAME, mine[_HOSTNAME]))
            return
        perhaps = True
    if perhaps:
        yield _Finding(
            "spec.nodeSelector: may choose the same node as another MCSInstance, where only one of them finds its "
            "ports free"
        )


# ---- what they share


def _near(instance: Object, line: Callable[[Capacity], Line], before: int, after: int) -> Iterator[_Finding]:
    """Warnings where this part of the capacity reaches a mark."""
    try:
        parsed = MCSInstance.from_object(instance)
    except InvalidObjectError:
        return
    yield from map(_Finding, crossings(*(line(capacity_of(parsed, count, count)) for count in (before, after))))


_HOSTNAME = "kubernetes.io/hostname"
_MANY = 1_000_000
_DEFAULT_VPN = Vpn()


def _at(value: Any, *path: str) -> Any:
    """What is at this place of a stored object, None where there is nothing: it may be of another schema than ours."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _slots(instance: Object) -> int:
    slots = _at(instance, "spec", "vpn", "slots")
    return slots if isinstance(slots, int) and 0 < slots <= MAX_LINKS else MAX_LINKS


def _count(value: Any) -> int | None:
    """A number of users, of a status that anybody may have written."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MANY else None


def _name(body: Object) -> str:
    return str(_at(body, "metadata", "name") or "")


def _reference(body: Object) -> str:
    return str(_at(body, "spec", "instanceRef", "name") or "")


def _count_of(links: Iterable[Object], instance: str, but: str | None = None) -> int:
    """Links of this instance, the one of that name left out. In one pass: it is what a review takes longest for."""
    return sum(1 for body in links if _reference(body) == instance and _name(body) != but)


_CHECKS: Mapping[Kind, tuple[type[KubernetesObject], Any]] = {
    Kind.INSTANCE: (MCSInstance, _instance),
    Kind.COMMUNITY: (Community, _community),
    Kind.LINK: (TVoxLink, _link),
}
