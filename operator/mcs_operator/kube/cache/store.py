"""The store: our three kinds in full, their children as little as will do. It alone writes to what is known.

Kopf's events, our own lists and watches, and the API server's answers to reads and writes are handed to it; everybody
else reads. A child's body is fetched only when its resourceVersion changed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from mcs_operator.api.passwords import PasswordsFile
from mcs_operator.api.usersfile import UsersFile
from mcs_operator.kube.cache.child import TLS, Child, digests
from mcs_operator.kube.cache.index import Domains
from mcs_operator.kube.cache.interning import interned
from mcs_operator.kube.cache.namespace import Key, NamespaceCache, Sighting
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.parse.bounds import mapping
from mcs_operator.kube.parse.metadata import LONGEST_NOTE, is_version, kept_annotations, tidy, trimmed, without_copies
from mcs_operator.kube.parse.ours import passwords_sources, public_name, shaped
from mcs_operator.kube.parse.shard import read_shard
from mcs_operator.kube.resources import (
    CHILDREN,
    COMMUNITIES,
    CONFIG_MAPS,
    OURS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    Object,
    Resource,
)

log = logging.getLogger(__name__)

Covers = Callable[[Mapping[str, str]], bool]
"""Whether an object with these labels would be in a list."""
Wake = Callable[[str], None]
"""Called with a namespace in which something changed."""
Place = tuple[str, str]
"""Namespace and name."""

_PARSED_BODIES = (SECRETS, CONFIG_MAPS, PODS, RESOURCE_QUOTAS)
_MOST_STRANGERS = 500
_REMEMBERED_SECONDS = 60.0
"""Of who went: answers and events about them may be late by seconds. Not by number: the UIDs of the last ten thousand,
each of them all that is left of what was read with it, hold several megabytes of memory that could be used again."""


@dataclass(slots=True)
class _Entry(NamespaceCache):
    """The same, to write. ``strangers``: how many came that bear our label and have the name of nothing of ours."""

    ours: dict[Key, Object] = field(default_factory=dict)
    children: dict[Key, Child] = field(default_factory=dict)
    observed: dict[Key, str] = field(default_factory=dict)
    missed: dict[str, Sighting] = field(default_factory=dict)
    strangers: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left there."""
        return not self.ours and not self.children

    def has_room_for(self, child: Child) -> bool:
        """Whether a new one is worth to be known. What only bears our label is told about, and looked through at each
        reconciliation: of those, a few hundred will do."""
        if child.may_be_named or self.reads(child) or child.resource not in (SECRETS, CONFIG_MAPS):
            return True
        self.strangers += 1
        return self.strangers <= _MOST_STRANGERS


class Store:
    """A cache for each namespace. ``wake`` is called for a namespace whenever something in it changed;
    ``wake_low_priority`` instead of it, where that was only a child: most of such changes are our own doing, or of no
    consequence."""

    def __init__(self, wake: Wake, wake_low_priority: Wake | None = None) -> None:
        self._entries: defaultdict[str, _Entry] = defaultdict(_Entry)
        self.domains = Domains()
        self.passwords_named = (
            asyncio.Event()
        )  # by a Community: before, nobody lists and watches Secrets with passwords
        self._wake, self._wake_low_priority = wake, wake_low_priority or wake
        self._gone: dict[str, tuple[int, float]] = {}
        self._left_out: set[str] = set()
        """UIDs of our objects that cannot be held."""

    def namespaces(self) -> list[str]:
        """Namespaces with at least one object of ours or one child."""
        return [name for name, entry in self._entries.items() if not entry.is_empty]

    def cache(self, namespace: str) -> NamespaceCache:
        """What is known of a namespace, as it changes."""
        return self._entry(namespace)

    def snapshot(self, namespace: str) -> NamespaceCache:
        """What is known now, for the next World: whatever is claimed by it later is claimed in these versions. Where
        nothing is left, all is forgotten here, and not while the World before, which must not make it again, is carried
        out."""
        entry = self._entry(namespace)
        if entry.is_empty:
            self._entries.pop(namespace, None)
        entry.observed = {key: child.parsed for key, child in entry.children.items()}
        return replace(entry, ours=dict(entry.ours), children=dict(entry.children))

    def outdated(self, namespace: str) -> list[Child]:
        """Children whose body is needed and is not the one that was read. What nobody names any more is let go of."""
        entry, found = self._entry(namespace), []
        for child in entry.children.values():
            if child.resource not in _PARSED_BODIES:
                continue
            if not entry.reads(child):
                child.detail = None
            elif child.stale or (child.detail is None and (child.tls or child.resource is PODS)):
                found.append(child)
        return found

    def wake(self, namespace: str) -> None:
        """Something that is not of this namespace changed what it may have."""
        self._wake(namespace)

    def put(self, resource: Resource, body: object, *, tls: bool = False) -> Object | None:
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
        gone = self._gone.get(metadata["uid"])
        if gone and int(metadata["resourceVersion"]) <= gone[0]:
            return fit
        if resource in OURS:
            self._put_ours(resource, fit)
        else:
            self._put_child(resource, fit, tls or fit.get("type") == TLS)
        return fit

    def take(self, resource: Resource, body: Object) -> Object | None:
        """Take in a full object: from a list, a GET, or the answer to our own write. As `put`; of a child is read what
        decisions need of its body."""
        fit = self.put(resource, body)
        if fit is None or resource in OURS:
            return fit
        metadata = fit["metadata"]
        entry = self._entry(metadata["namespace"])
        child = entry.children.get((resource, metadata["name"]))
        if child is None or child.version != metadata["resourceVersion"]:
            return fit  # a newer one is known already, or that it is gone
        child.parsed = child.version
        reads = entry.reads(child)
        if resource in (SECRETS, CONFIG_MAPS):
            child.data = digests(mapping(fit.get("data"))) if child.is_ours else {}
            child.shard = read_shard(resource, child.name, child.labels, fit) if reads else {}
        child.detail = parse_body(resource, fit) if reads else None
        return fit

    def take_annotated(self, child: Child, answer: Object) -> None:
        """Take in the metadata that answered our change of a pod's annotations, made on the version that was parsed: so
        of its body nothing else has changed."""
        self.put(child.resource, {"metadata": answer["metadata"]})
        if child.version == answer["metadata"]["resourceVersion"]:
            child.detail = child.detail.annotated(
                kept_annotations(answer["metadata"].get("annotations", {}), LONGEST_NOTE)
            )
            child.parsed = child.version

    def take_users(self, child: Child, users: UsersFile | None) -> None:
        """What a users file says; None where nobody names it."""
        child.users = users

    def take_passwords(self, child: Child, passwords: PasswordsFile | None) -> None:
        """What a Secret with passwords says; None where nobody names it."""
        child.passwords = passwords

    def note_in_sync(self, resource: Resource, namespace: str, name: str, manifest: str) -> None:
        """That an object was found to fulfil the manifest of this hash."""
        child = self._entry(namespace).children.get((resource, name))
        if child is not None:  # deleted by somebody while our write was on its way: its event brings us back
            child.in_sync = child.as_fulfilling(manifest)

    def note_missed(self, namespace: str, name: str, sighting: Sighting) -> None:
        """That a Secret was looked for by its name, and what came of it."""
        self._entry(namespace).missed[name] = sighting

    def forget_missed(self, namespace: str, wanted: Collection[str]) -> None:
        """Forget all that were looked for but these."""
        entry = self._entry(namespace)
        entry.missed = {name: known for name, known in entry.missed.items() if name in wanted}

    def gone(self, child: Child, *, by_us: bool = False) -> None:
        """The API server says that it is not there any more. ``by_us``: we took it away ourselves, and whoever decided
        that is not surprised that it went."""
        self.drop(child.resource, child.namespace, child.name, child.uid)
        if by_us:
            self._entry(child.namespace).observed.pop((child.resource, child.name), None)

    def _entry(self, namespace: str) -> _Entry:
        """An empty one where nothing is known, which is not kept: the webhook asks about whatever namespace it is
        told."""
        return self._entries.get(namespace) or _Entry()

    def _put_ours(self, resource: Resource, body: Object) -> None:
        metadata = body["metadata"]
        namespace, key = metadata["namespace"], (resource, metadata["name"])
        entry = self._entries[namespace]
        known = entry.ours.get(key)
        if known is not None and not _newer(metadata, known["metadata"]):
            return
        try:
            entry.ours[key] = interned(shaped(body | {"metadata": without_copies(metadata)}))
        except RecursionError:
            log.warning("%s %s/%s is left out: it is nested too deep", resource.kind, namespace, metadata["name"])
            self._left_out.add(metadata["uid"])
            return
        entry.names = None
        self._wake(namespace)
        spec = mapping(body.get("spec"))
        self._note_domain(resource, namespace, metadata["name"], public_name(resource.kind, spec))
        if resource is COMMUNITIES and passwords_sources(spec):
            self.passwords_named.set()

    def _put_child(self, resource: Resource, body: Object, tls: bool) -> None:
        metadata = body["metadata"]
        namespace, key = metadata["namespace"], (resource, metadata["name"])
        entry = self._entries[namespace]
        child = entry.children.get(key)
        if child is None:
            child = Child(resource, interned(trimmed(metadata)), tls)
            if not entry.has_room_for(child):
                return
            entry.children[key] = child
        elif _newer(metadata, child.metadata):
            child.tls = tls or (child.tls and child.uid == metadata["uid"])
            child.metadata, child.left = interned(trimmed(metadata)), frozenset()
        else:
            child.tls = child.tls or (tls and child.uid == metadata["uid"])
            return
        if entry.concerns(child):
            self._wake_low_priority(namespace)

    def take_event(
        self, resource: Resource, event: str | None, body: object, *, tls: bool = False, left: str = ""
    ) -> None:
        """Take in an event: DELETED, or any other about what there is. ``left``: as `drop`."""
        if event != "DELETED":
            self.put(resource, body, tls=tls)
        elif (gone := tidy(body)) is not None:
            metadata = gone["metadata"]
            version = metadata["resourceVersion"]
            self.drop(resource, metadata["namespace"], metadata["name"], metadata["uid"], version, left)

    def has(self, resource: Resource, metadata: Object) -> bool:
        """Whether one of our objects is known in this version or a newer one, or is known to be gone, or cannot be
        held."""
        known = self._entry(metadata["namespace"]).ours.get((resource, metadata["name"]))
        if known is not None and not _newer(metadata, known["metadata"]):
            return True
        return metadata["uid"] in self._gone or metadata["uid"] in self._left_out

    def drop(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "", left: str = "") -> None:
        """Forget an object that is gone, unless another one bears its name by now.

        ``version`` is the deletion's, where an event tells it; else the object went at or after the version known.
        ``left``: it left the watch by this label, which tells of a deletion and of a label taken away in the same
        words; it is gone when no watch has it any more.
        """
        entry, key = self._entry(namespace), (resource, name)
        if resource in OURS:
            known = entry.ours.get(key)
            if known is not None and known["metadata"]["uid"] == uid:
                del entry.ours[key]
                entry.names = None
                version = version or known["metadata"]["resourceVersion"]
                self._wake(namespace)
                self._note_domain(resource, namespace, name, "")
        else:
            child = entry.children.get(key)
            if child is not None and child.uid == uid:
                if left and self._lives_on(child, version, left):
                    return
                del entry.children[key]
                version = version or child.version
                if entry.concerns(child) or entry.is_empty:
                    self._wake_low_priority(namespace)
        if entry.is_empty and not entry.observed:  # no World was made of it
            self._entries.pop(namespace, None)
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
        self._left_out.discard(uid)
        now = time.monotonic()
        known, _ = self._gone.pop(uid, (version, now))  # who goes last is at the end
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
        for namespace, entry in self._entries.items():
            if resource in CHILDREN:
                for (kind, name), child in entry.children.items():
                    if kind == resource:
                        yield namespace, name, child.metadata
            else:
                for (kind, name), body in entry.ours.items():
                    if kind == resource:
                        yield namespace, name, body["metadata"]


def place_of(body: Object) -> Place:
    """Where an object is."""
    return body["metadata"]["namespace"], body["metadata"]["name"]


def _newer(metadata: Object, known: Object) -> bool:
    """By resourceVersion, which grows with every write to the cluster: also from one object to its namesake."""
    return int(metadata["resourceVersion"]) > int(known["resourceVersion"])
