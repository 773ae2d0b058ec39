"""The Lease's protocol, in a time of its own: whatever happens, never two who lead, and soon one again.

Each test runs on a loop whose clock jumps to the next timer, so that minutes cost nothing and times are exact.
"""

from __future__ import annotations

import asyncio
import copy
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mcs_operator.kube import lease as module
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.lease import DURATION, RENEW_WITHIN, Leader
from mcs_operator.kube.resources import Object

SAFETY = 1.0
"""Seconds by which a leader that cannot renew has stopped before anybody else may start."""


class _Jump(selectors.SelectSelector):
    """Never waits: what the loop would sleep for is added to its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        assert self.now < 10_000, "nothing ever ends"
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's story in a time of its own."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(story)


class Server:
    """The one Lease, kept as an API server keeps it: a version for each write, and a conflict for an old one."""

    def __init__(self) -> None:
        self.stored: Object | None = None
        self.version = 0
        self.writes: list[str] = []

    def put(self, body: Object) -> Object:
        self.version += 1
        body = copy.deepcopy(body)
        body["metadata"]["resourceVersion"] = str(self.version)
        self.stored = body
        self.writes.append(str(body["spec"]["holderIdentity"]))
        return copy.deepcopy(body)

    @property
    def holder(self) -> str:
        return str(self.stored["spec"]["holderIdentity"]) if self.stored else ""


class Api:
    """One candidate's way to the server. ``takes``: seconds for each way of a request; None: no answer ever comes."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.takes: float | None = 0.01
        self.answers_lost = False
        self.error: Exception | None = None
        self.requests = 0

    async def _way(self) -> None:
        self.requests += 1
        if self.error:
            raise self.error
        await asyncio.sleep(10_000 if self.takes is None else self.takes)

    async def get(self, _: Any, __: str, ___: str) -> Object | None:
        await self._way()
        found = copy.deepcopy(self.server.stored)
        await self._back()
        return found

    async def create(self, _: Any, body: Object) -> Object:
        await self._way()
        if self.server.stored is not None:
            raise ApiError(409, "AlreadyExists", "it exists")
        stored = self.server.put(body)
        await self._back()
        return stored

    async def replace(self, _: Any, body: Object) -> Object:
        await self._way()
        if self.server.stored is None:
            raise ApiError(404, "NotFound", "there is none")
        if body["metadata"]["resourceVersion"] != str(self.server.version):
            raise ApiError(409, "Conflict", "the object has been modified")
        stored = self.server.put(body)
        await self._back()
        return stored

    async def _back(self) -> None:
        await asyncio.sleep(10_000 if self.answers_lost or self.takes is None else self.takes)


class Candidate:
    """A replica: its way to the server, and the times at which it acted."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self.api = Api(server)
        self.leader = Leader(self.api, "operators", "mcs-operator", name)  # type: ignore[arg-type]
        self.acted: list[float] = []
        self.task: asyncio.Task[None] | None = None

    def start(self) -> Candidate:
        self.task = asyncio.create_task(self.leader.run(self._act), name=self.name)
        return self

    async def _act(self) -> None:
        while True:
            self.acted.append(now())
            await asyncio.sleep(0.1)

    async def die(self) -> None:
        """Without a word, as by SIGKILL."""
        assert self.task
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        """As by SIGTERM."""
        await self.die()
        await self.leader.release()

    def acts(self) -> bool:
        return bool(self.acted) and now() - self.acted[-1] < 0.2


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(look: Callable[[], bool], within: float) -> float:
    """Wait; the seconds it took."""
    begun = now()
    while not look():
        assert now() - begun <= within, f"not within {within} s"
        await asyncio.sleep(0.05)
    return now() - begun


async def two(server: Server) -> tuple[Candidate, Candidate]:
    """One who leads, and one who watches it."""
    first = Candidate(server, "first").start()
    await until(first.acts, 1)
    second = Candidate(server, "second").start()
    await asyncio.sleep(7)
    return first, second


Story = Callable[[], Awaitable[None]]


# --- one leads ---


def test_the_first_one_leads_at_once_and_keeps_leading() -> None:
    async def story() -> None:
        one = Candidate(Server(), "one").start()
        assert await until(one.acts, 1) < 0.2
        await asyncio.sleep(600)
        assert one.acts()
        assert one.leader.leading

    run(story())


def test_a_thread_is_told_whether_it_may_act_too() -> None:
    """Certificates are ordered in threads, which have no loop: each request asks first."""

    async def story() -> None:
        one = Candidate(Server(), "one").start()
        await until(one.acts, 1)
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(one.leader.may_act).result()
            one.api.takes = None
            await asyncio.sleep(RENEW_WITHIN + SAFETY)
            assert not thread.submit(one.leader.may_act).result()

    run(story())


def test_of_two_that_start_together_one_leads() -> None:
    async def story() -> None:
        server = Server()
        both = [Candidate(server, name).start() for name in ("a", "b")]
        await asyncio.sleep(120)
        assert sorted(candidate.acts() for candidate in both) == [False, True]
        assert len(set(server.writes)) == 1

    run(story())


def test_renewals_do_not_grow_with_the_candidates() -> None:
    """Writes of the Lease are the only ones of an operator that has nothing to do."""

    async def story() -> None:
        server = Server()
        first, *_ = [Candidate(server, name).start() for name in "abcde"]
        await asyncio.sleep(60)
        assert first.acts()
        assert len(server.writes) <= 31

    run(story())


def test_a_lease_keeps_its_time_of_acquisition_and_counts_the_changes_of_hands() -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        assert server.stored
        acquired = server.stored["spec"]["acquireTime"]
        await asyncio.sleep(20)
        assert server.stored["spec"]["acquireTime"] == acquired
        assert server.stored["spec"]["leaseTransitions"] == 0
        await first.end()
        await until(second.acts, 3)
        assert server.stored["spec"]["leaseTransitions"] == 1

    run(story())


# --- and then another ---


def test_a_leader_that_ends_is_followed_at_once() -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        await first.end()
        assert await until(second.acts, 15) <= 2.5

    run(story())


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0, 1.5, 1.99])
def test_a_leader_that_dies_is_followed_within_15_seconds(moment: float) -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        await asyncio.sleep(moment)
        await first.die()
        assert DURATION - 2.5 < await until(second.acts, 15) < 14

    run(story())


def test_a_follower_that_has_just_started_waits_as_long_as_any_other() -> None:
    """The Lease looks old to it, but it has not seen for how long."""

    async def story() -> None:
        server = Server()
        first = Candidate(server, "first").start()
        await until(first.acts, 1)
        await first.die()
        await asyncio.sleep(3600)
        second = Candidate(server, "second").start()
        assert DURATION < await until(second.acts, 15) < DURATION + 2.5

    run(story())


def test_nobodys_wall_clock_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The times in the Lease are for people: one candidate's clock is an hour behind, or ahead."""
    for skew in (timedelta(hours=-1), timedelta(hours=1)):

        async def story(skew: timedelta = skew) -> None:
            server = Server()
            first, second = await two(server)
            text = (datetime.now(UTC) + skew).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            monkeypatch.setattr(module, "rfc3339_micro", lambda _: text)
            await asyncio.sleep(60)
            assert first.acts()
            assert not second.acted
            await first.die()
            await until(second.acts, 15)

        run(story())


# --- never two ---


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda api: setattr(api, "takes", None), id="no answers"),
        pytest.param(lambda api: setattr(api, "answers_lost", True), id="requests arrive and answers get lost"),
        pytest.param(lambda api: setattr(api, "error", ApiError(500, "InternalError", "etcd")), id="errors"),
        pytest.param(lambda api: setattr(api, "error", ConnectionRefusedError()), id="refused connections"),
        pytest.param(lambda api: setattr(api, "takes", 1.6), id="answers too late"),
    ],
)
@pytest.mark.parametrize("moment", [0.0, 0.7, 1.3, 1.9])
def test_a_leader_that_cannot_renew_stops_before_another_starts(trouble: Callable[[Api], None], moment: float) -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        await asyncio.sleep(moment)
        begun = now()
        trouble(first.api)
        await until(lambda: bool(second.acted), 30)
        assert first.acted[-1] - begun < RENEW_WITHIN + 0.2
        assert second.acted[0] - first.acted[-1] > SAFETY
        assert not first.leader.leading

    run(story())


def test_a_leader_survives_a_short_trouble() -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        for _ in range(5):
            first.api.error = ApiError(429, "TooManyRequests", "slow down")
            await asyncio.sleep(3)
            first.api.error = None
            await asyncio.sleep(5)
        assert first.acts()
        assert not second.acted

    run(story())


def test_a_leader_that_sees_another_one_in_the_lease_stops_at_once() -> None:
    """Somebody edited the Lease, or the server was restored from a backup."""

    async def story() -> None:
        server = Server()
        first, second = await two(server)
        assert server.stored
        server.put(server.stored | {"spec": server.stored["spec"] | {"holderIdentity": "second"}})
        await until(second.acts, 3)
        await asyncio.sleep(2.5)
        assert not first.acts()
        assert second.acts()

    run(story())


def test_a_lease_that_somebody_deleted_is_made_anew_and_one_leads() -> None:
    async def story() -> None:
        server = Server()
        first, second = await two(server)
        server.stored = None
        await asyncio.sleep(30)
        assert first.acts() + second.acts() == 1

    run(story())


def test_a_lease_that_somebody_made_by_hand_is_taken() -> None:
    async def story() -> None:
        server = Server()
        server.stored = {"metadata": {"name": "mcs-operator", "namespace": "operators", "resourceVersion": "0"}}
        one = Candidate(server, "one").start()
        assert await until(one.acts, 1) < 0.2

    run(story())


def test_who_lost_the_lease_says_so_by_its_end() -> None:
    """The process ends with it, and a new one begins with a clean store."""

    async def story() -> None:
        server = Server()
        first, _ = await two(server)
        first.api.takes = None
        assert first.task
        await asyncio.wait_for(first.task, 10)

    run(story())


def test_an_error_of_the_work_ends_the_leader_with_it() -> None:
    async def story() -> None:
        async def fails() -> None:
            raise RuntimeError("a bug")

        leader = Leader(Api(Server()), "operators", "mcs-operator", "one")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="a bug"):
            await leader.run(fails)
        assert not leader.leading

    run(story())


# --- giving it up ---


@pytest.mark.parametrize("held_by", ["", "another"])
def test_nothing_is_given_up_that_is_not_ones_own(held_by: str) -> None:
    async def story() -> None:
        server = Server()
        if held_by:
            await Candidate(server, held_by).start().end()
            other = Candidate(server, held_by).start()
            await until(other.acts, 3)
        writes = len(server.writes)
        await Candidate(server, "one").leader.release()
        assert len(server.writes) == writes

    run(story())


@pytest.mark.parametrize("trouble", [None, ApiError(503, "ServiceUnavailable", "no"), ConnectionRefusedError()])
def test_an_api_server_that_does_not_answer_holds_up_nobodys_end(trouble: Exception | None) -> None:
    """Else the kubelet would have to kill the pod, which is told as a crash."""

    async def story() -> None:
        first, _ = await two(Server())
        first.api.error, first.api.takes = trouble, None
        begun = now()
        await first.end()
        assert now() - begun < 5

    run(story())
