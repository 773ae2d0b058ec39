"""WHO SOLVES A CHALLENGE: asks the solvers that the instance names, for HAProxy, in a process of its own.

A solver knows one name and one token, and says 404 to all else; a Service of several leads to any of them. So all its
addresses are asked at once, and the first good answer counts.

Strangers begin this. So nothing of a request goes on but the name and the token, and nothing of an answer comes back
but a key authorization of that token: what else may listen there is not read by anybody. Every wait has an end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path

from appliance import contract, handover
from appliance.config import Solver
from appliance.contract import Handler, Request, Response
from appliance.documents import EntryError, dns_name
from appliance.media import INHERITED, MIB
from appliance.parts import Part
from appliance.settings import Settings

log = logging.getLogger("http01")

SOCKET = "solver.sock"
FRESH = 2.0
"""Seconds for which a look at the DNS is good: solvers come and go within seconds, and strangers may ask a lot."""
PATIENCE, LOOK_UP_TIMEOUT, ANSWER_TIMEOUT = 8.0, 3.0, 3.0
"""Seconds for a challenge, and of these for the name, and for one solver; a server of certificates waits for ten."""
MOST_SOLVERS = 100
"""cert-manager has 60 challenges at a time, unless it is told otherwise."""
MOST_ASKED = 64
"""Connections to solvers at a time, for all challenges together: a process may have 1,024 files as a rule."""
MOST_KNOWN = 1000
LARGEST_ANSWER = 8 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_NO_ANSWER, _NOT_KNOWN = None, ""


class ElsewhereError(OSError):
    """The name leads to something that may not be asked."""


def part(settings: Settings) -> Part:
    """This program, as the supervisor starts it."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {"MCS_RUN_DIR": str(settings.run_dir)}
    if settings.solvers_on_loopback:
        environment["MCS_SOLVERS_ON_LOOPBACK"] = "1"
    command, program = (sys.executable, "-m", __name__), settings.home / "appliance" / "http01.py"
    return Part("http01", command, environment, program, address_space=512 * MIB, nice=5)


@dataclass
class Solvers:
    """The addresses behind a name. On `loopback`, and at this pod's own addresses, nobody is asked: there are who
    answers the operator, and the media server."""

    loopback: bool = False
    _known: tuple[Solver, float, list[str]] | None = None
    _problem: str = ""
    _knew: dict[tuple[str, str], str] = field(default_factory=dict)
    """Who answered for a name and a token. He is asked first, alone: a challenge is asked for ten times."""
    _door: asyncio.Lock = field(default_factory=asyncio.Lock)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_ASKED))

    async def answer(self, solver: Solver, domain: str, token: str) -> str | None:
        """The key authorization of this token; empty where no solver knows it, None where none answers."""
        try:
            async with asyncio.timeout(PATIENCE):
                addresses = await self._addresses(solver)
                knew = [address for address in addresses if address == self._knew.get((domain, token))]
                said = await self._first(knew, solver.port, domain, token)
                return said or await self._first(addresses, solver.port, domain, token)
        except TimeoutError:
            return _NO_ANSWER

    async def _first(self, addresses: list[str], port: int, domain: str, token: str) -> str | None:
        """The first good answer, else what the others say."""
        found: str | None = _NO_ANSWER
        asking = [asyncio.create_task(self._ask(address, port, domain, token)) for address in addresses]
        try:
            for answered in asyncio.as_completed(asking):
                said = await answered
                if said:
                    return said
                found = said if said is not None else found
        finally:
            for task in asking:
                task.cancel()
        return found

    async def _addresses(self, solver: Solver) -> list[str]:
        async with self._door:  # one question at a time, however many wait for its answer
            if self._known is None or self._known[0] != solver or time.monotonic() - self._known[1] >= FRESH:
                found = await self._looked_up(solver)
                self._known = solver, time.monotonic(), found
            return self._known[2]

    async def _looked_up(self, solver: Solver) -> list[str]:
        problem, found = "", []
        try:
            found = await look_up(solver)
        except (OSError, TimeoutError) as why:
            problem = str(why) or "the DNS does not answer"
        if problem != self._problem:  # once: between two renewals nobody is there, and strangers ask all the same
            log.warning("%s: %s", solver, problem or "it is found")
        self._problem = problem
        return [address for address in found[:MOST_SOLVERS] if self.loopback or may_be_asked(address)]

    async def _ask(self, address: str, port: int, domain: str, token: str) -> str | None:
        async with self._places:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    said = await _exchange(address, port, domain, token)
            except (OSError, TimeoutError):
                return _NO_ANSWER
        answer = key_authorization(said, token)
        if answer:
            if len(self._knew) >= MOST_KNOWN:
                self._knew.clear()
            self._knew[domain, token] = address
        return answer


async def look_up(solver: Solver) -> list[str]:
    """Its IPv4 addresses, by the pod's own resolver. Raises OSError, ElsewhereError and TimeoutError.

    A Service may be another name for something outside of its namespace (ExternalName): then the name that it ends at
    is another one.
    """
    async with asyncio.timeout(LOOK_UP_TIMEOUT):
        found = await asyncio.get_running_loop().getaddrinfo(
            solver.host, solver.port, family=socket.AF_INET, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
        )
    last = found[0][3].lower()
    if last != solver.host and not last.startswith(solver.host + "."):
        raise ElsewhereError(f"the name leads to {last[:253]!r}, which is another one")
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def may_be_asked(address: str) -> bool:
    """Whether it can be a pod's, and is not our own."""
    ip = IPv4Address(address)
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # sends nothing, and tells from where it would
        except OSError:
            return False
        return bool(probe.getsockname()[0] != address)


async def _exchange(address: str, port: int, domain: str, token: str) -> bytes:
    """The whole answer, or its beginning. Raises OSError."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        # HTTP/1.0: the answer ends with the connection.
        path = f"/.well-known/acme-challenge/{token}"
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {domain}\r\nConnection: close\r\n\r\n".encode())
        said = bytearray()
        while len(said) < LARGEST_ANSWER and (piece := await reader.read(LARGEST_ANSWER)):
            said += piece
        return bytes(said)
    finally:
        writer.close()


def key_authorization(said: bytes, token: str) -> str | None:
    """What an answer has of it (RFC 8555, 8.1); empty for another answer, None for what is none."""
    head, there, body = said.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] ([0-9]{3})\b", head)
    if not there or not status:
        return _NO_ANSWER
    text = body.decode("ascii", errors="replace").rstrip()  # a server of certificates ignores what follows, too
    good = status[1] == b"200" and re.fullmatch(re.escape(token) + r"\.[A-Za-z0-9_-]{43}", text, re.ASCII)
    return text if good else _NOT_KNOWN


def handler(run_dir: Path, solvers: Solvers) -> Handler:
    """HAProxy asks for `/<name>/<token>`, of names that it knows."""

    async def handle(request: Request) -> Response:
        name, _, token = request.path.removeprefix("/").partition("/")
        solver = named(run_dir)
        try:
            domain = dns_name(name)
        except EntryError:
            domain = ""
        if request.method not in ("GET", "HEAD") or not domain or not _TOKEN.fullmatch(token) or solver is None:
            return Response(HTTPStatus.NOT_FOUND, "")
        said = await solvers.answer(solver, domain, token)
        if said:
            return Response(HTTPStatus.OK, said, "application/octet-stream")
        return Response(HTTPStatus.SERVICE_UNAVAILABLE if said is None else HTTPStatus.NOT_FOUND, "")

    return handle


def named(run_dir: Path) -> Solver | None:
    """Whom the set in force names; None where it names nobody."""
    try:
        said = json.loads((run_dir / handover.SOLVER).read_text())
        return Solver(str(said["host"]), int(said["port"])) if said else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def run(run_dir: Path, loopback: bool) -> None:
    """Answers until it is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    answers = contract.connection(handler(run_dir, Solvers(loopback)))
    target = run_dir / SOCKET
    fresh = target.with_suffix(".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    os.umask(0o077)
    async with await asyncio.start_unix_server(answers, fresh, limit=contract.LONGEST_HEAD):
        fresh.rename(target)  # it is there only when it answers
        await stop.wait()


def main() -> int:
    """`python3 -m appliance.http01`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(run(Path(os.environ["MCS_RUN_DIR"]), os.environ.get("MCS_SOLVERS_ON_LOOPBACK") == "1"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
