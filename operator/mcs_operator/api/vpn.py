"""The OpenVPN side of an instance: slots in the pod, their ports and addresses, and who signs."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcs_operator.api.base import Model, Reference, Rule
from mcs_operator.api.fields import DevicePath, ResourceName, SlashTwentyFour
from mcs_operator.api.impact import MAP_ATOMIC, Impact, impact
from mcs_operator.api.schema import RULES_KEY, as_validation
from mcs_operator.settings import LAST_NUMBER, MAX_LINKS

NEW_PROFILE, RESTART = Impact.NEW_PROFILE, Impact.RESTART

_LAST_PORT = 65535 - LAST_NUMBER


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
