"""The store as admission asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.prediction import ANY_SIZE, Resizing
from mcs_operator.kube.cache.namespace import NamespaceCache
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.names import Names
from mcs_operator.kube.parse.names import Role, place_of_name
from mcs_operator.kube.resources import COMMUNITIES, CONFIG_MAPS, INSTANCES, LINKS, SECRETS, SERVICES, Object, Resource
from mcs_operator.kube.together import together
from mcs_operator.settings import LABEL_LINK

_RESOURCES = {Kind.INSTANCE: INSTANCES, Kind.COMMUNITY: COMMUNITIES, Kind.LINK: LINKS}

_UNWATCHED = {resource.kind: resource for resource in (SECRETS, SERVICES)}
ASKING = 4
"""Reviews that ask the API server at a time."""


@dataclass(frozen=True, slots=True)
class Known:
    """What `domain.admission` asks a cluster."""

    store: Store
    names: Names
    cluster_networks: Callable[[], Iterable[Network]] = tuple
    cluster_resizing: Callable[[], Resizing] = lambda: ANY_SIZE
    absent: Collection[tuple[str, str, str]] = frozenset()
    """Kind, namespace and name of what somebody looked for, and that is not there: Services and Secrets of others are
    not watched."""

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self.store.cache(namespace).ours.get((_RESOURCES[kind], name))

    def instances(self, namespace: str | None = None) -> Iterator[Object]:
        """Of one namespace, or of all."""
        for name in [namespace] if namespace is not None else self.store.namespaces():
            yield from _of(self.store.cache(name), INSTANCES)

    def communities(self, namespace: str) -> Iterator[Object]:
        """Of one namespace."""
        return _of(self.store.cache(namespace), COMMUNITIES)

    def links(self, namespace: str) -> Iterator[Object]:
        """Of one namespace."""
        return _of(self.store.cache(namespace), LINKS)

    def domain_holders(self, namespace: str, domain: str) -> Iterator[tuple[Kind, str]]:
        """Kind and name of all in this namespace that have this domain."""
        holders = self.store.domains.holders(domain)
        return ((Kind(kind), name) for kind, where, name in holders if where == namespace)

    def is_domain_owned_elsewhere(self, namespace: str, domain: str, kind: Kind, name: str) -> bool:
        """Whether an object of another namespace is served under this name, and will be when this one is there."""
        return self.names.is_owned_elsewhere(domain, namespace, kind, name)

    def slots(self, namespace: str, instance: str) -> Mapping[int, str]:
        """Names of the links that hold a slot, by number: by the Secrets' names, as their labels may be copies."""
        found = {}
        for (resource, name), child in self.store.cache(namespace).children.items():
            place = place_of_name(resource, name) if child.is_ours else None
            if place and place.role is Role.SLOT and place.owner == instance:
                found[place.number] = child.labels.get(LABEL_LINK, "")
        return found

    def networks(self) -> Iterable[Network]:
        """The cluster's own networks, as far as they are known."""
        return self.cluster_networks()

    def resizing(self) -> Resizing:
        """Which sizes the cluster gives a container that runs."""
        return self.cluster_resizing()

    def has_certificate(self, namespace: str, name: str) -> bool:
        """Whether there is a Secret of this name, of the type that certificates have."""
        child = self.store.cache(namespace).children.get((SECRETS, name))
        return child is not None and child.tls

    def has_users_file(self, namespace: str, kind: str, name: str) -> bool:
        """Whether there is a ConfigMap or Secret of this name that is labelled as a users file."""
        resource = CONFIG_MAPS if kind == CONFIG_MAPS.kind else SECRETS
        child = self.store.cache(namespace).children.get((resource, name))
        return child is not None and child.lists_users

    def has_passwords(self, namespace: str, community: str, name: str) -> bool:
        """Whether there is a Secret of this name that is labelled as one with passwords of this Community."""
        child = self.store.cache(namespace).children.get((SECRETS, name))
        return child is not None and child.passwords_of == community

    def has_secret(self, namespace: str, name: str) -> bool:
        """Whether there is a Secret of this name, of whatever type, as far as somebody looked."""
        return (SECRETS.kind, namespace, name) not in self.absent

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether there is a Service of this name, as far as somebody looked."""
        return (SERVICES.kind, namespace, name) not in self.absent

    def identities(self, namespace: str, instance: str) -> Iterator[Profile | SlotSecret]:
        """What links of an instance of this name have, or had, as far as it was read; without what is an instance's
        own, and goes with it."""
        for child in self.store.cache(namespace).children.values():
            detail, owners = child.detail, child.metadata.get("ownerReferences", [])
            goes = any(owner.get("kind") == Kind.INSTANCE for owner in owners)
            if isinstance(detail, Profile | SlotSecret) and detail.instance == instance and not goes:
                yield detail


async def absent_of(
    api: Api, namespace: str, wanted: Collection[tuple[str, str]], turns: asyncio.Semaphore, seconds: float = 1.0
) -> frozenset[tuple[str, str, str]]:
    """Which of these, by kind and name, are not there. Where that cannot be found out in so many seconds nobody is told
    that they are not: an API server waits three for the whole review. So it is where all ``turns`` are taken: reviews
    that wait keep their objects meanwhile. Only metadata are asked for: what is in a Secret is nobody's business here.
    """
    if not wanted or turns.locked():
        return frozenset()
    named = sorted(wanted)
    try:
        async with turns, asyncio.timeout(seconds):
            there = await together(*(_is_there(api, _UNWATCHED[kind], namespace, name) for kind, name in named))
    except TimeoutError:
        return frozenset()
    return frozenset(
        (kind, namespace, name) for (kind, name), is_there in zip(named, there, strict=True) if not is_there
    )


async def _is_there(api: Api, resource: Resource, namespace: str, name: str) -> bool:
    """Also where nobody may look."""
    try:
        found, _ = await api.list(resource, namespace=namespace, fields=f"metadata.name={name}", metadata_only=True)
    except ApiError:
        return True
    return bool(found)


def _of(cache: NamespaceCache, resource: Resource) -> Iterator[Object]:
    return (body for (kind, _), body in cache.ours.items() if kind is resource)
