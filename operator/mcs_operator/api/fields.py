"""Field types shared by the three kinds: patterns, lengths, canonical forms.

Patterns are read by two engines, Rust's (pydantic) and Go's RE2 (the API server): no look-around, no back-references.
Every text has a maximum length: the API server prices CEL rules by the longest possible value and refuses a CRD whose
rules could cost too much. Every pattern has a sentence beside it (`Says`): nobody reads a regular expression.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from mcs_operator.api.quantity import parse_quantity
from mcs_operator.api.wording import Says, domain_hint, name_hint

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"

ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$"),
    Says("object_name", "must be the name of an object: lower case letters, digits and -, such as acme", name_hint),
]
"""Name of another object in the same namespace (an RFC 1123 subdomain)."""

Fqdn = Annotated[
    str,
    StringConstraints(min_length=4, max_length=253, pattern=rf"^({_LABEL}\.)+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?$"),
    Says("fqdn", "must be a full domain name in lower case, such as acme.mcs.example.com", domain_hint),
]
"""A fully qualified domain name: lower case, two labels or more, no final dot, no wildcard."""

IPv4 = Annotated[
    str,
    StringConstraints(min_length=7, max_length=15, pattern=rf"^({_OCTET}\.){{3}}{_OCTET}$"),
    Says("ipv4", "must be an IPv4 address, four numbers of 0 to 255, such as 203.0.113.10"),
]
"""Dotted quad without leading zeros."""

IPv4Network = Annotated[
    str,
    StringConstraints(max_length=18, pattern=rf"^({_OCTET}\.){{3}}{_OCTET}/(3[0-2]|[12][0-9]|[0-9])$"),
    Says("ipv4_network", "must be an IPv4 network, such as 203.0.113.0/24, or 203.0.113.7/32 for one address"),
]
"""IPv4 network in CIDR notation; one address is a /32."""

SlashTwentyFour = Annotated[
    str,
    StringConstraints(max_length=16, pattern=rf"^({_OCTET}\.){{3}}0/24$"),
    Says("slash_24", "must be an IPv4 network of 256 addresses, such as 198.18.254.0/24: it ends with .0/24"),
]
"""IPv4 network of exactly 256 addresses: a link's number is the last octet."""

_INVISIBLE = r"\x00-\x1f\x7f-\x{9f}\x{61c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}"
"""Control characters, and those that turn the direction of a text: with them a name reads as another one."""

DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=rf"^[^{_INVISIBLE}]+$"),
    Says(
        "display_name",
        "must be 1 to 128 characters on one line, without control characters and without those that turn the direction "
        "of writing",
    ),
]
"""Free text for people on one line."""

ImageReference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$"),
    Says("image", "must be a container image with a version, such as registry.example.com/mcs:1.4.2"),
]
"""A container image as the kubelet understands it."""

Bandwidth = Annotated[
    str,
    StringConstraints(max_length=7, pattern=r"^[1-9][0-9]{0,5}[MG]$"),
    Says("bandwidth", "must be bits per second with M or G, such as 500M or 1G"),
]
"""Bits per second: 100M is 100 Mb/s, 1G is 1,000 Mb/s (as in the kubernetes.io/ingress-bandwidth annotation)."""

DURATION_PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
Duration = Annotated[
    str,
    StringConstraints(min_length=2, max_length=24, pattern=DURATION_PATTERN),
    Says("duration", "must be hours, minutes and seconds, such as 720h or 1h30m; a day is 24h"),
]
"""Hours, minutes, seconds: 720h, 1h30m, 0s. A day is 24h."""

DevicePath = Annotated[
    str,
    StringConstraints(max_length=256, pattern=r"^/[A-Za-z0-9._/-]+$"),
    Says("device_path", "must be a path on the node, such as /dev/net/tun"),
]
"""Path of a device on the node."""

ResourceName = Annotated[
    str,
    StringConstraints(
        max_length=317,
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ),
    Says("resource_name", "must be an extended resource of the node, such as example.com/tun"),
]
"""An extended resource that a device plugin offers."""

LabelValue = Annotated[
    str,
    StringConstraints(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"),
    Says("label_value", "must be a label's value: at most 63 letters, digits and - _ . such as media-1"),
]
"""Value of a label."""


def seconds(duration: str) -> int:
    """Length of a Duration in seconds: 1h30m is 5400."""
    unit = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * unit[letter] for number, letter in re.findall(r"([0-9]+)([hms])", duration))


def megabits(bandwidth: str) -> int:
    """A Bandwidth in Mb/s: 1G is 1000."""
    return int(bandwidth[:-1]) * {"M": 1, "G": 1000}[bandwidth[-1]]


# ---- Quantities. One amount has one spelling after parsing: `1` for `1000m`, `1Gi` for `1024Mi`. The restart hash is
# made of it, and a customer's calls must not end because somebody wrote the same amount in another way.

_BINARY = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_DECIMAL = {"k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_UNITS = _BINARY | _DECIMAL

_BELOW_ONE = r"0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9])"
"""0.001 to 0.999. Nothing is 0: to the kubelet, a limit of 0 means none at all."""
_CPU_PATTERN = rf"^([1-9][0-9]{{0,4}}(\.[0-9]{{1,3}})?|{_BELOW_ONE}|[1-9][0-9]{{0,7}}m)$"
_BYTES_PATTERN = rf"^([1-9][0-9]{{0,7}}|[1-9][0-9]{{0,4}}\.[0-9]{{1,3}}|{_BELOW_ONE})(Ki|Mi|Gi|Ti|k|M|G|T)$"


def _text_of_number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def canonical_cpu(text: str) -> str:
    """Shortest spelling of an amount of CPU: ``2`` for ``2000m`` and ``2.0``, ``1500m`` for ``1.5``."""
    millicores = int(text[:-1]) if text.endswith("m") else int(Decimal(text) * 1000)
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


def canonical_bytes(text: str) -> str:
    """Shortest spelling of an amount of bytes, binary units first: ``1Gi`` for ``1024Mi``, ``8G`` for ``8000M``."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount of bytes such as 8Gi")
    amount = int(Decimal(match[1]) * _UNITS[match[2]])
    spellings = [f"{amount // size}{unit}" for unit, size in _UNITS.items() if amount and amount % size == 0]
    return min(spellings, key=len, default=str(amount))


def bytes_of(text: str) -> int:
    """A Bytes in bytes: 1Gi is 1073741824."""
    return int(parse_quantity(text))


Cpu = Annotated[
    str,
    BeforeValidator(_text_of_number),
    StringConstraints(max_length=9, pattern=_CPU_PATTERN),
    AfterValidator(canonical_cpu),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 9,
            "pattern": _CPU_PATTERN,
        }
    ),
    Says("cpu", 'must be cores above 0, such as 4, "1.5" or 500m'),
]
"""Cores: 2, "1.5", 500m. A bare integer is taken too, because everybody writes ``cpu: 2``."""

Bytes = Annotated[
    str,
    StringConstraints(max_length=11, pattern=_BYTES_PATTERN),
    AfterValidator(canonical_bytes),
    Says("bytes", "must be bytes with a unit, such as 8Gi, 512Mi or 150G"),
]
"""Bytes with a unit: 8Gi, 150G, 512Mi. Without a unit it is refused: a bare number is nearly always a mistake."""
