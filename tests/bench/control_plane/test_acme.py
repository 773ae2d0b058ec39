"""Certificates for 250 names from a real ACME server that looks at the real appliance: in what time, how many at
once.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from integration.acme.test_orders import Ordering, appliance, issuer  # noqa: F401 - a fixture
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.issuing.client import AcmeClient
from mcs_operator.issuing.orders import AT_ONCE, Orders
from support.pebble import pebble
from unit.images.appliance_set import link
from unit.images.test_appliance import Running

pytestmark = pytest.mark.timeout(1200)

NAMES = [f"tvox-{number}.example.com" for number in range(2, 252)]


class Counted(AcmeClient):
    """Counts the orders that are under way."""

    lock = threading.Lock()
    running = most = 0

    def order(self, domain: str) -> KeyPair:
        """As the client's."""
        with Counted.lock:
            Counted.running += 1
            Counted.most = max(Counted.most, Counted.running)
        try:
            return super().order(domain)
        finally:
            with Counted.lock:
                Counted.running -= 1


async def test_250_names_get_their_certificates(
    appliance: Running,  # noqa: F811
    tmp_path: Path,
) -> None:
    appliance.mounted.links = [link(number) for number in range(2, 252)]
    await appliance.take()
    with pebble(tmp_path, appliance.http, NAMES, PEBBLE_WFE_NONCEREJECT="5") as server:
        ordering = Ordering(server, issuer(server), NAMES)
        ordering.orders = Orders(
            partial(Counted, loopback=True), ordering._no_key, ordering.check, ordering.ended, ordering.now
        )
        begun, cpu = time.monotonic(), time.process_time()
        ordering.follow()
        try:
            await ordering.until(lambda: len(ordering.certificates) == len(NAMES), 1000)
        finally:
            await ordering.orders.close()
        took, spent = time.monotonic() - begun, time.process_time() - cpu
        asked = server.log.read_text().count("Added order")  # a nonce that is refused is another request, and no order
    print(
        f"\n{len(NAMES)} certificates: {took:.0f} s, {asked} orders, {Counted.most} at once, {spent:.1f} s of CPU here"
    )
    assert Counted.most <= AT_ONCE
    assert asked == len(NAMES), "each name was ordered for once"
