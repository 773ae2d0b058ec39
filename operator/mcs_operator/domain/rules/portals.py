"""Which Community has its portal, and who has a name first: a portal's name is one of the cluster's public names.

A Community has no identity that outlives it, as a link has: its age counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
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


def advice(before: Community | None, after: Community) -> Iterator[str]:
    """What of a change about a portal may not be meant, or is felt by people who log in there: for whoever makes it."""
    was, spec = before.spec if before else None, after.spec
    if was and was.portal_domain and was.portal_domain != spec.portal_domain:
        instead = f"at {spec.portal_domain} from now on" if spec.portal_domain else "nowhere any more"
        yield f"{FIELD}: people log in {instead}; nobody gets in at {was.portal_domain} any more"
    asked = (spec.portal_domain, spec.authentication, spec.tls)
    if was and asked == (was.portal_domain, was.authentication, was.tls):
        return
    if spec.portal_domain and not spec.authentication.passwords_from:
        yield (
            f"{FIELD}: nobody can log in at {spec.portal_domain} yet; name a Secret in "
            "spec.authentication.passwordsFrom, which `kubectl mcs password` makes"
        )
    if spec.portal_domain is None and (spec.authentication.passwords_from or spec.tls.secret_ref):
        yield f"{FIELD}: is not set, and without it spec.authentication and spec.tls are of no use; set it"
