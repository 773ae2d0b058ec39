"""What the operator knows of the cluster: our three kinds in full, their children as little as will do.

Kopf's events and our own metadata watches feed it; `observe` reads it. A child's body is fetched only when its
resourceVersion changed, parsed at once into the few fields that decisions need, and dropped: 50,000 Secrets in full
would cost gigabytes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from mcs_operator.domain.usersfile import UsersFile
from mcs_operator.kube.client import CHILDREN, OURS, SECRETS, Object, Resource
from mcs_operator.kube.domains import Domains
from mcs_operator.kube.sharing import shared
from mcs_operator.settings import LABEL_MANAGED_BY, LABEL_USERS, OPERATOR

Covers = Callable[[Mapping[str, str]], bool]
"""Whether an object with these labels would be in a list."""
Wake = Callable[[str], None]
"""Called with a namespace in which something changed."""
Place = tuple[str, str]
"""Namespace and name."""


_KEPT = ("name", "namespace", "uid", "resourceVersion", "labels", "annotations", "ownerReferences", "deletionTimestamp")
_CLIENT_SIDE = "kubectl.kubernetes.io/last-applied-configuration"
_REMEMBERED_SECONDS = 60.0
"""Of who went: answers and events about them may be late by seconds. Not by number: the UIDs of the last ten thousand,
each of them all that is left of what was read with it, hold several megabytes of memory that could be used again."""


@dataclass(slots=True)
class Child:
    """One object that the operator made, or reads.

    ``detail`` is what was parsed of version ``parsed``; where that is not ``version``, the body has to be read again.
    ``data`` has a digest for each entry of a Secret's or ConfigMap's data. ``in_sync`` is the hash of the manifest
    that this very version was found to fulfil. ``shard`` has the appliance's files in it, packed. ``users`` is what it
    says where a Community names it as a users file.
    """

    resource: Resource
    metadata: Object
    parsed: str = ""
    detail: Any = None
    data: dict[str, bytes] = field(default_factory=dict)
    in_sync: str = ""
    shard: dict[str, bytes] = field(default_factory=dict)
    users: UsersFile | None = None

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.metadata["name"])

    @property
    def uid(self) -> str:
        """UID of the object."""
        return str(self.metadata["uid"])

    @property
    def version(self) -> str:
        """resourceVersion of the object as last seen."""
        return str(self.metadata["resourceVersion"])

    @property
    def stale(self) -> bool:
        """Whether the body changed since it was parsed."""
        return self.parsed != self.version


@dataclass(slots=True)
class Shelf:
    """Everything known of one namespace.

    ``observed``: the versions of the children that the last World was made of, less those that we took away ourselves.
    """

    ours: dict[tuple[Resource, str], Object] = field(default_factory=dict)
    children: dict[tuple[Resource, str], Child] = field(default_factory=dict)
    observed: dict[tuple[Resource, str], str] = field(default_factory=dict)

    def copy(self) -> Shelf:
        """As it is now, for whoever reads it while events come in."""
        return replace(self, ours=dict(self.ours), children=dict(self.children))

    def concerns(self, child: Child) -> bool:
        """Whether a change of this child can matter: a certificate that none of our objects names cannot."""
        labels = child.metadata.get("labels", {})
        ours = labels.get(LABEL_MANAGED_BY) == OPERATOR or labels.get(LABEL_USERS) == "true"
        return ours or (child.resource == SECRETS and child.name in self.named_tls_secrets())

    def named_tls_secrets(self) -> set[str]:
        """Names of the Secrets that tls.secretRef and vpn.caSecretRef of our objects name: no other foreign Secret is
        ever read."""
        specs = [body.get("spec") or {} for body in self.ours.values()]
        refs = [(spec.get("tls") or {}).get("secretRef") or {} for spec in specs]
        refs += [(spec.get("vpn") or {}).get("caSecretRef") or {} for spec in specs]
        return {str(ref["name"]) for ref in refs if ref.get("name")}


class Store:
    """The shelves. ``wake`` is called for a namespace whenever something in it changed; ``nudge`` instead of it, where
    that was only a child: most of such changes are our own doing, or of no consequence."""

    def __init__(self, wake: Wake, nudge: Wake | None = None) -> None:
        self._shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        self.domains = Domains()
        self._wake, self._nudge = wake, nudge or wake
        self._gone: dict[str, tuple[int, float]] = {}

    def namespaces(self) -> list[str]:
        """Namespaces with at least one object of ours or one child."""
        return [name for name, shelf in self._shelves.items() if shelf.ours or shelf.children]

    def shelf(self, namespace: str) -> Shelf:
        """What is known of a namespace; an empty shelf where nothing is."""
        return self._shelves[namespace]

    def put(self, resource: Resource, body: Object) -> None:
        """Take in a newer version; an older one that arrives late is ignored, also that of an object that is gone:
        the answer to our own write may come after the event of the deletion, and would bring back a ghost."""
        metadata = body["metadata"]
        if int(metadata["resourceVersion"]) <= self._gone.get(metadata["uid"], (-1, 0))[0]:
            return
        namespace, key = metadata["namespace"], (resource, metadata["name"])
        shelf = self._shelves[namespace]
        if resource in OURS:
            known = shelf.ours.get(key)
            if known is None or _newer(metadata, known["metadata"]):
                shelf.ours[key] = shared(body | {"metadata": _without_copies(metadata)})
                self._wake(namespace)
                self._note_domain(
                    resource, namespace, metadata["name"], str((body.get("spec") or {}).get("domain", ""))
                )
            return
        child = shelf.children.get(key)
        if child is None:
            shelf.children[key] = child = Child(resource, _trimmed(metadata))
        elif _newer(metadata, child.metadata):
            child.metadata = _trimmed(metadata)
        else:
            return
        if shelf.concerns(child):
            self._nudge(namespace)

    def drop(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> None:
        """Forget an object that is gone, unless another one bears its name by now.

        ``version`` is the deletion's, where an event tells it; else the object went at or after the version known.
        An object that only lost its label comes back with a later one.
        """
        shelf, key = self._shelves[namespace], (resource, name)
        if resource in OURS:
            known = shelf.ours.get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                del shelf.ours[key]
                version = version or known["metadata"]["resourceVersion"]
                self._wake(namespace)
                self._note_domain(resource, namespace, name, "")
        else:
            child = shelf.children.get(key)
            if child is not None and child.uid == uid:
                del shelf.children[key]
                version = version or child.version
                if shelf.concerns(child):
                    self._nudge(namespace)
        if version:
            self._remember(uid, int(version))

    def _remember(self, uid: str, version: int) -> None:
        now = time.monotonic()
        known, _ = self._gone.pop(uid, (-1, now))  # who goes last is at the end
        self._gone[uid] = max(version, known), now
        while (first := next(iter(self._gone.items())))[1][1] < now - _REMEMBERED_SECONDS:
            del self._gone[first[0]]

    def sweep(
        self,
        resource: Resource,
        listed: Set[Place],
        version: str,
        covers: Covers = lambda labels: True,
        within: str | None = None,
    ) -> None:
        """Drop what a complete list of ``version`` lacks of those objects of a kind that it ``covers``.

        The list is of one namespace where ``within`` names it.

        Without this a deletion that no watch told about would be believed in for ever. An object newer than the list
        stays: it was created while the list was on its way.
        """
        for namespace, name, metadata in list(self._known(resource)):
            listable = within in (None, namespace) and covers(metadata.get("labels", {}))
            missing = listable and (namespace, name) not in listed
            if missing and int(metadata["resourceVersion"]) <= int(version):
                self.drop(resource, namespace, name, metadata["uid"])

    def _note_domain(self, resource: Resource, namespace: str, name: str, domain: str) -> None:
        """A name that is freed, or wanted by one who comes first, changes what others may have."""
        for concerned in self.domains.put((resource.kind, namespace, name), domain):
            self._wake(concerned)

    def _known(self, resource: Resource) -> Iterator[tuple[str, str, Object]]:
        for namespace, shelf in self._shelves.items():
            if resource in CHILDREN:
                for (kind, name), child in shelf.children.items():
                    if kind == resource:
                        yield namespace, name, child.metadata
            else:
                for (kind, name), body in shelf.ours.items():
                    if kind == resource:
                        yield namespace, name, body["metadata"]


def place_of(body: Object) -> Place:
    """Where an object is."""
    return body["metadata"]["namespace"], body["metadata"]["name"]


def digests(data: Mapping[str, str]) -> dict[str, bytes]:
    """A digest for each entry of a Secret's or ConfigMap's data, to compare by without keeping what is secret."""
    return {sys.intern(name): hashlib.sha256(value.encode()).digest() for name, value in data.items()}


def _trimmed(metadata: Object) -> Object:
    """What is kept of a child's metadata; without what is empty, as most of it would say nothing 50,000 times."""
    return shared({key: metadata[key] for key in _KEPT if metadata.get(key)})


def _without_copies(metadata: Object) -> Object:
    """Without two copies of the whole object that others keep in it, each larger than what we need of it."""
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != _CLIENT_SIDE}
    return {name: value for name, value in metadata.items() if name != "managedFields"} | {"annotations": annotations}


def _newer(metadata: Object, known: Object) -> bool:
    """By resourceVersion, which grows with every write to the cluster: also from one object to its namesake."""
    return int(metadata["resourceVersion"]) > int(known["resourceVersion"])
