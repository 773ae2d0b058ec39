"""A day's worth of changes in minutes: whether anything is kept that should have gone."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import pytest

from support.api import ROOT, Api
from support.crowds import create_appliance, create_links, create_namespaces, link_named, link_names
from support.figures import Figure
from support.measured import Measured
from support.plots import plot
from support.raw import Raw, RefusedError, change, creation
from support.sheet import Sheet
from support.snapshots import settled
from support.waiting import until

pytestmark = pytest.mark.timeout(3600)

CHANGES = 50_000
PER_SECOND = 200.0
WORKERS = 10
LINKS = 240
"""A few less than the limit: whoever is removed and created anew in one moment must find the quota's count behind."""
WARM = 0.4
"""The share of the changes after which memory has to be flat."""


async def test_memory_is_flat_over_50000_changes(server: Api, tmp_path: Path, sheet: Sheet) -> None:
    """Links are disabled and enabled, moved to another name, removed and created anew."""
    api = server.within("churn")
    operator = Measured(server.kubeconfig, tmp_path / "operator.log")
    async with Raw(server.kubeconfig) as raw:
        await create_namespaces(raw, [api.namespace])
        await create_appliance(raw, api.namespace)
        await create_links(raw, api.namespace, link_names(LINKS))
        with operator.running():
            until("the last link has its slot", lambda: len(api.list("Secret", "mcs.tvox.io/slot")) == LINKS, 180, 1)
            settled(api, quiet=3, timeout=120)
            samples = await _churn(raw, api.namespace, operator)
    warm = [(done, size) for done, size in samples if done >= WARM * CHANGES]
    fit = statistics.linear_regression(*zip(*warm, strict=True))
    noise = statistics.pstdev(size - fit.slope * done - fit.intercept for done, size in warm)
    growth = fit.slope * (1 - WARM) * CHANGES
    name = f"50,000 link changes: growth of memory over the last {1 - WARM:.0%}, in deviations of the noise"
    sheet.add("churn-growth", Figure(name, [growth / noise], "σ", 2))
    sheet.add("churn-memory", Figure("the same: resident memory, from then on", [size for _, size in warm], "MiB"))
    title = "Resident memory of the operator over 50,000 link changes"
    plot(ROOT / "docs" / "pictures" / "memory-over-changes.svg", title, "link changes", "MiB", samples)
    print(f"growth {growth:.2f} MiB, noise {noise:.2f} MiB")


async def _churn(raw: Raw, namespace: str, operator: Measured) -> list[tuple[int, float]]:
    """Changes done and MiB resident, once a second."""
    done, begun = 0, time.monotonic()
    samples: list[tuple[int, float]] = []

    async def work(worker: int) -> None:
        nonlocal done
        mine = [name for number, name in enumerate(link_names(LINKS)) if number % WORKERS == worker]
        for number in range(CHANGES // WORKERS):
            await _change(raw, namespace, mine[number % len(mine)], number // len(mine))
            done += 1  # apart: the others count while this one waits
            await asyncio.sleep(max(0.0, begun + done / PER_SECOND - time.monotonic()))

    async def watch() -> None:
        while True:
            samples.append((done, operator.resident))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    try:
        await asyncio.gather(*(work(worker) for worker in range(WORKERS)))
    finally:
        watching.cancel()
    return samples


async def _change(raw: Raw, namespace: str, name: str, round_: int) -> None:
    """One change; every tenth round the link is removed and created anew."""
    if round_ % 10 == 9:
        await raw.remove(namespace, "TVoxLink", name)
        await _create_again(raw, namespace, name)
    elif round_ % 10 == 4:
        await raw.call(change(namespace, "TVoxLink", name, {"spec": {"domain": f"{name}-{round_}.{namespace}.test"}}))
    else:
        await raw.call(change(namespace, "TVoxLink", name, {"spec": {"enabled": round_ % 2 == 1}}))


async def _create_again(raw: Raw, namespace: str, name: str) -> None:
    """Many are removed and created at once, so the quota's count may be behind for a moment, or just be changing."""
    while True:
        try:
            await raw.call(creation(namespace, link_named(namespace, name)))
        except RefusedError as refused:
            if refused.status not in (403, 409):
                raise
            await asyncio.sleep(0.1)
        else:
            return
