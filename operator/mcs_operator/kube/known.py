"""The store as admission and the reconciler ask it about more than one namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mcs_operator.domain.conditions import Kind
from mcs_operator.kube.client import COMMUNITIES, INSTANCES, LINKS, SECRETS, Object, Resource
from mcs_operator.kube.parse.bounds import text
from mcs_operator.kube.parse.names import Role, place_of_name
from mcs_operator.kube.store import Shelf, Store
from mcs_operator.settings import LABEL_LINK

_RESOURCES = {Kind.INSTANCE: INSTANCES, Kind.COMMUNITY: COMMUNITIES, Kind.LINK: LINKS}


@dataclass(frozen=True, slots=True)
class Known:
    """What `domain.admission` asks a cluster."""

    store: Store

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self.store.shelf(namespace).ours.get((_RESOURCES[kind], name))

    def instances(self, namespace: str | None = None) -> Iterator[Object]:
        """Of one namespace, or of all."""
        for name in [namespace] if namespace is not None else self.store.namespaces():
            yield from _of(self.store.shelf(name), INSTANCES)

    def communities(self, namespace: str) -> Iterator[Object]:
        """Of one namespace."""
        return _of(self.store.shelf(namespace), COMMUNITIES)

    def links(self, namespace: str) -> Iterator[Object]:
        """Of one namespace."""
        return _of(self.store.shelf(namespace), LINKS)

    def domain_holders(self, domain: str) -> Iterator[tuple[Kind, str, str]]:
        """Kind, namespace and name of all that have this domain."""
        return ((Kind(kind), where, name) for kind, where, name in self.store.domains.holders(domain))

    def slots(self, namespace: str, instance: str) -> Mapping[int, str]:
        """Names of the links that hold a slot, by number: by the Secrets' names, as their labels may be copies."""
        found = {}
        for (resource, name), child in self.store.shelf(namespace).children.items():
            place = place_of_name(resource, name) if child.is_ours else None
            if place and place.role is Role.SLOT and place.owner == instance:
                found[place.number] = child.labels.get(LABEL_LINK, "")
        return found


def domains_elsewhere(store: Store, namespace: str) -> dict[str, Kind]:
    """Domains of this namespace's objects that belong to an object of another namespace, which came first; its kind.

    First is who holds an identity, then who was created first: the order that decides everything else, too.
    """
    found = {}
    for (resource, name), body in store.shelf(namespace).ours.items():
        domain = text(body["spec"].get("domain"))
        for kind, where, who in store.domains.holders(domain):
            if where != namespace and _rank(store, kind, where, who) < _rank(store, resource.kind, namespace, name):
                found[domain] = Kind(kind)
    return found


def _rank(store: Store, kind: str, namespace: str, name: str) -> tuple[Any, ...]:
    shelf, resource = store.shelf(namespace), _RESOURCES[Kind(kind)]
    secret = f"{name}-ca" if resource is INSTANCES else f"{name}-profile"
    created = shelf.ours[resource, name]["metadata"].get("creationTimestamp", "")
    return (SECRETS, secret) not in shelf.children, created, namespace, name, kind


def _of(shelf: Shelf, resource: Resource) -> Iterator[Object]:
    return (body for (kind, _), body in shelf.ours.items() if kind is resource)
