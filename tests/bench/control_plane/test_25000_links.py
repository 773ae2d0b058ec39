"""A hundred appliances of full size and one operator: what a restart costs, and what one customer notices of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.api import Api, install_crds
from support.crowds import (
    create_appliance,
    create_links,
    create_namespaces,
    link_named,
    link_names,
    namespace_name,
    room_for_one,
)
from support.figures import Figure
from support.measured import Measured
from support.quantiles import quantile
from support.raw import AGENT, Raw, collection, creation
from support.sheet import Sheet
from support.snapshots import Audit
from support.waiting import until

pytestmark = pytest.mark.timeout(5400)

INSTANCES, LINKS = 100, 250
RESTARTS = 3
SAMPLES = 50
NAMESPACES = [namespace_name(number) for number in range(INSTANCES)]


@pytest.fixture(scope="module")
def crowd(crowded: Path) -> Api:
    """The API server with everything in it."""
    api = Api(crowded)
    install_crds(api)
    asyncio.run(_fill(api))
    return api


async def _fill(api: Api) -> None:
    """Create what is missing: fast, by a client that is nobody's operator."""
    async with Raw(api.kubeconfig) as raw:
        known = {body["metadata"]["name"] for body in await raw.list("/api/v1/namespaces")}
        for name in NAMESPACES:
            if name in known:
                continue
            await create_namespaces(raw, [name])
            await create_appliance(raw, name)
            await create_links(raw, name, link_names(LINKS))


@pytest.fixture(scope="module")
def operator(crowd: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Has written all that there is to write, once, and was ended."""
    operator = Measured(crowd.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    begun = time.monotonic()
    operator.start(timeout=600)
    operator.wait_reconciled(INSTANCES, 3600)
    time.sleep(10)
    print(f"\nfilled in after {time.monotonic() - begun:.0f} s")
    operator.stop()
    yield operator
    operator.stop()


async def test_a_restart_of_25000_links(crowd: Api, operator: Measured, sheet: Sheet) -> None:
    """From the start of the process until all is observed and ready, and what that takes; nothing is written."""
    floors, seconds, peaks, writes = [], [], [], []
    for _ in range(RESTARTS):
        floors.append(await _read_all(crowd))
        audit = Audit.of(crowd)
        assert audit is not None
        begun = time.monotonic()
        operator.begin()
        seconds.append(operator.wait_reconciled(INSTANCES, 600) - begun)
        await asyncio.sleep(5)
        peaks.append(operator.peak)
        operator.stop()
        writes.append(sum(one.writes for one in audit.asked(None)))
    sheet.add(
        "many-ready", Figure("100 instances of 250 links: start to everything observed and ready", seconds, "s", 60)
    )
    sheet.add("many-floor", Figure("its floor: a raw client reads the same objects, and drops them", floors, "s"))
    sheet.add("many-writes", Figure("the same: writes", writes, "writes", 0))
    sheet.add("many-memory", Figure("the same: peak resident memory", peaks, "MiB", 1024))


async def _read_all(api: Api) -> float:
    """Seconds that a raw client needs to read all links and their Secrets, page by page."""
    ours = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmcs-operator&"
    begun = time.monotonic()
    async with Raw(api.kubeconfig) as raw:
        links = raw.read_pages("/apis/mcs.tvox.io/v1alpha1/tvoxlinks?limit=500")
        secrets = raw.read_pages(f"/api/v1/secrets?{ours}limit=500")
        counts = await asyncio.gather(links, secrets)
    assert counts[0] >= INSTANCES * LINKS - SAMPLES and counts[1] >= 2 * INSTANCES * LINKS, counts
    return time.monotonic() - begun


async def test_one_link_changed_among_25000(crowd: Api, operator: Measured, sheet: Sheet) -> None:
    """A new link in one of the namespaces: create to slot Secret, by the API server's clock."""
    chosen = random.Random(8).sample(NAMESPACES, SAMPLES)  # noqa: S311 - any will do
    last = link_names(LINKS)[-1]
    halves, worst = [], []
    async with Raw(crowd.kubeconfig) as raw:
        for run in range(3):
            for namespace in chosen:
                await _remove(raw, namespace, last if run == 0 else f"new-{run - 1}")
            for namespace in chosen:
                await room_for_one(raw, namespace)
            with _settled(operator):
                latencies = [await _added(raw, crowd, namespace, f"new-{run}") for namespace in chosen]
            halves.append(quantile(latencies, 0.5) * 1000)
            worst.append(quantile(latencies, 0.99) * 1000)
            sheet.add(
                "many-one-p50", Figure("the same, one link added: create to slot Secret written, p50", halves, "ms")
            )
            sheet.add("many-one-p99", Figure("the same, p99", worst, "ms", 1000))
        for namespace in chosen:  # for the next one who finds this API server
            await _remove(raw, namespace, "new-2")
            await room_for_one(raw, namespace)
            await raw.call(creation(namespace, link_named(namespace, last)))


@contextmanager
def _settled(operator: Measured) -> Iterator[None]:
    """The operator runs, and has nothing left to do."""
    operator.begin()
    try:
        operator.wait_reconciled(INSTANCES, 600)
        time.sleep(5)
        yield
    finally:
        operator.stop()


async def _remove(raw: Raw, namespace: str, name: str) -> None:
    """A link and its Secrets, while no operator runs; where they are there."""
    labelled = f"{collection(namespace, 'Secret')}?labelSelector=mcs.tvox.io%2Flink%3D{name}"
    await raw.remove(namespace, "TVoxLink", name)
    for secret in await raw.list(labelled):
        await raw.remove(namespace, "Secret", secret["metadata"]["name"])


async def _added(raw: Raw, api: Api, namespace: str, name: str) -> float:
    audit = Audit.of(api)
    assert audit is not None
    await raw.call(creation(namespace, link_named(namespace, name)))

    def slot() -> float:
        made = (one for one in audit.asked(namespace) if one.verb == "create" and one.resource == "secrets")
        return next((one.answered for one in made if one.name != f"{name}-profile"), 0.0)

    answered = until(f"{name} has a slot", slot, 30, pause=0.05)
    begun = next(one.begun for one in audit.asked(namespace, AGENT) if one.resource == "tvoxlinks")
    await asyncio.sleep(0.3)
    return answered - begun
