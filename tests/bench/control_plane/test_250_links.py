"""One appliance of full size: how close the operator is to what the API server can do at all."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from mcs_operator.settings import WEBHOOK
from support import wire
from support.api import Api, Object
from support.certificates import chain, key, text_of
from support.crowds import create_appliance, create_links, create_namespaces, link_named, link_names, room_for_one
from support.figures import Figure
from support.measured import Measured
from support.objects import a_link
from support.ports import free_port
from support.quantiles import quantile
from support.raw import AGENT, Raw, Request, change, collection, creation
from support.sheet import Sheet
from support.snapshots import Asked, Audit, settled
from support.waiting import until

pytestmark = pytest.mark.timeout(3600)

LINKS = 250
RUNS = 3
SAMPLES = 25
"""Links that are added one after the other in each run."""
IN_FLIGHT = 64
"""Reviews at a time, as many as the API server may well have."""
CREATES = 10_000
"""The first 64 make the API server's connections, and are to be less than one of a hundred."""
PATH = f"/validate/{'0' * 64}"
STORM_SECONDS = 60.0
STORM_EVENTS = 5000


@pytest.fixture(scope="module")
def operator(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Not started."""
    operator = Measured(server.kubeconfig, tmp_path_factory.mktemp("operator") / "operator.log")
    yield operator
    operator.stop()


def audited(api: Api) -> Audit:
    audit = Audit.of(api)
    assert audit is not None, "this API server has no audit log that is known"
    return audit


async def test_start_to_the_first_reconciliation(server: Api, operator: Measured, sheet: Sheet) -> None:
    """From the start of the process, imports included, to the instance's first status."""
    runs = []
    for run in range(RUNS):
        api = server.within(f"start-{run}")
        async with Raw(server.kubeconfig) as raw:
            await create_namespaces(raw, [api.namespace])
            await create_appliance(raw, api.namespace)
        audit, begun = audited(api), time.time()
        operator.begin()
        api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
        operator.stop()
        first = (one for one in audit.asked(api.namespace) if str(one) == "patch mcsinstances/mcs/status")
        runs.append(next(first).answered - begun)
    sheet.add("start", Figure("start of the process to the first reconciliation, one instance", runs, "s", 3))


async def test_a_burst_of_250_links(server: Api, operator: Measured, sheet: Sheet) -> None:
    """All links created at once, until the last Secret and status is written; the floor writes equal objects."""
    ratios, seconds, floors, requests = [], [], [], []
    async with Raw(server.kubeconfig) as raw:
        for run in range(RUNS):
            api, copy = server.within(f"burst-{run}"), f"floor-{run}"
            await create_namespaces(raw, [api.namespace, copy])
            with operator.running():
                await create_appliance(raw, api.namespace)
                api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
                settled(api)
                audit = audited(api)
                await create_links(raw, api.namespace, link_names(LINKS))
                until("all links are accepted", lambda api=api: _accepted(api) == LINKS, 120, pause=1)
                settled(api, quiet=2)
            seconds.append(_span(audit, api.namespace))
            requests.append(len(audit.asked(api.namespace)) / LINKS)
            floors.append(await _floor(raw, api.namespace, copy))
            ratios.append(seconds[-1] / floors[-1])
            await _empty(raw, api.namespace, copy)
    sheet.add("burst", Figure("250 links at once: until all is written, against the floor", ratios, "×", 3))
    sheet.add("burst-seconds", Figure("the same", seconds, "s"))
    sheet.add("burst-floor", Figure("its floor: a raw client writes equal Secrets and statuses", floors, "s"))
    sheet.add("requests", Figure("the same: requests of the operator per link", requests, "requests", 3.5))


def _accepted(api: Api) -> int:
    links = api.list("TVoxLink")
    conditions = ({c["type"]: c["status"] for c in link["status"]["conditions"]} for link in links)
    return sum(found.get("Accepted") == "True" for found in conditions)


def _span(audit: Audit, namespace: str) -> float:
    """Seconds from the first link's creation to the operator's last write about a link."""
    begun = min(one.begun for one in audit.asked(namespace, AGENT) if one.resource == "tvoxlinks")
    written = [
        one.answered for one in audit.asked(namespace) if one.writes and one.resource in ("secrets", "tvoxlinks")
    ]
    return max(written) - begun


async def _floor(raw: Raw, namespace: str, copy: str) -> float:
    """Seconds that a raw client needs for the Secrets and statuses of ``namespace``, written into ``copy``."""
    await create_links(raw, copy, link_names(LINKS))
    owners = {
        body["metadata"]["name"]: body["metadata"]["uid"] for body in await raw.list(collection(copy, "TVoxLink"))
    }
    secrets = [
        s for s in await raw.list(collection(namespace, "Secret")) if "mcs.tvox.io/link" in s["metadata"]["labels"]
    ]
    assert len(secrets) == 2 * LINKS
    statuses = {b["metadata"]["name"]: b["status"] for b in await raw.list(collection(namespace, "TVoxLink"))}
    creations = [creation(copy, _copied(secret, owners)) for secret in secrets]
    begun = time.monotonic()
    await raw.all(creations)
    await raw.all(change(copy, "TVoxLink", name, {"status": s}, "/status") for name, s in statuses.items())
    return time.monotonic() - begun


def _copied(secret: Object, owners: dict[str, str]) -> Object:
    """The same Secret for the other namespace's link: equal in size, and nobody's by its label."""
    known = secret["metadata"]
    labels = known["labels"] | {"app.kubernetes.io/managed-by": "mcs-0perator"}
    references = [o | {"uid": owners[o["name"]]} for o in known.get("ownerReferences", []) if o["name"] in owners]
    metadata = {
        "name": known["name"],
        "labels": labels,
        "annotations": known["annotations"],
        "ownerReferences": references,
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret["type"], "data": secret["data"]}


async def _empty(raw: Raw, *namespaces: str) -> None:
    """Nothing of ours is left for the next run's operator to know of."""
    for namespace in namespaces:
        for kind in ("MCSInstance", "Community", "TVoxLink", "Secret"):
            await raw.call(Request("DELETE", collection(namespace, kind)))


@pytest.fixture(scope="module")
def full(server: Api, operator: Measured) -> Api:
    """A namespace with 249 links, all settled. The operator does not run."""
    api = server.within("full")

    async def fill() -> None:
        async with Raw(server.kubeconfig) as raw:
            await create_namespaces(raw, [api.namespace])
            await create_appliance(raw, api.namespace)
            await create_links(raw, api.namespace, link_names(LINKS - 1))

    asyncio.run(fill())
    with operator.running():
        until("all links are accepted", lambda: _accepted(api) == LINKS - 1, 120, pause=1)
        settled(api, quiet=3)
    return api


async def test_one_link_added_to_249(server: Api, operator: Measured, full: Api, sheet: Sheet) -> None:
    """From the creation of the link to the slot Secret, by the API server's clock."""
    halves, worst = [], []
    async with Raw(server.kubeconfig) as raw:
        for run in range(RUNS):
            with operator.running():
                latencies = [await added(raw, full, f"new-{run}-{sample}") for sample in range(SAMPLES)]
            halves.append(quantile(latencies, 0.5) * 1000)
            worst.append(quantile(latencies, 0.99) * 1000)
    sheet.add("one-p50", Figure("one link added to 249: create to slot Secret written, p50", halves, "ms", 150))
    sheet.add("one-p99", Figure("the same, p99", worst, "ms", 500))


async def added(raw: Raw, api: Api, name: str, pause: float = 0.4) -> float:
    """Add a link and take it away with all that it had; seconds from its creation to its slot Secret."""
    audit = audited(api)
    await raw.call(creation(api.namespace, link_named(api.namespace, name)))
    until(f"{name} has a slot", lambda: _slot_of(audit, api.namespace, name), 30, pause=0.02)
    asked = audit.asked(api.namespace, AGENT)
    begun = next(one.begun for one in asked if one.resource == "tvoxlinks" and one.verb == "create")
    slot = _slot_of(audit, api.namespace, name)
    assert slot is not None
    await asyncio.sleep(pause)
    await raw.remove(api.namespace, "TVoxLink", name)
    for secret in (slot.name, f"{name}-profile"):
        await raw.remove(api.namespace, "Secret", secret)
    await room_for_one(raw, api.namespace)
    await asyncio.sleep(pause)
    return slot.answered - begun


def _slot_of(audit: Audit, namespace: str, name: str) -> Asked | None:
    made = (one for one in audit.asked(namespace) if one.verb == "create" and one.resource == "secrets")
    return next((one for one in made if one.name != f"{name}-profile"), None)


def test_a_restart_with_nothing_changed(full: Api, operator: Measured, sheet: Sheet) -> None:
    """What is written, and how long it takes until all is looked at again."""
    writes, seconds = [], []
    for _ in range(RUNS):
        audit, begun = audited(full), time.monotonic()
        operator.begin()
        seconds.append(operator.wait_reconciled(1, 60) - begun)
        time.sleep(5)
        operator.stop()
        writes.append(len(audit.writes(full.namespace)))
    sheet.add("restart-writes", Figure("restart, 250 links, nothing changed: writes", writes, "writes", 0))
    sheet.add("restart-seconds", Figure("the same: start of the process to all observed and ready", seconds, "s"))


async def test_a_storm_of_irrelevant_events(server: Api, operator: Measured, full: Api, sheet: Sheet) -> None:
    """What others do to objects that are watched, and that changes nothing for any link."""
    shares, writes = [], []
    async with Raw(server.kubeconfig) as raw:
        await raw.all(creation(full.namespace, _foreign(number)) for number in range(50))
        slots = [s["metadata"]["name"] for s in await raw.list(collection(full.namespace, "Secret")) if _is_slot(s)]
        for run in range(2):
            with operator.running():
                settled(full, quiet=2)
                audit, begun, cpu = audited(full), time.monotonic(), operator.cpu
                await _storm(raw, full.namespace, slots, run)
                shares.append(100 * (operator.cpu - cpu) / (time.monotonic() - begun))
                writes.append(len(audit.writes(full.namespace)))
    sheet.add("storm-cpu", Figure("5,000 irrelevant child events in a minute: CPU", shares, "% of a core", 20))
    sheet.add("storm-writes", Figure("the same: writes", writes, "writes", 0))


def _is_slot(secret: Object) -> bool:
    return "mcs.tvox.io/slot" in (secret["metadata"].get("labels") or {})


def _foreign(number: int) -> Object:
    """A certificate that nobody of ours names, as cert-manager renews them."""
    data = {"tls.crt": "bm90aGluZw==", "tls.key": "bm90aGluZw=="}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"foreign-{number}"},
        "type": "kubernetes.io/tls",
    } | {"data": data}


async def _storm(raw: Raw, namespace: str, slots: list[str], run: int) -> None:
    """A third each: somebody annotates slot Secrets, and the Service, and foreign certificates change."""
    begun = time.monotonic()

    async def send(number: int) -> None:
        await asyncio.sleep(max(0.0, begun + number * STORM_SECONDS / STORM_EVENTS - time.monotonic()))
        await raw.call(_irrelevant(namespace, slots, run, number))

    await asyncio.gather(*(send(number) for number in range(STORM_EVENTS)))
    assert time.monotonic() - begun < 1.1 * STORM_SECONDS, "this machine is too busy to make such a storm"


def _irrelevant(namespace: str, slots: list[str], run: int, number: int) -> Request:
    mark = {"metadata": {"annotations": {"example.com/seen": f"{run}-{number}"}}}
    turn, which = number // 3, number % 3
    if which == 0:
        return change(namespace, "Secret", slots[turn % len(slots)], mark)
    if which == 1:
        return change(namespace, "Secret", f"foreign-{turn % 50}", mark)
    path = f"/api/v1/namespaces/{namespace}/services/mcs"
    return Request("PATCH", path, mark, "application/merge-patch+json")


async def test_admission(server: Api, full: Api, tmp_path: Path, sheet: Sheet) -> None:
    """New links beside 249 others, 64 at a time: what the API server waits for the webhook, and what remains of it in
    the whole create. And reviews without an API server between, as many at a time, from a client on the same cores."""
    port = free_port()
    (tmp_path / "tls.crt").write_text(chain("localhost"))
    (tmp_path / "tls.key").write_text(text_of(key()))
    bundle = base64.b64encode((tmp_path / "tls.crt").read_bytes()).decode()
    options = [f"--webhook-port={port}", f"--webhook-certificate={tmp_path}"]
    waits, halves, longest, ratios = [], [], [], []
    full.apply(_path_registered())
    with Measured(server.kubeconfig, tmp_path / "log", options).running() as operator:
        until("the webhook serves", lambda: "the webhook serves" in operator.since(0))
        await asyncio.sleep(3)
        for _ in range(RUNS):
            without = await _dry_runs(full, CREATES)
            full.apply(_registration(port, bundle))
            await asyncio.sleep(2)
            with wire.waits(port) as waited:
                ratios.append(await _dry_runs(full, CREATES) / without)
            assert abs(len(waited) - CREATES) <= IN_FLIGHT, f"the wire showed {len(waited)} of {CREATES} reviews"
            waits.append(1000 * quantile(waited, 0.99))
            halves.append(1000 * quantile(waited, 0.5))
            longest.append(1000 * max(waited))
            full.delete("ValidatingWebhookConfiguration", "mcs-bench")
            await asyncio.sleep(1)
        direct = [await _reviews(port, full.namespace, 2000) for _ in range(RUNS)]
    sheet.add("admission", Figure("admission, 64 creates at a time: p99 of the webhook's answers", waits, "ms", 50))
    sheet.add("admission-p50", Figure("the same, p50", halves, "ms"))
    sheet.add("admission-max", Figure("the same, the longest: 64 new connections at once", longest, "ms"))
    sheet.add("admission-through", Figure("the same: p99 of a create, against one without the webhook", ratios, "×"))
    sheet.add("admission-direct", Figure("the webhook alone, asked by 64 at a time without a pause: p99", direct, "ms"))


async def _reviews(port: int, namespace: str, count: int) -> float:
    """p99, in ms."""
    latencies: list[float] = []
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    async with aiohttp.ClientSession(f"https://localhost:{port}", connector=connector) as session:

        async def ask() -> None:
            for number in numbers:
                body = json.dumps(_review(namespace, f"asked-{number}")).encode()
                begun = time.monotonic()
                async with session.post(PATH, data=body) as answer:
                    told = await answer.json()
                latencies.append(time.monotonic() - begun)
                assert told["response"]["allowed"], told

        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
    return quantile(latencies, 0.99) * 1000


def _review(namespace: str, name: str) -> Object:
    new = a_link(name, domain=f"{name}.{namespace}.test")
    new["metadata"]["namespace"] = namespace
    kind = {"group": "mcs.tvox.io", "version": "v1alpha1", "kind": "TVoxLink"}
    request = {"uid": name, "kind": kind, "operation": "CREATE", "namespace": namespace, "name": name, "object": new}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def _dry_runs(api: Api, count: int) -> float:
    """p99 of a create through the API server that stores nothing, in ms."""
    latencies: list[float] = []
    async with Raw(api.kubeconfig, IN_FLIGHT) as raw:
        numbers = iter(range(count))

        async def create() -> None:
            for number in numbers:
                request = creation(api.namespace, link_named(api.namespace, f"dry-{number}"))
                begun = time.monotonic()
                await raw.call(Request("POST", f"{request.path}?dryRun=All", request.body))
                latencies.append(time.monotonic() - begun)

        await asyncio.gather(*(create() for _ in range(IN_FLIGHT)))
    return quantile(latencies, 0.99) * 1000


def _path_registered() -> Object:
    """The installed configuration, from which the operator takes the path that it answers at. It asks for nothing."""
    nothing = {"apiGroups": ["mcs.tvox.io"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["nothing"]}
    entry = _registration(0, "")["webhooks"][0] | {"name": "path.mcs.tvox.io", "rules": [nothing]}
    entry["clientConfig"] = {"service": {"namespace": "default", "name": "none", "path": PATH}}
    return _configuration(WEBHOOK, entry)


def _registration(port: int, bundle: str) -> Object:
    rule = {"apiGroups": ["mcs.tvox.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["*"]}
    webhook = {
        "name": "bench.mcs.tvox.io",
        "clientConfig": {"url": f"https://localhost:{port}{PATH}", "caBundle": bundle},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 3,
    }
    return _configuration("mcs-bench", webhook)


def _configuration(name: str, webhook: Object) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
