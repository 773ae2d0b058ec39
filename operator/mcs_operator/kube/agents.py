"""The operator's end of the link agents: one long poll per media pod, whose answers wake the reconciliation.

The agent is found by the pod's address and proves itself by a certificate of the instance's own CA; the operator
proves itself by the token that only the Secret `<instance>-agent` tells.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from pydantic import ValidationError

from mcs_operator.domain.linkstate import LinkReport
from mcs_operator.domain.lookup import RESOLVE_SECONDS, UNAVAILABLE, Answer, Failure, Question, Resolution

log = logging.getLogger(__name__)

POLL_SECONDS = 25
UNREACHABLE_AFTER = 10.0
"""Seconds of failing polls after which the last report is no longer believed."""
_MAX_ANSWER = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one agent is and how to know it. ``name`` is the one in its certificate."""

    pod_uid: str
    host: str
    port: int
    name: str
    ca: str
    token: str = field(repr=False)


@dataclass(slots=True)
class _Poll:
    endpoint: Endpoint
    task: asyncio.Task[None]
    report: LinkReport | None = None
    given_up: bool = False


class Agents:
    """All agents by namespace. ``wake`` is called with a namespace whose report changed."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._polls: dict[str, _Poll] = {}
        self._wake = wake

    def report(self, namespace: str) -> LinkReport | None:
        """The last report, or None where the agent does not answer."""
        poll = self._polls.get(namespace)
        return poll.report if poll else None

    def may_answer(self, namespace: str) -> bool:
        """Whether an agent without a report was only just asked: too early to call it unreachable.

        A status that said so at each start of the operator would be written twice for every link there is.
        """
        poll = self._polls.get(namespace)
        return poll is not None and not poll.given_up

    def follow(self, namespace: str, endpoint: Endpoint | None) -> None:
        """Follow this agent from now on, and no other of the namespace; None follows none."""
        known = self._polls.get(namespace)
        if known and known.endpoint == endpoint:
            return
        if known:
            known.task.cancel()
            del self._polls[namespace]
        if endpoint is not None:
            task = asyncio.create_task(self._poll(namespace, endpoint), name=f"agent of {namespace}")
            self._polls[namespace] = _Poll(endpoint, task)

    async def drain(self, namespace: str, begin: bool) -> None:
        """Have the appliance begin, or stop, to drain. An agent that does not answer is not waited for: the pod is
        replaced after spec.drainSeconds all the same."""
        poll = self._polls.get(namespace)
        if poll is None:
            return
        try:
            async with _request(poll.endpoint, "POST" if begin else "DELETE", "/v1/drain", seconds=5) as response:
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("drain of namespace %s: %s", namespace, error or type(error).__name__)

    async def resolve(self, namespace: str, names: Collection[str]) -> dict[str, Answer]:
        """What the resolver in the media pod says about these names; an agent that does not answer says nothing."""
        silence = dict.fromkeys(names, UNAVAILABLE)
        poll = self._polls.get(namespace)
        if poll is None:
            return silence
        body = Question(names=list(names)).model_dump_json()
        try:
            async with _request(poll.endpoint, "POST", "/v1/resolve", RESOLVE_SECONDS + 10, body) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return dict.fromkeys(names, Answer(failure=Failure.NOT_SUPPORTED))
                response.raise_for_status()
                return silence | dict(Resolution.model_validate_json(await _whole(response)).answers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.info("names of namespace %s were not looked up: %s", namespace, error or type(error).__name__)
            return silence

    async def close(self) -> None:
        """End all polls."""
        tasks = [poll.task for poll in self._polls.values()]
        self._polls.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self, namespace: str, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        answered = loop.time()
        connector = aiohttp.TCPConnector(ssl=_context(endpoint), limit=1)
        timeout = aiohttp.ClientTimeout(total=POLL_SECONDS + 15, sock_connect=5)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while True:
                poll = self._polls[namespace]
                try:
                    report = await _ask(session, endpoint, poll.report)
                    answered = loop.time()
                except (aiohttp.ClientError, TimeoutError, OSError, ValidationError, ValueError) as error:
                    if not poll.given_up and loop.time() - answered > UNREACHABLE_AFTER:
                        log.warning("link agent of namespace %s does not answer: %s", namespace, error or type(error))
                        poll.report, poll.given_up = None, True
                        self._wake(namespace)
                    await asyncio.sleep(1)
                    continue
                poll.given_up = False
                if report != poll.report:
                    poll.report = report
                    self._wake(namespace)


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
async def _request(
    endpoint: Endpoint, method: str, path: str, seconds: float, body: str | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request beside the poll, on a connection of its own."""
    connector, timeout = aiohttp.TCPConnector(ssl=_context(endpoint)), aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.request(
            method,
            f"https://{endpoint.host}:{endpoint.port}{path}",
            data=body,
            headers={"Authorization": f"Bearer {endpoint.token}"},
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


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=endpoint.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
