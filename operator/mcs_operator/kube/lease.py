"""Leader election by a Lease: all replicas watch, one acts.

A leader that cannot renew stops acting before anybody else may start: it counts from the moment at which it *asked*
for its last successful renewal, on its own monotonic clock. A follower counts from when it saw the Lease change, so
that nobody's wall clock matters.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import LEASES, Object
from mcs_operator.tasks import end_all
from mcs_operator.timestamps import rfc3339_micro

log = logging.getLogger(__name__)

DURATION = 10.0
"""Seconds for which a Lease is good after its renewal."""
RENEW_WITHIN = 7.0
"""Seconds after which a leader that could not renew stops acting; less than DURATION by more than any request."""
PERIOD = 2.0
"""Seconds between renewals."""
LOOK = 1.0
"""Seconds between looks of those who wait: with DURATION it bounds how long nobody leads after a leader's death."""
ANSWER_WITHIN = 3.0

_TROUBLE = (ApiError, OSError)  # the time-out of our own is an OSError


class _Answer(Enum):
    OURS = auto()
    ANOTHERS = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Seen:
    version: str = ""
    at: float = 0.0


class Leader:
    """One candidate. ``identity`` must be unique among the replicas: the pod's name. ``api`` is its own, so that no
    other request is in the way of a renewal.

    `run` calls ``lead`` once this candidate holds the Lease, and cancels it when it no longer does.
    """

    def __init__(self, api: Api, namespace: str, name: str, identity: str) -> None:
        self.leading = False
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._seen = _Seen()
        self._renewed = 0.0
        self._clock: Callable[[], float] = time.monotonic

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled: try to get the Lease, lead while it is held. Ends when the Lease is lost."""
        self._clock = asyncio.get_running_loop().time
        while await self._ask(ANSWER_WITHIN) is not _Answer.OURS:  # noqa: ASYNC110 - no event: another process has it
            await asyncio.sleep(LOOK)
        log.info("leading as %s", self._identity)
        self.leading = True
        work = asyncio.ensure_future(lead())
        try:
            while (left := self._left()) > 0:
                await asyncio.wait({work}, timeout=min(PERIOD, left))
                if work.done():
                    return work.result()
                # Bounded by what is left, so that a request that hangs cannot make it longer.
                if (left := self._left()) > 0 and await self._ask(min(ANSWER_WITHIN, left)) is _Answer.ANOTHERS:
                    log.error("the Lease is another's: not leading any more")
                    return None
            log.error("the Lease could not be renewed for %.0f s: not leading any more", RENEW_WITHIN)
        finally:
            self.leading = False
            await end_all([work])

    def may_act(self) -> bool:
        """Whether the Lease is held at this very moment. By the clock, and not by what was noticed: a process that
        was stopped for a while, or whose loop stood still, has lost it before any of its tasks can tell. Threads ask
        as well, which have no loop: those that order certificates."""
        return self.leading and self._left() > 0

    def _left(self) -> float:
        """Seconds for which the last renewal lets us act."""
        return self._renewed + RENEW_WITHIN - self._clock()

    async def release(self) -> None:
        """Give the Lease up, so that another replica leads at once."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                body = await self._get()
                if body is None or _spec(body).get("holderIdentity") != self._identity:
                    return
                spec = _spec(body) | {
                    "holderIdentity": "",
                    "renewTime": rfc3339_micro(datetime.now(UTC)),
                    "leaseDurationSeconds": 1,
                }
                await self._api.replace(LEASES, body | {"spec": spec})
        except _TROUBLE as error:
            log.info("the Lease was not given up: %s", error or type(error).__name__)

    async def _ask(self, within: float) -> _Answer:
        """Get or renew the Lease; whose it is now. What fails is tried again a period later."""
        asked = self._clock()
        try:
            async with asyncio.timeout(within):  # a hung request must not keep a leader from noticing
                held = await self._get_or_renew(asked)
        except _TROUBLE as error:
            log.warning("Lease %s/%s: %s", self._namespace, self._name, error or type(error).__name__)
            return _Answer.UNKNOWN
        if held:
            self._renewed = asked
        return _Answer.OURS if held else _Answer.ANOTHERS

    async def _get_or_renew(self, asked: float) -> bool:
        body = await self._get()
        if body is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            await self._api.create(LEASES, _lease(metadata, self._identity, 0))
            return True
        spec, version = _spec(body), body["metadata"]["resourceVersion"]
        holder = spec.get("holderIdentity") or ""
        if version != self._seen.version:
            self._seen = _Seen(version, asked)
        expired = asked - self._seen.at > float(spec.get("leaseDurationSeconds") or DURATION)
        if holder not in ("", self._identity) and not expired:
            return False
        transitions = int(spec.get("leaseTransitions") or 0) + (holder != self._identity)
        metadata = {key: body["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        since = spec.get("acquireTime") if holder == self._identity else None
        await self._api.replace(LEASES, _lease(metadata, self._identity, transitions, since))
        return True

    async def _get(self) -> Object | None:
        return await self._api.get(LEASES, self._namespace, self._name)


def _spec(body: Object) -> Object:
    """The Lease's content; a Lease that somebody made by hand may have none."""
    spec: Object = body.get("spec") or {}
    return spec


def _lease(metadata: Object, identity: str, transitions: int, since: str | None = None) -> Object:
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": metadata,
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": since or rfc3339_micro(datetime.now(UTC)),
            "renewTime": rfc3339_micro(datetime.now(UTC)),
            "leaseTransitions": transitions,
        },
    }
