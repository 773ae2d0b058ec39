"""The vendor's resource tiers: the only place that knows the table.

Source: the product's requirements (users active at the same time as mobile APPs, WEB clients and Widgets).
"""

from __future__ import annotations

from dataclasses import dataclass

KILOBYTES_PER_SECOND_PER_CONNECTION = 60
"""Band of one active connection (APP, UCC WebRTC, Widget), both directions' larger one."""


@dataclass(frozen=True, slots=True)
class TierMachine:
    """One row: what the whole machine of an MCS must have."""

    users: int
    cpu_millicores: int
    memory_bytes: int
    disk_gigabytes: int
    nic_megabits: int
    internet_megabits: int

    @property
    def connections(self) -> int:
        """Active connections that the tier's Internet band carries at 60 KB/s each."""
        return connections_in(self.internet_megabits)


def connections_in(megabits: int) -> int:
    """Active connections that a band of ``megabits`` per second carries."""
    return megabits * 1000 // (KILOBYTES_PER_SECOND_PER_CONNECTION * 8)


def megabits_for(connections: int) -> int:
    """The least band, in whole megabits per second, that carries so many active connections."""
    return -(-connections * KILOBYTES_PER_SECOND_PER_CONNECTION * 8 // 1000)


_GB = 1000**3

TIERS = {
    "UpTo1000": TierMachine(1_000, 4_000, 8 * _GB, 150, 1_000, 100),
    "UpTo10000": TierMachine(10_000, 8_000, 8 * _GB, 150, 1_000, 1_000),
}
