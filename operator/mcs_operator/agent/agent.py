"""The agent as a whole: its tasks, and how they end.

One task per running slot reads that slot's OpenVPN, so that no slow one delays another; the rest are a handful.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mcs_operator.agent import management, media, memory, rtt, server
from mcs_operator.agent.board import Board
from mcs_operator.agent.exits import Exits
from mcs_operator.agent.inputs import Established, Gone
from mcs_operator.agent.lines import Heard, Listing
from mcs_operator.agent.slots import Slots
from mcs_operator.contract.linkstate import SlotState
from mcs_operator.listening import Listener
from mcs_operator.resolver import Resolver
from mcs_operator.settings import AGENT_PORT_OFFSET, CONTRACT_PORT_OFFSET, link_name
from mcs_operator.tasks import end_all

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at the slots' states."""
FIRST_READING = 3.0
"""Seconds that the first report waits for slow ones, so that a restarted agent does not call all tunnels unknown."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where the agent finds things. From the environment of its container; the folders are the pod's mounts."""

    port: int
    contract_url: str
    cidr: str
    instance: str
    namespace: str
    run: Path = Path("/run/links")
    """The folders of all slots: for reading."""
    memory: Path | None = None
    """What this process leaves to the next. None: in ``run``, as in a pod of an older template; so for ``stop``."""
    stop: Path | None = None
    """Where slots are told that they exit at once."""
    credentials: Path = Path("/etc/agent")
    host: str | None = None
    """Address to listen at; None for all."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read MCS_BASE_PORT, MCS_AGENT_PORT, MCS_CONTRACT_URL, MCS_VPN_CIDR, MCS_INSTANCE, MCS_NAMESPACE, MCS_RUN_DIR,
        MCS_MEMORY_DIR, MCS_STOP_DIR and MCS_AGENT_DIR; what is unset has the product's default. ValueError if a port is
        no number."""
        base = int(environment.get("MCS_BASE_PORT", "21000"))
        default = cls(
            port=base + AGENT_PORT_OFFSET,
            contract_url=f"http://127.0.0.1:{base + CONTRACT_PORT_OFFSET}",
            cidr="198.18.254.0/24",
            instance="",
            namespace="",
        )
        return cls(
            port=int(environment.get("MCS_AGENT_PORT", default.port)),
            contract_url=environment.get("MCS_CONTRACT_URL", default.contract_url),
            cidr=environment.get("MCS_VPN_CIDR", default.cidr),
            instance=environment.get("MCS_INSTANCE", default.instance),
            namespace=environment.get("MCS_NAMESPACE", default.namespace),
            run=Path(environment.get("MCS_RUN_DIR", default.run)),
            memory=_folder(environment, "MCS_MEMORY_DIR"),
            stop=_folder(environment, "MCS_STOP_DIR"),
            credentials=Path(environment.get("MCS_AGENT_DIR", default.credentials)),
        )


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None


class Watch:
    """Follows the slots: which run, and what their OpenVPN says."""

    def __init__(self, board: Board, run: Path) -> None:
        self._board, self._run = board, run
        self._slots = Slots(run)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look at the slots for ever."""
        try:
            while True:
                for number, slot in self._slots.changed():
                    self._board.slot_says(number, slot)
                self._board.looked_at_all()
                self._follow_the_running()
                self._board.tick()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def _follow_the_running(self) -> None:
        for number, link in self._board.links.items():
            task = self._tasks.get(number)
            if task and task.done():
                # A defect in reading one link must not leave it unread for ever, nor touch the others.
                log.error("link %d: reading OpenVPN failed, once more", number, exc_info=task.exception())
                task = None
            running = link.slot.state is not SlotState.IDLE  # one that stops is heard to its end
            if running and task is None:
                socket = self._run / link_name(number) / "openvpn.sock"
                self._tasks[number] = asyncio.create_task(
                    management.follow(socket, partial(self._hear, number)), name=link_name(number)
                )
            elif task and not running:
                self._tasks.pop(number).cancel()

    def _hear(self, number: int, heard: Heard) -> None:
        if isinstance(heard, Gone | Established | Listing):
            # The revision decides whether an end was planned, so the supervisor's word must not be a second older.
            slot = self._slots.look(number)
            if slot is not None:
                self._board.slot_says(number, slot)
        self._board.hear(number, heard)


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the agent until ``stop``. Raises OSError if the credentials or the port cannot be had."""
    exits = Exits(config.stop or config.run / "stop")
    exits.forget()
    board = Board()
    remembered = memory.Memory((config.memory or config.run / "agent") / "links.json")
    board.memory = remembered.read()
    credentials = server.Credentials(config.credentials)
    async with media.Media(config.contract_url) as appliance:
        place = (config.namespace, config.instance)
        app = server.build_app(server.Endpoints(board, appliance, Resolver(), exits, place), credentials)
        listener = Listener(app, config.port, server.LIMITS, credentials.context, config.host, shutdown=0.3)
        tasks = [
            asyncio.create_task(Watch(board, config.run).run(), name="slots"),
            asyncio.create_task(media.watch(appliance, board), name="media"),
            asyncio.create_task(media.watch_usage(appliance, board), name="usage"),
            asyncio.create_task(memory.keep(remembered, board), name="memory"),
            asyncio.create_task(rtt.measure_for_ever(board, rtt.Addresses(config.cidr)), name="rtt"),
            asyncio.create_task(server.follow(credentials), name="credentials"),
            asyncio.create_task(_complete_at_last(board), name="complete"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await listener.start()
            log.info("serving", extra={"details": {"port": config.port}})
            done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # each runs for ever: whichever ended, failed
        finally:
            board.close()
            remembered.write_if_possible(board.remembered())  # before the ends of the readers look like ends of tunnels
            await end_all((*tasks, stopped))
            await listener.stop()


async def _complete_at_last(board: Board) -> None:
    await asyncio.sleep(FIRST_READING)
    board.complete_now()
    await asyncio.Event().wait()
