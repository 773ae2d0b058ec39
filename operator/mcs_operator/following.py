"""What goes on beside a reconciliation, and brings it back: the agent is polled, public names are looked up,
certificates are ordered, and other namespaces are told what this one owns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import TlsSecret, World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.issuance import Queue
from mcs_operator.domain.rules.restored import with_newest_identities
from mcs_operator.domain.status.faults import told
from mcs_operator.domain.status.preflight import names_to_ask
from mcs_operator.issuing.issuer import Issuer, Wanted
from mcs_operator.issuing.orders import Orders
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.names import Names
from mcs_operator.kube.observe import known_world
from mcs_operator.media.agents import Agents, endpoint_of
from mcs_operator.media.lookups import Lookups
from mcs_operator.pki import Expiries, believed, expiries

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Following:
    """Of all namespaces. ``expiries``: when certificates expire, by namespace, for the metrics. Without ``orders``
    nothing is ordered."""

    agents: Agents
    lookups: Lookups
    names: Names
    expiries: dict[str, Expiries] = field(default_factory=dict)
    orders: Orders | None = None
    _kept: dict[str, frozenset[str]] = field(default_factory=dict)
    """Names whose certificate was found in its Secret, of the run that goes on."""

    async def known(self, world: World, networks: Callable[[], Iterable[Network]]) -> World:
        """The world with what was found out beside it."""
        namespace = world.namespace
        lookups, elsewhere = self.lookups.known(namespace), await self.names.elsewhere(namespace)
        idle_since = self.agents.idle_since(namespace, world.now)
        world = replace(world, lookups=lookups, elsewhere=elsewhere, networks=tuple(networks()), idle_since=idle_since)
        return self._with_orders(world)

    def follow(self, world: World, plan: Plan, keys: Keys, queue: Queue) -> None:
        """From now on what this plan is about."""
        namespace = world.namespace
        self._note_expiries(namespace, plan, keys)
        self.names.tell(namespace)
        self.agents.follow(namespace, endpoint_of(world, plan, keys))
        self.lookups.follow(namespace, world.pod.uid if world.pod and world.report else "", names_to_ask(plan))
        self._order(world, plan, keys, queue)

    def _with_orders(self, world: World) -> World:
        """What was issued and is not in its Secret yet is served as if it were: where a quota is full, that Secret
        cannot be written for long."""
        if self.orders is None:
            return world
        found = self.orders.known(world.namespace)
        chains = {name: secret.chain for name, secret in world.tls_secrets.items()}
        new = {d: issued for d, issued in found.issued.items() if chains.get(issued.secret) != issued.pair.cert_pem}
        self._kept[world.namespace] = frozenset(found.issued.keys() - new.keys())
        served = {i.secret: TlsSecret(i.secret, i.pair.cert_pem, i.pair.key_pem, domain=d) for d, i in new.items()}
        return replace(world, orders=replace(found, issued=new), tls_secrets={**world.tls_secrets, **served})

    def _order(self, world: World, plan: Plan, keys: Keys, queue: Queue) -> None:
        """From now on the certificates that may be ordered; the others are told why not."""
        if self.orders is None:
            return
        there = self._kept.pop(world.namespace, frozenset())
        acme = plan.instance.spec.tls.acme if plan.instance else None
        if acme is None or keys.account is None:
            self.orders.follow(world.namespace, None)
            return
        binding = acme.external_account_binding
        issuer = Issuer(
            server=acme.server,
            account=keys.account,
            email=acme.email or "",
            ca_pem=acme.ca_pem,
            key_id=binding.key_id if binding else "",
            key_secret=binding.key_secret_ref.name if binding else "",
        )
        per_week, issued = acme.certificates_per_week, keys.serving.issued
        wanted = Wanted(issuer, queue.ready, queue.attempts, per_week, issued)
        self.orders.follow(world.namespace, wanted, there)

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
