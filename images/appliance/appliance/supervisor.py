"""THE STORY: start HAProxy, follow the mounted set, answer the operator, end when told or when HAProxy dies.

With the first portal the parts for calls are started; they follow what is handed over to them by themselves."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from appliance import config, contract, handover, http01
from appliance.config import ConfigSet, Solver
from appliance.documents import ContentError, SetError
from appliance.haproxy import DRAINING, OPEN, WAITING, HAProxy, RuntimeApiError
from appliance.parts import Parts
from appliance.report import portals_told, refused_certificates, usage_told, within
from appliance.settings import Settings
from appliance.talk import Counts, Talk

log = logging.getLogger("appliance")

_MOST_LOGGED = 20


@dataclass
class Supervisor:
    """The running appliance: the set in force, why a newer one is not, and whether it drains."""

    settings: Settings
    proxy: HAProxy
    parts: Parts = field(init=False)
    """Those for calls."""
    solving: Parts = field(init=False)
    """Who asks solvers of challenges."""
    talk: Talk = field(init=False)
    started: float = field(default_factory=time.monotonic)
    current: ConfigSet | None = None
    """The set in force."""
    problems: tuple[str, ...] = ()
    """What was left out of it."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Domains whose certificate was, and why; the one of before stays where there was one."""
    draining: bool = False
    until: str = ""
    """When that is over at the latest, where somebody said it."""
    crowd: tuple[str, ...] = ()
    """Who is short of places at the public ports, at the last look."""
    _taken: bytes | None = None
    _hopeless: tuple[bytes, ContentError] | None = None
    """A manifest whose files are there and of no use: reading megabytes once a second would not mend them."""
    _is_crowded: bool = False
    _door: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who sets the mode: what began before another one must not end after it."""
    _refused: str | None = None
    _refused_since: float = 0.0

    def __post_init__(self) -> None:
        self.parts, self.solving = Parts(self.settings.home), Parts(self.settings.home)
        self.talk = Talk(self.settings.run_dir)

    async def follow(self) -> None:
        """Takes every new set, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self.settings.poll)

    async def look(self) -> None:
        """One look at the manifest: nothing new, a set to take, or a reason why not."""
        manifest = None
        try:
            manifest = await asyncio.to_thread(config.read_manifest, self.settings.config_dir)
            if manifest is not None and manifest == self._taken:
                self._refused = None
                return
            if manifest is None:
                raise SetError(f"there is no {config.MANIFEST}")
            if self._hopeless and self._hopeless[0] == manifest:
                raise self._hopeless[1]
            found = await asyncio.to_thread(config.read_set, self.settings.config_dir, manifest, self.current)
            await self._take(found, is_whole=True)
            self._taken = manifest
            self._refused = None
            await asyncio.to_thread(self._remember, found)
        except Exception as why:
            # Whatever is wrong with what we are told, ending here would end every customer's calls.
            if not isinstance(why, SetError | RuntimeApiError | OSError):
                log.exception("the mounted set cannot be understood")
            if isinstance(why, ContentError) and manifest is not None:
                self._hopeless = manifest, why.with_traceback(None)
            self._refuse(str(why) or type(why).__name__)
            if manifest is not None:
                await self._recall()

    async def _take(self, found: ConfigSet, is_whole: bool) -> None:
        await self._name_solvers(found.instance.http01_solver)
        refused = await self.proxy.apply(found)
        told = [f"certificate of {domain}: {why}" for domain, why in refused.items()]
        async with self._door:
            # Before the set is reported: whoever reads there that it is in force finds the door open.
            await self._set_mode(has_set=True)
            self.current, self.problems = found, (*found.problems, *told)
            self.left_out = {**found.spoiled, **refused}
        if is_whole:  # else its users are not known: those of before, if there are any, are still handed over
            await asyncio.to_thread(handover.hand_over, found, self.settings.run_dir)
        if found.people.portals and not self.parts.started:
            media = self.settings.for_media(found.instance.public_address)
            log.info("the first portal: calls start, media at %s:%d", media.pod_address, media.media_port)
            self.parts.start(media.parts())
        log.info("set %s taken: %d links, %d users, %d certificates", found.config[:12], len(found.links), found.users,
                 len(found.certificates))  # fmt: skip
        for problem in self.problems[:_MOST_LOGGED]:
            log.warning("left out: %s", problem)

    async def _name_solvers(self, solver: Solver | None) -> None:
        """Before a challenge is led there. Who asks them starts with the first, and runs until the container ends."""
        told = asdict(solver) if solver else {}
        await asyncio.to_thread(handover.write, self.settings.run_dir / handover.SOLVER, told)
        if solver and not self.solving.started:
            self.solving.start([http01.part(self.settings)])

    async def _recall(self) -> None:
        """After a restart in the middle of a change: the routing of before, with the certificates that are mounted.

        Only while a manifest is there (without one nobody says that this instance still has these links) and only after
        some patience, so that a normal start takes what is mounted.
        """
        if self.current is not None or time.monotonic() - self.started < self.settings.patience:
            return
        recalled = await asyncio.to_thread(config.recall, self.settings.last_good, self.settings.instance)
        if recalled is None:
            return
        certificates = await asyncio.to_thread(config.read_certificates, self.settings.config_dir)
        try:
            await self._take(replace(recalled, certificates=certificates), is_whole=False)
        except (RuntimeApiError, OSError) as why:
            log.warning("the last good set was not taken: %s", why)

    def _remember(self, taken: ConfigSet) -> None:
        try:
            config.remember(taken, self.settings.last_good)
        except OSError as why:
            log.warning("the last good set is not kept for a restart: %s", why)

    def _refuse(self, why: str) -> None:
        if self._refused is None:
            self._refused_since = time.monotonic()
        if why != self._refused:
            log.info("nothing new taken: %s", why)
        self._refused = why

    async def _set_mode(self, *, has_set: bool) -> None:
        mode = DRAINING if self.draining else OPEN if has_set else WAITING
        await self.proxy.set_mode(mode)
        until = {"until": self.until} if self.until else {}
        handover.write(self.settings.run_dir / handover.MODE, {"mode": mode} | until)

    def unready(self) -> str | None:
        """Contract: Draining, or no set taken yet."""
        if self.draining:
            return "Draining"
        if self.current is None:
            return f"no configuration yet: {self._refused or 'just started'}"
        return None

    def _not_taken(self) -> str | None:
        """Why the newest set is not in force, once that has lasted."""
        lasts = self._refused is not None and time.monotonic() - self._refused_since >= self.settings.patience
        return (self._refused or "")[:300] if lasts else None

    def error(self) -> str | None:
        """Contract: why the newest set is not in force, and what is left out of the one that is."""
        words = [*filter(None, [self._not_taken()]), *self.crowd, *self.problems]
        shown = words[:10] + ([f"and {len(words) - 10} more"] if len(words) > 10 else [])
        return "; ".join(shown)[:2000] or None

    async def report(self) -> dict[str, Any]:
        """Contract: the body of GET /connections."""
        by_link, clients = await self.proxy.connections(), await self.proxy.clients()
        self._look_around(by_link, clients.open)
        current = self.current
        talk = await self.talk.counts() if self.parts.started else Counts()
        by_community = talk.open()
        return {
            "contract": 2,
            "connections": sum(by_link.values()) + sum(by_community.values()),
            "byCommunity": within(by_community, 8_000),
            "portals": portals_told(current, self.proxy.certified, talk.logins),
            "erased": list(talk.erased),
            "acmeThumbprint": current.instance.acme_thumbprint if current else "",
            "http01Solver": str(current.instance.http01_solver or "") if current else "",
            "byLink": {str(number): count for number, count in sorted(by_link.items())},
            "draining": self.draining,
            "config": current.config if current else None,
            "users": current.users if current else 0,
            "links": len(current.links) if current else 0,
            "error": self.error(),
            "notTaken": self._not_taken(),
            "refused": refused_certificates(self.left_out, current.instance.domain if current else ""),
            "outOfService": self._out_of_service(by_link),
            "size": {"memoryBytes": self.settings.limits.memory} if self.settings.limits.memory else {},
            "clients": {
                "open": clients.open, "places": self.settings.limits.places, "refused": clients.refused,
            },
        }  # fmt: skip

    async def usage(self) -> dict[str, Any]:
        """Contract: the body of GET /usage."""
        said, participants = await self.talk.usage() if self.parts.started else ({}, {})
        return usage_told(self.current, said, participants)

    def _out_of_service(self, by_link: Mapping[int, int]) -> dict[str, int]:
        """Links that take no new requests, with how many are open."""
        links = self.current.links if self.current else ()
        return {str(link.number): by_link.get(link.number, 0) for link in links if not link.in_service}

    def _look_around(self, by_link: Mapping[int, int], clients: int) -> None:
        """Without numbers that change each second: each new text is news for the operator."""
        limits, words = self.settings.limits, []
        # HAProxy counts the one who comes as well: it begins to refuse when there is one less.
        if clients + 1 >= (limits.half if self._is_crowded else limits.crowded):
            words.append("most places at the ports 80 and 443 are taken: of who is new, few are let in")
        self._is_crowded = bool(words)
        full = [str(number) for number, count in sorted(by_link.items()) if count >= limits.link]
        words += [f"link {number} has as many requests open as one link may have" for number in full]
        if tuple(words) != self.crowd:
            log.warning("public ports: %s", "; ".join(words[:_MOST_LOGGED]) or "there is room for everybody again")
        self.crowd = tuple(words)

    async def drain(self, wanted: bool, until: str = "") -> None:
        """Contract: from now on new requests get 503 and open ones stay, or all is as before."""
        if wanted != self.draining:
            log.info("draining" if wanted else "taking connections again")
        self.draining, self.until = wanted, until if wanted else ""
        async with self._door:
            await self._set_mode(has_set=self.current is not None)


async def run(settings: Settings) -> int:
    """Runs the appliance; returns the exit status: 0 after SIGTERM or SIGINT, 1 when HAProxy died, or the media server
    again and again."""
    proxy = HAProxy(settings.haproxy, settings.home, settings.run_dir, settings.for_haproxy())
    supervisor = Supervisor(settings, proxy)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await proxy.start()
        stack.push_async_callback(proxy.stop)
        stack.push_async_callback(supervisor.parts.stop)
        stack.push_async_callback(supervisor.solving.stop)
        answers = contract.connection(contract.contract(supervisor))
        await stack.enter_async_context(
            await asyncio.start_server(answers, port=settings.contract_port, limit=contract.LONGEST_HEAD)
        )
        return await _until_the_end(supervisor, stop)


async def _until_the_end(supervisor: Supervisor, stop: asyncio.Event) -> int:
    async def work() -> None:
        await supervisor.proxy.wait_until_it_answers()
        await supervisor.follow()

    told = asyncio.create_task(stop.wait())
    dead = asyncio.create_task(supervisor.proxy.wait())
    working = asyncio.create_task(work())
    hopeless = asyncio.create_task(supervisor.parts.hopeless.wait())
    tasks = (told, dead, working, hopeless)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    ended = {"told": told.done(), "dead": dead.done(), "hopeless": hopeless.done()}
    for task in tasks:
        task.cancel()
    outcome = await asyncio.gather(*tasks, return_exceptions=True)
    if ended["told"]:
        log.info("told to stop")
        return 0
    if ended["dead"]:
        log.error("HAProxy ended with status %s", outcome[1])
    elif ended["hopeless"]:
        log.error("no calls are possible")
    else:
        log.error("the supervisor failed: %r", outcome[2])
    return 1
