"""Which Community has its portal, and who has a name first: a portal's name is one of the cluster's public names.

A Community has no identity that outlives it, as a link has: its age counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mcs_operator.api import Community
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.verdict import Verdict

FIELD = "spec.portalDomain"


@dataclass(frozen=True, slots=True)
class PortalPlan:
    """What becomes of the portal of one Community that declares one. ``refusal`` is None where it is served."""

    community: Community
    domain: str
    refusal: Verdict | None = None


def wishes(communities: Iterable[Community]) -> Mapping[str, datetime]:
    """Since when a Community wants each name: a link that is younger does not get it."""
    found: dict[str, datetime] = {}
    for community in communities:
        if domain := community.spec.portal_domain:
            found[domain] = min(found.get(domain, community.created), community.created)
    return found


def portals(communities: Iterable[Community], taken: Collection[str]) -> dict[str, PortalPlan]:
    """The portals of these Communities, by their names, the oldest first; ``taken`` are names that others have."""
    gone, found = set(taken), dict[str, PortalPlan]()
    for community in sorted(communities, key=lambda c: (c.created, c.name)):
        if domain := community.spec.portal_domain:
            refusal = messages.domain_taken(domain, FIELD) if domain in gone else None
            found[community.name] = PortalPlan(community, domain, refusal)
            gone.add(domain)
    return found
