"""Which instances, of which tier and with which band, carry so many users, TVoxes and connections. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mcs_operator.domain.rules.tiers import TIERS, TierMachine, connections_in, megabits_for
from mcs_operator.settings import MAX_LINKS

_LARGEST = max(TIERS.values(), key=lambda tier: tier.users)


@dataclass(frozen=True, slots=True)
class Advice:
    """So many equal instances; everything else is of one of them. ``megabits``: of the site's Internet band."""

    instances: int
    tier: str
    users: int
    links: int
    megabits: int

    @property
    def machine(self) -> TierMachine:
        """What its machine must have."""
        return TIERS[self.tier]

    @property
    def connections(self) -> int:
        """How many its band carries at the same time."""
        return connections_in(self.megabits)

    @property
    def spec(self) -> dict[str, str]:
        """What to write into the MCSInstance: the band only where it is not the tier's."""
        band = {"bandwidth": f"{self.megabits}M"} if self.megabits != self.machine.internet_megabits else {}
        return {"tier": self.tier} | band


def advise(users: int, links: int = 0, connections: int = 0) -> Advice:
    """The fewest instances, and the smallest tier, that do.

    ``users`` are those active at the same time, as the vendor's table counts them; ``connections`` are theirs at the
    same time, 0: as many as the tier's band carries.
    """
    instances = max(
        1,
        _parts(users, _LARGEST.users),
        _parts(links, MAX_LINKS),
        _parts(connections, connections_in(_LARGEST.nic_megabits)),
    )
    each = _parts(users, instances)
    name = min((name for name, tier in TIERS.items() if tier.users >= each), key=lambda name: TIERS[name].users)
    band = max(TIERS[name].internet_megabits, megabits_for(_parts(connections, instances)))
    return Advice(instances, name, each, _parts(links, instances), band)


def _parts(amount: int, size: int) -> int:
    """How many parts of this size an amount has, the last one perhaps not full."""
    return -(-amount // size)
