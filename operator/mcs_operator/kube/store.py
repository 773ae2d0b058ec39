"""What the operator knows of the cluster: our three kinds in full, their children as little as will do.

Kopf's events and our own metadata watches feed it; `observe` reads it. A child's body is fetched only when its
resourceVersion changed, parsed at once into the few fields that decisions need, and dropped: 50,000 Secrets in full
would cost gigabytes.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mcs_operator.domain.usersfile import UsersFile
from mcs_operator.kube.client import CHILDREN, CONFIG_MAPS, OURS, SECRETS, Object, Resource
from mcs_operator.kube.domains import Domains
from mcs_operator.kube.parse.bounds import mapping, text
from mcs_operator.kube.parse.metadata import is_version, kept_annotations, kept_of_a_child, tidy
from mcs_operator.kube.parse.names import place_of_name
from mcs_operator.kube.parse.ours import named, shaped, users_sources
from mcs_operator.kube.sharing import shared
from mcs_operator.settings import LABEL_MANAGED_BY, LABEL_USERS, OPERATOR

log = logging.getLogger(__name__)

Covers = Callable[[Mapping[str, str]], bool]
"""Whether an object with these labels would be in a list."""
Wake = Callable[[str], None]
"""Called with a namespace in which something changed."""
Place = tuple[str, str]
"""Namespace and name."""

OF_OURS = (LABEL_MANAGED_BY, OPERATOR)
OF_USERS = (LABEL_USERS, "true")
BY_LABEL = (OF_OURS, OF_USERS)
"""Labels by which children are listed and watched; an object may have both."""
TLS = "kubernetes.io/tls"

_KEPT = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_MOST_ENTRIES, _MOST_STRANGERS = 64, 500
_REMEMBERED_SECONDS = 60.0
"""Of who went: answers and events about them may be late by seconds. Not by number: the UIDs of the last ten thousand,
each of them all that is left of what was read with it, hold several megabytes of memory that could be used again."""


@dataclass(slots=True)
class Child:
    """One object that the operator made, or reads.

    ``detail`` is what was parsed of version ``parsed``; where that is not ``version``, the body has to be read again.
    ``data`` has a digest for each entry of a Secret's or ConfigMap's data. ``in_sync`` is the hash of the manifest
    that this very version was found to fulfil. ``shard`` has the appliance's files in it, packed. ``users`` is what it
    says where a Community names it as a users file. ``tls``: it is of the type that is watched as well. ``left``: the
    watches by label that it left after this version.
    """

    resource: Resource
    metadata: Object
    parsed: str = ""
    detail: Any = None
    data: dict[str, bytes] = field(default_factory=dict)
    in_sync: str = ""
    shard: dict[str, bytes] = field(default_factory=dict)
    users: UsersFile | None = None
    tls: bool = False
    left: frozenset[str] = frozenset()

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the object."""
        labels: Mapping[str, str] = self.metadata.get("labels", {})
        return labels

    @property
    def is_ours(self) -> bool:
        """Whether its label says that we made it."""
        return self.labels.get(LABEL_MANAGED_BY) == OPERATOR

    @property
    def lists_users(self) -> bool:
        """Whether its label says that it is a users file."""
        return self.labels.get(LABEL_USERS) == "true"

    @property
    def watched(self) -> bool:
        """Whether any watch still has it."""
        return self.tls or any(key not in self.left and self.labels.get(key) == value for key, value in BY_LABEL)

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


@dataclass(frozen=True, slots=True)
class Named:
    """What objects of ours name: nothing else that is foreign is ever read or held."""

    tls_secrets: frozenset[str]
    users_files: frozenset[tuple[str, str]]
    """Kind and name."""


@dataclass(slots=True)
class Shelf:
    """Everything known of one namespace.

    ``observed``: the versions of the children that the last World was made of, less those that we took away ourselves.
    ``missed``: Secrets that were looked for by name, when, and their labels where they are there.
    """

    ours: dict[tuple[Resource, str], Object] = field(default_factory=dict)
    children: dict[tuple[Resource, str], Child] = field(default_factory=dict)
    observed: dict[tuple[Resource, str], str] = field(default_factory=dict)
    missed: dict[str, tuple[float, Mapping[str, str] | None]] = field(default_factory=dict)
    strangers: int = 0
    """How many came that bear our label and have the name of nothing of ours."""
    names: Named | None = None
    """What our objects name; None where it has to be collected anew."""

    def copy(self) -> Shelf:
        """As it is now, for whoever reads it while events come in."""
        return replace(self, ours=dict(self.ours), children=dict(self.children))

    def concerns(self, child: Child) -> bool:
        """Whether a change of this child can matter: a certificate or a users file that none of our objects names
        cannot."""
        return child.is_ours or self.names_users(child) or self._names_certificate(child)

    def reads(self, child: Child) -> bool:
        """Whether its body is read as one of ours, or as a certificate: not where it bears our label and has the name
        of nothing of ours. A users file is read by `usersfiles`."""
        ours = child.resource not in (SECRETS, CONFIG_MAPS) or place_of_name(child.resource, child.name) is not None
        return (child.is_ours and ours) or self._names_certificate(child)

    def has_room_for(self, child: Child) -> bool:
        """Whether a new one is worth to be known. What only bears our label is told about, and looked through at each
        reconciliation: of those, a few hundred will do."""
        if tls_or_users(child) or self.reads(child) or child.resource not in (SECRETS, CONFIG_MAPS):
            return True
        self.strangers += 1
        return self.strangers <= _MOST_STRANGERS

    def _names_certificate(self, child: Child) -> bool:
        return child.resource is SECRETS and child.name in self.named().tls_secrets

    def names_users(self, child: Child) -> bool:
        """Whether this is a users file that a Community names."""
        return child.lists_users and (child.resource.kind, child.name) in self.named().users_files

    def named(self) -> Named:
        """What tls.secretRef, vpn.caSecretRef and usersFrom of our objects name."""
        if self.names is None:
            specs = [mapping(body.get("spec")) for body in self.ours.values()]
            tls = {
                named(spec, *path, "name") for spec in specs for path in (("tls", "secretRef"), ("vpn", "caSecretRef"))
            }
            users = {source for spec in specs for source in users_sources(spec)}
            self.names = Named(frozenset(tls - {""}), frozenset(users))
        return self.names


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
        """What is known of a namespace; an empty shelf where nothing is, which is not kept: the webhook asks about
        whatever namespace it is told."""
        return self._shelves.get(namespace) or Shelf()

    def wake(self, namespace: str) -> None:
        """Something that is not of this namespace changed what it may have."""
        self._wake(namespace)

    def put(self, resource: Resource, body: Object, *, tls: bool = False) -> Object | None:
        """Take in a newer version; an older one that arrives late is ignored, also that of an object that is gone:
        the answer to our own write may come after the event of the deletion, and would bring back a ghost.

        The object with metadata of the right shape; None where it is no object at all. ``tls``: it is of that type,
        which metadata do not tell.
        """
        fit = tidy(body)
        if fit is None:
            log.warning("one of %s is left out: it has no name, UID or version", resource.plural)
            return None
        metadata = fit["metadata"]
        if int(metadata["resourceVersion"]) <= self._gone.get(metadata["uid"], (-1, 0))[0]:
            return fit
        if resource in OURS:
            self._put_ours(resource, fit)
        else:
            self._put_child(resource, fit, tls or fit.get("type") == TLS)
        return fit

    def _put_ours(self, resource: Resource, body: Object) -> None:
        metadata = body["metadata"]
        namespace, key = metadata["namespace"], (resource, metadata["name"])
        shelf = self._shelves[namespace]
        known = shelf.ours.get(key)
        if known is not None and not _newer(metadata, known["metadata"]):
            return
        try:
            shelf.ours[key] = shared(shaped(body | {"metadata": _without_copies(metadata)}))
        except RecursionError:
            log.warning("%s %s/%s is left out: it is nested too deep", resource.kind, namespace, metadata["name"])
            return
        shelf.names = None
        self._wake(namespace)
        self._note_domain(resource, namespace, metadata["name"], text(mapping(body.get("spec")).get("domain")))

    def _put_child(self, resource: Resource, body: Object, tls: bool) -> None:
        metadata = body["metadata"]
        namespace, key = metadata["namespace"], (resource, metadata["name"])
        shelf = self._shelves[namespace]
        child = shelf.children.get(key)
        if child is None:
            child = Child(resource, _trimmed(metadata), tls=tls)
            if not shelf.has_room_for(child):
                return
            shelf.children[key] = child
        elif _newer(metadata, child.metadata):
            child.tls = tls or (child.tls and child.uid == metadata["uid"])
            child.metadata, child.left = _trimmed(metadata), frozenset()
        else:
            child.tls = child.tls or (tls and child.uid == metadata["uid"])
            return
        if shelf.concerns(child):
            self._nudge(namespace)

    def drop(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "", left: str = "") -> None:
        """Forget an object that is gone, unless another one bears its name by now.

        ``version`` is the deletion's, where an event tells it; else the object went at or after the version known.
        ``left``: it left the watch by this label, which tells of a deletion and of a label taken away in the same
        words; it is gone when no watch has it any more.
        """
        shelf, key = self.shelf(namespace), (resource, name)
        if resource in OURS:
            known = shelf.ours.get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                del shelf.ours[key]
                shelf.names = None
                version = version or known["metadata"]["resourceVersion"]
                self._wake(namespace)
                self._note_domain(resource, namespace, name, "")
        else:
            child = shelf.children.get(key)
            if child is not None and child.uid == uid:
                if left and self._lives_on(child, version, left):
                    return
                del shelf.children[key]
                version = version or child.version
                if shelf.concerns(child):
                    self._nudge(namespace)
        if version:
            # To leave by one label and to come by the other may be one write, with one version.
            self._remember(uid, int(version) - bool(left))

    @staticmethod
    def _lives_on(child: Child, version: str, left: str) -> bool:
        """Whether another watch still has an object that left one of them."""
        if version and int(version) <= int(child.version):
            return child.watched  # a newer version is known, whose labels tell where it is
        child.left |= {left}
        return child.watched

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
            if missing and is_version(version) and int(metadata["resourceVersion"]) <= int(version):
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


def tls_or_users(child: Child) -> bool:
    """Whether it may be named by an object of ours, now or later."""
    return child.tls or child.lists_users


def place_of(body: Object) -> Place:
    """Where an object is."""
    return body["metadata"]["namespace"], body["metadata"]["name"]


def digests(data: Mapping[str, str]) -> dict[str, bytes]:
    """A digest for each entry of a Secret's or ConfigMap's data, to compare by without keeping what is secret.

    Not of more than any of ours has: a megabyte holds a hundred thousand entries, and their digests twenty times that.
    """
    return {
        sys.intern(name): hashlib.sha256(value.encode(errors="replace")).digest()
        for name, value in islice(data.items(), _MOST_ENTRIES)
        if isinstance(value, str)
    }


def _trimmed(metadata: Object) -> Object:
    """What is kept of a child's metadata; without what is empty, as most of it would say nothing 50,000 times."""
    kept = {key: metadata[key] for key in _KEPT if metadata.get(key)}
    return shared(kept | {key: value for key, value in kept_of_a_child(metadata).items() if value})


def _without_copies(metadata: Object) -> Object:
    """Without what others keep in it: two copies of the whole object, each larger than what we need of it."""
    annotations = kept_annotations(metadata["annotations"])
    return {name: value for name, value in metadata.items() if name != "managedFields"} | {"annotations": annotations}


def _newer(metadata: Object, known: Object) -> bool:
    """By resourceVersion, which grows with every write to the cluster: also from one object to its namesake."""
    return int(metadata["resourceVersion"]) > int(known["resourceVersion"])
