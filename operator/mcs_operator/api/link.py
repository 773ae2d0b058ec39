"""TVoxLink: one customer's TVox, its FQDN and its VPN tunnel."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from mcs_operator.api.base import AGE, Column, KubernetesObject, Model, Reference, Rule, Status, Tls, condition_column
from mcs_operator.api.fields import Fqdn, IPv4, IPv4Network
from mcs_operator.api.impact import LIST_SET, Impact, impact
from mcs_operator.api.service import ObservedServiceState, ServiceState
from mcs_operator.api.wording import AtMost
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER
from mcs_operator.timestamps import Timestamp

HOT, THIS_LINK, NEW_PROFILE = Impact.HOT, Impact.THIS_LINK, Impact.NEW_PROFILE

_NUMBER = r"[.]([2-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[01])$"


class Protocol(StrEnum):
    """Transport of the tunnel."""

    UDP = "UDP"
    TCP = "TCP"


class TVoxLinkSpec(Model):
    """What the user declares."""

    rules: ClassVar = (
        Rule(
            cel="self.instanceRef.name == oldSelf.instanceRef.name",
            message="immutable, the TVox's profile is for that instance; delete the link, and create "
            "it for the other instance",
            message_cel="'immutable, the TVox\\'s profile is for instance '"
            " + oldSelf.instanceRef.name + '; delete the link, and create it for the other instance'",
            field_path=".instanceRef",
        ),
        Rule(
            cel=f"!has(self.vpnAddress) || self.vpnAddress.matches('{_NUMBER}')",
            message="must end in .2 to .251 (.1 is MCS itself)",
            message_cel="self.vpnAddress + ' must end in .2 to .251 (.1 is MCS itself)'",
            field_path=".vpnAddress",
            holds=lambda spec: spec.vpn_address is None or bool(re.search(_NUMBER, spec.vpn_address)),
        ),
    )

    instance_ref: Reference = Field(
        description="The MCSInstance that the TVox dials into.",
        json_schema_extra=impact(NEW_PROFILE, immutable="always"),
    )
    community_ref: Reference = Field(
        description="The Community whose users this TVox serves.", json_schema_extra=impact(HOT)
    )
    domain: Fqdn = Field(
        description="The customer's FQDN, a CNAME of the instance's domain, for example acme.mcs.example.com; unique "
        "in the cluster. Browsers and apps of this customer use it.",
        json_schema_extra=impact(HOT),
    )
    enabled: bool = Field(
        default=True,
        description="Whether the tunnel runs. false stops it, and keeps number, address, keys and profile: the TVox "
        "goes on dialling, and connects when it is true again.",
        json_schema_extra=impact(THIS_LINK),
    )
    service_state: ServiceState = Field(
        default=ServiceState.IN_SERVICE,
        description="Whether the appliance takes new sessions of this customer. OutOfService: it refuses them and lets "
        "open ones end; the tunnel stays up. `enabled: false` stops the tunnel, and with it what is open.",
        json_schema_extra=impact(HOT),
    )
    protocol: Protocol = Field(
        default=Protocol.UDP,
        description="Transport of the tunnel. TCP is slower, for sites whose firewall lets no UDP out. The TVox's "
        "profile names it.",
        json_schema_extra=impact(NEW_PROFILE),
    )
    vpn_address: IPv4 | None = Field(
        default=None,
        description="The VPN address that this link must have, for example 198.18.254.17: granted, or refused with "
        "AddressTaken, never another one. Its last octet (2 to 251) is the link's number, and decides the port. "
        "Default: a free one.",
        # It is in the profile, by its port. But who has an address keeps it, also where another one is stored for him:
        # a change that is accepted gives a first address, or names the one that there is, and interrupts nobody.
        json_schema_extra=impact(HOT, immutable="once allocated"),
    )
    allowed_sources: Annotated[tuple[IPv4Network, ...], AtMost(64)] = Field(
        default=(),
        description="Public networks that the TVox may dial in from, for example 203.0.113.7/32. Others are dropped "
        "before OpenVPN sees them. Default: any.",
        json_schema_extra=impact(THIS_LINK, LIST_SET),
    )
    tls: Tls = Field(
        default=Tls(),
        description="Certificate of this link's domain. Default: the instance's.",
        json_schema_extra=impact(HOT),
    )


class Tunnel(Model):
    """The VPN tunnel, as OpenVPN itself tells. Bytes and round-trip times are metrics."""

    since: Timestamp | None = Field(default=None, description="Since when the tunnel is up, or down.")
    peer: str | None = Field(
        default=None,
        max_length=64,
        description="Public address and port that the TVox dials in from; while the tunnel is down, the last ones.",
    )
    flaps: int | None = Field(default=None, ge=0, description="How often the tunnel was lost while this pod lives.")
    client_version: str | None = Field(
        default=None, max_length=64, description="OpenVPN version of the TVox; while the tunnel is down, the last one."
    )


class TVoxLinkStatus(Status):
    """What the operator observed."""

    slot: int | None = Field(
        default=None,
        ge=FIRST_NUMBER,
        le=LAST_NUMBER,
        description="The link's number: slot in the pod, last octet of the address, and port minus spec.vpn.basePort.",
    )
    vpn_address: str | None = Field(default=None, max_length=15, description="VPN address of the TVox.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Public port that the TVox dials.")
    profile_secret: str | None = Field(
        default=None,
        max_length=253,
        description="Secret with the OpenVPN profile for the TVox, key `<link>.ovpn`, ready to upload.",
    )
    service_state: ObservedServiceState | None = Field(
        default=None,
        description="Whether the appliance takes new sessions of this customer; whether it takes any at all, the "
        "MCSInstance says. Draining: no new ones, and open ones go on. Not set where nobody confirms it; condition "
        "InService says why.",
    )
    tunnel: Tunnel | None = Field(default=None, description="The VPN tunnel.")


class TVoxLink(KubernetesObject):
    """One customer's TVox: its FQDN, and the VPN tunnel that it dials into the MCS.

    At most 250 per instance. Its number names it everywhere: slot, last octet of the VPN address, port. It keeps it for
    life. Adding, changing or deleting a link never restarts the media pod and never costs another customer a packet.
    """

    kind = "TVoxLink"
    plural = "tvoxlinks"
    short_names = ("tvl",)
    status_model = TVoxLinkStatus
    columns = (
        # What a person has to look at fits into 80 columns; a line that breaks is read by nobody.
        Column("Slot", ".status.slot", "The link's number", type="integer"),
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Ready", "reason"),
        condition_column("Stalled", "Stalled"),
        condition_column("Tunnel", "Connected", "reason"),
        Column("Since", ".status.tunnel.since", "Time since the tunnel came up, or went down", type="date"),
        AGE,
        Column("Domain", ".spec.domain", "The customer's FQDN", wide=True),
        Column("Address", ".status.vpnAddress", "VPN address of the TVox", wide=True),
        Column("Port", ".status.port", "Public port that the TVox dials", type="integer", wide=True),
        condition_column("Connected", "Connected", wide=True),
        Column("Instance", ".spec.instanceRef.name", "MCSInstance that the TVox dials into", wide=True),
        Column("Community", ".spec.communityRef.name", "Community of its users", wide=True),
        Column("Service", ".status.serviceState", "Whether new sessions of this customer are taken", wide=True),
        Column("Peer", ".status.tunnel.peer", "Public address that the TVox dials in from", wide=True),
        Column("Profile", ".status.profileSecret", "Secret with the OpenVPN profile", wide=True),
        condition_column("Rotation", "RotationPending", wide=True),
        condition_column("Message", "Ready", "message", wide=True),
        condition_column("Tunnel message", "Connected", "message", wide=True),
    )
    rules: ClassVar = (
        Rule(
            cel="!has(self.spec.vpnAddress) || self.spec.vpnAddress == oldSelf.?spec.?vpnAddress.orValue('')"
            " || self.spec.vpnAddress == oldSelf.?status.?vpnAddress.orValue(self.spec.vpnAddress)",
            message="cannot be changed once allocated, it is in the TVox's profile; set it back",
            message_cel="'cannot be changed once allocated, ' + oldSelf.status.vpnAddress"
            " + ' is in the TVox\\'s profile; set it back, or delete the link and create it under another name'",
            field_path=".spec.vpnAddress",
        ),
    )

    spec: TVoxLinkSpec
