"""The operator's own tasks, from start to stop: connect, list, watch, lead, reconcile."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from mcs_operator.domain.admission import Answer, Request, review, unwatched
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.pod.prediction import NO_SIZE, Resizing
from mcs_operator.following import names_of
from mcs_operator.handlers import metrics
from mcs_operator.handlers.probes import Probes
from mcs_operator.handlers.queue import Queue
from mcs_operator.handlers.registration import Registration
from mcs_operator.handlers.route import Route
from mcs_operator.handlers.scraping import Scraping
from mcs_operator.handlers.webhook import Webhook
from mcs_operator.issuing.issuer import Client, Issuer
from mcs_operator.issuing.orders import Orders
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.cache.watch import Watcher
from mcs_operator.kube.client import Api
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.known import ASKING, Known, absent_of
from mcs_operator.kube.lease import Leader
from mcs_operator.kube.mackey import read_mac_key
from mcs_operator.kube.networks import Networks
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import Resource
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.pki.serving import check_certificate
from mcs_operator.reconcile import Reconciler
from mcs_operator.resolver import Resolver
from mcs_operator.settings import LEASE, Settings
from mcs_operator.tasks import Supervisor
from mcs_operator.telemetry import exposed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """How the webhook is served: on ``port`` (0: not), with the certificate in ``folder``; ``issue``: which the leader
    issues and registers, where nobody else (cert-manager) does. ``client_ca``: a file with the CA of whoever may ask.
    """

    port: int
    folder: Path
    issue: bool
    client_ca: Path | None = None


GARBAGE = (100_000, 20, 20)
"""Python's collector of cycles looks at every object there is, over and over while the store grows: half of the CPU
time of a start with 25,000 links. What the store holds has no cycles, so it is looked at rarely, and what the first
list brought never again."""
GARBAGE_OF_CHANGES = (20_000, 10, 10)
"""From then on. Kopf leaves cycles behind at each event, 127 objects and 22 KB with the event's body in them: as rarely
as before, that would be 17 MB at a time, and what outlives one look would wait for 160,000 changes. The objects of a
reconciliation of 250 links are fewer, and go by themselves."""

_NODES_SECONDS = 30.0
"""For which the first decision waits for the cordoned nodes. An API server that fails at this one list must keep the
operator from no namespace."""

NO_ADMISSION = Admission(0, Path(), issue=False)


class Service:
    """One operator process. ``failed`` is set when it cannot go on; the process then ends and is started anew."""

    def __init__(
        self,
        settings: Settings,
        health_port: int = 0,
        admission: Admission = NO_ADMISSION,
        metrics_port: int = 0,
    ) -> None:
        self.store = Store(wake=self._wake, wake_low_priority=self._wake_low_priority)
        self._tasks = Supervisor()
        self.failed = self._tasks.failed
        self._settings = settings
        self._leads = False
        self._queue: Queue | None = None
        self._watcher: Watcher | None = None
        self._networks: Networks | None = None
        self._open = AsyncExitStack()
        self._admission = admission
        self._known = Known(self.store, names_of(self.store, _now), self._known_networks, self._known_resizing)
        self._asking = asyncio.Semaphore(ASKING)
        self._route: Route | None = None
        self._webhook = Webhook(
            admission.port,
            admission.folder,
            self._review,
            lambda: not self._unready(),
            lambda: self._route.path if self._route else "",
            admission.client_ca,
        )
        self._reconciler: Reconciler | None = None
        self._probes = Probes(health_port, healthy=self._sick, ready=self._unready)
        self._scraping = Scraping(metrics_port, admission.folder, self._expose)

    async def start(self) -> None:
        """Connect and begin. Nothing is decided before everything was listed and the Lease is ours."""
        try:
            await self._start()
        except BaseException:
            log.error("the operator could not start")
            await self.stop()
            raise

    async def _start(self) -> None:
        gc.set_threshold(*GARBAGE)
        await self._probes.start()
        self._open.push_async_callback(self._probes.stop)
        self._api = await Api.connect()
        self._open.push_async_callback(self._api.close)
        leader = await self._candidate() if self._settings.namespace else None
        agents = Agents(wake=self._wake)
        self._open.push_async_callback(agents.close)
        lookups = Lookups(agents.resolve, Resolver().resolve, wake=self._wake)
        self._open.push_async_callback(lookups.close)
        orders = self._orders()
        self._open.push_async_callback(orders.close)
        reporter = Reporter(self._api, self.store, Recorder(self._api, self._settings.identity))
        self._reconciler = Reconciler(
            self._api, self.store, agents, lookups, reporter, self._settings, clock=_now, orders=orders
        )
        self._queue = Queue(self._reconciler, self._reconciler.writes.__getitem__)
        self._open.push_async_callback(self._queue.close)
        self._watcher = Watcher(self._api, self.store, self._settings.namespaces, on_list=self._wake_all)
        self._networks = Networks(self._api, on_change=self._wake_all)
        self._reconciler.networks = self._known_networks
        self._tasks.begin(self._networks.run(), "networks")
        self._tasks.begin(self._reconciler.discovery.run(), "discovery")
        self._tasks.begin(self._reconciler.nodes.run(), "nodes")
        self._tasks.begin(self._watcher.run(), "watches")
        self._tasks.begin(self._scraping.run(), "metrics")
        if self._admission.port:
            self._route = Route(self._api, lambda: self._leads)
            self._tasks.begin(self._route.run(), "webhook's path")
        self._tasks.begin(self._webhook.run(), "webhook")
        if leader is None:
            log.info("not in a pod: leading without a Lease")
        self._tasks.begin(leader.run(self._lead) if leader else self._lead(), "leader")

    def _orders(self) -> Orders:
        """The library is loaded with the first order: most operators never have one."""

        def make(issuer: Issuer, mac_key: str) -> Client:
            from mcs_operator.issuing.client import AcmeClient  # noqa: PLC0415 - see above

            return AcmeClient(issuer, mac_key, may_go=self._api.may_write, loopback=not self._settings.namespace)

        def check(pair: KeyPair, domain: str, now: datetime) -> str:
            return check_certificate(pair.cert_pem, pair.key_pem, domain, now)

        return Orders(make, partial(read_mac_key, self._api), check, self._wake, _now)

    async def _candidate(self) -> Leader:
        """Who asks for the Lease, on connections of his own, and without whose say nothing is written."""
        api = await self._api.beside()
        self._open.push_async_callback(api.close)
        leader = Leader(api, self._settings.namespace, LEASE, self._settings.identity)
        self._open.push_async_callback(leader.release)
        self._api.may_write = leader.may_act
        return leader

    async def stop(self) -> None:
        """End all tasks and connections, the last begun first, and let another replica lead. However far the start
        has come: what failed there must not be hidden by what fails here."""
        await self._tasks.end()
        try:
            await self._open.aclose()
        except Exception:
            log.exception("not everything could be ended in good order")

    async def _lead(self) -> None:
        self._leads = True
        if self._watcher and self._queue and self._reconciler:
            await self._watcher.ready.wait()
            try:
                await asyncio.wait_for(self._reconciler.nodes.listed.wait(), _NODES_SECONDS)
            except TimeoutError:
                log.warning("the operator begins without knowing which nodes are cordoned")
            gc.freeze()
            gc.set_threshold(*GARBAGE_OF_CHANGES)
            log.info("the world is listed: %d namespaces", len(self.store.namespaces()))
            self._wake_all()
            self._queue.open()
        try:
            if self._admission.issue:
                await Registration(self._api, self._settings.namespace, _now).run()
            await asyncio.Event().wait()
        finally:  # another one may lead in a moment, and this process takes longer to end
            self._leads = False
            if self._queue:
                await self._queue.close()
            if self._reconciler:
                if self._reconciler.orders:
                    await self._reconciler.orders.close()
                self._reconciler.expiries.clear()
                self._reconciler.failures.clear()

    def take_event(self, resource: Resource, event: Mapping[str, Any]) -> None:
        """Take in what Kopf tells of one of our objects; of what it lists, it tells without a type."""
        self.store.take_event(resource, event["type"], event["object"])
        if event["type"] is None and self._watcher:
            self._watcher.note_gap()

    async def _review(self, request: Request, may_ask: bool) -> Answer:
        """Beside what is known, whether what is named just now is there, where no watch tells."""
        wanted = unwatched(request) if may_ask else frozenset()
        absent = await absent_of(self._api, request.namespace, wanted, self._asking)
        return review(request, replace(self._known, absent=absent), _now())

    def _sick(self) -> str:
        return "a task has ended" if self.failed.is_set() else ""

    def _unready(self) -> str:
        listed = self._watcher is not None and self._watcher.ready.is_set()
        return self._sick() or ("" if listed else "the world is not listed yet")

    def _expose(self) -> Iterator[str]:
        queue, reconciler = self._queue, self._reconciler
        text = exposed(metrics.LEADER, [((), self._leads)])
        if queue and reconciler:
            text += exposed(metrics.DEPTH, [((), queue.depth)])
            text += exposed(metrics.UNSETTLED, [((), len(reconciler.unsettled))])
            text += exposed(metrics.FAILED, [((), len(reconciler.failures))])
            text += queue.outcomes.text() + queue.seconds.text()
            text += reconciler.api.requests.text() + reconciler.api.seconds.text()
            text += reconciler.orders.outcomes.text() if reconciler.orders else ""
        yield text
        if self._leads and reconciler:
            yield from metrics.instances(self.store, reconciler.expiries)

    def _known_networks(self) -> tuple[Network, ...]:
        return self._networks.known if self._networks else ()

    def _known_resizing(self) -> Resizing:
        return self._reconciler.discovery.resizing if self._reconciler else NO_SIZE

    def _wake(self, namespace: str, *, low_priority: bool = False) -> None:
        """Not in a replica that stands by, which would remember each namespace there ever was. Who begins to lead
        wakes all."""
        if self._queue and self._leads:
            self._queue.enqueue(namespace, low_priority=low_priority)

    def _wake_low_priority(self, namespace: str) -> None:
        self._wake(namespace, low_priority=True)

    def _wake_all(self) -> None:
        for namespace in self.store.namespaces():
            self._wake(namespace)


def _now() -> datetime:
    return datetime.now(UTC)
