"""MCSInstance: one TVox MCS, which is one namespace's appliance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints

from mcs_operator.api.base import AGE, Column, KubernetesObject, Model, Reference, Rule, Status, Tls, condition_column
from mcs_operator.api.disruptions import Disruptions, DisruptionStatus, InterruptionStatus
from mcs_operator.api.fields import (
    Bandwidth,
    Bytes,
    Cpu,
    DevicePath,
    Duration,
    Fqdn,
    ImageReference,
    IPv4,
    LabelValue,
    ResourceName,
    SlashTwentyFour,
    megabits,
    seconds,
)
from mcs_operator.api.impact import LIST_ATOMIC, MAP_ATOMIC, Impact, impact, list_map
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.api.schema import RULES_KEY, as_validation
from mcs_operator.api.service import ObservedServiceState, ServiceState
from mcs_operator.api.wording import AtMost
from mcs_operator.settings import LAST_NUMBER, MAX_LINKS

HOT, IN_PLACE, NEW_PROFILE = Impact.HOT, Impact.IN_PLACE, Impact.NEW_PROFILE
MEDIA_RESTART, RESTART = Impact.MEDIA_RESTART, Impact.RESTART

_LAST_PORT = 65535 - LAST_NUMBER


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


class Storage(Model):
    """The data volume, a PersistentVolumeClaim `<instance>-data`."""

    rules: ClassVar = (
        Rule(
            cel="!has(oldSelf.size) || (has(self.size) && (!isQuantity(self.size)"
            " || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0))",
            message="a volume never shrinks; set it back to the size before, or larger",
            message_cel="'a volume never shrinks: ' + (has(self.size) ? self.size : 'no size')"
            " + ' is less than ' + oldSelf.size + '; set it back, or larger'",
            field_path=".size",
        ),
    )

    class_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="StorageClass of the volume. Default: the cluster's default class. A volume "
        "does not move between classes.",
        json_schema_extra=impact(HOT, immutable="once set"),
    )
    size: Bytes | None = Field(
        default=None,
        description="Size of the volume, in bytes with a unit, for example 150G. Default: the tier's disk, 150 GB. "
        "May grow (the StorageClass has to allow expansion), never shrinks.",
        json_schema_extra=impact(HOT),
    )


class TunDevice(Model):
    """Where the slots get /dev/net/tun from; exactly one of the two."""

    rules: ClassVar = (
        Rule(
            cel="has(self.hostPath) != has(self.resourceName)",
            message="exactly one of hostPath and resourceName is needed",
            holds=lambda tun: (tun.host_path is None) != (tun.resource_name is None),
        ),
    )

    host_path: DevicePath | None = Field(
        default=None,
        description="Path of the character device on the node, usually /dev/net/tun.",
    )
    resource_name: ResourceName | None = Field(
        default=None,
        description="Extended resource of a device plugin that hands out the device, for example example.com/tun. "
        "For nodes whose container runtime does not allow the device by hostPath.",
    )


_USABLE = Rule(
    cel="!self.matches('^(0|127|169[.]254|22[4-9]|2[3-5][0-9])[.]')",
    message="loopback, link-local, multicast and reserved addresses lead to no customer; choose for example "
    "198.18.254.0/24",
)
"""At the field itself, so that an instance which has such a network since before may change everything else. The model
takes it: what cannot be read is not served, and nobody is cut off for a network."""


class Vpn(Model):
    """The OpenVPN side: slots in the pod, their ports and addresses, and who signs."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.basePort) || self.basePort + 251 < 3478"
            " || (self.basePort > 3478 && self.basePort + 251 < 10000) || self.basePort > 20000",
            message="basePort to basePort+251 must not meet 3478 (STUN/TURN) or 10000-20000 (RTP); "
            "choose for example 21000",
            field_path=".basePort",
            holds=lambda vpn: _ports_are_free(vpn.base_port),
        ),
    )

    slots: int = Field(
        default=MAX_LINKS,
        ge=1,
        le=MAX_LINKS,
        description="OpenVPN slots in the media pod, one per TVoxLink that it can run: numbers 2 to slots+1. Each "
        "costs about 1 MB of memory; fewer make the pod start and stop faster.",
        json_schema_extra=impact(RESTART),
    )
    base_port: int = Field(
        default=21000,
        ge=1024,
        le=_LAST_PORT,
        description="Link N is reached at port basePort+N, UDP or TCP: 21017 for link 17. It is in every TVox's "
        "profile. Keep it clear of the node's ephemeral ports (32768-60999) and of NodePorts (30000-32767).",
        # NewProfile as well; but it is in the pod template, and what is there has to be in the restart hash.
        json_schema_extra=impact(RESTART, immutable="always"),
    )
    cidr: SlashTwentyFour = Field(
        default="198.18.254.0/24",
        description="VPN addresses, a /24: MCS is .1, link N is .N (2 to 251). It must not be routed to anything else "
        "on the node, nor at a customer's site.",
        json_schema_extra=impact(RESTART, {RULES_KEY: [as_validation(_USABLE)]}, immutable="always"),
    )
    ca_secret_ref: Reference | None = Field(
        default=None,
        description="Your own CA, a Secret of type kubernetes.io/tls: tls.crt has its certificate (EC or RSA), "
        "followed by its issuers up to the root, tls.key its key. Every TVox's profile trusts it, and ends with it. "
        "Default: the operator makes a CA for this instance alone, for 20 years.",
        json_schema_extra=impact(NEW_PROFILE, immutable="always"),
    )
    tun_device: TunDevice = Field(
        default=TunDevice(host_path="/dev/net/tun"),
        description="Where the slots get /dev/net/tun from; exactly one of hostPath and resourceName. "
        "Default: hostPath /dev/net/tun.",
        json_schema_extra=impact(RESTART, MAP_ATOMIC),
    )


def _ports_are_free(base: int) -> bool:
    last = base + LAST_NUMBER
    return last < 3478 or (base > 3478 and last < 10000) or base > 20000


class ResourceAmounts(Model):
    """CPU and memory."""

    rules: ClassVar = (
        Rule(  # of an int-or-string the pattern holds for texts alone
            cel="!has(self.cpu) || type(self.cpu) == string || (self.cpu >= 1 && self.cpu <= 99999)",
            message='must be cores above 0, such as 4, "1.5" or 500m',
            field_path=".cpu",
            holds=lambda amounts: amounts.cpu is None or parse_quantity(amounts.cpu) > 0,
        ),
    )

    cpu: Cpu | None = Field(default=None, description='Cores, for example 4, "1.5" or 500m.')
    memory: Bytes | None = Field(default=None, description="Bytes with a unit, for example 8G or 512Mi.")

    def as_quantities(self) -> dict[str, str]:
        """What is set, as Kubernetes writes it: ``{"cpu": "500m", "memory": "1Gi"}``."""
        amounts = {"cpu": self.cpu, "memory": self.memory}
        return {name: amount for name, amount in amounts.items() if amount is not None}


def _no_more_than(resource: str, text: str) -> Rule:
    """Requests within limits. ``text`` is CEL that makes a text of {}: an int-or-string needs it, and for a text it
    would lose the length, without which the API server reckons the worst and refuses the rule."""
    requested, limit = text.format(f"self.requests.{resource}"), text.format(f"self.limits.{resource}")
    return Rule(
        cel=f"!has(self.requests) || !has(self.limits)"
        f" || !has(self.requests.{resource}) || !has(self.limits.{resource})"
        f" || !isQuantity({requested}) || !isQuantity({limit})"
        f" || quantity({requested}).compareTo(quantity({limit})) <= 0",
        message=f"must not be more than spec.resources.limits.{resource}",
        message_cel=f"{requested} + ' is more than spec.resources.limits.{resource}, ' + {limit}",
        field_path=f".requests.{resource}",
        holds=lambda resources: _is_within(resources.requests, resources.limits, resource),
    )


def _is_within(requests: ResourceAmounts | None, limits: ResourceAmounts | None, resource: str) -> bool:
    asked, most = (amounts.as_quantities().get(resource) if amounts else None for amounts in (requests, limits))
    return asked is None or most is None or parse_quantity(asked) <= parse_quantity(most)


class Resources(Model):
    """What the media container asks for and may use, instead of the tier's."""

    rules: ClassVar = (_no_more_than("cpu", "string({})"), _no_more_than("memory", "{}"))

    requests: ResourceAmounts | None = Field(default=None, description="What the node must have free for the media.")
    limits: ResourceAmounts | None = Field(default=None, description="What the media may use at most.")


class CommunityLimits(Model):
    """What each Community of the instance may have at most. Lowered, it takes nothing away from who is served."""

    users: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Enabled users of a Community, inline and from files. Beyond it they are not served; the "
        "Community says so. Default: no limit but the tier.",
    )
    links: int | None = Field(
        default=None,
        ge=1,
        le=MAX_LINKS,
        description="TVoxLinks that name a Community. One more is not accepted. Default: no limit but the instance's.",
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


class TolerationOperator(StrEnum):
    """How a toleration matches a taint's value."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A toleration as in a pod's spec."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            message="operator Exists matches any value; remove value",
            field_path=".value",
            holds=lambda t: t.operator is not TolerationOperator.EXISTS or t.value is None,
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without a key (any taint), operator must be Exists",
            field_path=".operator",
            holds=lambda t: t.key is not None or t.operator is TolerationOperator.EXISTS,
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            field_path=".tolerationSeconds",
            holds=lambda t: t.toleration_seconds is None or t.effect is TaintEffect.NO_EXECUTE,
        ),
    )

    key: str | None = Field(
        default=None, min_length=1, max_length=317, description="Key of the taint. Without it: any taint."
    )
    operator: TolerationOperator | None = Field(
        default=None, description="Exists: the key is enough. Equal (as when unset): the value must match too."
    )
    value: str | None = Field(default=None, max_length=63, description="Value of the taint.")
    effect: TaintEffect | None = Field(default=None, description="Effect of the taint. Without it: any effect.")
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        description="How long the pod may stay on a node with a NoExecute taint, in seconds. Without it: for ever.",
    )


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
    tls: Tls = Field(
        default=Tls(),
        description="Certificate of the domain, and of every link's domain that has none of its own (a wildcard, or "
        "one with all names). Default: no certificate, plain HTTP only.",
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
        description="So many users and TVoxLinks for each Community at most, so that no customer takes what the others "
        "need.",
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


class LinkCounts(Model):
    """TVoxLinks of the instance."""

    accepted: int = Field(default=0, ge=0, description="TVoxLinks that are served.")
    up: int = Field(default=0, ge=0, description="TVoxLinks whose tunnel is up. Absent while the link agent is silent.")
    rejected: int = Field(default=0, ge=0, description="TVoxLinks that are not accepted; each says why.")
    capacity: int = Field(default=MAX_LINKS, ge=0, description="Slots: TVoxLinks that can be served.")
    left: int = Field(default=0, ge=0, description="TVoxLinks that still fit.")


class UserCounts(Model):
    """Users of the instance."""

    served: int = Field(default=0, ge=0, description="Enabled users of all Communities that are served.")
    capacity: int = Field(default=0, ge=0, description="Users that the tier carries.")
    left: int = Field(default=0, ge=0, description="Users that still fit.")


class BandwidthStatus(Model):
    """The site's Internet band."""

    total: Bandwidth | None = Field(default=None, description="Bits per second, declared or the tier's.")
    connections: int = Field(default=0, ge=0, description="Connections that fit into it, at 60 KB/s each.")


class MCSInstanceStatus(Status):
    """What the operator observed."""

    links: LinkCounts | None = Field(default=None, description="TVoxLinks of the instance.")
    users: UserCounts | None = Field(default=None, description="Users of all Communities.")
    bandwidth: BandwidthStatus | None = Field(default=None, description="What the site's Internet band carries.")
    service_state: ObservedServiceState | None = Field(
        default=None,
        description="Whether the appliance takes new sessions. Draining: no new ones, and open ones go on. Not set "
        "where nobody confirms it; condition InService says why.",
    )
    node: str | None = Field(default=None, max_length=253, description="Node that the media pod runs on.")
    pod_uid: str | None = Field(
        default=None,
        alias="podUID",
        max_length=64,
        description="UID of the media pod: as long as it stays the same, nothing restarted it.",
    )
    image: str | None = Field(default=None, max_length=512, description="Media image that runs, by digest if known.")
    disruptions: tuple[DisruptionStatus, ...] = Field(
        default=(),
        max_length=8,
        description="What is to interrupt customers and waits, see spec.disruptions; empty where nothing is.",
        json_schema_extra=dict(list_map("cause")),
    )
    interruptions: tuple[InterruptionStatus, ...] = Field(
        default=(),
        max_length=10,
        description="The last ten interruptions that the operator made, the newest first. What happened by itself, "
        "such as a node that died, is not among them.",
        json_schema_extra=dict(LIST_ATOMIC),
    )


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
