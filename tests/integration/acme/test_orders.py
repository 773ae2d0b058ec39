"""Orders from a real ACME server, which looks at the real appliance: what is issued, and what each failure costs."""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from acme.client import ClientV2
from cryptography import x509

from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.keys import AcmeAccount, KeyPair
from mcs_operator.domain.facts.orders import Issuable
from mcs_operator.issuing.client import AcmeClient
from mcs_operator.issuing.issuer import Issuer, IssuerError, RefusedError, Wanted
from mcs_operator.issuing.orders import Orders
from mcs_operator.pki.account import thumbprint
from mcs_operator.pki.serving import check_certificate
from support.certificates import key, text_of
from support.pebble import BLOCKED, Pebble, pebble
from support.ports import free_port
from unit.images.appliance_set import link
from unit.images.test_appliance import MountedSet, Running, eventually

pytestmark = pytest.mark.integration

KEY = text_of(key("account"))
NAMES = [f"tvox-{number}.example.com" for number in range(17, 22)]
LOST = "lost.example.com"
"""A name that nobody knows."""


@dataclass
class Ordering:
    """Orders in one namespace, whose clock is ``ahead``; all that was issued is kept at once."""

    server: Pebble
    issuer: Issuer
    names: list[str]
    ahead: timedelta = timedelta()
    certificates: dict[str, KeyPair] = field(default_factory=dict)
    count: int = 0
    orders: Orders = field(init=False)

    def __post_init__(self) -> None:
        self.orders = Orders(partial(AcmeClient, loopback=True), self._no_key, self.check, self.ended, self.now)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def _no_key(self, namespace: str, name: str) -> str:
        raise AssertionError

    def check(self, pair: KeyPair, domain: str, now: datetime) -> str:
        return check_certificate(pair.cert_pem, pair.key_pem, domain, now)

    def ended(self, namespace: str) -> None:
        found = self.orders.known("demo").issued
        self.count += len(found)
        self.certificates |= {domain: issued.pair for domain, issued in found.items()}
        self.follow(found)

    def follow(self, kept: Collection[str] = ()) -> None:
        self.orders.follow("demo", Wanted(self.issuer, tuple(map(self._name, self.names)), per_week=1000), kept)

    def _name(self, domain: str) -> Issuable:
        found = Issuable(Kind.LINK, domain, domain, f"demo-acme-{domain}")
        if domain not in self.certificates:
            return found
        leaf = x509.load_pem_x509_certificates(self.certificates[domain].cert_pem.encode())[0]
        begins, expires = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return replace(found, begins=begins, expires=expires, chain=self.certificates[domain].cert_pem)

    async def until(self, holds: Callable[[], object], within: float = 60) -> None:
        await eventually(holds, within)


@pytest_asyncio.fixture
async def appliance() -> AsyncIterator[Running]:
    """The real appliance with its HAProxy, which answers for the account; none of the names has a certificate."""
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc"):
        (root / name).mkdir()
    running = Running(root, MountedSet(root / "etc"), more={"MCS_SOLVERS_ON_LOOPBACK": "1"})
    running.mounted.links = [link(number) for number in range(17, 22)]
    running.mounted.instance["acmeThumbprint"] = thumbprint(KEY)
    try:
        await running.start()
        await running.take()
        yield running
    finally:
        await running.stop()
        shutil.rmtree(root)


def issuer(server: Pebble, **more: str) -> Issuer:
    return Issuer(server.directory, AcmeAccount(KEY, thumbprint(KEY)), ca_pem=server.ca, **more)


def client(server: Pebble, **more: str) -> AcmeClient:
    return AcmeClient(issuer(server, **more), "", loopback=True)


async def test_a_handful_of_names_gets_certificates_that_browsers_would_take(
    appliance: Running, tmp_path: Path
) -> None:
    with pebble(tmp_path, appliance.http, NAMES) as server:
        ordering = Ordering(server, issuer(server), NAMES)
        ordering.follow()
        try:
            await ordering.until(lambda: len(ordering.certificates) == len(NAMES))
            assert ordering.count == len(NAMES)
            assert all(p.key_pem not in server.log.read_text() for p in ordering.certificates.values())
            assert len({p.key_pem for p in ordering.certificates.values()}) == len(NAMES)
        finally:
            await ordering.orders.close()
    process = await appliance.pid()
    appliance.mounted.certificates = [
        {"domain": domain, "certificate": pair.cert_pem, "key": pair.key_pem}
        for domain, pair in ordering.certificates.items()
    ]
    await appliance.take()
    for domain, pair in ordering.certificates.items():
        shown = await appliance.shown(domain)
        assert shown is not None
        assert pair.cert_pem.replace("\n", "").startswith(shown.replace("\n", ""))
    assert await appliance.pid() == process


async def test_what_the_server_has_revoked_is_renewed_the_next_day_and_nothing_else(
    appliance: Running, tmp_path: Path
) -> None:
    revoked, good = NAMES[:2]
    with pebble(tmp_path, appliance.http, NAMES) as server:
        ordering = Ordering(server, issuer(server), [revoked, good])
        ordering.follow()
        try:
            await ordering.until(lambda: len(ordering.certificates) == 2)
            first = dict(ordering.certificates)
            await asyncio.to_thread(revoke, client(server), first[revoked].cert_pem)
            ordering.ahead = timedelta(hours=26)
            ordering.follow()
            await ordering.until(lambda: ordering.certificates[revoked] != first[revoked])
            await ordering.until(lambda: good in ordering.orders.known("demo").suggested)
            said = ordering.orders.known("demo").suggested[good].at
        finally:
            await ordering.orders.close()
    assert (ordering.count, ordering.certificates[good]) == (3, first[good])
    assert said and said > ordering.now(), "the server says when of the other one, too"


def revoke(acme: AcmeClient, chain: str) -> None:
    """As whoever runs a server does with what it should not have issued; here the account asks for it."""
    network = acme._network(acme.seconds)
    account = acme._known(network)
    network.account = account.registration
    ClientV2(account.directory, network).revoke(x509.load_pem_x509_certificate(chain.encode()), 0)
    network.session.close()


async def test_bad_nonces_are_borne(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES, PEBBLE_WFE_NONCEREJECT="40") as server:
        pair = await asyncio.to_thread(client(server).order, NAMES[0])
        assert check_certificate(pair.cert_pem, pair.key_pem, NAMES[0], datetime.now(UTC) + timedelta(minutes=1)) == ""


async def test_one_bad_name_delays_nobody_and_has_the_servers_own_words(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES) as server:
        ordering = Ordering(server, issuer(server), [LOST, BLOCKED, *NAMES])
        ordering.follow()
        try:
            await ordering.until(lambda: len(ordering.certificates) == len(NAMES))
            await ordering.until(lambda: len(ordering.orders.known("demo").failed) == 2)
            failed = ordering.orders.known("demo").failed
            assert failed[BLOCKED].problem.startswith("rejectedIdentifier: ")
            assert failed[LOST].problem.partition(":")[0] in ("dns", "connection", "unauthorized")
            assert all(attempt.due > ordering.now() + timedelta(minutes=9) for attempt in failed.values())
            asked = server.orders()
            await asyncio.sleep(5)
            assert server.orders() == asked, "nobody is asked again at once"
        finally:
            await ordering.orders.close()


async def test_a_name_whose_answer_is_another_accounts_is_refused(appliance: Running, tmp_path: Path) -> None:
    appliance.mounted.instance["acmeThumbprint"] = "x" * 43
    await appliance.take()
    with pebble(tmp_path, appliance.http, NAMES) as server, pytest.raises(RefusedError, match="unauthorized"):
        await asyncio.to_thread(client(server).order, NAMES[0])


async def solver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Somebody else's: it knows each token of this account."""
    token = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].rpartition(b"/")[2].decode()
    writer.write(f"HTTP/1.0 200 OK\r\n\r\n{token}.{thumbprint(KEY)}".encode())
    writer.close()


async def test_a_server_takes_what_somebody_elses_solvers_answer(appliance: Running, tmp_path: Path) -> None:
    address, port = "127.0.3.1", free_port()
    del appliance.mounted.instance["acmeThumbprint"]
    appliance.mounted.instance["http01Solver"] = {"host": address, "port": port}
    await appliance.take()

    async def is_solved() -> bool:
        return (await appliance.get(NAMES[0], "/.well-known/acme-challenge/any")).status == 200

    async with await asyncio.start_server(solver, address, port):
        await eventually(is_solved)  # who asks solvers has just been started
        with pebble(tmp_path, appliance.http, NAMES) as server:
            pair = await asyncio.to_thread(client(server).order, NAMES[0])
    assert check_certificate(pair.cert_pem, pair.key_pem, NAMES[0], datetime.now(UTC) + timedelta(minutes=1)) == ""


async def test_slow_validation_is_waited_for_beside_the_event_loop(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES, PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="5") as server:
        ordering = Ordering(server, issuer(server), NAMES)
        ordering.follow()
        longest, before = 0.0, time.monotonic()
        try:
            while len(ordering.certificates) < len(NAMES):
                await asyncio.sleep(0.01)
                longest, before = max(longest, time.monotonic() - before), time.monotonic()
            assert longest < 0.5, "the event loop goes on"
        finally:
            await ordering.orders.close()


async def test_an_order_that_takes_too_long_is_given_up(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES, PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="60") as server:
        slow = client(server)
        slow.seconds, begun = 3.0, time.monotonic()
        with pytest.raises((RefusedError, IssuerError)):
            await asyncio.to_thread(slow.order, NAMES[0])
        assert time.monotonic() - begun < 10


async def test_with_the_clock_two_months_ahead_it_is_renewed_once(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES) as server:
        ordering = Ordering(server, issuer(server), NAMES[:2])
        ordering.follow()
        try:
            await ordering.until(lambda: ordering.count == 2)
            first = dict(ordering.certificates)
            ordering.ahead = timedelta(days=59)
            ordering.follow()
            await asyncio.sleep(3)
            assert ordering.count == 2, "before two thirds of its life nothing is ordered"
            ordering.ahead = timedelta(days=64)
            ordering.follow()
            await ordering.until(lambda: ordering.count == 4)
            assert all(first[domain] != pair for domain, pair in ordering.certificates.items())
            await asyncio.sleep(3)
            assert ordering.count == 4, "what is due again at once, as the clocks differ, is not ordered at once"
        finally:
            await ordering.orders.close()


async def test_an_account_is_found_again_by_its_key_and_a_stranger_needs_a_binding(
    appliance: Running, tmp_path: Path
) -> None:
    mac = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    bound = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": mac}}
    with pebble(tmp_path, appliance.http, NAMES, bound) as server:
        with pytest.raises(IssuerError, match=r"[Ee]xternal"):
            await asyncio.to_thread(client(server).order, NAMES[0])
        known = issuer(server, key_id="kid-1")
        await asyncio.to_thread(AcmeClient(known, mac, loopback=True).order, NAMES[0])
        await asyncio.to_thread(AcmeClient(known, mac, loopback=True).order, NAMES[1])
        other = text_of(key("another account"))
        stranger = replace(known, account=AcmeAccount(other, thumbprint(other)))
        with pytest.raises(IssuerError):
            await asyncio.to_thread(AcmeClient(stranger, mac[::-1], loopback=True).order, NAMES[2])


async def test_a_server_that_nobody_vouches_for_is_sent_nothing(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES) as server:
        for ca in ("", text_of(key("x")), "rubbish"):
            with pytest.raises(IssuerError) as refused:
                await asyncio.to_thread(
                    AcmeClient(replace(issuer(server), ca_pem=ca), "", loopback=True).order, NAMES[0]
                )
            assert "PRIVATE" not in str(refused.value)
        assert "/sign-me-up" not in server.log.read_text()


async def test_a_server_that_is_not_there_is_told_in_words(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES) as server:
        pass
    with pytest.raises(IssuerError, match=r"does not answer|refused") as told:
        await asyncio.to_thread(client(server).order, NAMES[0])
    assert "object at 0x" not in str(told.value)


async def test_once_nothing_may_be_sent_an_order_ends_at_its_next_request(appliance: Running, tmp_path: Path) -> None:
    with pebble(tmp_path, appliance.http, NAMES, PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="60") as server:
        stopped = client(server)
        threading.Timer(2, stopped.stop).start()
        begun = time.monotonic()
        with pytest.raises(IssuerError, match="nothing is ordered"):
            await asyncio.to_thread(stopped.order, NAMES[0])
        assert time.monotonic() - begun < 10
