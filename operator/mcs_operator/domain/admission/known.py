"""What a review asks of the objects that are stored, and how it reads them: they may be of another schema than ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mcs_operator.api import InvalidObjectError, MCSInstance
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.prediction import Resizing
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.capacity import Capacity, Line, capacity_of, crossings
from mcs_operator.settings import MAX_LINKS

_MANY = 1_000_000


Object = Mapping[str, Any]


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

    def has_certificate(self, namespace: str, name: str) -> bool:
        """Whether there is a Secret of this name, of the type that certificates have."""

    def has_users_file(self, namespace: str, kind: str, name: str) -> bool:
        """Whether there is a ConfigMap or Secret of this name that is labelled as a users file."""

    def has_passwords(self, namespace: str, community: str, name: str) -> bool:
        """Whether there is a Secret of this name that is labelled as one with passwords of this Community."""

    def has_secret(self, namespace: str, name: str) -> bool:
        """Whether there is a Secret of this name, of whatever type, as far as somebody looked."""

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is a Service of this name, as far as somebody looked."""

    def identities(self, namespace: str, instance: str) -> Iterable[Profile | SlotSecret]:
        """What links of an instance of this name have, or had, as far as it was read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell; ``refused`` where it keeps the object out."""

    message: str
    refused: bool = False


def refuse(message: str) -> Finding:
    """What keeps the object out."""
    return Finding(message, refused=True)


def domain_taken(
    cluster: Cluster, kind: Kind, namespace: str, name: str, domain: str, field: str = "spec.domain"
) -> Iterator[Finding]:
    """Refused where another object has this domain."""
    here = any(holder != (kind, name) for holder in cluster.domain_holders(namespace, domain))
    if here or cluster.is_domain_owned_elsewhere(namespace, domain, kind, name):
        yield refuse(messages.domain_taken(domain, field).message)


def community_limit(instance: Object, what: str) -> int | None:
    """Of each Community, so many users or links; None where the platform team has set none."""
    return counted(at(instance, "spec", "communityLimits", what))


def users_of(cluster: Cluster, namespace: str, instance: str) -> int:
    """Enabled users of all communities as they were last counted, files included; what is new is counted inline."""
    return sum(counted_users(body) for body in cluster.communities(namespace) if reference_of(body) == instance)


def counted_users(community: Object) -> int:
    """Enabled users of one Community."""
    if (served := counted(at(community, "status", "users", "served"))) is not None:
        return served + (counted(at(community, "status", "users", "notServed")) or 0)
    if at(community, "spec", "enabled") is False:
        return 0
    users = at(community, "spec", "users")
    return sum(at(user, "enabled") is not False for user in users) if isinstance(users, list) else 0


def nearly_full(instance: Object, line: Callable[[Capacity], Line], before: int, after: int) -> Iterator[Finding]:
    """Warnings where this part of the capacity reaches a mark."""
    try:
        parsed = MCSInstance.from_object(instance)
    except InvalidObjectError:
        return
    yield from map(Finding, crossings(*(line(capacity_of(parsed, n, n)) for n in (before, after))))


def at(value: Any, *path: str) -> Any:
    """What is at this place of a stored object, None where there is nothing: it may be of another schema than ours."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None  # not Mapping, which asks an abstract class
    return value


def slots_of(instance: Object) -> int:
    """Slots of the instance's pod."""
    slots = at(instance, "spec", "vpn", "slots")
    return slots if isinstance(slots, int) and 0 < slots <= MAX_LINKS else MAX_LINKS


def counted(value: Any) -> int | None:
    """A number of users, of a status that anybody may have written."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MANY else None


def name_of(body: Object) -> str:
    """Its name."""
    return str(at(body, "metadata", "name") or "")


def reference_of(body: Object) -> str:
    """Name of the MCSInstance that it refers to."""
    return str(at(body, "spec", "instanceRef", "name") or "")


def count_of(links: Iterable[Object], instance: str) -> int:
    """Links of this instance. In one pass, which looks at nothing else: it is what a review takes longest for."""
    return sum(1 for body in links if reference_of(body) == instance)
