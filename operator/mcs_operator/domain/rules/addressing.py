"""One number names a link everywhere: slot, last octet of the VPN address, port, container, device, Secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER, MAX_LINKS, link_name


def address_of(number: int, cidr: str) -> str:
    """VPN address of a number in a /24: 17 in 198.18.254.0/24 is 198.18.254.17. Number 1 is MCS itself."""
    return f"{cidr.rsplit('.', 1)[0]}.{number}"


def number_of(address: str, cidr: str) -> int | None:
    """Number of a VPN address, or None where it is not one of the 250 (another network, .0, .1, above .251)."""
    network, _, last = address.rpartition(".")
    if network != cidr.rsplit(".", 1)[0] or not last.isdigit():
        return None
    number = int(last)
    return number if FIRST_NUMBER <= number <= LAST_NUMBER else None


def common_name(number: int, instance: str) -> str:
    """The name in both certificates of a link, its server's and its TVox's; for its whole life."""
    return f"{link_name(number)}.{instance}"


def agent_name(instance: str, namespace: str) -> str:
    """The name in the link agent's certificate, which the operator asks for whatever the pod's address is."""
    return f"{instance}-agent.{namespace}.mcs"


def last_number(slots: int) -> int:
    """The highest number for which a pod with so many slots has one."""
    return FIRST_NUMBER + slots - 1


def free_numbers(used: Iterable[int], released: Mapping[int, datetime], slots: int = MAX_LINKS) -> list[int]:
    """Numbers in the order in which they are given away: the never used ones, then the longest released. None without
    a slot: it would serve nobody, and its profile would dial a port at which nobody listens.

    ``used`` are held by a link or by a Secret of unknown owner; ``released`` belong to identities that are still
    kept for a link that may come back. Giving one of those up costs that customer a new profile, hence late.
    """
    taken = set(used)
    free = (n for n in range(FIRST_NUMBER, last_number(slots) + 1) if n not in taken)
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(free, key=lambda n: (n in released, released.get(n, never), n))
