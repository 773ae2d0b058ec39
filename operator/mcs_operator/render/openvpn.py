"""Everything OpenVPN reads: a slot's eight files, and the profile that is uploaded to the customer's TVox.

Pure: values in, texts out. All values are checked here again, although admission and validation have seen them:
these texts are read by programs that run as root, so a line break in a name would be a way into the pod.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mcs_operator.contract.slotfiles import SLOT_FILES
from mcs_operator.domain.rules.addressing import address_of
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER, link_name

Protocol = Literal["UDP", "TCP"]

RUN_DIR = "/run/link"
"""Where a slot keeps its management socket; the slot's own directory, mounted there in its container."""
MAX_CLIENTS = 32
"""Handshakes a server process serves at once, see the comment in the template."""
WEB_PORTS = (80, 443)
TURN_PORT = 3478
RTP_RANGE = "10000-20000"
"""UDP ports of the media on a node of its own (HostNetwork); elsewhere everything is muxed on one media port."""
MAX_PINS = 2

_FINGERPRINT = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_COMMON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PEM = re.compile(r"(-----BEGIN ([A-Z0-9 ]+)-----\n([A-Za-z0-9+/=]{1,76}\n)+-----END \2-----\n)+")
_STATIC_KEY = re.compile(
    r"(#[^\n]*\n)*-----BEGIN OpenVPN Static key V1-----\n([0-9a-f]{32}\n){16}-----END OpenVPN Static key V1-----\n"
)

_REMEMBERED = 2048
"""Texts of each kind, of those without a secret: most links are as they were at the last reconciliation."""


@dataclass(frozen=True, slots=True)
class LinkNet:
    """Where a link is: everything follows from its number and the instance's ``vpn.basePort`` and ``vpn.cidr``.

    Raises ValueError for a number outside of 2..251, a network that is not an IPv4 /24, or a port above 65535.
    """

    number: int
    base_port: int = 21000
    cidr: str = "198.18.254.0/24"

    def __post_init__(self) -> None:
        if not FIRST_NUMBER <= self.number <= LAST_NUMBER:
            raise ValueError(f"link number {self.number} is not one of {FIRST_NUMBER}..{LAST_NUMBER}")
        if not _is_slash_24(self.cidr):
            raise ValueError(f"VPN network {self.cidr} is not a /24")
        if not 1 <= self.base_port <= 65535 - LAST_NUMBER:
            raise ValueError(f"base port {self.base_port} leaves no room for {LAST_NUMBER} ports above it")

    @property
    def device(self) -> str:
        """Name of the tun device, the same as the container's: ``link-017``."""
        return link_name(self.number)

    @property
    def port(self) -> int:
        """The link's public port, UDP and TCP."""
        return self.base_port + self.number

    @property
    def address(self) -> str:
        """VPN address of the TVox."""
        return address_of(self.number, self.cidr)

    @property
    def mcs_address(self) -> str:
        """VPN address of the MCS, the same on every link."""
        return address_of(1, self.cidr)


@dataclass(frozen=True, slots=True)
class Server:
    """One link's OpenVPN server. ``pins`` are the SHA-256 fingerprints of its client certificates: one, or two
    during a rotation, ``AA:BB:…``."""

    net: LinkNet
    protocol: Protocol
    pins: Sequence[str]
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class Firewall:
    """What may pass between one TVox and the pod, and who may knock at the link's port.

    ``allowed_sources`` are IPv4 addresses or networks; none means everybody (the keys decide alone). ``limited``: with
    limits on what strangers may ask for; without them it is the text of operators before there were any, to the byte.
    """

    net: LinkNet
    allowed_sources: Sequence[str] = ()
    media_port: int = 10000
    host_network: bool = False
    limited: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM texts of one end of a link: its CA, its certificate and key, and the link's tls-crypt key."""

    ca: str
    cert: str
    key: str = field(repr=False)
    tls_crypt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a TVox needs to dial in. The domain is tried first; the address helps where DNS does not.

    ``server_name``: the common name that the server's certificate must have. Only for a CA that also signs for
    others (one brought by the user); it then must never change, or every profile is void.
    """

    net: LinkNet
    protocol: Protocol
    domain: str
    identity: Identity
    public_address: str | None = None
    server_name: str | None = None


def build_server_conf(server: Server) -> str:
    """The slot's ``server.conf``. Raises ValueError without a pin: OpenVPN would then accept the CA's every client."""
    return _server_conf(server.net, server.protocol, tuple(server.pins), server.host_network)


@lru_cache(_REMEMBERED)
def _server_conf(net: LinkNet, protocol: str, pins: tuple[str, ...], host_network: bool) -> str:
    return _render(
        "server.conf.j2",
        net=net,
        udp=_is_udp(protocol),
        multihome=host_network and _is_udp(protocol),
        max_clients=MAX_CLIENTS,
        run_dir=RUN_DIR,
        fingerprints=_checked_pins(pins),
    )


def build_client_default(net: LinkNet) -> str:
    """The slot's ``DEFAULT``: the address that every client of this link is given, whatever its name."""
    return f"ifconfig-push {net.address} {net.mcs_address}\n"


def build_firewall(firewall: Firewall) -> str:
    """The slot's ``firewall.nft``; the file's own head says how it is loaded and taken away."""
    sources = tuple(map(str, firewall.allowed_sources))
    return _firewall(firewall.net, sources, firewall.media_port, firewall.host_network, firewall.limited)


@lru_cache(_REMEMBERED)
def _firewall(net: LinkNet, sources: tuple[str, ...], media_port: int, host_network: bool, limited: bool) -> str:
    if not 1 <= media_port <= 65535:
        raise ValueError(f"media port {media_port} is not a port")
    media = RTP_RANGE if host_network else str(media_port)
    return _render(
        "firewall.nft.j2",
        net=net,
        chain=net.device.replace("-", "_"),
        tcp_ports=sorted({*WEB_PORTS, TURN_PORT}),
        udp_ports=sorted({str(TURN_PORT), media}, key=len),
        sources=_checked_sources(sources),
        limited=limited,
        max_clients=MAX_CLIENTS,
    )


def build_profile(profile: ClientConfig) -> str:
    """The complete ``.ovpn`` for a TVox: no directive that OpenVPN 2.4 does not know, all files inline."""
    directives = _directives(
        profile.net, profile.protocol, profile.domain, profile.public_address or "", profile.server_name
    )
    files = _checked_identity(profile.identity)
    return directives + "".join(f"<{tag}>\n{text}\n</{tag}>\n" for tag, text in files.items())


@lru_cache(_REMEMBERED)  # all of a profile but its files: a key is remembered nowhere
def _directives(net: LinkNet, protocol: str, domain: str, public_address: str, server_name: str | None) -> str:
    remotes = [_checked_domain(domain)]
    if public_address and public_address != domain:
        remotes.append(_checked_host(public_address))
    if server_name is not None and not _COMMON_NAME.fullmatch(server_name):
        raise ValueError(f"server name {server_name!r} is not a common name that we mint")
    return _render("profile.ovpn.j2", net=net, udp=_is_udp(protocol), remotes=remotes, server_name=server_name)


def slot_files(server: Server, firewall: Firewall, identity: Identity, *, enabled: bool) -> dict[str, str]:
    """The eight files of a slot Secret, ``revision`` excepted. ``identity`` is the server's.

    Raises ValueError for what must not reach a slot: no pin, or two parts that speak of different links.
    """
    if server.net != firewall.net or server.host_network != firewall.host_network:
        raise ValueError(f"server of {server.net.device}, firewall of {firewall.net.device}: not the same link")
    checked = _checked_identity(identity)
    files = {
        "DEFAULT": build_client_default(server.net),
        "ca.crt": checked["ca"] + "\n",
        "enabled": "true" if enabled else "false",
        "firewall.nft": build_firewall(firewall),
        "server.conf": build_server_conf(server),
        "tls-crypt.key": checked["tls-crypt"] + "\n",
        "tls.crt": checked["cert"] + "\n",
        "tls.key": checked["key"] + "\n",
    }
    return {name: files[name] for name in SLOT_FILES}


# --- checks: each returns what may be rendered, or raises ValueError without quoting a key ---


def _is_udp(protocol: str) -> bool:
    if protocol not in ("UDP", "TCP"):
        raise ValueError(f"protocol {protocol!r} is neither UDP nor TCP")
    return protocol == "UDP"


def _checked_pins(pins: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(pins))
    if not unique:
        raise ValueError("no fingerprint is pinned: the server would accept every certificate of its CA")
    if len(unique) > MAX_PINS:
        raise ValueError(f"{len(unique)} fingerprints are pinned, {MAX_PINS} at most (during a rotation)")
    for pin in unique:
        if not _FINGERPRINT.fullmatch(pin):
            raise ValueError(f"{pin!r} is not a SHA-256 fingerprint in the form AA:BB:…")
    return unique


def _checked_sources(sources: Sequence[str]) -> list[str]:
    """IPv4 networks, sorted and without overlaps (nft refuses those in a set); empty when everybody is allowed."""
    try:
        networks = [ipaddress.IPv4Network(source, strict=False) for source in sources]
    except ValueError as error:
        raise ValueError(f"allowed source: {error}") from None
    merged = list(ipaddress.collapse_addresses(networks))
    return [] if any(network.prefixlen == 0 for network in merged) else [str(network) for network in merged]


def _checked_domain(domain: str) -> str:
    if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError(f"{domain!r} is not a domain name")
    return domain


def _checked_host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return _checked_domain(host)


def _checked_identity(identity: Identity) -> dict[str, str]:
    """The texts without their last line break, by the tag that they have in a profile."""
    given = {"ca": identity.ca, "cert": identity.cert, "key": identity.key, "tls-crypt": identity.tls_crypt}
    texts = {name: text.rstrip("\n") for name, text in given.items()}
    for name, text in texts.items():
        pattern = _STATIC_KEY if name == "tls-crypt" else _PEM
        if not pattern.fullmatch(text + "\n"):
            raise ValueError(f"{name} is not in the form that OpenVPN reads")  # never quote it: it may be a key
    return texts


@lru_cache(_REMEMBERED)  # each link of an instance asks, at every reconciliation
def _is_slash_24(cidr: str) -> bool:
    return ipaddress.IPv4Network(cidr).prefixlen == 24


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701 - configuration files, not HTML; every value is checked above
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # the templates are part of the program: no look at their files for each of 750 texts
    )


def _render(template: str, **context: object) -> str:
    return _environment().get_template(template).render(context)
