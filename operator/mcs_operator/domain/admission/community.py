"""What a Community is refused for, or warned of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter

from mcs_operator.api import Community
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.admission import missing
from mcs_operator.domain.admission.known import (
    Cluster,
    Finding,
    at,
    community_limit,
    counted_users,
    domain_taken,
    nearly_full,
    refuse,
    users_of,
)
from mcs_operator.domain.rules import messages, portals
from mcs_operator.domain.rules.tiers import TIERS


def check(cluster: Cluster, namespace: str, new: Community, old: Community | None, _: datetime) -> Iterator[Finding]:
    """What is wrong with the new one, or what a change costs."""
    name = new.spec.instance_ref.name
    if old is not None and old.spec.instance_ref.name != name:
        using = sum(1 for body in cluster.links(namespace) if at(body, "spec", "communityRef", "name") == new.name)
        if using:
            yield refuse(messages.community_in_use(name, old.spec.instance_ref.name, using))
    if (domain := new.spec.portal_domain) and (old is None or old.spec.portal_domain != domain):
        yield from domain_taken(cluster, Kind.COMMUNITY, namespace, new.name, domain, portals.FIELD)
    yield from map(Finding, portals.advice(old, new))
    yield from missing.certificate(cluster, namespace, new, old)
    yield from missing.users_files(cluster, namespace, new, old)
    yield from missing.passwords(cluster, namespace, new, old)
    instance = cluster.find(Kind.INSTANCE, namespace, name)
    if instance is None:
        yield Finding(
            f"spec.instanceRef.name: no MCSInstance {name!r} in namespace {namespace} yet; the Community waits for it"
        )
        return
    added = _enabled(new) - (_enabled(old) if old else 0)
    tier = str(at(instance, "spec", "tier"))
    if tier not in TIERS:
        return  # stored by another schema than ours: the reconciler tells
    capacity = TIERS[tier].users
    total = users_of(cluster, namespace, name) + added
    if added > 0 and total > capacity:
        yield refuse(messages.users_beyond_tier(tier, capacity, _enabled(new), total))
    else:
        yield from nearly_full(instance, attrgetter("users"), total - added, total)
    limit, known = community_limit(instance, "users"), cluster.find(Kind.COMMUNITY, namespace, new.name)
    own = (counted_users(known) if known else 0) + added
    if limit is not None and added > 0 and own > limit:
        yield refuse(messages.users_beyond_limit(limit, _enabled(new), own))


def _enabled(community: Community) -> int:
    return sum(user.enabled for user in community.spec.users) if community.spec.enabled else 0
