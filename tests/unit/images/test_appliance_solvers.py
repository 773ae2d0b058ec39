"""HTTP-01 by somebody else's solvers, at port 80 of the real appliance: cert-manager's, of which each knows one name
and one token, and answers 404 to all else. A Service of several leads to any of them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import pytest_asyncio

from support.levels import left_out_if_missing
from support.names import hosts_file, knowing
from support.ports import free_port
from unit.images.appliance_set import DOMAIN, MountedSet, certificate, http01, link
from unit.images.test_appliance import (
    A,
    B,
    Running,
    able,  # noqa: F401 - left out where HAProxy is missing
    eventually,
    exchange,
    own_address,
)

THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = "/.well-known/acme-challenge/"
SERVICE = "acme-solver.mcs-demo.svc"


@dataclass
class ASolver:
    """As cert-manager's: one name, one token. ``said``: the requests that came here."""

    domain: str
    token: str
    body: str = ""
    status: str = "200 OK"
    seconds: float = 0
    said: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.said.append(head)
            await asyncio.sleep(self.seconds)
            host = next(line[6:] for line in head.split("\r\n") if line.lower().startswith("host: "))
            known = (head.split(" ")[1], host) == (PATH + self.token, self.domain)
            status = self.status if known else "404 Not Found"
            body = self.body or f"{self.token}.{THUMBPRINT}" if known else "404 page not found\n"
            writer.write(f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nX-Pod: a\r\n\r\n{body}".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@dataclass
class World:
    """The appliance, and the solvers behind one Service."""

    appliance: Running
    hosts: Path
    port: int = field(default_factory=free_port)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def solved_by(self, *solvers: ASolver, also: tuple[str, ...] = (), host: str = SERVICE) -> None:
        """These are the pods of the Service; ``also``: addresses where nobody is."""
        addresses = [f"127.0.3.{number}" for number, _ in enumerate(solvers, 1)]
        for address, solver in zip(addresses, solvers, strict=True):
            await self.closing.enter_async_context(await asyncio.start_server(solver.answer, address, self.port))
        self.hosts.write_text(hosts_file({host: [*also, *addresses]}))

    async def names(self, host: object = SERVICE) -> None:
        """The instance names the Service."""
        self.appliance.mounted.instance["http01Solver"] = {"host": host, "port": self.port}
        await self.appliance.take()

    def who_asks(self) -> int:
        """The process of this appliance that asks solvers."""
        assert self.appliance.process is not None
        found = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if b"appliance.http01" in path.read_bytes()
            and f"MCS_RUN_DIR={self.appliance.root}/run".encode() in (path.parent / "environ").read_bytes()
        ]
        (pid,) = found
        return pid

    async def asked(self, host: str, token: str, status: int = 200) -> str:
        """What a challenge is answered, as soon as it is answered so."""

        async def answered() -> bool:
            nonlocal body
            reply = await self.appliance.get(host, PATH + token)
            body = reply.body
            return reply.status == status

        body = ""
        await eventually(answered)
        return body


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """Links 17, with a certificate, and 18, without one; there are no TVoxes. Nobody is named yet."""
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc"):
        (root / name).mkdir()
    with left_out_if_missing():
        prefix = knowing({}, root)
    mounted = MountedSet(root / "etc", links=[link(17), link(18)], certificates=[certificate(A)])
    world = World(Running(root, mounted, within=prefix, more={"MCS_SOLVERS_ON_LOOPBACK": "1"}), root / "hosts")
    try:
        async with world.closing:
            await world.appliance.start()
            await world.appliance.take()
            yield world
    finally:
        await world.appliance.stop()
        shutil.rmtree(root)


async def test_of_several_solvers_the_one_that_knows_the_challenge_answers_each_time(world: World) -> None:
    await world.solved_by(ASolver(A, "one"), ASolver(B, "two"), ASolver(DOMAIN, "three"))
    await world.names()
    for host, token in ((A, "one"), (B, "two"), (DOMAIN, "three")):
        assert await world.asked(host, token) == f"{token}.{THUMBPRINT}"
    replies = [await world.appliance.get(A, PATH + "one") for _ in range(20)]
    assert [reply.status for reply in replies] == [200] * 20


async def test_sixty_challenges_at_once_are_all_answered(world: World) -> None:
    """As many as cert-manager has at a time."""
    solvers = [ASolver(A, f"token-{number}") for number in range(60)]
    await world.solved_by(*solvers)
    await world.names()
    await world.asked(A, "token-0")
    # Again where a busy machine could not ask all sixty for one of them in time: so do the servers that ask.
    replies = await asyncio.gather(*(world.asked(A, solver.token) for solver in solvers))
    assert replies == [f"{solver.token}.{THUMBPRINT}" for solver in solvers]


async def test_who_knew_a_challenge_is_asked_for_it_again_alone_and_all_once_he_does_not_answer(world: World) -> None:
    others, first, next_one = ASolver(B, "two"), ASolver(A, "one"), ASolver(A, "one", seconds=1)
    await world.solved_by(others, first, next_one)
    await world.names()
    await world.asked(A, "one")
    others.said.clear()
    await world.asked(A, "one")
    assert others.said == []
    first.token = "another"
    assert await world.asked(A, "one") == f"one.{THUMBPRINT}"


async def test_a_solver_learns_the_name_and_the_token_and_nothing_else_of_who_asks(world: World) -> None:
    solver = ASolver(B, "one")
    await world.solved_by(solver)
    await world.names()
    await world.asked(B, "one")
    solver.said.clear()
    reader, writer = await world.appliance.connect(B)
    more = "Cookie: a=b\r\nContent-Length: 3\r\n\r\nabc"
    writer.write(f"GET http://{B}{PATH}one?next=x HTTP/1.1\r\nHost: {B.upper()}:80\r\n{more}".encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    (said,) = solver.said
    assert said == f"GET {PATH}one HTTP/1.0\r\nHost: {B}\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    ["secret", f"other.{THUMBPRINT}", f"one.{THUMBPRINT}x", f"one.{THUMBPRINT}\nmore", "one.", "x" * 100_000],
)
async def test_what_is_no_key_authorization_of_the_token_never_comes_back(world: World, body: str) -> None:
    await world.solved_by(ASolver(A, "one", body))
    await world.names()
    assert body not in await world.asked(A, "one", 404)


async def test_an_answer_may_end_with_a_new_line_and_a_redirect_is_none(world: World) -> None:
    elsewhere = ASolver(B, "two", status="302 Found\r\nLocation: http://127.0.3.1/")
    await world.solved_by(ASolver(A, "one", f"one.{THUMBPRINT}\r\n"), elsewhere)
    await world.names()
    assert await world.asked(A, "one") == f"one.{THUMBPRINT}"
    await world.asked(B, "two", 404)


async def test_only_challenges_of_names_that_are_served_here_are_asked_for(world: World) -> None:
    solver = ASolver("foreign.example.com", "one")
    await world.solved_by(solver)
    await world.names()
    page = await world.appliance.get("foreign.example.com", PATH + "one")
    assert (page.status, page.headers["mcs-reason"]) == (404, "UnknownHost")
    for path in ("a.b", "a/b", "", "x" * 129, "%2e%2e"):
        assert (await world.appliance.get(A, PATH + path)).status == 308, path
    reader, writer = await world.appliance.connect(A)
    assert (await exchange(reader, writer, A, PATH + "one", "POST")).status == 308
    assert (await world.appliance.get(A, PATH + "one", tls=True)).status == 503  # its TVox, which is not there
    assert solver.said == []


async def test_head_is_answered_too(world: World) -> None:
    await world.solved_by(ASolver(A, "one"))
    await world.names()
    await world.asked(A, "one")
    reader, writer = await world.appliance.connect(A)
    writer.write(f"HEAD {PATH}one HTTP/1.1\r\nHost: {A}\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    writer.close()


async def test_a_name_is_answered_for_while_the_site_drains_or_is_disabled(world: World) -> None:
    await world.solved_by(ASolver(A, "one"))
    world.appliance.mounted.links[0] = link(17, enabled=False)
    await world.names()
    await world.appliance.ask("/drain", "POST")
    assert await world.asked(A, "one") == f"one.{THUMBPRINT}"


async def test_solvers_come_and_go_and_so_does_the_service_without_a_restart(world: World) -> None:
    assert (await world.appliance.report())["http01Solver"] == ""
    assert (await world.appliance.get(A, PATH + "one")).status == 308
    process = await world.appliance.pid()
    await world.names()
    assert (await world.appliance.report())["http01Solver"] == f"{SERVICE}:{world.port}"
    await world.asked(A, "one", 503)
    await world.solved_by(ASolver(A, "one"))
    await world.asked(A, "one")
    del world.appliance.mounted.instance["http01Solver"]
    await world.appliance.take()
    assert (await world.appliance.get(A, PATH + "one")).status == 308
    assert (await world.appliance.report())["http01Solver"] == ""
    assert await world.appliance.pid() == process


async def test_a_pod_that_is_gone_and_one_that_says_nothing_keep_nobody_waiting(world: World) -> None:
    silent = ASolver(B, "two", seconds=60)
    await world.solved_by(silent, ASolver(A, "one"), also=("127.0.3.77",))
    await world.names()
    await world.asked(A, "one")
    begun = time.monotonic()
    assert (await world.appliance.get(A, PATH + "one")).status == 200
    assert time.monotonic() - begun < 1
    begun = time.monotonic()
    page = await world.appliance.get(B, PATH + "two")
    assert (page.status, page.headers["mcs-reason"]) == (404, "UnknownChallenge")
    assert time.monotonic() - begun < 10


async def test_a_name_that_leads_to_another_name_is_not_followed(world: World) -> None:
    """A Service of type ExternalName: the name that it ends at comes first in the DNS' answer, as in this file."""
    solver = ASolver(A, "one")
    await world.solved_by(solver, host=f"db.other.svc.cluster.local {SERVICE}")
    await world.names()
    await world.asked(A, "one", 503)
    await world.solved_by(host=f"{SERVICE}.cluster.local {SERVICE}")
    world.hosts.write_text(f"127.0.3.1 {SERVICE}.cluster.local {SERVICE}\n")
    await world.asked(A, "one")


@pytest.mark.parametrize("host", [None, 7, "", "a b", "-", "x" * 300, ["a"], f"{SERVICE};"])
async def test_what_is_no_host_names_nobody_and_stops_nobody(world: World, host: object) -> None:
    await world.names(host)
    report = await world.appliance.report()
    assert (report["http01Solver"], report["error"], report["links"]) == ("", None, 2)
    assert (await world.appliance.get(A, PATH + "one")).status == 308


async def test_who_asks_far_too_often_is_put_off_and_others_are_answered(world: World) -> None:
    await world.solved_by(ASolver(A, "one"))
    await world.names()
    await world.asked(A, "one")
    replies = await asyncio.gather(*(world.appliance.get(A, PATH + "x", source="127.0.0.9") for _ in range(190)))
    replies += await asyncio.gather(*(world.appliance.get(A, PATH + "x", source="127.0.0.9") for _ in range(30)))
    assert {reply.headers.get("mcs-reason") for reply in replies} >= {"UnknownChallenge", "TooManyRequests"}
    assert (await world.appliance.get(A, PATH + "one")).status == 200


async def test_who_asks_the_solvers_dies_alone_and_is_started_anew(world: World) -> None:
    await world.solved_by(ASolver(A, "one"))
    await world.names()
    await world.asked(A, "one")
    os.kill(world.who_asks(), signal.SIGKILL)
    process = await world.appliance.pid()
    assert await world.asked(A, "one") == f"one.{THUMBPRINT}"
    assert await world.appliance.pid() == process


async def test_a_restart_in_the_middle_of_a_change_goes_on_asking(world: World) -> None:
    await world.solved_by(ASolver(A, "one"))
    await world.names()
    await world.appliance.stop()
    world.appliance.mounted.put("links.json", b"{}")  # not what the manifest says
    await world.appliance.start()
    await world.asked(A, "one")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.3.1", "169.254.169.254", str(IPv4Address(0)), "224.0.0.1", "255.255.255.255"]
)
def test_what_can_be_no_pod_is_not_asked(address: str) -> None:
    assert not http01.may_be_asked(address)


def test_our_own_address_is_not_asked_and_anothers_is() -> None:
    assert http01.may_be_asked("192.0.2.7")
    assert not http01.may_be_asked(own_address())
