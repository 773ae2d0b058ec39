"""What admission would say of the objects of some files, were these all that there is. Pure.

They come one after the other, instances before what names them: beside those that came before, as at the API server.
What is only named is looked for in all the files: it may come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.api.conditions import Kind
from mcs_operator.cli.files import Document
from mcs_operator.cli.secretsmade import Becoming, secret_of
from mcs_operator.domain.admission import Operation, Request, review
from mcs_operator.domain.admission.known import Object, at
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.prediction import ANY_SIZE, Resizing
from mcs_operator.settings import LABEL_PASSWORDS, LABEL_USERS

_ORDER = (Kind.INSTANCE, Kind.COMMUNITY, Kind.LINK)
_REFERENCES = ("spec.instanceRef.name", "spec.communityRef.name")
"""Fields of which nothing can be said where the instance is not in the files: it is in the cluster, and so is more."""
_CERTIFICATE, _PASSWORDS, _ANY = "a Secret of type kubernetes.io/tls", "a Secret with passwords", "any Secret"


@dataclass(frozen=True, slots=True)
class Said:
    """Of one object."""

    document: Document
    refused: bool
    message: str


@dataclass(slots=True)
class Filed:
    """What `domain.admission` asks a cluster: the objects of ours that came already, and all files."""

    documents: Sequence[Document]
    _came: dict[tuple[Kind, str], dict[str, Object]] = field(default_factory=dict)
    """By kind and namespace, and then by name."""
    _domains: dict[str, list[Document]] = field(default_factory=dict)
    _made: set[tuple[str, str, str]] = field(default_factory=set)
    """Kind, namespace and name of what the files have, or make, and some objects name."""

    def __post_init__(self) -> None:
        """Looked up for each reference: with ten thousand objects that must not be a walk through all of them."""
        for document in self.documents:
            where = document.namespace, document.name
            if document.kind == "Service":
                self._made.add(("Service", *where))
            if secret := secret_of(document):
                self._take_secret(document, secret)
            elif document.kind == "ConfigMap" and at(document.metadata, "labels", LABEL_USERS) == "true":
                self._made.add((document.kind, *where))

    def _take_secret(self, document: Document, secret: Becoming) -> None:
        """One that is in the files, or made by what is."""
        found = {_ANY}
        if secret.is_made or document.body.get("type") == "kubernetes.io/tls":
            found.add(_CERTIFICATE)
        if secret.labels.get(LABEL_USERS) == "true":
            found.add("Secret")
        if community := secret.labels.get(LABEL_PASSWORDS):
            found.add(f"{_PASSWORDS} of {community}")
        self._made |= {(what, document.namespace, secret.name) for what in found}

    def take(self, document: Document) -> None:
        """This one is there from now on."""
        self._came.setdefault((Kind(document.kind), document.namespace), {})[document.name] = document.body
        for name in ("domain", "portalDomain"):
            if isinstance(domain := at(document.body, "spec", name), str):
                self._domains.setdefault(domain, []).append(document)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._came.get((kind, namespace), {}).get(name)

    def instances(self, namespace: str | None = None) -> Iterator[Object]:
        """Of one namespace, or of all."""
        for (kind, where), bodies in self._came.items():
            if kind is Kind.INSTANCE and namespace in (None, where):
                yield from bodies.values()

    def communities(self, namespace: str) -> Iterable[Object]:
        """Of one namespace."""
        return self._came.get((Kind.COMMUNITY, namespace), {}).values()

    def links(self, namespace: str) -> Iterable[Object]:
        """Of one namespace."""
        return self._came.get((Kind.LINK, namespace), {}).values()

    def domain_holders(self, namespace: str, domain: str) -> Iterator[tuple[Kind, str]]:
        """Kind and name of all in this namespace that have this domain."""
        return ((Kind(d.kind), d.name) for d in self._domains.get(domain, ()) if d.namespace == namespace)

    def is_domain_owned_elsewhere(self, namespace: str, domain: str, kind: Kind, name: str) -> bool:
        """Whether an object of another namespace has it."""
        return any(document.namespace != namespace for document in self._domains.get(domain, ()))

    def slots(self, namespace: str, instance: str) -> Mapping[int, str]:
        """Nobody holds one yet."""
        return {}

    def networks(self) -> Iterable[Network]:
        """The cluster's own are not known."""
        return ()

    def resizing(self) -> Resizing:
        """Nothing is changed."""
        return ANY_SIZE

    def has_certificate(self, namespace: str, name: str) -> bool:
        """Whether the files have, or make, a Secret of this name."""
        return (_CERTIFICATE, namespace, name) in self._made

    def has_users_file(self, namespace: str, kind: str, name: str) -> bool:
        """Whether the files have it, or make a Secret of this name with the label."""
        return (kind, namespace, name) in self._made

    def has_passwords(self, namespace: str, community: str, name: str) -> bool:
        """Whether the files have, or make, a Secret of this name with the label for this Community."""
        return (f"{_PASSWORDS} of {community}", namespace, name) in self._made

    def has_secret(self, namespace: str, name: str) -> bool:
        """Whether the files have, or make, a Secret of this name."""
        return (_ANY, namespace, name) in self._made

    def has_service(self, namespace: str, name: str) -> bool:
        """Whether the files have a Service of this name."""
        return ("Service", namespace, name) in self._made

    def identities(self, namespace: str, instance: str) -> Iterable[Profile | SlotSecret]:
        """There are none."""
        return ()


def reviewed(documents: Sequence[Document], now: datetime) -> Iterator[Said]:
    """What is refused, or warned of, in the order in which they come."""
    cluster = Filed(documents)
    ours = [document for document in documents if document.is_ours and document.kind in _ORDER]
    served = {document.namespace for document in ours if document.kind == Kind.INSTANCE}
    for document in sorted(ours, key=lambda one: _ORDER.index(Kind(one.kind))):
        request = Request(Kind(document.kind), Operation.CREATE, document.namespace, document.name, document.body)
        answer = review(request, cluster, now)
        yield from (Said(document, True, message) for message in answer.refusals)
        for message in answer.warnings:
            if _is_to_be_said(message, document.namespace in served):
                yield Said(document, False, message)
        cluster.take(document)


def _is_to_be_said(warning: str, is_served: bool) -> bool:
    """Files are all that there is to be, each time anew: that they come near to a limit is said where it happens."""
    field = warning.partition(":")[0]
    return field != "capacity" and (is_served or field not in _REFERENCES)
