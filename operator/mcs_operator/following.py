"""What goes on beside a reconciliation, and brings it back: the agent is polled, public names are looked up, and other
namespaces are told what this one owns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcs_operator.domain.faults import told
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.networks import Network
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.preflight import names_to_ask
from mcs_operator.domain.restored import with_newest_identities
from mcs_operator.domain.world import World
from mcs_operator.kube.agents import Agents, endpoint_of
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.lookups import Lookups
from mcs_operator.kube.names import Names
from mcs_operator.kube.observe import known_world
from mcs_operator.pki import Ends, believed, ends

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Following:
    """Of all namespaces. ``ends``: when certificates end, by namespace, for the metrics."""

    agents: Agents
    lookups: Lookups
    names: Names
    ends: dict[str, Ends] = field(default_factory=dict)

    async def known(self, world: World, networks: Callable[[], Iterable[Network]]) -> World:
        """The world with what was found out beside it."""
        namespace = world.namespace
        lookups, elsewhere = self.lookups.known(namespace), await self.names.elsewhere(namespace)
        return replace(world, lookups=lookups, elsewhere=elsewhere, networks=tuple(networks()))

    def follow(self, world: World, plan: Plan, keys: Keys) -> None:
        """From now on what this plan is about."""
        namespace = world.namespace
        self._note_ends(namespace, plan, keys)
        self.names.tell(namespace)
        self.agents.follow(namespace, endpoint_of(world, plan, keys))
        self.lookups.follow(namespace, world.pod.uid if world.pod and world.report else "", names_to_ask(plan))

    def _note_ends(self, namespace: str, plan: Plan, keys: Keys) -> None:
        """A certificate of which no date can be read is no reason to leave a link without its revocation."""
        self.ends.pop(namespace, None)
        try:
            found = ends(plan, keys)
        except Exception as error:
            log.warning("%s: the ends of its certificates are not known: %s", namespace, told(error))
            return
        if found:
            self.ends[namespace] = found


def names_of(store: Store, clock: Callable[[], datetime]) -> Names:
    """The public names of all namespaces, as the reconciler judges who is served."""
    return Names(store, lambda namespace: with_newest_identities(believed(known_world(store, namespace, clock()))))
