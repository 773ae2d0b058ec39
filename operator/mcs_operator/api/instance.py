"""MCSInstance: one TVox MCS, which is one namespace's appliance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from mcs_operator.api.acme import InstanceTls
from mcs_operator.api.base import AGE, Column, KubernetesObject, Model, Reference, Rule, condition_column
from mcs_operator.api.disruptions import Disruptions
from mcs_operator.api.fields import (
    Bandwidth,
    Duration,
    Fqdn,
    ImageReference,
    IPv4,
    LabelValue,
    megabits,
    seconds,
)
from mcs_operator.api.impact import LIST_ATOMIC, MAP_ATOMIC, Impact, impact, list_map
from mcs_operator.api.instancestatus import MCSInstanceStatus
from mcs_operator.api.portals import Portals
from mcs_operator.api.resources import CommunityLimits, Resources
from mcs_operator.api.service import ServiceState
from mcs_operator.api.storage import Storage
from mcs_operator.api.tolerations import Toleration
from mcs_operator.api.vpn import Vpn
from mcs_operator.api.wording import AtMost

HOT, IN_PLACE = Impact.HOT, Impact.IN_PLACE
MEDIA_RESTART, RESTART = Impact.MEDIA_RESTART, Impact.RESTART


class Tier(StrEnum):
    """The vendor's resource tiers."""

    UP_TO_1000 = "UpTo1000"
    UP_TO_10000 = "UpTo10000"


class NetworkMode(StrEnum):
    """How the pod is reachable from the Internet."""

    HOST_PORT = "HostPort"
    HOST_NETWORK = "HostNetwork"
    LOAD_BALANCER = "LoadBalancer"


class RetentionPolicy(StrEnum):
    """What happens to something when its owner is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Network(Model):
    """How the media pod is exposed."""

    mode: NetworkMode = Field(
        default=NetworkMode.HOST_PORT,
        description="HostPort: web, TURN, the link ports and one muxed media port are ports of the node. "
        "HostNetwork: the pod uses the node's network, with the full RTP range 10000-20000/udp; the node must serve "
        "nothing else. LoadBalancer: Services of that type carry what HostPort would.",
    )
    media_port: int = Field(
        default=10000,
        ge=10000,
        le=20000,
        description="UDP port that carries all media, in modes HostPort and LoadBalancer.",
    )


class Retain(Model):
    """What outlives its owner."""

    storage: RetentionPolicy = Field(
        default=RetentionPolicy.RETAIN,
        description="The data volume when the MCSInstance is deleted. Retain: it stays, and an instance of the same "
        "name takes it up again. Delete: it goes, with all that the appliance stored.",
    )
    pki: RetentionPolicy = Field(
        default=RetentionPolicy.RETAIN,
        description="The CA and the links' identities when the MCSInstance is deleted. Retain: an instance of the same "
        "name serves the profiles that the TVoxes have. Delete: every TVox needs a new profile, a visit each.",
    )
    links: Duration = Field(
        default="720h",
        description="How long a deleted TVoxLink's identity (number, keys, profile) is kept for a link of the same "
        "name, in hours, minutes and seconds; 720h is 30 days. Its number is given to nobody else until then, unless "
        "no other is free.",
    )

    @property
    def links_seconds(self) -> int:
        """`links` in seconds."""
        return seconds(self.links)


_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

_CIDR = "'198.18.254.0/24'"
_NONE = "''"


def _or_default(subject: str, path: str, default: str) -> str:
    """CEL for a field that may be absent. Not by optionals: they lose the field's length, and with it the rule's
    price, so that the API server refuses the CRD."""
    names = path.split(".")
    there = " && ".join(f"has({subject}.{'.'.join(names[: n + 1])})" for n in range(len(names)))
    return f"({there} ? {subject}.{path} : {default})"


def _names_a_version(image: str) -> bool:
    tagged = re.search(r":[A-Za-z0-9_][A-Za-z0-9_.-]*$", image) is not None
    return "@sha256:" in image or (tagged and not image.endswith(":latest"))


def _by_name(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """One order for all who write them: to put them in another one must not restart the pod."""
    return tuple(sorted(references, key=lambda reference: reference.name))


class MCSInstanceSpec(Model):
    """What the user declares."""

    rules: ClassVar = (
        Rule(
            cel="(has(self.network) && has(self.network.mode) && self.network.mode == 'LoadBalancer')"
            " || (has(self.nodeSelector) && size(self.nodeSelector) > 0)",
            message="required unless spec.network.mode is LoadBalancer: the pod is pinned to the "
            "node that has the public address; set for example kubernetes.io/hostname",
            field_path=".nodeSelector",
            reason="FieldValueRequired",
            holds=lambda spec: bool(spec.node_selector) or spec.network.mode is NetworkMode.LOAD_BALANCER,
        ),
        Rule(
            cel="!has(self.nodeSelector) || self.nodeSelector.all(key, key.matches("
            "'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            message="a key is no label name, such as kubernetes.io/hostname",
            field_path=".nodeSelector",
            holds=lambda spec: all(_LABEL_KEY.fullmatch(key) for key in spec.node_selector),
        ),
        Rule(
            cel="self.image.contains('@sha256:')"
            " || (self.image.matches(':[A-Za-z0-9_][A-Za-z0-9_.-]*$') && !self.image.endsWith(':latest'))",
            message="must name a version, by tag (not latest) or by digest: what runs must not depend on "
            "when the node last pulled",
            message_cel="self.image + ' must name a version, by tag (not latest) or by digest: what '"
            " + 'runs must not depend on when the node last pulled'",
            field_path=".image",
            holds=lambda spec: _names_a_version(spec.image),
        ),
        Rule(
            cel=f"{_or_default('self', 'vpn.basePort', '21000')} == {_or_default('oldSelf', 'vpn.basePort', '21000')}",
            message="immutable, every TVox's profile contains it; set it back",
            field_path=".vpn.basePort",
        ),
        Rule(
            cel=f"{_or_default('self', 'vpn.cidr', _CIDR)} == {_or_default('oldSelf', 'vpn.cidr', _CIDR)}",
            message="immutable, every TVox's profile contains it; set it back",
            message_cel="'immutable, every TVox\\'s profile contains it; set it back to '"
            f" + {_or_default('oldSelf', 'vpn.cidr', _CIDR)}",
            field_path=".vpn.cidr",
        ),
        Rule(
            cel=f"{_or_default('self', 'vpn.caSecretRef.name', _NONE)}"
            f" == {_or_default('oldSelf', 'vpn.caSecretRef.name', _NONE)}",
            message="immutable, every TVox's profile trusts the CA that the instance began with; set it back",
            field_path=".vpn.caSecretRef",
        ),
        Rule(
            cel="!has(oldSelf.storage) || !has(oldSelf.storage.className)"
            f" || {_or_default('self', 'storage.className', _NONE)} == oldSelf.storage.className",
            message="cannot be changed once set, a volume does not move between classes; set it back",
            message_cel="'cannot be changed once set, a volume does not move between classes; set it back to '"
            " + oldSelf.storage.className",
            field_path=".storage.className",
        ),
        Rule(
            cel="!has(oldSelf.storage) || !has(oldSelf.storage.size) || has(self.storage)",
            message="cannot be removed once its size is set, a volume never shrinks; set it back",
            field_path=".storage",
        ),
    )

    domain: Fqdn = Field(
        description="Management domain of the MCS, an A record to publicAddress, for example mcs.example.com. Every "
        "link's domain is a CNAME of it, and it is the first address in every TVox's profile: while TVoxLinks exist, a "
        "change is refused.",
        # No NewProfile: a change is accepted only while there is no link that it could cut off.
        json_schema_extra=impact(HOT),
    )
    tier: Tier = Field(
        description="The vendor's resource tier. UpTo1000: 1,000 users, 4 cores, 8 GB memory, 100 Mb/s or more. "
        "UpTo10000: 10,000 users, 8 cores, 8 GB, 1,000 Mb/s or more. Both: 150 GB SSD, 250 TVoxLinks.",
        json_schema_extra=impact(IN_PLACE),
    )
    image: ImageReference = Field(
        description="The media appliance, with a tag (not latest) or a digest. The operator never changes it. The node "
        "pulls another one before the media is stopped for it.",
        json_schema_extra=impact(MEDIA_RESTART),
    )
    image_pull_secrets: Annotated[tuple[Reference, ...], AtMost(16), AfterValidator(_by_name)] = Field(
        default=(),
        description="Secrets in the same namespace with which the images of the media pod are pulled, as in a pod's "
        "spec: of the media, the link agent and the slots, beside those that the operator's chart adds. Where there is "
        "one, the pull secrets of the namespace's default ServiceAccount are not used. Default: none.",
        json_schema_extra=impact(RESTART, list_map("name")),
    )
    public_address: IPv4 = Field(
        description="Static public IPv4 address, also where NAT 1:1 is in front of the node. The media announces it to "
        "clients, and it is the second address in every TVox's profile.",
        # No NewProfile: a TVox dials the domain first, whose A record follows the address, and this one only where that
        # fails. A tunnel that is up is not touched.
        json_schema_extra=impact(HOT),
    )
    node_selector: Annotated[
        Mapping[Annotated[str, StringConstraints(min_length=1, max_length=317)], LabelValue], AtMost(16)
    ] = Field(
        default_factory=dict,
        description="Labels of the node that has the public address, for example kubernetes.io/hostname: media-1. "
        "Required unless network.mode is LoadBalancer. A change moves the pod, with its volume if that can move.",
        json_schema_extra=impact(RESTART, MAP_ATOMIC),
    )
    tolerations: Annotated[tuple[Toleration, ...], AtMost(32)] = Field(
        default=(),
        description="Taints of the node that the pod tolerates. That the node is not ready or unreachable is always "
        "tolerated without limit: the media pod is never evicted for it.",
        json_schema_extra=impact(RESTART, LIST_ATOMIC),
    )
    network: Network = Field(
        default=Network(),
        description="How the pod is reachable from the Internet.",
        json_schema_extra=impact(RESTART),
    )
    storage: Storage = Field(default=Storage(), description="The appliance's data volume.")
    vpn: Vpn = Field(default=Vpn(), description="The OpenVPN side of the instance.")
    tls: InstanceTls = Field(
        default=InstanceTls(),
        description="Certificate of the domain, and of every link's domain that has none of its own (a wildcard, or "
        "one with all names); or the ACME server that issues them. Default: no certificate, plain HTTP only.",
        json_schema_extra=impact(HOT),
    )
    resources: Resources | None = Field(
        default=None,
        description="Requests and limits of the media container instead of the tier's, for a laptop or a test cluster. "
        "Where they are below the tier, condition Sized is False and names the difference.",
        json_schema_extra=impact(IN_PLACE),
    )
    bandwidth: Bandwidth | None = Field(
        default=None,
        description="Internet band of the site in bits per second, for example 500M or 1G. It says how many "
        "connections fit, at 60 KB/s each; nothing is throttled. Default: the tier's, 100M or 1G.",
        json_schema_extra=impact(HOT),
    )
    community_limits: CommunityLimits = Field(
        default=CommunityLimits(),
        description="So many users, TVoxLinks, calls and participants for each Community at most, so that no customer "
        "takes what the others need.",
        json_schema_extra=impact(HOT),
    )
    portals: Portals = Field(
        default=Portals(),
        description="What the portals of all Communities keep: for how long, and how much of each Community.",
        json_schema_extra=impact(HOT),
    )
    retain: Retain = Field(default=Retain(), description="What outlives its owner.", json_schema_extra=impact(HOT))
    service_state: ServiceState = Field(
        default=ServiceState.IN_SERVICE,
        description="Whether the appliance takes new sessions. OutOfService: it refuses those of all customers and "
        "lets open ones end; the tunnels stay up, and nothing restarts.",
        json_schema_extra=impact(HOT),
    )
    suspend: bool = Field(
        default=False,
        description="Stop the appliance and keep everything: true drains the media pod and ends it, false starts it "
        "again. Every TVox is without a tunnel meanwhile, and dials again by itself.",
        json_schema_extra=impact(RESTART),
    )
    drain_seconds: int = Field(
        default=300,
        ge=0,
        le=86400,
        description="How long a restart that the operator makes waits for open connections to end, in seconds. New "
        "ones are refused meanwhile. 0: at once. What goes out of service is Draining for so long at most.",
        json_schema_extra=impact(HOT),
    )
    disruptions: Disruptions = Field(
        default=Disruptions(),
        description="When the operator may do what interrupts customers: restart the media pod, replace the media or "
        "a slot that is in use. Default: at once, after draining.",
        json_schema_extra=impact(HOT),
    )

    @property
    def bandwidth_megabits(self) -> int | None:
        """`bandwidth` in Mb/s; None where the tier decides."""
        return megabits(self.bandwidth) if self.bandwidth else None


class MCSInstance(KubernetesObject):
    """One TVox MCS: a media pod that is pinned to a node, with one OpenVPN slot per TVoxLink.

    One per namespace. It is not redundant: what restarts its pod ends every call of every customer, so each field says
    what a change of it costs.
    """

    kind = "MCSInstance"
    plural = "mcsinstances"
    short_names = ("mcs",)
    name_pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
    """It names a Service, which must begin with a letter."""
    status_model = MCSInstanceStatus
    columns = (
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Ready", "reason"),
        Column("Up", ".status.links.up", "TVoxLinks whose tunnel is up", type="integer"),
        Column("Links", ".status.links.accepted", "TVoxLinks that are served", type="integer"),
        Column("Max", ".status.links.capacity", "TVoxLinks that are accepted at most", type="integer"),
        Column("Users", ".status.users.served", "Users that are served", type="integer"),
        Column("Tier", ".spec.tier", "Resource tier"),
        Column("Node", ".status.node", "Node that the media pod runs on"),
        AGE,
        Column("Domain", ".spec.domain", "Management domain", wide=True),
        Column("Address", ".spec.publicAddress", "Public address", wide=True),
        Column("Service", ".status.serviceState", "Whether new sessions are taken", wide=True),
        condition_column("Restart", "RestartPending", wide=True),
        Column("Image", ".spec.image", "Media image", wide=True),
        condition_column("Message", "Ready", "message", wide=True),
    )
    rules: ClassVar = (
        Rule(
            cel="self.spec.domain == oldSelf.spec.domain || oldSelf.?status.?links.?accepted.orValue(0) == 0",
            message="cannot be changed while TVoxLinks exist, every TVox's profile dials it; set it back",
            message_cel="'cannot be changed while TVoxLinks exist, every TVox\\'s profile dials it; set it back to '"
            " + oldSelf.spec.domain",
            field_path=".spec.domain",
        ),
    )

    spec: MCSInstanceSpec
