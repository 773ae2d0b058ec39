"""Asking the DNS as any program here would: by the resolver of this machine, or of this pod.

Used by the link agent for the media pod and by the operator for itself. getaddrinfo blocks, for many seconds where a
name server is silent, and nothing can interrupt it; so it runs in threads that nobody has to wait for, a few at a time.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address

from mcs_operator.contract.lookup import MAX_ADDRESSES, RESOLVE_SECONDS, UNAVAILABLE, Answer, Failure

_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY)


def look_up(name: str) -> Answer:
    """The IPv4 addresses of a name, in order; blocks."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        return Answer(failure=Failure.NOT_FOUND) if error.errno in _NO_SUCH_NAME else UNAVAILABLE
    except (OSError, UnicodeError):
        return UNAVAILABLE
    addresses = sorted({IPv4Address(sockaddr[0]) for *_, sockaddr in found})
    return Answer(addresses=tuple(addresses[:MAX_ADDRESSES]))


class Resolver:
    """At most ``parallel`` lookups at a time, whoever asks; ``lookup`` is called in threads."""

    def __init__(self, lookup: Callable[[str], Answer] = look_up, parallel: int = 8) -> None:
        self._lookup = lookup
        self._free = asyncio.Semaphore(parallel)

    async def resolve(self, names: Iterable[str], within: float = RESOLVE_SECONDS) -> dict[str, Answer]:
        """An answer for every name; what takes longer than ``within`` seconds is unavailable."""
        tasks = {name: asyncio.create_task(self._one(name)) for name in names}
        if not tasks:
            return {}
        try:
            done, _ = await asyncio.wait(tasks.values(), timeout=within)
            return {name: task.result() if task in done else UNAVAILABLE for name, task in tasks.items()}
        finally:
            for task in tasks.values():
                task.cancel()

    async def _one(self, name: str) -> Answer:
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def finish(answer: Answer) -> None:
            self._free.release()  # not before: a thread that hangs holds its place, or silence would pile them up
            if not answered.done():
                answered.set_result(answer)

        def work() -> None:
            answer = UNAVAILABLE
            with suppress(Exception):
                answer = self._lookup(name)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish, answer)

        threading.Thread(target=work, daemon=True, name=f"look up {name}").start()
        return await answered
