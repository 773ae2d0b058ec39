"""When the Lease is lost nothing is written any more: not by runs under way, not by their parallel parts, not by a
process that slept through it. Time is virtual.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.handlers.queue import Queue
from mcs_operator.kube.apply import apply_all
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.errors import NoAnswerError, NotLeadingError
from mcs_operator.kube.lease import RENEW_WITHIN, Leader
from mcs_operator.kube.resources import SECRETS, Object
from support.virtual_time import VirtualTime


class SlowWire:
    """A server that takes its time, and notes when each write left."""

    def __init__(self, takes: float) -> None:
        self.left: list[float] = []
        self.takes = takes
        self.configuration = SimpleNamespace(host="https://api")

    async def update_params_for_auth(self, *_: Any) -> None:
        await asyncio.sleep(0)

    async def call_api(self, method: str, url: str, body: Any = None, **_: Any) -> Any:
        if method != "GET":
            self.left.append(now())
        await asyncio.sleep(self.takes)
        raise NoAnswerError(TimeoutError()) if method == "GET" else OSError("too slow")


class LeaseApi:
    """The Lease, which is taken away at a moment of the test's choice: by another holder, or by silence."""

    def __init__(self) -> None:
        self.body: Object | None = None
        self.silent = False

    async def get(self, *_: Any) -> Object | None:
        await asyncio.sleep(0.01)
        if self.silent:
            raise NoAnswerError(TimeoutError())
        return self.body

    async def create(self, _: Any, body: Object) -> Object:
        self.body = body | {"metadata": body["metadata"] | {"resourceVersion": "1"}}
        return self.body

    async def replace(self, _: Any, body: Object) -> Object:
        self.body = body
        return body

    def taken_by(self, other: str) -> None:
        assert self.body
        self.body = self.body | {"spec": self.body["spec"] | {"holderIdentity": other}}


def now() -> float:
    return asyncio.get_running_loop().time()


def secrets(count: int) -> list[Manifest]:
    return [
        Manifest(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s-{n}", "namespace": "demo", "labels": {}}},
            Wave.SHARD,
        )
        for n in range(count)
    ]


class Replica:
    """A leader with a queue of 20 namespaces, each of 20 writes, on a slow server."""

    def __init__(self, takes: float) -> None:
        wire: Any = SlowWire(takes)
        self.wire: SlowWire = wire
        self.lease = LeaseApi()
        lease: Any = self.lease
        self.api = Api(wire)
        self.leader = Leader(lease, "operators", "mcs-operator", "me")
        self.api.may_write = self.leader.may_act
        store = Store(wake=lambda _: None)

        async def reconcile(_: str) -> float | None:
            await apply_all(self.api, store, secrets(20))
            return 0.0

        self.queue = Queue(reconcile)

    async def lead(self) -> None:
        self.queue.open()
        for number in range(20):
            self.queue.enqueue(f"namespace-{number}")
        try:
            await asyncio.Event().wait()
        finally:
            await self.queue.close()


def in_virtual_time(story: Any) -> None:
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())


@pytest.mark.parametrize("takes", [0.001, 0.25, 3.0, 25.0])
def test_after_another_took_the_lease_no_write_leaves(takes: float) -> None:
    async def story() -> None:
        replica = Replica(takes)
        running = asyncio.create_task(replica.leader.run(replica.lead))
        await asyncio.sleep(5)
        assert replica.wire.left, "it wrote while it led"
        replica.lease.taken_by("another")
        await running
        ended = now()
        await asyncio.sleep(600)
        assert [at for at in replica.wire.left if at > ended] == []
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is left at work"

    in_virtual_time(story)


@pytest.mark.parametrize("takes", [0.001, 0.25, 3.0, 25.0])
def test_a_leader_that_cannot_renew_sends_nothing_after_its_time(takes: float) -> None:
    async def story() -> None:
        replica = Replica(takes)
        running = asyncio.create_task(replica.leader.run(replica.lead))
        await asyncio.sleep(5)
        replica.lease.silent = True
        silent = now()
        await running
        await asyncio.sleep(600)
        assert replica.wire.left
        assert max(replica.wire.left) <= silent + RENEW_WITHIN

    in_virtual_time(story)


def test_who_was_stopped_for_a_while_sends_nothing_when_he_wakes() -> None:
    """A suspended machine: its tasks go on where they were, and none of them knows what time it is."""

    async def story() -> None:
        replica = Replica(0.1)
        running = asyncio.create_task(replica.leader.run(replica.lead))
        await asyncio.sleep(3.05)
        loop: Any = asyncio.get_running_loop()
        loop._jumping.now += 3600
        with pytest.raises(NotLeadingError):
            await replica.api.create(SECRETS, {"metadata": {"namespace": "demo", "name": "x"}})
        woke = now()
        await running
        assert [at for at in replica.wire.left if at >= woke - 1] == []

    in_virtual_time(story)


def test_nothing_is_written_before_the_lease_is_held() -> None:
    async def story() -> None:
        replica = Replica(0.1)
        with pytest.raises(NotLeadingError):
            await replica.api.create(SECRETS, {"metadata": {"namespace": "demo", "name": "x"}})
        assert replica.wire.left == []

    in_virtual_time(story)
