"""What a tunnel carries beside a bare cable, how soon a new customer talks, and what a slot costs that has none.

Throughput is measured in a laboratory without Kubernetes, from the product's own configuration and firewall: both ends
and the traffic share this machine's cores, so only the ratio to the bare cable means anything elsewhere. The rest is
measured on a real node, in a pod of 250 slots.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.crowd import Town, a_town
from support.api import ROOT, Api
from support.cluster import Node
from support.costs import cost_of
from support.figures import Figure
from support.lab import Link, Namespace, eventually, missing
from support.mcs import POD, Mcs
from support.operator import Operator
from support.plots import plot
from support.processes import processes_of
from support.sheet import Sheet
from support.sites import profile_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RUNS = 3
SECONDS = 5.0
"""Of each measurement of throughput."""
TUNNELS = 20
PORT = 5001
UP = "Initialization Sequence Completed"
BAND = 1000
"""Mbit/s: the Internet band of the larger tier, which all tunnels share."""
SLOTS = 250
ADDED = 20
IDLE_SECONDS = 30.0
_STREAM = str(Path(__file__).parents[2] / "support" / "stream.py")


# --- throughput ---


@dataclass
class Laboratory:
    """An MCS and so many sites, each at a cable of its own with a tunnel over it."""

    mcs: Namespace
    sites: list[tuple[Link, Namespace]]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """All tunnels are up."""
    if reason := missing():
        pytest.skip(reason)
    with ExitStack() as closing:
        mcs = Namespace("mcs")
        closing.callback(mcs.close)
        sites = []
        for number in range(2, 2 + TUNNELS):
            site = Namespace(f"site-{number}")
            closing.callback(site.close)
            link = Link(tmp_path_factory.mktemp(f"link-{number}"), number)
            link.join(mcs, site)
            link.serve(mcs)
            client = link.dial(site)
            eventually(f"tunnel {number}", lambda client=client: client.says(UP), 30)
            sites.append((link, site))
        yield Laboratory(mcs, sites)


def throughput(sender: Namespace, receivers: Sequence[tuple[Namespace, str]]) -> float:
    """Mbit/s in all that this host sends to these addresses of these hosts at once."""
    inside = ["ip", "netns", "exec"]
    taking, giving = [], []
    for host, _ in receivers:
        command = [*inside, host.name, sys.executable, "-Iu", _STREAM, "receive", str(PORT)]
        taking.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    try:
        for process in taking:
            assert process.stdout and process.stdout.readline().strip() == "ready"
        for _, address in receivers:
            command = [*inside, sender.name, sys.executable, "-I", _STREAM, "send", address, str(PORT), str(SECONDS)]
            giving.append(subprocess.Popen(command))
        assert [process.wait(SECONDS + 60) for process in giving] == [0] * len(giving)
        return sum(float(process.communicate(timeout=60)[0]) for process in taking) * 8 / 1e6
    finally:
        for process in [*taking, *giving]:
            process.kill()
            process.wait()


def round_trip(sender: Namespace, address: str) -> float:
    """Milliseconds of an echo there and back, on average."""
    said = sender.run("ping", "-n", "-q", "-c", "200", "-i", "0.01", address)
    return float(said.rpartition("= ")[2].split("/")[1])


def test_throughput_beside_a_bare_cable(laboratory: Laboratory, sheet: Sheet) -> None:
    mcs = laboratory.mcs
    tunnels = [(site, link.net.address) for link, site in laboratory.sites]
    cables = [(site, f"10.77.{link.number}.2") for link, site in laboratory.sites]
    runs = [
        (
            throughput(mcs, cables[:1]),
            throughput(mcs, tunnels[:1]),
            throughput(mcs, tunnels),
            round_trip(mcs, cables[0][1]),
            round_trip(mcs, tunnels[0][1]),
        )
        for _ in range(RUNS)
    ]
    cable, one, twenty, bare, through = ([run[place] for run in runs] for place in range(5))
    sheet.add("cable", Figure("bare cable (veth)", cable, "Mbit/s"))
    sheet.add("one", Figure("one tunnel", one, "Mbit/s", BAND, at_least=True))
    sheet.add("one-share", Figure("one tunnel, of the bare cable", shares(one, cable), "%"))
    sheet.add("twenty", Figure(f"{TUNNELS} tunnels at once, in all", twenty, "Mbit/s", BAND, at_least=True))
    sheet.add("twenty-share", Figure(f"{TUNNELS} tunnels, of one", shares(twenty, one), "%"))
    sheet.add("echo-cable", Figure("round trip, bare cable", bare, "ms"))
    sheet.add("echo", Figure("round trip through a tunnel", through, "ms", 1.0))
    assert sheet.rows["twenty"].holds and sheet.rows["echo"].holds


def shares(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """Per cent, run by run."""
    return [100 * this / that for this, that in zip(these, those, strict=True)]


# --- on a node ---


@pytest.fixture(scope="module")
def town(
    node: Node, server: Api, operator_process: Operator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """An instance with 250 idle slots, and sites that have yet to dial in."""
    names = [f"new-{number}" for number in range(ADDED)]
    with a_town(node, server, tmp_path_factory.mktemp("crowd"), names, SLOTS) as town:
        until("every container is ready", lambda: all_ready(town.mcs), 120)
        yield town


def all_ready(mcs: Mcs) -> bool:
    return all(status["ready"] for status in mcs.api.get("Pod", POD)["status"]["containerStatuses"])


def slots_of(mcs: Mcs, *numbers: int) -> list[int]:
    """The processes of these slots, or of all."""
    names = {f"link-{number:03d}" for number in numbers}
    found = processes_of(mcs.api, POD)
    return [pid for name, pids in found.items() if name in names or (not names and "-" in name) for pid in pids]


def test_what_an_idle_slot_costs(town: Town, sheet: Sheet) -> None:
    time.sleep(10)  # the start of 250 containers is over
    pids = slots_of(town.mcs)
    memory, processor = [], []
    for _ in range(RUNS):
        before, begun = cost_of(pids), time.monotonic()
        time.sleep(IDLE_SECONDS)
        now = cost_of(pids)
        memory.append(now.pss / SLOTS)
        processor.append(100 * (now.cpu - before.cpu) / (time.monotonic() - begun))
    sheet.add("idle-memory", Figure("an idle slot, memory (Pss)", memory, "MiB", 0.5))
    sheet.add("idle-processor", Figure(f"{SLOTS} idle slots, processor", processor, "% of a core", 5))
    assert sheet.rows["idle-processor"].holds


def test_from_a_new_link_to_its_tunnel(town: Town, sheet: Sheet) -> None:
    mcs = town.mcs
    started, up, slots = [], [], []
    for name, customer in town.crowd.customers.items():
        created = time.time()
        mcs.api.apply(mcs.a_link(name))
        customer.dial(profile_of(mcs.api, name))
        until(f"the TVox of {name} has a tunnel", lambda customer=customer: customer.has_tunnel, 30, pause=0.02)
        up.append(time.time() - created)
        slots.append(mcs.programmed(name)["slot"])
        started.append(mcs.openvpn_started(slots[-1]) - created)
        mcs.connected(name)
    title = f"{len(up)} customers, one after the other: who has a tunnel so many seconds after his link"
    talking = [(seconds, 100 * (rank + 1) / len(up)) for rank, seconds in enumerate(sorted(up))]
    plot(ROOT / "docs" / "pictures" / "hot-add.svg", title, "seconds", "% of the customers", talking)
    running = cost_of(slots_of(mcs, *slots)).pss / len(slots)
    sheet.add("started", Figure("link created to its OpenVPN started", started, "s", 2.5))
    sheet.add("up", Figure("link created to tunnel up", up, "s"))
    sheet.add("running-memory", Figure("a slot with a tunnel, memory (Pss)", [running], "MiB"))
    assert sheet.rows["started"].holds
