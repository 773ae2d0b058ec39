"""Orders in virtual time: what is begun and when, what a failure costs others, and what ends them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.keys import AcmeAccount, KeyPair
from mcs_operator.domain.facts.orders import Attempt, Issuable
from mcs_operator.issuing.issuer import Issuer, IssuerError, RefusedError, Wanted
from mcs_operator.issuing.orders import AT_ONCE, IN_ALL, LONGEST_ORDER, MOST_NOTED, MOST_UNKEPT, Orders, in_a_thread
from support.virtual_time import VirtualTime
from support.worlds import NOW

ISSUER = Issuer("https://acme.example.com/directory", AcmeAccount("KEY", "thumb"))
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
T = TypeVar("T")


async def inline(work: Callable[[str], T], domain: str) -> T:
    """Done at once: real threads know no virtual time."""
    return work(domain)


@dataclass
class Server:
    """A server of certificates: what was asked of it and when, and how it answers."""

    answers: dict[str, list[Exception]] = field(default_factory=dict)
    down: str = ""
    asked: list[tuple[float, str]] = field(default_factory=list)
    suggests: timedelta | Exception | None = None
    """When it would have a certificate renewed, from now; or it says nothing, or what is no answer."""
    questions: list[tuple[float, str]] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    made: list[tuple[Issuer, str]] = field(default_factory=list)
    stopped: int = 0
    mac: str = "mac"
    wrong: str = ""
    orders: Orders = field(init=False)

    def __post_init__(self) -> None:
        self.orders = Orders(self.make, self.read, self.check, self.woken.append, self.now, inline)

    @staticmethod
    def now() -> datetime:
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    def make(self, issuer: Issuer, mac: str) -> Server:
        self.made.append((issuer, mac))
        return self

    async def read(self, namespace: str, secret: str) -> str:
        if not self.mac:
            raise IssuerError(f"Secret {secret!r} does not exist")
        return self.mac

    def check(self, pair: KeyPair, domain: str, now: datetime) -> str:
        return self.wrong

    def order(self, domain: str) -> KeyPair:
        self.asked.append((asyncio.get_running_loop().time(), domain))
        if self.down:
            raise IssuerError(self.down)
        if left := self.answers.get(domain):
            raise left.pop(0)
        return KeyPair(f"certificate {len(self.asked)} of {domain}", "key")

    def renewal(self, chain: str) -> tuple[datetime | None, datetime]:
        self.questions.append((asyncio.get_running_loop().time(), chain))
        if isinstance(self.suggests, Exception):
            raise self.suggests
        return self.suggests and self.now() + self.suggests, self.now() + timedelta(hours=8)

    def stop(self) -> None:
        self.stopped += 1


def name(domain: str, **dates: Any) -> Issuable:
    return Issuable(Kind.LINK, domain, domain, f"demo-acme-{domain}", **dates)


def wanted(*domains: str, **more: Any) -> Wanted:
    return Wanted(ISSUER, tuple(map(name, domains)), **more)


def told(story: Callable[[Server], Coroutine[Any, Any, None]]) -> Server:
    """The story in virtual time."""

    async def run() -> Server:
        server = Server()
        await story(server)
        await server.orders.close()
        return server

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        return runner.run(run())


def kept(server: Server, *domains: str, **more: Any) -> None:
    """The namespace was reconciled: what was issued is in its Secrets."""
    known = server.orders.known("demo").issued
    now = server.now()
    there = {d: replace(name(d), begins=now, expires=now + timedelta(days=90), chain=f"of {d}") for d in known}
    server.orders.follow("demo", Wanted(ISSUER, tuple(there.get(d, name(d)) for d in domains), **more), known)


def test_what_is_due_is_ordered_and_handed_over_and_ordered_no_more() -> None:
    async def story(server: Server) -> None:
        server.orders.follow("demo", wanted("a.example.com", "b.example.com"))
        await asyncio.sleep(1)
        known = server.orders.known("demo")
        assert set(known.issued) == {"a.example.com", "b.example.com"}
        assert known.issued["a.example.com"].secret == "demo-acme-a.example.com"
        assert (known.issuer, known.tried, known.failed) == ("", {"a.example.com", "b.example.com"}, {})
        await asyncio.sleep(30 * DAY)  # its Secret cannot be written: nothing is ordered twice for that
        kept(server, "a.example.com", "b.example.com")
        assert server.orders.known("demo").issued == {}
        await asyncio.sleep(50 * DAY)

    server = told(story)
    assert [domain for _, domain in server.asked] == ["a.example.com", "b.example.com"]
    assert server.woken == ["demo"] * 2
    assert len(server.made) == 1


def test_it_is_renewed_at_two_thirds_of_its_life() -> None:
    async def story(server: Server) -> None:
        server.orders.follow("demo", wanted("a.example.com"))
        await asyncio.sleep(1)
        kept(server, "a.example.com")
        await asyncio.sleep(70 * DAY)

    (_, _), (again, _) = told(story).asked
    assert 60 * DAY <= again <= 63.1 * DAY


async def issued_and_kept(server: Server, *domains: str) -> None:
    server.orders.follow("demo", wanted(*domains))
    await asyncio.sleep(1)
    kept(server, *domains)


def test_a_server_that_wants_a_renewal_now_gets_an_order_a_day_for_each_name_and_no_more() -> None:
    async def story(server: Server) -> None:
        server.suggests = timedelta(days=-1)
        await issued_and_kept(server, "a.example.com")
        for _ in range(10 * 24):
            await asyncio.sleep(HOUR)
            if server.orders.known("demo").issued:
                kept(server, "a.example.com")

    server = told(story)
    assert len(server.asked) in (10, 11)
    assert all(DAY <= later - earlier <= DAY + 2 * HOUR for (earlier, _), (later, _) in pairwise(server.asked))


def test_a_renewal_that_the_server_brings_forward_is_ordered_then() -> None:
    async def story(server: Server) -> None:
        server.suggests = timedelta(hours=5)
        await issued_and_kept(server, "a.example.com")
        await asyncio.sleep(2 * DAY)

    server = told(story)
    (_, _), (again, _) = server.asked
    assert DAY + 5 * HOUR <= again <= DAY + 6 * HOUR + MINUTE
    assert server.questions[0][1] == "of a.example.com"


@pytest.mark.parametrize("suggests", [None, timedelta(days=80), ValueError("no JSON"), IssuerError("it is down")])
def test_what_a_server_says_of_renewals_or_does_not_say_puts_none_off_and_is_told_nobody(
    suggests: timedelta | Exception | None,
) -> None:
    async def story(server: Server) -> None:
        server.suggests = suggests
        await issued_and_kept(server, "a.example.com")
        woken = len(server.woken)
        await asyncio.sleep(59 * DAY)
        assert len(server.woken) == woken
        known = server.orders.known("demo")
        assert (known.issuer, known.failed) == ("", {})
        await asyncio.sleep(11 * DAY)

    server = told(story)
    assert len(server.asked) == 2
    assert all(6 * HOUR - 1 <= later - earlier <= DAY + HOUR for (earlier, _), (later, _) in pairwise(server.questions))


def test_a_server_that_does_not_answer_is_asked_about_one_certificate_an_hour() -> None:
    async def story(server: Server) -> None:
        server.suggests = TimeoutError()
        await issued_and_kept(server, *(f"c{n:02d}.example.com" for n in range(20)))
        await asyncio.sleep(5 * DAY)

    asked = [at for at, _ in told(story).questions]
    assert len(asked) > 50
    assert all(later - earlier >= HOUR - 1 for earlier, later in pairwise(asked))


def test_the_questions_about_250_names_are_asked_one_by_one_and_new_names_come_first() -> None:
    async def story(server: Server) -> None:
        domains = [f"c{n:03d}.example.com" for n in range(250)]
        at = server.now() - timedelta(days=30)
        there = [replace(name(d), begins=at, expires=at + timedelta(days=90), chain=f"of {d}") for d in domains]
        server.orders.follow("demo", Wanted(ISSUER, tuple(there)))
        await asyncio.sleep(HOUR / 2)
        server.orders.follow("demo", Wanted(ISSUER, (*there, name("new.example.com"))))
        await asyncio.sleep(HOUR)

    server = told(story)
    assert sorted(chain for _, chain in server.questions) == [f"of c{n:03d}.example.com" for n in range(250)]
    assert server.asked == [(HOUR / 2, "new.example.com")]
    assert max(Counter(int(at / MINUTE) for at, _ in server.questions).values()) < 20


def test_one_bad_name_delays_nobody_and_comes_ever_later() -> None:
    async def story(server: Server) -> None:
        server.answers["bad.example.com"] = [RefusedError(f"dns: {n}") for n in range(100)]
        server.orders.follow("demo", wanted("bad.example.com", *(f"c{n}.example.com" for n in range(30))))
        await asyncio.sleep(1)
        assert len(server.orders.known("demo").issued) == 30
        assert server.orders.known("demo").failed["bad.example.com"].problem == "dns: 0"
        kept(server, "bad.example.com", *(f"c{n}.example.com" for n in range(30)))
        await asyncio.sleep(7 * DAY)

    times = [at for at, domain in told(story).asked if domain == "bad.example.com"]
    gaps = [later - before for before, later in pairwise(times)]
    assert len(times) < 18
    assert gaps == sorted(gaps) or max(gaps) <= 1.1 * DAY
    assert gaps[0] >= 10 * MINUTE


def test_a_server_that_does_not_answer_is_asked_ever_less_and_counts_against_no_name() -> None:
    async def story(server: Server) -> None:
        server.down = "connection refused"
        server.orders.follow("demo", wanted(*(f"c{n}.example.com" for n in range(20))))
        await asyncio.sleep(DAY)
        known = server.orders.known("demo")
        assert (known.issuer, known.failed, known.tried) == ("connection refused", {}, frozenset())
        assert len(server.asked) <= 32 * AT_ONCE
        server.down = ""
        await asyncio.sleep(1.1 * HOUR)
        assert len(server.orders.known("demo").issued) == 20

    server = told(story)
    assert server.woken.count("demo") == 21, "a silence that goes on is told once"


@dataclass
class Slow:
    """Orders that take their time, by namespace, which is in each name; as a thread, each ends by itself alone."""

    seconds: Mapping[str, float]
    running: list[str] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)

    async def aside(self, work: Callable[[str], KeyPair], domain: str) -> KeyPair:
        return await asyncio.shield(asyncio.ensure_future(self._thread(work, domain)))

    async def _thread(self, work: Callable[[str], KeyPair], domain: str) -> KeyPair:
        namespace = domain.split(".")[1]
        self.running.append(namespace)
        counts = Counter(self.running)
        self.most["all"] = max(self.most.get("all", 0), counts.total())
        self.most[namespace] = max(self.most.get(namespace, 0), counts[namespace])
        try:
            await asyncio.sleep(self.seconds[namespace])
        finally:
            self.running.remove(namespace)
        return work(domain)

    def follow(self, server: Server, namespace: str, count: int) -> None:
        if server.orders._aside != self.aside:
            server.orders = Orders(server.make, server.read, server.check, server.woken.append, server.now, self.aside)
        server.orders.follow(namespace, wanted(*(f"c{n}.{namespace}.example.com" for n in range(count))))


def test_a_few_orders_are_under_way_at_once() -> None:
    slow = Slow(dict.fromkeys(("one", "two", "three", "four", "five"), 100.0))

    async def story(server: Server) -> None:
        for namespace in slow.seconds:
            slow.follow(server, namespace, 8)
        await asyncio.sleep(1000)

    server = told(story)
    assert slow.most.pop("all") == IN_ALL
    assert max(slow.most.values()) == AT_ONCE
    first = {domain.split(".")[1] for _, domain in server.asked[: 2 * IN_ALL]}
    assert first == set(slow.seconds), "nobody with many names keeps others waiting"
    assert len(server.asked) == 40


def test_a_slow_server_of_one_namespace_keeps_no_other_waiting() -> None:
    slow = Slow({"one": 180.0, "two": 180.0, "mine": 1.0})

    async def story(server: Server) -> None:
        for namespace in ("one", "two"):
            slow.follow(server, namespace, 250)
        await asyncio.sleep(60)
        slow.follow(server, "mine", 40)
        await asyncio.sleep(22)
        assert len(server.orders.known("mine").issued) == 40

    told(story)


def test_who_names_a_server_and_takes_it_away_again_and_again_has_no_more_threads_than_others() -> None:
    slow = Slow({"one": LONGEST_ORDER - 1, "mine": 1.0})

    async def story(server: Server) -> None:
        for _ in range(100):
            slow.follow(server, "one", 250)
            await asyncio.sleep(1)
            server.orders.follow("one", None)
        slow.follow(server, "mine", 4)
        await asyncio.sleep(3)
        assert len(server.orders.known("mine").issued) == 4
        slow.follow(server, "one", 4)
        await asyncio.sleep(3 * LONGEST_ORDER)
        assert len(server.orders.known("one").issued) == 4, "once those of before have ended"

    told(story)
    assert slow.most["one"] == AT_ONCE


def test_what_the_issuer_of_before_says_last_counts_against_no_name() -> None:
    slow = Slow({"example": 10.0})

    async def story(server: Server) -> None:
        server.answers["a.example"] = [RefusedError("caa: forbidden")]
        server.orders = Orders(server.make, server.read, server.check, server.woken.append, server.now, slow.aside)
        server.orders.follow("demo", wanted("a.example"))
        await asyncio.sleep(5)
        other = replace(ISSUER, server="https://other.example.com/directory")
        server.orders.follow("demo", Wanted(other, (name("a.example"),)))
        await asyncio.sleep(20)
        assert set(server.orders.known("demo").issued) == {"a.example"}

    told(story)


def test_what_failed_before_this_process_is_waited_for() -> None:
    async def story(server: Server) -> None:
        attempt = Attempt(3, NOW + timedelta(hours=5), "dns: no such name")
        server.orders.follow("demo", wanted("a.example.com", attempts={"a.example.com": attempt}))
        await asyncio.sleep(4.9 * HOUR)
        assert server.asked == []
        await asyncio.sleep(0.2 * HOUR)

    assert [round(at / HOUR, 2) for at, _ in told(story).asked] == [5.0]


def test_nothing_is_ordered_once_it_is_not_wanted_any_more_or_another_one_leads() -> None:
    async def story(server: Server) -> None:
        server.answers["a.example.com"] = [RefusedError("dns")] * 9
        server.orders.follow("demo", wanted("a.example.com"))
        await asyncio.sleep(1)
        server.orders.follow("demo", None)
        await asyncio.sleep(DAY)
        assert len(server.asked) == 1
        assert server.orders.known("demo").failed == {}
        server.orders.follow("demo", wanted("a.example.com"))
        await server.orders.close()
        await asyncio.sleep(DAY)

    server = told(story)
    assert len(server.asked) == 1
    assert server.stopped == 1


def test_another_issuer_is_asked_at_once_for_what_the_one_before_refused() -> None:
    async def story(server: Server) -> None:
        server.answers["a.example.com"] = [RefusedError("caa: forbidden")]
        server.orders.follow("demo", wanted("a.example.com"))
        await asyncio.sleep(1)
        other = replace(ISSUER, server="https://other.example.com/directory")
        server.orders.follow("demo", Wanted(other, (name("a.example.com"),)))
        await asyncio.sleep(1)
        assert set(server.orders.known("demo").issued) == {"a.example.com"}

    server = told(story)
    assert [issuer.server for issuer, _ in server.made] == [ISSUER.server, "https://other.example.com/directory"]


def test_the_key_of_an_external_account_is_read_when_it_is_needed_and_told_where_it_is_missing() -> None:
    async def story(server: Server) -> None:
        server.mac = ""
        issuer = replace(ISSUER, key_id="kid", key_secret="eab")
        server.orders.follow("demo", Wanted(issuer, (name("a.example.com"),)))
        await asyncio.sleep(1)
        assert server.orders.known("demo").issuer == "Secret 'eab' does not exist"
        server.mac = "secret"
        await asyncio.sleep(2 * MINUTE)
        assert set(server.orders.known("demo").issued) == {"a.example.com"}

    assert [mac for _, mac in told(story).made] == ["secret"]


def test_what_cannot_be_served_is_not_handed_over_nor_ordered_at_once_again() -> None:
    async def story(server: Server) -> None:
        server.wrong = "the certificate is for b.example.com"
        server.orders.follow("demo", wanted("a.example.com"))
        await asyncio.sleep(5 * MINUTE)
        known = server.orders.known("demo")
        assert known.issued == {}
        assert "is for b.example.com" in known.failed["a.example.com"].problem

    assert len(told(story).asked) == 1


def test_clocks_that_differ_by_months_cost_one_order_an_hour_and_no_more() -> None:
    async def story(server: Server) -> None:
        for _ in range(50):
            known = server.orders.known("demo").issued
            past = server.now() - timedelta(days=80)
            old = replace(name("a.example.com"), begins=past, expires=past + timedelta(days=90))
            server.orders.follow("demo", Wanted(ISSUER, (old,)), known)
            await asyncio.sleep(10 * MINUTE)

    assert len(told(story).asked) <= 9


def test_a_certificate_of_the_first_year_keeps_no_name_from_an_order() -> None:
    async def story(server: Server) -> None:
        ancient = datetime.min.replace(tzinfo=UTC)
        old = replace(name("a.example.com"), begins=ancient, expires=ancient + timedelta(minutes=1))
        server.orders.follow("demo", Wanted(ISSUER, (old, name("b.example.com"))))
        await asyncio.sleep(1)
        assert set(server.orders.known("demo").issued) == {"a.example.com", "b.example.com"}

    told(story)


def test_an_object_that_has_a_new_name_each_minute_has_five_orders_in_a_week() -> None:
    def named(domain: str) -> Issuable:
        return replace(name(domain), name="acme")

    async def story(server: Server) -> None:
        for minute in range(7 * 1440 + 10):
            of_acme = named(f"c{minute}.example.com")
            there = (of_acme, *([name("good.example.com")] if minute >= 30 else []))
            server.orders.follow("demo", Wanted(ISSUER, there), server.orders.known("demo").issued)
            await asyncio.sleep(MINUTE)

    server = told(story)
    asked = [(int(at / MINUTE), domain) for at, domain in server.asked if domain != "good.example.com"]
    assert [at for at, _ in asked] == [*range(5), *range(7 * 1440, 7 * 1440 + 5)]
    assert (30 * MINUTE, "good.example.com") in server.asked


def test_of_objects_that_come_and_go_so_many_are_remembered() -> None:
    async def story(server: Server) -> None:
        for number in range(MOST_NOTED + 10):
            server.orders.follow("demo", wanted(f"c{number}.example.com"), server.orders.known("demo").issued)
            await asyncio.sleep(1)
        assert len(server.orders.known("demo").begun) == MOST_NOTED

    told(story)


def test_so_many_certificates_wait_for_their_secrets_and_no_more() -> None:
    """Where a quota is full, or somebody has taken their names, they are kept in memory alone."""

    async def story(server: Server) -> None:
        for number in range(20):
            of = f"example{number}.com"
            server.orders.follow("demo", wanted(*(f"c{n}.{of}" for n in range(100)), per_week=1000))
            await asyncio.sleep(1)
        assert MOST_UNKEPT <= len(server.orders.known("demo").issued) < MOST_UNKEPT + AT_ONCE
        server.orders.follow("demo", wanted("a.example.com"), list(server.orders.known("demo").issued)[:10])
        await asyncio.sleep(1)
        assert "a.example.com" in server.orders.known("demo").issued

    told(story)


def test_what_nobody_thought_of_costs_one_name_and_not_the_others() -> None:
    async def story(server: Server) -> None:
        server.answers["a.example.com"] = [ZeroDivisionError()]
        server.orders.follow("demo", wanted("a.example.com", "b.example.com"))
        await asyncio.sleep(1)
        known = server.orders.known("demo")
        assert set(known.issued) == {"b.example.com"}
        assert known.failed["a.example.com"].problem == "the operator fails at it: ZeroDivisionError"

    told(story)


@pytest.mark.parametrize("outcome", ["issued", "refused", "failed"])
def test_orders_are_counted_by_how_they_end(outcome: str) -> None:
    async def story(server: Server) -> None:
        server.answers["a.example.com"] = [RefusedError("dns")] if outcome == "refused" else []
        server.down = "silent" if outcome == "failed" else ""
        server.orders.follow("demo", wanted("a.example.com"))
        await asyncio.sleep(1)

    assert f'{{outcome="{outcome}"}} 1' in told(story).orders.outcomes.text()


def test_an_order_in_a_thread_keeps_nobody_waiting_and_is_left_alone_at_the_end() -> None:
    async def story() -> None:
        begun = asyncio.get_running_loop().time()
        task = asyncio.create_task(in_a_thread(lambda _: time.sleep(60) or KeyPair("", ""), "a.example.com"))  # type: ignore[func-returns-value]
        assert await in_a_thread(lambda domain: KeyPair(domain, ""), "b.example.com") == KeyPair("b.example.com", "")
        with pytest.raises(RefusedError):
            await in_a_thread(_refuse, "c.example.com")
        task.cancel()
        assert asyncio.get_running_loop().time() - begun < 5

    def _refuse(domain: str) -> KeyPair:
        raise RefusedError(domain)

    asyncio.run(story())
