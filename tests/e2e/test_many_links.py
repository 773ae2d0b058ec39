"""Many customers at once on a real node: connected in a minute, and one's coming and going is nobody else's concern.

50 customers here; 250, with twenty rounds instead of one, in `make soak`. Not because 250 would take too long: a pod
of 250 slots that stops needs its node to itself, or the runtime jams, and every test after this one waits.
"""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import pytest

from e2e.churn import one_round, remove_for_good
from e2e.crowd import Town, a_town, bring_up, connected
from mcs_operator.settings import MAX_LINKS
from support.api import Api
from support.cluster import Node
from support.costs import cost_of
from support.lab import Namespace
from support.mcs import POD, Mcs
from support.operator import Operator
from support.processes import processes_of
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("operator")]

NAMES = [f"tvox-{number:03d}" for number in range(int(os.environ.get("MCS_LINKS", "50")))]
LAST = NAMES[-1]
PROBED = NAMES[:-1][:: len(NAMES) // 20][:20]
ROUNDS = int(os.environ.get("MCS_ROUNDS", "1"))
SOAK = "MCS_ROUNDS" in os.environ
PER_SECOND = 20
"""Of each of the probes: twenty of them are 400 datagrams a second, there and back, on a node that has other work."""
LIMIT_SECONDS = 60
"""From the pod's readiness to a tunnel for all, the making of all links and their keys included."""
IDLE_SECONDS = 5
ETCD_BYTES = 1.5 * 1024 * 1024
"""What etcd takes as one object, by default."""


@pytest.fixture(scope="module")
def town(
    node: Node, server: Api, operator_process: Operator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """As many slots as sites, and nobody connected: that they will be is the first test's, and the others need it."""
    with a_town(node, server, tmp_path_factory.mktemp("crowd"), NAMES, slots=len(NAMES)) as town:
        yield town


def ready_since(mcs: Mcs) -> float:
    """When the pod became ready, in seconds of the epoch."""

    def look() -> float:
        conditions = {c["type"]: c for c in mcs.api.get("Pod", POD)["status"]["conditions"]}
        assert conditions["Ready"]["status"] == "True", "the pod is not ready"
        return datetime.fromisoformat(conditions["Ready"]["lastTransitionTime"]).timestamp()

    return until("the pod is ready", look, 60)


def test_all_customers_are_connected_a_minute_after_the_pod_is_ready(town: Town, operator: Operator) -> None:
    ready = ready_since(town.mcs)
    bring_up(town.mcs, town.crowd, NAMES, timeout=180)
    took = time.time() - ready
    print(f"pod ready -> {len(NAMES)} links made and connected: {took:.1f} s")
    if SOAK:
        tell_costs(town.mcs, operator)
    assert connected(town.mcs).keys() == set(NAMES)
    assert took <= LIMIT_SECONDS


def test_the_stored_pod_is_less_than_half_of_what_etcd_takes(town: Town) -> None:
    """With the statuses of all its containers, and who wrote which of its fields."""
    size = town.mcs.api.stored_size("Pod", POD)
    print(f"the stored pod of {len(NAMES)} slots: {size / 1024:.0f} KiB")
    assert size <= ETCD_BYTES / 2 * len(NAMES) / MAX_LINKS


def tell_costs(mcs: Mcs, operator: Operator) -> None:
    """Print what the pod and the operator cost with all of them there and nothing to do."""
    pids: dict[str, list[int]] = {"operator": [operator.pid]}
    for container, found in processes_of(mcs.api, POD).items():
        pids.setdefault("slots" if container.startswith("link-") else container, []).extend(found)
    before, begun = {kind: cost_of(found) for kind, found in pids.items()}, time.monotonic()
    time.sleep(IDLE_SECONDS)
    for kind, found in pids.items():
        now, seconds = cost_of(found), time.monotonic() - begun
        used = (now.cpu - before[kind].cpu) / seconds
        print(f"{kind}: {now.processes} processes, {now.pss:.0f} MiB, {used:.1%} of a core while all is quiet")


def test_a_customer_comes_changes_and_goes_and_20_others_lose_no_packet(town: Town) -> None:
    mcs, crowd = town.mcs, town.crowd
    with mcs.unnoticed(by=PROBED, per_second=PER_SECOND):
        remove_for_good(mcs, crowd, LAST, LAST)
        took = sorted(one_round(mcs, crowd, f"guest-{number}", LAST) for number in range(ROUNDS))
    median, worst = took[len(took) // 2], took[-1]
    print(f"{ROUNDS} rounds, link created -> tunnel up: p50 {median:.2f} s, p99 (the worst) {worst:.2f} s")
    assert connected(mcs).keys() == set(NAMES) - {LAST}


# --- garbage ---

MEDIA_PORTS = (80, 443, 3478, 10000)
HARD_RESET, DATA = 0x38, 0x48
"""First bytes of OpenVPN's datagrams: a client's first word (opcode 7), and data (opcode 9) of peer 0."""


def garbage(seed: int) -> list[bytes]:
    """Datagrams that no TVox would send, some of which look a little as if."""
    chance = random.Random(seed)  # noqa: S311 - the same garbage each time
    return [
        b"",
        bytes([HARD_RESET]),
        bytes([HARD_RESET]) + chance.randbytes(53),
        bytes([DATA, 0, 0, 0]) + chance.randbytes(100),
        chance.randbytes(chance.randrange(1, 1472)),
        b"\xff" * 1472,
    ]


def throw(stranger: Namespace, address: str, port: int, seed: int) -> None:
    """Garbage at this port, UDP and TCP."""
    with stranger.socket("udp") as udp:
        for datagram in garbage(seed):
            with suppress(OSError):  # refused: nobody is there
                udp.sendto(datagram, (address, port))
    with stranger.socket("tcp") as tcp, suppress(OSError):
        tcp.settimeout(1)
        tcp.connect((address, port))
        tcp.sendall(b"".join(garbage(seed)))
        tcp.shutdown(socket.SHUT_WR)


def test_garbage_at_every_port_is_counted_and_hurts_nobody(town: Town) -> None:
    mcs = town.mcs
    numbers = {mcs.status(name)["slot"]: name for name in connected(mcs)}
    links, noise = versions(mcs), noise_of(mcs)
    stranger = town.crowd.host("stranger", 253)
    with mcs.unnoticed(by=PROBED, per_second=PER_SECOND):
        for seed, port in enumerate([*MEDIA_PORTS, *range(21000, 21252)]):
            throw(stranger, mcs.node.ip, port, seed)
    counted = noise_of(mcs)
    deaf = [name for number, name in numbers.items() if counted[number] <= noise.get(number, 0)]
    assert not deaf, f"it did not get there: {deaf}"
    assert versions(mcs) == links
    assert mcs.outside(mcs.node.zone)[0] == 200


def versions(mcs: Mcs) -> dict[str, str]:
    return {link["metadata"]["name"]: link["metadata"]["resourceVersion"] for link in mcs.api.list("TVoxLink")}


def noise_of(mcs: Mcs) -> dict[int, float]:
    """Packets that OpenVPN threw away, by slot."""
    of_slot = re.compile(r'mcs_link_noise_total\{.*link="link-(\d+)".*\}')
    return {int(found[1]): value for series, value in mcs.metrics().items() if (found := of_slot.match(series))}
