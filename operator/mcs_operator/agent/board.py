"""Everything the agent knows, and the one version number that tells when it changed.

Inputs change a link at once, in memory; what is reported follows after a short calm, so that 250 tunnels that come up
together are a few versions and not 250. Counters live beside the links and never make a version.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mcs_operator.agent.inputs import Refused, Session, Slot
from mcs_operator.agent.lines import Client, Heard, Listing, Noise
from mcs_operator.agent.tunnel import Link
from mcs_operator.agent.usage import Usage
from mcs_operator.contract.linkstate import LinkReport, LinkState, MediaState, SlotState, TunnelStatus

log = logging.getLogger(__name__)

CALM = 0.2
"""Seconds for which changes are gathered into one version."""


@dataclass(slots=True)
class Counters:
    """What only Prometheus hears of: of one slot, since the agent started."""

    received: int = 0
    sent: int = 0
    refused: int = 0
    noise: int = 0
    rtt: float | None = None
    """Seconds of the last TCP connect through the tunnel; None if the last try got no answer."""
    last: Client | None = field(default=None, repr=False)

    def pass_on(self, client: Client) -> None:
        """Add what passed since the last list. OpenVPN counts per session, Prometheus wants one growing number."""
        last = self.last
        fresh = last is None or not last.session.is_same(client.session)
        # A count that fell within a session is nobody's but a liar's, and would look like a restart to Prometheus.
        self.received += max(0, client.received - (0 if fresh or last is None else last.received))
        self.sent += max(0, client.sent - (0 if fresh or last is None else last.sent))
        self.last = client


class Board:
    """The links, the media, and who waits for news of them."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.links: dict[int, Link] = {}
        self.counters: dict[int, Counters] = {}
        self.usage: Usage | None = None
        """What the appliance said last of what each customer uses. Makes no version either."""
        self.memory: dict[str, Any] = {}
        """Links as a former process of the agent remembered them, by slot; each is used once."""
        self._report = LinkReport(epoch=secrets.token_hex(8), version=0)
        self._states: dict[int, LinkState] = {}
        self._media: MediaState | None = None
        self._due: dict[int, float] = {}
        self._changed: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._looked_at_all = self._media_asked = False
        self.complete = asyncio.Event()
        """Set once what is reported is worth reporting: everybody was asked, and answered or had his time."""
        self.closed = False

    @property
    def report(self) -> LinkReport:
        """The present version, with the appliance's latest word: its count of connections changes without a version,
        and whoever asks decides by it whether calls must be let end."""
        if self._report.media == self._media or not self.complete.is_set():
            return self._report
        return self._report.model_copy(update={"media": self._media})

    @property
    def media(self) -> MediaState | None:
        """What the appliance said last, its counters included."""
        return self._media

    # ------------------------------------------------------------------------------------------------------- inputs

    def slot_says(self, number: int, slot: Slot) -> None:
        """A supervisor reported."""
        link = self.links.get(number)
        if link is None:
            link = self._recall(number, slot)
            self.counters.setdefault(number, Counters())
        self._set(number, link.after(slot, self._now()))

    def hear(self, number: int, heard: Heard) -> None:
        """OpenVPN of this slot said something, or fell silent."""
        counters, link = self.counters[number], self.links[number]
        match heard:
            case Noise():
                counters.noise += 1
                return
            case Listing(clients):
                if clients:
                    counters.pass_on(clients[-1])
                self._set(number, link.after(heard.roster, self._now()))
            case _:
                counters.refused += isinstance(heard, Refused)
                self._set(number, link.after(heard, self._now()))

    def media_says(self, media: MediaState | None) -> None:
        """The appliance answered, or does not. That anybody talks is always news, how many only while it drains."""
        old, self._media, self._media_asked = self._media, media, True
        self._look_complete()
        if _worth_telling(old) != _worth_telling(media):
            self._soon()

    def tick(self) -> None:
        """Time has passed: take up what only time changes. To be called every second or so."""
        now = self._now()
        for number in [number for number, due in self._due.items() if due <= now]:
            self._set(number, self.links[number].at(now))

    def _recall(self, number: int, slot: Slot) -> Link:
        remembered = self.memory.pop(str(number), None)
        return Link() if remembered is None else Link.recalled(remembered, slot, self._now())

    def _set(self, number: int, link: Link) -> None:
        old = self.links.get(number)
        self.links[number] = link
        due = link.next_change(self._now())
        if due is None:
            self._due.pop(number, None)
        else:
            self._due[number] = due
        if link != old:
            self._changed.add(number)
            self._soon()
        self._look_complete()

    def looked_at_all(self) -> None:
        """All slots have been looked at once: from now on what is not known is not there."""
        self._looked_at_all = True
        self._look_complete()

    def _look_complete(self) -> None:
        looked = self._looked_at_all and self._media_asked
        if looked and not self.complete.is_set() and all(map(_is_known, self.links.values())):
            self.complete_now()

    def complete_now(self) -> None:
        """What is known so far is worth telling."""
        if not self.complete.is_set():
            self._publish()
            self.complete.set()

    # ------------------------------------------------------------------------------------------------------- report

    def _soon(self) -> None:
        if self._timer is None and not self.closed:
            self._timer = asyncio.get_running_loop().call_later(CALM, self._publish)

    def _publish(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        now = self._now()
        for number in self._changed:
            link, old = self.links[number], self._states.get(number)
            state = _told(number, link, now)
            if state is None:
                self._states.pop(number, None)
            elif state != old:
                self._states[number] = state
                _log_change(number, old, state)
        self._changed.clear()
        links = [self._states[number] for number in sorted(self._states)]
        if links == self._report.links and _worth_telling(self._media) == _worth_telling(self._report.media):
            return
        self._report = LinkReport(
            epoch=self._report.epoch, version=self._report.version + 1, links=links, media=self._media
        )
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait(self, epoch: str | None, version: int | None, seconds: float) -> LinkReport:
        """The report, as soon as it is another one than the named, at the latest after so many seconds.

        Right after the start of the agent it takes until there is one that is worth telling, whatever the seconds.
        """
        await self.complete.wait()
        try:
            async with asyncio.timeout(seconds):
                while (epoch, version) == (self._report.epoch, self._report.version) and not self.closed:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self.report

    def close(self) -> None:
        """Let go of everybody who waits."""
        self.closed = True
        if self._timer:
            self._timer.cancel()
        self.complete.set()
        self._wake()

    def remembered(self) -> dict[str, Any]:
        """What a next process of the agent must know, by slot (JSON types)."""
        return {str(number): link.remembered() for number, link in self.links.items() if link != Link(slot=link.slot)}

    def connected(self) -> dict[int, Session]:
        """The slots that have a tunnel now."""
        return {number: link.session for number, link in self.links.items() if link.session}


def _is_known(link: Link) -> bool:
    return link.read or link.slot.state not in (SlotState.RUNNING, SlotState.STARTING)


def _worth_telling(media: MediaState | None) -> MediaState | None:
    """Calls come and go all day; their number is waited for only while they are let end. Whether there is any call
    decides what a restart would cost, so that is never old news."""
    if media is None or media.draining:
        return media
    return media.model_copy(update={"connections": min(media.connections, 1)})


def _state(number: int, link: Link, now: float) -> LinkState | None:
    slot = link.slot
    if slot.state is SlotState.IDLE and slot.revision is None and slot.error is None:
        return None
    return LinkState(slot=number, revision=slot.revision, state=slot.state, error=slot.error, tunnel=link.tunnel(now))


def _told(number: int, link: Link, now: float) -> LinkState | None:
    """The same, whatever is the matter with this one: the report is about 250 links."""
    try:
        return _state(number, link, now)
    except (ValueError, ArithmeticError, TypeError, OSError):
        log.exception("link %d: cannot be told", number)
        return LinkState(slot=number, state=link.slot.state, error="the link agent cannot tell about this slot")


def _log_change(number: int, old: LinkState | None, new: LinkState) -> None:
    before = (old.tunnel.status, old.tunnel.reason, old.state, old.revision) if old else None
    if before == (new.tunnel.status, new.tunnel.reason, new.state, new.revision):
        return
    level = logging.INFO if new.tunnel.status is not TunnelStatus.FALSE else logging.WARNING
    tunnel = new.tunnel
    details = {
        "slot": number,
        "state": new.state,
        "revision": (new.revision or "")[:12],
        "connected": tunnel.status,
        "reason": tunnel.reason,
        "detail": tunnel.message,
        "peer": tunnel.peer,
        "flaps": tunnel.flaps,
    }
    log.log(level, "link %d: %s", number, tunnel.reason, extra={"details": details})
