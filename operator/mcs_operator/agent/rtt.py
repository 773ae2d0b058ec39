"""Round-trip times: how long a TCP connect to the TVox takes, through its tunnel.

An answer is an answer: a refused connect took the same way there and back. (Ping would need a capability; the TVox's
own port 80 is among what its slot's firewall lets the media reach.)
"""

from __future__ import annotations

import asyncio
import ipaddress
import time

from mcs_operator.agent.board import Board

EVERY = 15.0
"""Seconds between two measurements of one link; all links of a round are spread over it."""
PATIENCE = 2.0
"""Seconds after which a connect counts as unanswered."""
AT_ONCE = 16
PORT = 80


class Addresses:
    """The VPN address of a slot: its number is the last octet."""

    def __init__(self, cidr: str) -> None:
        self._network = ipaddress.IPv4Network(cidr)

    def of(self, number: int) -> str:
        """198.18.254.17 of 17."""
        return str(self._network[number])


async def measure(address: str, port: int = PORT, patience: float = PATIENCE) -> float | None:
    """Seconds until the first answer, a refusal included; None without one."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return time.perf_counter() - started
    except (OSError, TimeoutError):
        return None
    taken = time.perf_counter() - started
    writer.transport.abort()
    return taken


async def measure_for_ever(board: Board, addresses: Addresses, port: int = PORT, every: float = EVERY) -> None:
    """Keep ``rtt`` in the counters of every connected link up to date."""
    slots_free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with slots_free:
            rtt = await measure(addresses.of(number), port)
        if number in board.counters:
            board.counters[number].rtt = rtt

    while True:
        began = time.monotonic()
        connected = board.connected()
        for number, counters in board.counters.items():
            if number not in connected:
                counters.rtt = None
        async with asyncio.TaskGroup() as group:
            for number in connected:
                group.create_task(one(number))
                await asyncio.sleep(every / (len(connected) + 1))
        await asyncio.sleep(max(0.1, every - (time.monotonic() - began)))
