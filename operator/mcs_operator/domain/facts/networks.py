"""Networks that ``spec.vpn.cidr`` must not meet: a route to a customer there would take somebody else's away. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

MOST = 10_000
"""Networks of a cluster that are looked at: those of as many nodes."""


@dataclass(frozen=True, slots=True)
class Network:
    """An IPv4 network, and what it is, in words."""

    cidr: str
    what: str


NEVER = (
    Network("0.0.0.0/8", "unspecified addresses"),
    Network("127.0.0.0/8", "loopback addresses"),
    Network("169.254.0.0/16", "link-local addresses"),
    Network("224.0.0.0/4", "multicast addresses"),
    Network("240.0.0.0/4", "reserved addresses"),
)
"""Not anywhere."""


def met_by(cidr: str, known: Iterable[Network] = ()) -> Network | None:
    """Which of these networks, or of those that are never to be used, the network meets; None where it meets none."""
    mine = parsed(cidr)
    if mine is None:
        return None
    return next((other for other in (*NEVER, *known) if (there := parsed(other.cidr)) and mine.overlaps(there)), None)


def parsed(cidr: object) -> IPv4Network | None:
    """An IPv4 network, or one address; None for anything else, such as a network of IPv6."""
    if not isinstance(cidr, str) or len(cidr) > len("255.255.255.255/32"):
        return None
    try:
        return IPv4Network(cidr, strict=False)
    except ValueError:
        return None
