"""What `kubectl get tvl` says is what the tunnel does, and soon: on a real node, with customers who come and go."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pytest

from support.api import Object
from support.mcs import Mcs, of_link
from support.operator import Operator
from support.sites import Site, profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"
SEEN_UP, SEEN_DEAD = 3.0, 15.0
"""Seconds until the status says that a tunnel is established, or dead."""


@dataclass(frozen=True)
class Losses:
    """What three customers went through, at the same time; one for each test, so that losses are not added up."""

    of_power: Future[tuple[float, float]]
    of_openvpn: Future[Object]
    thrice: Future[None]


@pytest.fixture(scope="module")
def losses(mcs: Mcs, operator_process: Operator) -> Iterator[Losses]:
    """They lose their tunnels, each in his way; afterwards they have gone."""
    operator_process.ensure()
    names = ("customer-of-power", "customer-of-openvpn", "customer-of-three")
    mcs.api.apply(*(mcs.a_link(name) for name in names))
    with ThreadPoolExecutor() as pool:  # and all of it is over at the end of this block
        losses = Losses(
            pool.submit(loses_power, mcs, names[0]),
            pool.submit(loses_openvpn, mcs, names[1]),
            pool.submit(loses_thrice, mcs, names[2]),
        )
    yield losses
    with ThreadPoolExecutor() as pool:
        list(pool.map(mcs.remove, names))


def established_at(site: Site) -> float:
    """When the TVox said that its tunnel is up, by the node's clock; 0 before it did."""
    lines = site.api.kubectl("logs", site.pod, "--timestamps", check=False).splitlines()
    stamp = next((line.split()[0] for line in lines if "Initialization Sequence Completed" in line), "")
    if not stamp:
        return 0
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stamp)).timestamp()


def loses_power(mcs: Mcs, customer: str) -> tuple[float, float]:
    """Seconds until the status says that the tunnel is established, and that it is dead."""
    site = mcs.visit(customer, profile_of(mcs.api, customer))
    mcs.api.wait_condition("TVoxLink", customer, "Connected", "True", "Established", timeout=45)
    told = time.time()
    seen = told - until("the TVox has said so, too", lambda: established_at(site), 20)
    time.sleep(3)
    site.pull_the_plug()
    dead = time.time()
    mcs.api.wait_condition("TVoxLink", customer, "Connected", "False", "Lost", timeout=30)
    return seen, time.time() - dead


def test_an_established_tunnel_is_seen_within_3_seconds_and_a_dead_one_within_15(losses: Losses) -> None:
    seen, lost = losses.of_power.result()
    print(f"seen established after {seen:.2f} s, dead after {lost:.2f} s")
    assert seen <= SEEN_UP
    assert lost <= SEEN_DEAD


def loses_openvpn(mcs: Mcs, customer: str) -> Object:
    """OpenVPN in his slot is killed, and comes back. His tunnel's status then."""
    mcs.connect(customer)
    slot = f"link-{mcs.status(customer)['slot']:03d}"
    other = mcs.status(FIRST)["tunnel"]
    pid = json.loads(mcs.run(slot, "cat", "/run/link/state.json"))["pid"]
    with mcs.unnoticed(by=FIRST):
        mcs.run(slot, "bash", "-c", f"kill -KILL {pid}")
        mcs.api.wait_condition("TVoxLink", customer, "Connected", "False", "Lost")
        mcs.connected(customer)
    assert mcs.status(FIRST)["tunnel"] == other
    tunnel: Object = mcs.status(customer)["tunnel"]
    return tunnel


def test_a_killed_openvpn_is_a_flap_of_its_link_and_of_no_other(losses: Losses) -> None:
    assert losses.of_openvpn.result()["flaps"] == 1


def loses_thrice(mcs: Mcs, customer: str) -> None:
    """His TVox is switched off three times."""
    for count in range(3):
        mcs.connect(customer)
        assert mcs.api.condition("TVoxLink", customer, "Connected")[:2] == ("True", "Established"), count
        mcs.sites[customer].remove()
        mcs.api.wait_condition("TVoxLink", customer, "Connected", "False")
        assert mcs.status(customer)["tunnel"]["flaps"] == count + 1
    mcs.connect(customer)
    mcs.api.wait_condition("TVoxLink", customer, "Connected", "True", "Flapping")


def test_three_losses_within_ten_minutes_are_flapping_and_are_counted(mcs: Mcs, losses: Losses) -> None:
    losses.thrice.result()
    assert mcs.api.condition("TVoxLink", FIRST, "Connected")[:2] == ("True", "Established")


def test_bytes_and_round_trip_times_are_metrics_and_not_status(mcs: Mcs) -> None:
    mcs.release(FIRST)  # or his probe would be what is counted
    status, before = mcs.status(FIRST), mcs.metrics()
    version = mcs.api.get("TVoxLink", FIRST)["metadata"]["resourceVersion"]
    assert mcs.inside(f"http://{status['vpnAddress']}/")["tvox"] == FIRST

    def counted() -> bool:
        now = mcs.metrics()
        for name in ("mcs_link_received_bytes_total", "mcs_link_sent_bytes_total"):
            assert of_link(now, name, status) >= of_link(before, name, status) + 100, name
        return 0 < of_link(now, "mcs_link_rtt_seconds", status) < 1

    until("the bytes of a web request, and how long a connect takes", counted, 40, pause=1)
    assert max(Counter(series.partition("{")[0] for series in mcs.metrics()).values()) <= 250
    assert mcs.api.get("TVoxLink", FIRST)["metadata"]["resourceVersion"] == version
