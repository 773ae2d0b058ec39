"""What was decided: the output of `decide`, the input of minting, rendering and reporting. Frozen data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.contract.shards import ServedCommunity, ServedLink
from mcs_operator.domain.facts.world import Profile
from mcs_operator.domain.rules.dialled import Dialled
from mcs_operator.domain.rules.logins import LoginsPlan
from mcs_operator.domain.rules.pins import Pins
from mcs_operator.domain.rules.portals import PortalPlan
from mcs_operator.domain.rules.users import UsersPlan
from mcs_operator.domain.rules.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What becomes of one TVoxLink.

    ``refusal`` is None where the link is accepted. ``number`` is set where it has a place, which a link that
    already held one keeps even when it is refused for a lost reference (its last good state goes on).
    ``profile_lost``: its slot Secret is there, its profile Secret is not, and only the user may ask for a new one.
    ``pins``: which of its TVox's certificates are accepted, and whether a new one is to be made.
    """

    link: TVoxLink
    refusal: Verdict | None
    number: int | None
    profile_lost: bool = False
    pins: Pins = field(default_factory=Pins)

    @property
    def accepted(self) -> bool:
        """Whether the link is served as declared."""
        return self.refusal is None


@dataclass(frozen=True, slots=True)
class Kept:
    """What the appliance goes on to be told about links and communities that cannot be read: what it was told last."""

    links: tuple[ServedLink, ...] = ()
    communities: tuple[ServedCommunity, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that was decided for one namespace.

    ``instance`` is the one that is served, ``occupants`` others that may not be. ``released`` and ``forgotten``
    are profiles whose link has gone, or was gone for longer than the retention; among the last are those ``given_up``
    before their time, because their number is needed. ``portals`` are those of the accepted communities that declare
    one, by community, ``logins`` the passwords of their users.
    ``untouched`` are names of links that cannot be read: what they have is neither changed nor taken away. ``dialled``:
    what TVoxes were given and the instance declares otherwise; ``instance`` has its port and network. ``due``: when the
    next retention ends.
    """

    instance: MCSInstance | None
    occupants: tuple[MCSInstance, ...] = ()
    identity_lost: bool = False
    links: tuple[LinkPlan, ...] = ()
    communities: Mapping[str, Verdict | None] = field(default_factory=dict)
    users: UsersPlan = field(default_factory=UsersPlan)
    portals: Mapping[str, PortalPlan] = field(default_factory=dict)
    logins: LoginsPlan = field(default_factory=LoginsPlan)
    released: tuple[Profile, ...] = ()
    forgotten: tuple[Profile, ...] = ()
    given_up: tuple[Profile, ...] = ()
    untouched: frozenset[str] = frozenset()
    kept: Kept = Kept()
    dialled: Dialled = field(default_factory=Dialled)
    due: datetime | None = None

    @property
    def served(self) -> tuple[LinkPlan, ...]:
        """Links with a place, in the order of their numbers."""
        return tuple(sorted((p for p in self.links if p.number is not None), key=lambda p: p.number or 0))

    @property
    def portals_served(self) -> Mapping[str, str]:
        """Names of portals that are served, by Community."""
        return {name: portal.domain for name, portal in self.portals.items() if portal.refusal is None}

    def communities_served(self, communities: tuple[Community, ...]) -> tuple[Community, ...]:
        """Communities that were accepted, by name."""
        return tuple(
            sorted((c for c in communities if self.communities.get(c.name, ...) is None), key=lambda c: c.name)
        )
