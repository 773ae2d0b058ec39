"""What goes on beside a reconciliation, and brings it back: the agent is polled, public names are looked up, and other
namespaces are told what this one owns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.restored import with_newest_identities
from mcs_operator.domain.status.faults import told
from mcs_operator.domain.status.preflight import names_to_ask
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.names import Names
from mcs_operator.kube.observe import known_world
from mcs_operator.media.agents import Agents, endpoint_of
from mcs_operator.media.lookups import Lookups
from mcs_operator.pki import Expiries, believed, expiries

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Following:
    """Of all namespaces. ``expiries``: when certificates expire, by namespace, for the metrics."""

    agents: Agents
    lookups: Lookups
    names: Names
    expiries: dict[str, Expiries] = field(default_factory=dict)

    async def known(self, world: World, networks: Callable[[], Iterable[Network]]) -> World:
        """The world with what was found out beside it."""
        namespace = world.namespace
        lookups, elsewhere = self.lookups.known(namespace), await self.names.elsewhere(namespace)
        idle_since = self.agents.idle_since(namespace, world.now)
        return replace(world, lookups=lookups, elsewhere=elsewhere, networks=tuple(networks()), idle_since=idle_since)

    def follow(self, world: World, plan: Plan, keys: Keys) -> None:
        """From now on what this plan is about."""
        namespace = world.namespace
        self._note_expiries(namespace, plan, keys)
        self.names.tell(namespace)
        self.agents.follow(namespace, endpoint_of(world, plan, keys))
        self.lookups.follow(namespace, world.pod.uid if world.pod and world.report else "", names_to_ask(plan))

    def _note_expiries(self, namespace: str, plan: Plan, keys: Keys) -> None:
        """A certificate of which no date can be read is no reason to leave a link without its revocation."""
        self.expiries.pop(namespace, None)
        try:
            found = expiries(plan, keys)
        except Exception as error:
            log.warning("%s: the expiry of its certificates is not known: %s", namespace, told(error))
            return
        if found:
            self.expiries[namespace] = found


def names_of(store: Store, clock: Callable[[], datetime]) -> Names:
    """The public names of all namespaces, as the reconciler judges who is served."""
    return Names(store, lambda namespace: with_newest_identities(believed(known_world(store, namespace, clock()))))
