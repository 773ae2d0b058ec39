"""Who owns which public name, over all namespaces.

Whoever is served owns his name; a wish owns nothing. So a namespace without an instance, and the links beyond an
instance's 250, keep no name from anybody. Of several who are served, the one with the older identity has it: an
identity is believed only as the reconciler believes it, and it outlives its object, so that whoever is deleted and
created again does not lose his name to somebody who waited for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.plan import Plan
from mcs_operator.kube.cache.namespace import NamespaceCache
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.parse.ours import public_name
from mcs_operator.kube.resources import INSTANCES

log = logging.getLogger(__name__)

WorldOf = Callable[[str], World]
"""What is known of a namespace at this moment, without asking anybody; its identities are those that are believed."""


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """One object's right to its name; the least one wins. ``since``: of its identity, else of the object itself."""

    without_identity: bool
    since: datetime
    namespace: str
    name: str
    kind: Kind


Claims = dict[str, Claim]
"""By domain."""


class Names:
    """The names of all namespaces. What a namespace claims is worked out when somebody asks, and again when anything
    in it has changed."""

    def __init__(self, store: Store, world_of: WorldOf) -> None:
        self._store, self._world_of = store, world_of
        self._known: dict[str, tuple[int, Claims]] = {}
        self._told: dict[str, Claims] = {}

    async def elsewhere(self, namespace: str) -> dict[str, Kind]:
        """Domains of this namespace's objects that an object of another namespace owns; its kind."""
        contested = self._contested(namespace)
        others = {where for places in contested.values() for where in places}
        claims: dict[str, Claims] = {}
        for where in (*others, *([namespace] if contested else ())):
            claims[where] = self._claims(where)
            await asyncio.sleep(0)  # a full namespace takes tens of milliseconds, and somebody may have made many
        found = {}
        for domain, places in contested.items():
            first = min((claims[where][domain] for where in places if domain in claims[where]), default=None)
            mine = claims[namespace].get(domain)
            if first and not (mine and mine < first):
                found[domain] = first.kind
        return found

    def _contested(self, namespace: str) -> dict[str, set[str]]:
        """Domains of this namespace's objects that others have, too, and the namespaces of those."""
        ours = self._store.cache(namespace).ours
        domains = {public_name(resource.kind, body["spec"]) for (resource, _), body in ours.items()}
        return {domain: others for domain in domains if domain and (others := self._others(domain, namespace))}

    def is_owned_elsewhere(self, domain: str, namespace: str, kind: Kind, name: str) -> bool:
        """Whether an object of another namespace is served under this name, and will be when this one is there."""
        claims = (self._claims(where) for where in self._others(domain, namespace))
        first = min((found[domain] for found in claims if domain in found), default=None)
        if first is None:
            return False
        returning = self._returning(namespace, kind, name)
        return returning is None or first < returning

    def tell(self, namespace: str) -> None:
        """Wake those whose names are concerned by what this namespace claims now and did not, or the other way
        round."""
        before = self._told.get(namespace, {})
        shared = self._contested(namespace)
        now = self._claims(namespace) if shared or before else {}
        self._told[namespace] = told = {domain: now[domain] for domain in shared if domain in now}
        if not told:
            del self._told[namespace]
        changed = [domain for domain in {*before, *told} if before.get(domain) != told.get(domain)]
        for where in {where for domain in changed for where in self._others(domain, namespace)}:
            self._store.wake(where)

    def _others(self, domain: str, namespace: str) -> set[str]:
        """Namespaces, other than this one, of objects that have this domain."""
        return {where for _, where, _ in self._store.domains.holders(domain) if where != namespace}

    def _claims(self, namespace: str) -> Claims:
        if not self._has_instance(namespace):
            self._known.pop(namespace, None)
            return {}
        stamp, known = _stamp(self._store.cache(namespace)), self._known.get(namespace)
        if known is None or known[0] != stamp:
            known = self._known[namespace] = stamp, self._worked_out(namespace, known[1] if known else {})
            for gone in [where for where in self._known if not self._has_instance(where)]:  # nobody asks about it
                del self._known[gone]
        return known[1]

    def _has_instance(self, namespace: str) -> bool:
        return any(resource is INSTANCES for resource, _ in self._store.cache(namespace).ours)

    def _returning(self, namespace: str, kind: Kind, name: str) -> Claim | None:
        """What an object will claim by the identities that it left, the moment it is there again; None without any. A
        Community leaves none."""
        if kind is Kind.COMMUNITY:
            return None
        profiles = self._world_of(namespace).profiles.values()
        left = [p.created for p in profiles if name == (p.link if kind is Kind.LINK else p.instance)]
        return Claim(False, min(left), namespace, name, kind) if left else None

    def _worked_out(self, namespace: str, before: Claims) -> Claims:
        """Where that fails, what it claimed before: it is not the failure of whoever asks, and is told there."""
        try:
            world = self._world_of(namespace)
            return dict(reversed(list(_claimed(world, decide(world)))))
        except Exception:
            log.exception("what namespace %s claims could not be worked out", namespace)
            return before


def _claimed(world: World, plan: Plan) -> Iterator[tuple[str, Claim]]:
    """The names of those who have a place, the instance's own first, and of two with one name the first.

    Who may have a name of another namespace is not asked here, or one would have to know everything to know anything.
    """
    instance, where = plan.instance, world.namespace
    if instance is None:
        return
    identities = {p.link: p.created for p in world.profiles.values() if p.instance == instance.name}
    oldest = min(identities.values(), default=None)
    yield instance.spec.domain, _claim(Kind.INSTANCE, where, instance.name, oldest, instance.created)
    for name, domain in plan.portals_served.items():
        created = plan.portals[name].community.created  # a Community is its own identity: nothing else tells its age
        yield domain, _claim(Kind.COMMUNITY, where, name, created, created)
    for link_plan in plan.links:
        link = link_plan.link
        if link_plan.number is not None:
            yield link.spec.domain, _claim(Kind.LINK, where, link.name, identities.get(link.name), link.created)


def _claim(kind: Kind, namespace: str, name: str, identity: datetime | None, created: datetime) -> Claim:
    return Claim(identity is None, identity or created, namespace, name, kind)


def _stamp(cache: NamespaceCache) -> int:
    """Another number whenever anything that decisions look at is another version."""
    ours = tuple((key, body["metadata"]["resourceVersion"]) for key, body in cache.ours.items())
    return hash((ours, tuple((key, child.parsed) for key, child in cache.children.items())))
