"""The operator's end of the link agents: one long poll per media pod, whose answers wake the reconciliation.

The agent is found by the pod's address and proves itself by a certificate of the instance's own CA; the operator
proves itself by the token that only the Secret `<instance>-agent` tells.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType

import aiohttp
from pydantic import ValidationError

from mcs_operator.contract.exits import ExitAtOnce
from mcs_operator.contract.linkstate import DRAIN_UNTIL, LinkReport
from mcs_operator.contract.lookup import MAX_NAMES, RESOLVE_SECONDS, UNAVAILABLE, Answer, Failure, Question, Resolution
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules.addressing import agent_name
from mcs_operator.settings import AGENT_PORT_OFFSET
from mcs_operator.tasks import end_all
from mcs_operator.timestamps import rfc3339

log = logging.getLogger(__name__)

POLL_SECONDS = 25
UNREACHABLE_AFTER = 10.0
"""Seconds after which an agent that has never answered is called unreachable."""
GRACE = 30.0
"""Seconds of failing polls after which the last report is no longer believed. An agent that crashes is there again
after a few: nobody's status is turned over and back for it."""
LATE = POLL_SECONDS + 3.0
"""Seconds without an answer after which a poll is not a quiet one any more but one that hangs."""
AT_ONCE = 5.0
"""Seconds for an agent that was silent to confirm what it said. So a network that was cut for a moment turns nothing
over, and of one that stays cut nothing is believed that is older than 35 s."""
AGAIN_AFTER = 1.0
"""Seconds between a poll that failed and the next."""
CALM = 0.1
"""Seconds between an answer and the next poll: half of what an agent gathers its news for. One that has always news,
as none of ours has, would otherwise be asked a thousand times a second."""
_MAX_ANSWER = 2 * 2**20
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_TROUBLE = (aiohttp.ClientError, OSError, ValueError, TypeError)
"""What an agent, or the way to it, may do to a request; a TimeoutError is an OSError, a report that does not fit the
model a ValueError. ssl raises a TypeError for a CA's certificate with an accent in it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one agent is and how to know it. ``name`` is the one in its certificate."""

    pod_uid: str
    host: str
    port: int
    name: str
    ca: str
    token: str = field(repr=False)


def endpoint_of(world: World, plan: Plan, keys: Keys) -> Endpoint | None:
    """Where the agent of this namespace is; None while no pod runs, or nobody would know it."""
    running, instance = world.pod, plan.instance
    if running is None or instance is None or not running.ip or keys.agent is None or keys.ca is None:
        return None
    port = instance.spec.vpn.base_port + AGENT_PORT_OFFSET
    name = agent_name(instance.name, world.namespace)
    return Endpoint(running.uid, running.ip, port, name, keys.ca, keys.agent.token)


@dataclass(slots=True)
class _Poll:
    """``failing``: since when it does not answer; None while it does. It has not answered yet where it begins.
    ``idle``: since when each answer has said that nobody has a connection to the media; None while one did not.
    ``until``: the end of the drain that the appliance was told; None where none is known."""

    endpoint: Endpoint
    failing: float | None
    idle: float | None = None
    answered: float = 0.0
    task: asyncio.Task[None] | None = None
    report: LinkReport | None = None
    misses: int = 0
    given_up: bool = False
    until: datetime | None = None


class Agents:
    """All agents by namespace. ``wake`` is called with a namespace whose report changed."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._polls: dict[str, _Poll] = {}
        self._wake = wake

    def report(self, namespace: str) -> LinkReport | None:
        """The last report, or None where the agent does not answer."""
        poll = self._polls.get(namespace)
        return poll.report if poll else None

    def confirmed(self, namespace: str) -> LinkReport | None:
        """The report of an agent that answers at present: for what must not be decided by an old one."""
        poll = self._polls.get(namespace)
        return poll.report if poll and poll.failing is None else None

    def idle_since(self, namespace: str, now: datetime) -> datetime | None:
        """Since when nobody talks, as far as it was watched; None while somebody does, or nobody knows.

        By a clock that nobody can set, and in memory alone: an operator that starts anew watches for as long again.
        """
        poll = self._polls.get(namespace)
        if poll is None or poll.idle is None or _now() - poll.answered > LATE:
            return None
        return now - timedelta(seconds=_now() - poll.idle)

    def may_answer(self, namespace: str) -> bool:
        """Whether an agent without a report was only just asked: too early to call it unreachable.

        A status that said so at each start of the operator would be written twice for every link there is.
        """
        poll = self._polls.get(namespace)
        return poll is not None and not poll.given_up

    def follow(self, namespace: str, endpoint: Endpoint | None) -> None:
        """Follow this agent from now on, and no other of the namespace; None follows none. What the same pod has said
        is still true when it gets another token or certificate."""
        known = self._polls.get(namespace)
        if known and known.endpoint == endpoint:
            return
        if known:
            if known.task:
                known.task.cancel()
            del self._polls[namespace]
        if endpoint is not None:
            same = known is not None and known.endpoint.pod_uid == endpoint.pod_uid
            report = known.report if known and same else None
            poll = self._polls[namespace] = _Poll(endpoint, failing=_now(), report=report)
            poll.task = asyncio.create_task(self._run(namespace, poll), name=f"agent of {namespace}")

    async def drain(self, namespace: str, begin: bool, until: datetime | None = None) -> None:
        """Have the appliance begin, or stop, to drain; ``until`` is for its users. An agent that does not answer is not
        waited for: the pod is replaced after spec.drainSeconds all the same."""
        poll = self._polls.get(namespace)
        if poll is None:
            return
        try:
            method, told = "POST" if begin else "DELETE", {DRAIN_UNTIL: rfc3339(until)} if until else {}
            async with _request(poll.endpoint, method, "/v1/drain", seconds=5, headers=told) as response:
                response.raise_for_status()
            poll.until = until
        except _TROUBLE as error:
            log.warning("drain of namespace %s: %s", namespace, _told(error))

    async def drains_until(self, namespace: str, until: datetime) -> None:
        """Tell an appliance that drains when that ends, unless it knows: spec.drainSeconds may change meanwhile. One
        that does not answer is told once it does; an operator that starts anew tells it once more."""
        poll, report = self._polls.get(namespace), self.confirmed(namespace)
        if poll is None or report is None or report.media is None or not report.media.draining:
            return
        if poll.until is None or rfc3339(poll.until) != rfc3339(until):
            await self.drain(namespace, True, until)

    async def exit_at_once(self, namespace: str, slots: Collection[int], seconds: float) -> bool:
        """Have these slots exit as soon as they are asked to, as their containers alone are to be replaced; whether
        the agent has taken it. Where not, they would hold up all else that is done to the pod for nearly a minute."""
        poll = self._polls.get(namespace)
        if poll is None:
            return False
        body = ExitAtOnce(slots=tuple(slots), seconds=seconds).model_dump_json()
        try:
            async with _request(poll.endpoint, "POST", "/v1/exit-at-once", 5, body) as response:
                response.raise_for_status()
        except _TROUBLE as error:
            log.warning("slots of namespace %s are not replaced now: %s", namespace, _told(error))
            return False
        return True

    async def resolve(self, namespace: str, names: Collection[str]) -> dict[str, Answer]:
        """What the resolver in the media pod says about these names; an agent that does not answer says nothing."""
        asked, found = list(names), dict[str, Answer]()
        for first in range(0, len(asked), MAX_NAMES):  # an agent, also one of before portals, takes no more at once
            found |= await self._resolve(namespace, asked[first : first + MAX_NAMES])
        return found

    async def _resolve(self, namespace: str, names: Sequence[str]) -> dict[str, Answer]:
        silence = dict.fromkeys(names, UNAVAILABLE)
        poll = self._polls.get(namespace)
        if poll is None:
            return silence
        body = Question(names=[*names]).model_dump_json()
        try:
            async with _request(poll.endpoint, "POST", "/v1/resolve", RESOLVE_SECONDS + 10, body) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return dict.fromkeys(names, Answer(failure=Failure.NOT_SUPPORTED))
                response.raise_for_status()
                return silence | dict(Resolution.model_validate_json(await _whole(response)).answers)
        except _TROUBLE as error:
            log.info("names of namespace %s were not looked up: %s", namespace, _told(error))
            return silence

    async def close(self) -> None:
        """End all polls."""
        tasks = [poll.task for poll in self._polls.values()]
        self._polls.clear()
        await end_all(tasks)

    async def _run(self, namespace: str, poll: _Poll) -> None:
        """Poll until cancelled. Nothing that an agent, its CA or a defect of ours does ends this: nobody would notice,
        and the last report would be believed for ever."""
        while True:
            asked = _now()
            try:
                async with _session(poll.endpoint, LATE) as session:
                    while True:
                        asked = _now()
                        self._take(namespace, poll, await _answer(session, poll))
                        await asyncio.sleep(CALM)
            except _TROUBLE as error:
                silent_since = asked if isinstance(error, TimeoutError) else _now()
                self._miss(namespace, poll, _told(error), silent_since)
            except Exception as error:
                if poll.misses == 0:  # one traceback for each time that it begins, not one a second
                    log.exception("asking the link agent of namespace %s failed", namespace)
                self._miss(namespace, poll, type(error).__name__, _now())
            await asyncio.sleep(AGAIN_AFTER)

    def _take(self, namespace: str, poll: _Poll, report: LinkReport) -> None:
        returns = poll.failing is not None
        poll.failing, poll.misses, poll.given_up = None, 0, False
        poll.answered = _now()
        if report.media is None or report.media.connections:
            poll.idle = None
        elif poll.idle is None:
            poll.idle = _now()
        if report != poll.report or returns:  # after a gap also for the same: what waited for a fresh word has it now
            poll.report = report
            self._wake(namespace)

    def _miss(self, namespace: str, poll: _Poll, why: str, since: float) -> None:
        """It did not answer. Counted from the first failure and not from the last answer, as a quiet poll itself lasts
        for most of the grace; of one that hung, and was silent all that time, from when it was asked."""
        poll.failing, poll.misses = since if poll.failing is None else poll.failing, poll.misses + 1
        poll.idle = None  # whoever called meanwhile, it did not say
        patience = GRACE if poll.report else UNREACHABLE_AFTER
        if not poll.given_up and _now() - poll.failing >= patience:
            log.warning("link agent of namespace %s does not answer: %s", namespace, why)
            poll.report, poll.given_up = None, True
            self._wake(namespace)


async def _answer(session: aiohttp.ClientSession, poll: _Poll) -> LinkReport:
    """What is news of the agent; of one that did not answer lately, all that it knows, at once."""
    if poll.report is None or poll.failing is None:
        return await _ask(session, poll.endpoint, poll.report)
    async with asyncio.timeout(AT_ONCE):
        return await _ask(session, poll.endpoint, None)


async def _ask(session: aiohttp.ClientSession, endpoint: Endpoint, known: LinkReport | None) -> LinkReport:
    query = {"wait": str(POLL_SECONDS)} | ({"epoch": known.epoch, "version": str(known.version)} if known else {})
    async with session.get(
        f"https://{endpoint.host}:{endpoint.port}/v1/links",
        params=query,
        headers={"Authorization": f"Bearer {endpoint.token}"},
        server_hostname=endpoint.name,
    ) as response:
        response.raise_for_status()
        return LinkReport.model_validate_json(await _whole(response))


@asynccontextmanager
async def _session(endpoint: Endpoint, seconds: float) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to one agent; each request may take so many seconds."""
    connector = aiohttp.TCPConnector(ssl=_context(endpoint), limit=1)
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


@asynccontextmanager
async def _request(
    endpoint: Endpoint,
    method: str,
    path: str,
    seconds: float,
    body: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request beside the poll, on a connection of its own."""
    async with (
        _session(endpoint, seconds) as session,
        session.request(
            method,
            f"https://{endpoint.host}:{endpoint.port}{path}",
            data=body,
            headers={"Authorization": f"Bearer {endpoint.token}", **headers},
            server_hostname=endpoint.name,
        ) as response,
    ):
        yield response


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body in full, however many pieces it comes in. ValueError for one that no agent of ours would send."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MAX_ANSWER:
            raise ValueError(f"the agent's answer is longer than {_MAX_ANSWER} bytes")
    return bytes(body)


def _told(error: Exception) -> str:
    """What went wrong, for the log; of an answer that is no report nothing that is in it."""
    if isinstance(error, ValidationError):
        return f"its answer is not in the form of a {error.title}"
    return str(error)[:200] or type(error).__name__


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """With the certificates of the CA alone: what else is in such a file, a comment with an accent, ssl refuses."""
    context = ssl.create_default_context(cadata="\n".join(_CERTIFICATE.findall(endpoint.ca)) or endpoint.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _now() -> float:
    return asyncio.get_running_loop().time()
