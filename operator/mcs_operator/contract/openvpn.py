"""Where one TVox dials, read back from the texts that OpenVPN reads. Pure; never raises."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER

_BEGINNING = 8192
"""Characters; what is looked for is in the first lines."""
_PROFILE_ADDRESS = re.compile(
    r"^# TVox MCS: VPN profile of link \d+, (\d{1,3}\.\d{1,3}\.\d{1,3})\.(\d{1,3})\.", re.ASCII
)
_REMOTE = re.compile(r"^remote ([a-z0-9.-]{1,253}) (\d{1,5})$", re.ASCII | re.MULTILINE)
_PORT = re.compile(r"^port (\d{1,5})$", re.ASCII | re.MULTILINE)
_IFCONFIG = re.compile(r"^ifconfig \S{7,15} (\d{1,3}\.\d{1,3}\.\d{1,3})\.(\d{1,3})$", re.ASCII | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Where:
    """``domain`` and ``cidr`` are empty where the text does not tell them."""

    base_port: int
    cidr: str = ""
    domain: str = ""


def where_of_profile(text: str, number: int) -> Where | None:
    """Of a profile, an ``.ovpn``; None where it does not tell a port."""
    remote = _REMOTE.search(text, 0, _BEGINNING)
    if remote is None:
        return None
    return _where(remote[2], _PROFILE_ADDRESS.search(text, 0, _BEGINNING), remote[1], number)


def where_of_slot(text: str, number: int) -> Where | None:
    """Of a slot's ``server.conf``; None where it does not tell a port."""
    port = _PORT.search(text, 0, _BEGINNING)
    return _where(port[1], _IFCONFIG.search(text, 0, _BEGINNING), "", number) if port else None


def _where(port: str, address: re.Match[str] | None, domain: str, number: int) -> Where | None:
    base = int(port) - number
    if not (FIRST_NUMBER <= number <= LAST_NUMBER and 1024 <= base <= 65535 - LAST_NUMBER):
        return None
    octets = address[1].split(".") if address and int(address[2]) == number else []
    told = octets and all(int(octet) <= 255 and str(int(octet)) == octet for octet in octets)
    return Where(base, f"{'.'.join(octets)}.0/24" if told else "", domain)
