"""What an MCSInstance is refused for, or warned of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from mcs_operator.api import Impact, MCSInstance, NetworkMode
from mcs_operator.api.changes import Change
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.admission import missing
from mcs_operator.domain.admission.known import (
    Cluster,
    Finding,
    at,
    count_of,
    domain_taken,
    name_of,
    reference_of,
    refuse,
    users_of,
)
from mcs_operator.domain.facts.networks import met_by
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.gate import foretold
from mcs_operator.domain.pod.prediction import predicted
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.costs import erased, refused
from mcs_operator.domain.rules.dialled import Dialled, dialled
from mcs_operator.domain.rules.tiers import TIERS
from mcs_operator.domain.rules.windows import problems

_HOSTNAME = "kubernetes.io/hostname"


def check(
    cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None, now: datetime
) -> Iterator[Finding]:
    """What is wrong with the new one, or what a change costs."""
    if old is None and any(name_of(body) != new.name for body in cluster.instances(namespace)):
        yield refuse(messages.namespace_occupied(namespace).message)
    if old is None:
        yield from map(refuse, _dialled(cluster, namespace, new).found)
        if taken := met_by(new.spec.vpn.cidr, cluster.networks()):
            yield refuse(messages.network_taken(new.spec.vpn.cidr, taken.cidr, taken.what).message)
    served = count_of(cluster.links(namespace), new.name)
    if old is None or old.spec.domain != new.spec.domain:
        yield from domain_taken(cluster, Kind.INSTANCE, namespace, new.name, new.spec.domain)
    known = problems(old.spec.disruptions.windows) if old else ()
    yield from (refuse(problem) for problem in problems(new.spec.disruptions.windows) if problem not in known)
    if old is not None:
        if served and old.spec.domain != new.spec.domain:
            yield refuse(messages.domain_in_profiles(new.spec.domain, old.spec.domain, served))
        yield from _lowered(cluster, namespace, new, old)
        yield from map(Finding, (*refused(old, new, f"{served} customers"), *erased(old, new)))
        status = at(cluster.find(Kind.INSTANCE, namespace, new.name), "status")
        yield from _disrupted(predicted(old, new, cluster.resizing(), status), new, served, now)
    yield from missing.certificate(cluster, namespace, new, old)
    yield from missing.authority(cluster, namespace, new, old)
    yield from missing.account(cluster, namespace, new, old)
    yield from missing.external_account(cluster, namespace, new, old)
    yield from missing.solvers(cluster, namespace, new, old)
    yield from missing.pull_secrets(cluster, namespace, new, old)
    yield from _same_node(cluster, namespace, new, old)


def _disrupted(differing: Iterable[Change], new: MCSInstance, served: int, now: datetime) -> Iterator[Finding]:
    """What costs every customer something, and when."""
    differing = [change for change in differing if change.impact in (Impact.RESTART, Impact.MEDIA_RESTART)]
    if not differing:
        return
    if planned := foretold(new, now):
        yield Finding(f"spec.disruptions: {planned}")
    if new.spec.suspend:
        yield Finding(f"spec.suspend: the media pod drains and stops, {served} customers are interrupted")
        return
    for impact, what in (
        (Impact.RESTART, f"the media pod drains and restarts, {served} customers are interrupted"),
        (Impact.MEDIA_RESTART, f"the media drains and restarts: calls of {served} customers end, tunnels stay up"),
    ):
        if fields := [change.path for change in differing if change.impact is impact]:
            yield Finding(f"{', '.join(fields)}: {what}")


def _dialled(cluster: Cluster, namespace: str, new: MCSInstance) -> Dialled:
    """An instance that comes back: what cannot be changed while it exists cannot be changed by its deletion either."""
    known = list(cluster.identities(namespace, new.name))
    alive = {name_of(body) for body in cluster.links(namespace) if reference_of(body) == new.name}
    profiles = [identity for identity in known if isinstance(identity, Profile)]
    slots = [identity for identity in known if isinstance(identity, SlotSecret)]
    # Slots alone may be leftovers of identities that went with their instance (retain.pki).
    return dialled(new, profiles, slots, alive) if profiles else Dialled()


def _lowered(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance) -> Iterator[Finding]:
    capacity, users = TIERS[new.spec.tier].users, users_of(cluster, namespace, new.name)
    if capacity < TIERS[old.spec.tier].users and users > capacity:
        yield refuse(messages.tier_below_users(new.spec.tier, old.spec.tier, capacity, users))
    slots, held = new.spec.vpn.slots, cluster.slots(namespace, new.name)
    if held and slots < old.spec.vpn.slots and (highest := max(held)) > slots + 1:
        yield refuse(messages.slots_below_numbers(slots, highest, new.spec.vpn.cidr))


def _same_node(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Two pods with host ports do not fit one node: both serve web and STUN/TURN at the same ports."""
    moved = old is None or (old.spec.node_selector, old.spec.network) != (new.spec.node_selector, new.spec.network)
    if not moved or new.spec.network.mode is NetworkMode.LOAD_BALANCER:
        return
    mine = dict(new.spec.node_selector)
    perhaps = False
    for body in cluster.instances():
        place = at(body, "metadata", "namespace"), name_of(body)
        theirs = at(body, "spec", "nodeSelector")
        balanced = at(body, "spec", "network", "mode") == NetworkMode.LOAD_BALANCER
        if place == (namespace, new.name) or balanced or not isinstance(theirs, dict) or not theirs:
            continue
        if any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys()):
            continue
        if mine.get(_HOSTNAME) and mine.get(_HOSTNAME) == theirs.get(_HOSTNAME):
            yield refuse(messages.node_taken(_HOSTNAME, mine[_HOSTNAME]))
            return
        perhaps = True
    if perhaps:
        yield Finding(
            "spec.nodeSelector: may choose the same node as another MCSInstance, where only one of them finds its "
            "ports free"
        )
