"""The world as observed once per reconciliation, frozen: every decision sees the same moment.

One namespace is one appliance, so a World is one namespace. Nothing of any object's status is in here except
what the kubelet says about the pod: our own status is never an input of a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.api.conditions import Kind
from mcs_operator.api.instance import Network as PodNetwork
from mcs_operator.api.passwords import PasswordsFile
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.api.usersfile import UsersFile
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.contract.lookup import Lookup
from mcs_operator.contract.openvpn import Where
from mcs_operator.domain.facts.keys import AcmeAccount, Authority, KeyPair
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.nodes import CordonedNode
from mcs_operator.domain.facts.orders import Orders


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A client certificate that the server accepts, or accepted: ``AA:BB:…`` of its SHA-256, and its life.

    ``not_after`` and ``created`` are None where the profile is lost and nothing but the fingerprint is known.
    ``deadline``: until then the rotation that made it waits for the TVox to show it; None for a link's first one.
    ``seen``: when the TVox showed it first, noted only for one with a deadline. ``revoked``: when that was asked for.
    ``withdrawn``: when it was asked for that the rotation that made it be taken back.
    """

    sha256: str
    not_after: datetime | None
    created: datetime | None = None
    deadline: datetime | None = None
    seen: datetime | None = None
    revoked: datetime | None = None
    withdrawn: datetime | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """The Secret `<link>-profile`: it *is* the identity of a link, and outlives it for the retention."""

    link: str
    instance: str
    number: int
    created: datetime
    released: datetime | None
    fingerprints: tuple[Fingerprint, ...]
    client: KeyPair
    tls_crypt: str = field(repr=False)
    named: bool = True
    """Whether identity.json itself tells link and instance. Those of earlier operators do not, and are not written
    again only for that: there are 250 of them."""
    where: Where | None = None
    """Where its ``.ovpn`` dials; None where that cannot be read."""
    previous: KeyPair | None = None
    """What the TVox has while a rotation waits for it: without it the rotation could not be taken back."""

    def released_at(self, moment: datetime | None) -> Profile:
        """The same identity, with its retention clock started, or stopped (None)."""
        return replace(self, released=moment, named=True)


@dataclass(frozen=True, slots=True)
class SlotSecret:
    """The Secret `<instance>-link-017`: whoever created it has the number.

    ``content`` is the revision that its files really have; where it differs from ``revision``, somebody edited it.
    ``server`` and ``tls_crypt`` are None where a file is missing or does not parse.
    """

    number: int
    instance: str
    link: str
    owner_uid: str
    revision: str
    content: str
    server: KeyPair | None
    tls_crypt: str | None = field(repr=False)
    ca: str | None = None
    fingerprints: tuple[Fingerprint, ...] = ()
    """What is known of its client certificates when the profile is lost: a copy, in a file that the slot ignores."""
    where: Where | None = None
    """Where its ``server.conf`` listens; None where that cannot be read."""


@dataclass(frozen=True, slots=True)
class AgentCredentials:
    """The Secret `<instance>-agent`: what the link agent serves with, and the token it asks for."""

    tls: KeyPair
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Size:
    """What a container asks for and may use, as Kubernetes writes quantities."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]

    def is_same(self, other: Size) -> bool:
        """Whether these are the same amounts, however they are written."""
        return self._amounts() == other._amounts()

    def as_numbers(self) -> dict[str, int]:
        """What it may use, as the appliance is told: ``{"cpuMillicores": 4000, "memoryBytes": 8000000000}``."""
        cpu, memory = (parse_quantity(self.limits[name]) for name in ("cpu", "memory"))
        return {"cpuMillicores": int(cpu * 1000), "memoryBytes": int(memory)}

    def _amounts(self) -> dict[tuple[str, str], Decimal]:
        sides = (("requests", self.requests), ("limits", self.limits))
        return {(side, name): parse_quantity(text) for side, amounts in sides for name, text in amounts.items()}


class ResizeReason(StrEnum):
    """Why a size that was asked for is not in force, by the kubelet's word, or the API server's."""

    DEFERRED = "Deferred"
    """The node has no room for it now."""
    INFEASIBLE = "Infeasible"
    """The node will never have."""
    ERROR = "Error"
    """The kubelet has begun with it, and fails; it goes on trying."""
    FORBIDDEN = "Forbidden"
    """A quota, a range of limits or a policy is against it."""


@dataclass(frozen=True, slots=True)
class Resize:
    """A change of the pod's size that is not carried out. ``said``: the words of who refuses it."""

    reason: ResizeReason
    said: str


PULLED_AGAIN = timedelta(minutes=5)
"""After which a pod that will never pull its image gives way to another: the node may have room by then."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What became of a pod that only pulls an image. ``done``: the image is on the node. ``problem``: why it is not, in
    words that stay the same from one try to the next; empty while nothing is wrong. ``useless_since``: of a pod that
    will never pull it, since when it is there."""

    name: str
    image: str
    node: str
    done: bool
    problem: str = ""
    useless_since: datetime | None = None

    @property
    def made_anew(self) -> datetime | None:
        """When a useless one gives way to another."""
        return self.useless_since + PULLED_AGAIN if self.useless_since else None


@dataclass(frozen=True, slots=True)
class Pod:
    """What the kubelet says about the media pod. ``media_problem`` is empty where the media container is ready;
    ``media_runs``: whether that container has a process, ready or not; ``media_restarts``: how often it was started
    anew in this pod. ``agent_ready``: whether the agent is. ``slots_lack``: the image of the slots, where it cannot be
    pulled; ``slots_run``: whether any slot has a process; ``slots_down``: those that have none. ``restarts``: how often
    agent and slots were restarted, all together. ``images`` by container; ``size`` is what the media is to have,
    ``size_in_force`` what it has."""

    name: str
    uid: str
    ip: str
    node: str
    image: str
    media_ready: bool
    media_problem: str
    terminating: bool
    created: datetime
    annotations: Mapping[str, str]
    media_runs: bool = False
    agent_ready: bool = False
    media_restarts: int = 0
    slots_lack: str = ""
    slots_run: bool = False
    slots_down: frozenset[int] = frozenset()
    restarts: int = 0
    images: Mapping[str, str] = field(default_factory=dict)
    size: Size | None = None
    size_in_force: Size | None = None
    resize: Resize | None = None
    network: PodNetwork | None = None
    """How it is reached, which another spec does not change; None where it does not tell."""

    def annotated(self, annotations: Mapping[str, str]) -> Pod:
        """The same pod with other annotations."""
        return replace(self, annotations=annotations)


@dataclass(frozen=True, slots=True)
class TlsSecret:
    """A Secret of type kubernetes.io/tls that one of our objects names, or that was made for a certificate which the
    operator ordered; unchecked. ``created``: since when it is there. ``domain``: what it was ordered for, as it says
    itself; empty where it was not ordered."""

    name: str
    chain: str
    key: str = field(repr=False)
    created: datetime | None = None
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object of ours that the API server stores and this version cannot parse: served by nobody, told why."""

    kind: Kind
    name: str
    generation: int
    problem: str


@dataclass(frozen=True, slots=True)
class DamagedProfile:
    """A Secret `<link>-profile` of ours that cannot be read, or is not what it says. Its keys may be all there is of an
    identity, and a backup may put it right: nothing is written over it. ``number`` is None where not even that can be
    read, ``instance`` is empty where it is nobody's identity, such as a copy (which has no ``number`` then), or where a
    lost label leaves it unknown. ``why`` is half a sentence."""

    link: str
    instance: str
    number: int | None
    why: str = "cannot be read"


@dataclass(frozen=True, slots=True)
class Damaged:
    """An object that cannot be taken for what its name or its labels say. ``why`` is half a sentence about it.

    ``foreign``: it says that it is ours, and is not (a copy); nothing is missed. ``slot``: instance and number whose
    slot Secret it would be, by its name.
    """

    kind: str
    name: str
    why: str
    foreign: bool = False
    slot: tuple[str, int] | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.why}"


@dataclass(frozen=True, slots=True)
class World:
    """Everything that decisions may look at."""

    namespace: str
    now: datetime
    instances: tuple[MCSInstance, ...] = ()
    communities: tuple[Community, ...] = ()
    links: tuple[TVoxLink, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    authorities: Mapping[str, Authority] = field(default_factory=dict)
    agents: Mapping[str, AgentCredentials] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    damaged: tuple[DamagedProfile, ...] = ()
    damaged_objects: tuple[Damaged, ...] = ()
    """What has the name of an object of ours and cannot be read. Slots are not among them: they hold their number
    whatever is in them, and are written anew."""
    ignored: tuple[Damaged, ...] = ()
    """What says by its labels that it is ours, and is not: copies above all. Nothing builds on it."""
    blocked: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Numbers whose slot Secret is there and nobody's, by instance and number; the Secret's name."""
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    """Secrets that are missed and are there, without the labels by which they are found; why, by name."""
    missing_pull_secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of pull secrets that are not there, by instance."""
    slots: Mapping[tuple[str, int], SlotSecret] = field(default_factory=dict)
    """By instance and number: those of a deleted instance stay with their links, beside those of the present one."""
    users_files: Mapping[tuple[str, str], UsersFile] = field(default_factory=dict)
    passwords: Mapping[str, PasswordsFile] = field(default_factory=dict)
    """Secrets with passwords that Communities name, by name; each says whose it is."""
    tls_secrets: Mapping[str, TlsSecret] = field(default_factory=dict)
    acme_accounts: Mapping[str, AcmeAccount] = field(default_factory=dict)
    """Keys of accounts that the operator made, by instance."""
    orders: Orders = field(default_factory=Orders)
    """What came of ordering certificates."""
    shards: Mapping[str, bytes] = field(default_factory=dict)
    """What the appliance was given last, packed, by file: the last good state of what is broken."""
    elsewhere: Mapping[str, Kind] = field(default_factory=dict)
    """Domains of this namespace's objects that an object of another namespace has, which comes first; its kind."""
    networks: tuple[Network, ...] = ()
    """The cluster's own, as far as they are known."""
    pod: Pod | None = None
    cordoned: CordonedNode | None = None
    """The pod's node, where it is cordoned; of any other node nothing is asked."""
    pulls: tuple[Pull, ...] = ()
    """Pods that only pull an image to the media pod's node."""
    resizes_in_place: bool = True
    """Whether the cluster can give a running container another size."""
    report: LinkReport | None = None
    noted: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the StatefulSet."""
    idle_since: datetime | None = None
    """Since when nobody has a connection to the media; None while somebody has one, or nobody knows."""
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    """What the DNS says about public names, by name."""
    conditions: Mapping[tuple[Kind, str], list[Mapping[str, Any]]] = field(default_factory=dict)
    """Live conditions: for their transition times, and to leave standing what is not asked again yet."""

    def suspends(self, instance: MCSInstance) -> bool:
        """Whether the instance is stopped on purpose, and its pod has gone or is going."""
        return instance.spec.suspend and (self.pod is None or self.pod.terminating)

    @property
    def has_many_users(self) -> bool:
        """Whether those who are listed, or are served from a file that cannot be read now, are more than a thousand or
        so: to decide about ten thousand takes a tenth of a second."""
        listed = sum(len(community.spec.users) for community in self.communities)
        listed += sum(file.count for file in self.users_files.values())
        listed += sum(file.count for file in self.passwords.values())
        packed = sum(len(blob) for name, blob in self.shards.items() if name.startswith(("users-", "logins-")))
        return listed > 1000 or packed > 16 * 1024
