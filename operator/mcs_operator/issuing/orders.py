"""Ordering certificates, beside the reconciliation: a task per namespace, which wakes it when an order has ended.

Nothing is written here: what was issued is handed over, and kept here until it is known to be in its Secret. What
fails is tried again in its own time (`domain.rules.issuance`), and delays nobody: of each namespace a few orders are
under way at once, each in a thread and within bounds, and of all no more than two such namespaces have.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Thread
from typing import Protocol, TypeVar

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.orders import Attempt, Issuable, Issued, Suggestion
from mcs_operator.domain.facts.orders import Orders as Known
from mcs_operator.domain.rules import issuance
from mcs_operator.issuing.issuer import Client, Issuer, IssuerError, RefusedError, Wanted
from mcs_operator.tasks import end_all
from mcs_operator.telemetry import Counter, Metric

log = logging.getLogger(__name__)

AT_ONCE, IN_A_CROWD = 4, 2
"""Orders under way, of one namespace; the second where half of all places are taken. One whose server takes minutes
keeps no other waiting."""
IN_ALL = 8
"""Orders under way, of all namespaces; beyond that they take turns. Each is a thread that competes with the event loop
for the interpreter."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
"""Between two orders from a server that cannot be used: doubled from the first to the longest."""
AGAIN = timedelta(hours=1)
"""Between two orders for a name that succeed: where the clocks differ by months, each would be due again at once."""
LONGEST_ORDER = 300.0
"""Seconds: the client ends before, but for a server that sends the head of an answer a byte at a time."""
LONGEST_SLEEP = 600.0
"""Seconds: the clock of dates may be put right meanwhile, and asyncio's goes on."""
MOST_UNKEPT = 1000
"""Certificates that wait for their Secrets, such as while a quota is full. An instance has fewer names."""
MOST_NOTED = 1000
"""Objects whose new names are remembered. An instance has fewer."""
SLACK = timedelta(minutes=10)
"""By which the server's clock may be ahead of ours."""

ORDERS = Metric(
    "mcs_operator_certificate_orders_total",
    "counter",
    "Certificates ordered by ACME, by how the order ended: issued, refused (for this name), or failed (the server).",
    ("outcome",),
)

MakeClient = Callable[[Issuer, str], Client]
"""Of an issuer and the key of its external account."""
ReadKey = Callable[[str, str], Awaitable[str]]
"""The key in a Secret of a namespace; raises IssuerError where there is none."""
Check = Callable[[KeyPair, str, datetime], str]
"""Why a certificate cannot be served for a name at a time; empty where it can."""
T = TypeVar("T")


class Aside(Protocol):
    """Does a work that blocks, about a name, beside the event loop."""

    def __call__(self, work: Callable[[str], T], domain: str) -> Awaitable[T]: ...


@dataclass(slots=True)
class _Namespace:
    wanted: Wanted
    since: datetime
    client: Client | None = None
    failed: dict[str, Attempt] = field(default_factory=dict)
    issued: dict[str, Issued] = field(default_factory=dict)
    lately: dict[str, datetime] = field(default_factory=dict)
    """When something was issued, for an hour."""
    begun: dict[tuple[Kind, str], dict[str, datetime]] = field(default_factory=dict)
    """New names by their objects, and when an order was begun, for a week."""
    suggested: dict[str, Suggestion] = field(default_factory=dict)
    unasked: datetime | None = None
    """Until when the server is asked nothing about renewals, as it did not answer."""
    tried: set[str] = field(default_factory=set)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    issuer: str | None = None
    failures: int = 0
    due: datetime | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def attempts(self) -> dict[str, Attempt]:
        """What failed: of names that were not tried here, what is told of them."""
        return {domain: a for domain, a in self.wanted.attempts.items() if domain not in self.tried} | self.failed

    def note(self, one: Issuable, now: datetime) -> None:
        """An order begins; that of a new name counts for its object. Objects that come and go are as many as somebody
        likes: those of longest ago are left out."""
        if one.begins is not None:
            return
        known = self.begun.pop((one.kind, one.name), {})
        lately = {domain: at for domain, at in known.items() if at > now - issuance.WEEK}
        self.begun[one.kind, one.name] = lately | {one.domain: now}
        if len(self.begun) > MOST_NOTED:
            del self.begun[next(iter(self.begun))]


Work = Callable[[str, _Namespace, Client, Issuable], Awaitable[None]]


class Orders:
    """All orders by namespace. ``wake`` is called with a namespace in which one has ended."""

    def __init__(
        self,
        make_client: MakeClient,
        read_key: ReadKey,
        check: Check,
        wake: Callable[[str], None],
        clock: Callable[[], datetime],
        aside: Aside | None = None,
    ) -> None:
        self._make_client, self._read_key, self._check = make_client, read_key, check
        self._wake, self._clock = wake, clock
        self._namespaces: dict[str, _Namespace] = {}
        self._places = asyncio.Semaphore(IN_ALL)
        self._threads = Counts[str]()
        self._aside = aside or in_a_thread
        self.outcomes = Counter(ORDERS)

    def known(self, namespace: str) -> Known:
        """What is known by now."""
        here = self._namespaces.get(namespace)
        if here is None:
            return Known()
        tried, begun, suggested = frozenset(here.tried), dict(here.begun), dict(here.suggested)
        return Known(dict(here.failed), dict(here.issued), tried, here.issuer, begun, suggested)

    def follow(self, namespace: str, wanted: Wanted | None, kept: Collection[str] = ()) -> None:
        """Order this from now on, or nothing (None). ``kept``: names whose certificate is in its Secret by now."""
        here = self._namespaces.get(namespace)
        if wanted is None:
            if here is not None:
                self._end(self._namespaces.pop(namespace))
            return
        if here is None:
            here = self._namespaces[namespace] = _Namespace(wanted, self._clock())
        if wanted.issuer != here.wanted.issuer:
            self._forget(here)
        here.wanted = wanted
        for domain in kept:
            here.issued.pop(domain, None)
        names = {one.domain for one in wanted.names}
        for domain in here.tried - names - here.running.keys():
            here.tried.discard(domain)
            here.failed.pop(domain, None)
        here.suggested = {domain: said for domain, said in here.suggested.items() if domain in names}
        here.changed.set()
        if here.task is None:
            here.task = asyncio.create_task(self._run(namespace, here), name=f"certificates of {namespace}")

    async def close(self) -> None:
        """End all orders: nothing more is sent. It may be followed anew."""
        ended = list(self._namespaces.values())
        self._namespaces.clear()
        for here in ended:
            self._end(here)
        await end_all(task for here in ended for task in (here.task, *here.running.values()))

    @staticmethod
    def _end(here: _Namespace) -> None:
        for task in (here.task, *here.running.values()):
            if task is not None:
                task.cancel()
        if here.client is not None:
            here.client.stop()

    @staticmethod
    def _forget(here: _Namespace) -> None:
        """Another issuer: what the one before has refused says nothing of it."""
        if here.client is not None:
            here.client.stop()
        here.client, here.issuer, here.due, here.failures = None, None, None, 0
        here.failed.clear()
        here.begun.clear()
        here.suggested.clear()
        here.unasked = None
        here.tried |= {one.domain for one in here.wanted.names}

    async def _run(self, namespace: str, here: _Namespace) -> None:
        while True:
            here.changed.clear()
            try:
                pause = await self._begin(namespace, here)
            except Exception:  # one namespace's orders, which nobody would notice to have ended
                log.exception("%s: certificates cannot be ordered", namespace)
                pause = LONGEST_SLEEP
            try:
                async with asyncio.timeout(pause):
                    await here.changed.wait()
            except TimeoutError:
                pass

    async def _begin(self, namespace: str, here: _Namespace) -> float:
        """Begin what is due; seconds until there is something to look at again."""
        now = self._clock()
        if here.due is not None and now < here.due:
            return min(LONGEST_SLEEP, (here.due - now).total_seconds())
        dates = self._dates(here, now)
        waiting = {d: due for d, due in dates.items() if d not in here.running and d not in here.issued}
        names = {one.domain: one for one in here.wanted.names}
        for domain in [domain for domain, due in waiting.items() if due <= now]:
            if len(here.running) >= AT_ONCE or self._is_full(namespace) or len(here.issued) >= MOST_UNKEPT:
                return LONGEST_SLEEP  # whoever ends wakes us
            if not await self._connected(namespace, here):
                return FIRST_PAUSE.total_seconds()
            del waiting[domain]
            here.note(names[domain], now)
            self._start(namespace, here, names[domain], self._ordered)
        moments = list(waiting.values())
        if not here.running:
            moments += await self._question(namespace, here, [names[domain] for domain in waiting])
        return max(0.0, min(LONGEST_SLEEP, *((moment - now).total_seconds() for moment in moments), LONGEST_SLEEP))

    def _dates(self, here: _Namespace, now: datetime) -> dict[str, datetime]:
        wanted = here.wanted
        dates = issuance.dates(
            wanted.names, here.attempts, wanted.per_week, now, wanted.issued, here.begun, here.suggested
        )
        here.lately = {domain: at for domain, at in here.lately.items() if now - AGAIN < at <= now}
        return dates | {domain: max(dates[domain], at + AGAIN) for domain, at in here.lately.items() if domain in dates}

    async def _question(self, namespace: str, here: _Namespace, names: Iterable[Issuable]) -> list[datetime]:
        """Ask when the server would have a certificate renewed: about the one whose turn it is, while nothing else is
        under way. When to look again."""
        now = self._clock()
        turns = ((issuance.question(one, here.suggested, here.since, now), one) for one in names)
        at, one = min(((at, one) for at, one in turns if at), key=lambda turn: turn[0], default=(None, None))
        if at is None or one is None or self._is_full(namespace):
            return []  # whoever ends wakes us
        at = max(at, here.unasked or at)
        if at <= now and await self._connected(namespace, here):
            self._start(namespace, here, one, self._asked)
            return []
        return [max(at, now + FIRST_PAUSE)]  # after a failure to connect that is soon enough

    async def _connected(self, namespace: str, here: _Namespace) -> bool:
        if here.client is not None:
            return True
        issuer = here.wanted.issuer
        try:
            key = await self._read_key(namespace, issuer.key_secret) if issuer.key_secret else ""
        except IssuerError as error:
            self._fail(namespace, here, str(error))
            return False
        here.client = self._make_client(issuer, key)
        return True

    def _start(self, namespace: str, here: _Namespace, one: Issuable, work: Work) -> None:
        started = self._in_its_place(namespace, here, here.client, one, work)
        here.running[one.domain] = asyncio.create_task(started, name=f"certificate of {one.domain}")

    async def _in_its_place(
        self, namespace: str, here: _Namespace, client: Client | None, one: Issuable, work: Work
    ) -> None:
        try:
            await self._places.acquire()
            if client is None or client is not here.client or self._is_paused(here) or self._is_full(namespace):
                self._places.release()
                return
            await work(namespace, here, client, one)
        finally:
            here.running.pop(one.domain, None)
            here.changed.set()

    def _is_paused(self, here: _Namespace) -> bool:
        return here.due is not None and self._clock() < here.due

    def _is_full(self, namespace: str) -> bool:
        is_crowded = self._threads.total() >= IN_ALL // 2
        return self._threads[namespace] >= (IN_A_CROWD if is_crowded else AT_ONCE)

    def _begun(self, namespace: str, work: Callable[[str], T], domain: str) -> asyncio.Future[T]:
        """A thread cannot be ended. It has its place until it ends by itself, also where nobody waits for it any more:
        who sets spec.tls.acme and takes it away, again and again, would have thousands otherwise."""
        begun = asyncio.ensure_future(self._aside(work, domain))
        self._threads[namespace] += 1
        begun.add_done_callback(partial(self._ended, namespace))
        return begun

    def _ended(self, namespace: str, work: asyncio.Future[T]) -> None:
        self._places.release()
        self._threads[namespace] -= 1
        if not self._threads[namespace]:
            del self._threads[namespace]
        if not work.cancelled():
            work.exception()  # of one that nobody waits for any more, it is told nobody
        if here := self._namespaces.get(namespace):
            here.changed.set()

    async def _ordered(self, namespace: str, here: _Namespace, client: Client, one: Issuable) -> None:
        issuer, work = here.wanted.issuer, self._begun(namespace, client.order, one.domain)
        domain = one.domain
        try:
            async with asyncio.timeout(LONGEST_ORDER):
                pair = await asyncio.shield(work)
            if wrong := self._check(pair, domain, self._clock() + SLACK):
                raise RefusedError(f"what the server issued cannot be served: {wrong}")
        except IssuerError as error:
            if client is here.client:
                self.outcomes.add("failed")
                self._fail(namespace, here, str(error))
            return
        except RefusedError as error:
            if here.wanted.issuer != issuer:
                return
            self._refuse(here, domain, str(error), error.again)
        except TimeoutError:
            self._refuse(here, domain, f"the order does not end within {LONGEST_ORDER:.0f} s", None)
        except Exception as error:
            log.exception("%s: the order for %s failed", namespace, domain)
            self._refuse(here, domain, f"the operator fails at it: {type(error).__name__}", None)
        else:
            self.outcomes.add("issued")
            log.info("%s: a certificate for %s was issued", namespace, domain)
            here.issued[domain], here.lately[domain] = Issued(one.secret, pair), self._clock()
            here.failed.pop(domain, None)
        here.tried.add(domain)
        here.issuer, here.failures, here.due = "", 0, None
        self._wake(namespace)

    async def _asked(self, namespace: str, here: _Namespace, client: Client, one: Issuable) -> None:
        """What is wrong with an answer is told nobody: without one, two thirds of the certificate's life count."""
        at: datetime | None = None
        again: datetime | None = None
        try:
            async with asyncio.timeout(LONGEST_ORDER):
                work = self._begun(namespace, lambda _: client.renewal(one.chain), one.domain)
                at, again = await asyncio.shield(work)
        except Exception as error:
            # A server that takes its time would have one of the places that all share, for each name anew.
            here.unasked = self._clock() + AGAIN
            log.debug("%s: when to renew the certificate of %s is not known: %r", namespace, one.domain, error)
        if one.begins is None or client is not here.client:
            return
        before, now = here.suggested.get(one.domain), self._clock()
        here.suggested[one.domain] = issuance.suggestion(one.begins, before, at, again, now)
        if at is not None and at <= now:
            log.info("%s: the server would have the certificate of %s renewed now", namespace, one.domain)

    def _refuse(self, here: _Namespace, domain: str, problem: str, again: datetime | None) -> None:
        self.outcomes.add("refused")
        before = here.attempts.get(domain)
        here.failed[domain] = failed = issuance.failed(domain, before, problem, self._clock(), again)
        log.warning("no certificate for %s: %s", domain, failed.problem)

    def _fail(self, namespace: str, here: _Namespace, problem: str) -> None:
        """Of several orders that meet the same silence, the first is told, and counts."""
        if self._is_paused(here):
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(here.failures, 10))
        here.failures += 1
        here.due, here.client = self._clock() + pause, None
        text = issuance.words(problem)
        if text != here.issuer:
            log.warning("%s: certificates cannot be ordered: %s", namespace, text)
            here.issuer = text
            self._wake(namespace)


async def in_a_thread(work: Callable[[str], T], domain: str) -> T:
    """In a thread of its own, which nobody waits for at the end: an order may take minutes, and of the threads that
    everybody shares Python waits for each before a process ends."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[], None]) -> None:
        if not ended.done():  # or nobody wants it any more
            tell()

    def run() -> None:
        try:
            tell = partial(ended.set_result, work(domain))
        except Exception as error:
            tell = partial(ended.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, tell)

    Thread(target=run, name=f"order for {domain}", daemon=True).start()
    return await ended
