"""HOW TRAFFIC FLOWS: starts HAProxy once and feeds it through its runtime API, never by a reload.

Order within one change: certificates come before the names that need them and go after; the map of names is replaced in
one step. A connection that is open keeps what it was opened with; only those of a link that is gone, disabled or moved
are closed, since their far end is gone (left alone they would hold back a drain for as long as TCP takes to notice).
"""

from __future__ import annotations

import asyncio
import csv
import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from appliance import trial
from appliance.config import Certificate, ConfigSet, Link

log = logging.getLogger("haproxy")

HOSTS, TVOXES, COMMUNITIES, STATE = "hosts.map", "tvoxes.map", "communities.map", "state.map"
CERTIFICATES = "crt-list"
SEATS = 250
"""Servers of haproxy.cfg for portals; with more portals than that, some share one's limit."""
WAITING, OPEN, DRAINING = "waiting", "open", "draining"
NO_ACCOUNT = "none"
"""In the place of a thumbprint: no challenge is answered."""
SOLVED, UNSOLVED = "on", "none"
"""Whether challenges go to somebody else's solvers."""
ANSWER_TIMEOUT = 5.0
"""Seconds HAProxy may take for one runtime command; it answers in well under a millisecond when healthy."""
LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; the statistics of all links are 100 KiB."""
STOP_TIMEOUT = 2.0
_FIRST_STATE = f"mode {WAITING}\nacme {NO_ACCOUNT}\nsolver {UNSOLVED}\n"
_LINES_PER_COMMAND = 100
"""Map entries per command: 100 of the longest (253 + 25 bytes) stay under HAProxy's command buffer of 32 KiB."""


class RuntimeApiError(Exception):
    """HAProxy did not do what it was told, or did not answer; the message is its own, shortened."""


async def ask(socket: Path, command: str, payload: Sequence[str] = ()) -> str:
    """Sends one runtime command (and its payload lines, none of them blank) and returns HAProxy's whole answer.

    Raises RuntimeApiError when it cannot be reached or does not answer within ANSWER_TIMEOUT.
    """
    text = f"{command} <<\n" + "".join(f"{line}\n" for line in payload) + "\n" if payload else f"{command}\n"
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(text.encode())
                answer = await _read(reader)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise RuntimeApiError(f"HAProxy does not answer: {error or 'timed out'}") from error
    return answer.decode(errors="replace")


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while part := await reader.read(65536):
        answer += part
        if len(answer) > LONGEST_ANSWER:
            raise RuntimeApiError("HAProxy's answer does not end")
    return bytes(answer)


def hosts_entries(current: ConfigSet, certified: Collection[str], seats: Mapping[str, int] | None = None) -> list[str]:
    """The lines of hosts.map: the instance as number 0, every link, and every portal with its seat; `certified` domains
    have a certificate."""

    def line(domain: str, number: int | str, address: str, state: str) -> str:
        return f"{domain} {number}|{address}|{state}|{'tls' if domain in certified else 'plain'}"

    def state(link: Link) -> str:
        return "closed" if not link.open else "open" if link.in_service else "refusing"

    own = line(current.instance.domain, 0, "-", "open")
    links = [line(link.domain, link.number, link.address, state(link)) for link in current.links]
    portals = [
        f"{line(c.portal or '', 'portal', c.name, 'open' if c.open else 'closed')}|{(seats or {}).get(c.name, 1)}"
        for c in current.people.portals
    ]
    return [own, *links, *portals]


def communities_entries(current: ConfigSet) -> list[str]:
    """The lines of communities.map: whose portal a link, and its TVox's tunnel, may lead to."""
    portals = {community.name: community.portal for community in current.people.portals}
    return [f"{k.number} {k.community}|{portals[k.community]}" for k in current.links if k.community in portals]


def seated(names: Sequence[str], before: Mapping[str, int]) -> dict[str, int]:
    """A seat for each portal: the one of before, else a free one, so that no other customer's count is touched."""
    seats = {name: before[name] for name in names if name in before}
    free = (seat for seat in range(1, SEATS + 1) if seat not in set(seats.values()))
    for name in names:
        if name not in seats:
            seats[name] = next(free, SEATS)
    return seats


def tvoxes_entries(links: Sequence[Link]) -> list[str]:
    """The lines of tvoxes.map: whose tunnel an address is the end of, and of the same networks all else is nobody's."""
    addresses = {link.address: link.number for link in links}
    networks = {ip_network(f"{address}/24", strict=False) for address in addresses}
    nobody = [f"{network} none" for network in sorted(networks) if not network.is_loopback]
    return [*nobody, *(f"{address} {number}" for address, number in addresses.items())]


def cut_off(old: Sequence[Link], new: Sequence[Link]) -> list[int]:
    """The numbers whose open connections lead nowhere any more: links that are gone, disabled or at another address."""
    still = {(link.name, link.number, link.address) for link in new if link.open}
    return [link.number for link in old if link.open and (link.name, link.number, link.address) not in still]


def names_of(shown: str) -> list[str]:
    """The DNS names of a certificate as `show ssl cert` prints it: subject alternative names, else the common name."""
    names = re.search(r"^Subject Alternative Name: (.*)$", shown, re.MULTILINE)
    found = (
        re.findall(r"DNS:([^,\s]+)", names[1])
        if names
        else re.findall(r"^Subject: .*/CN=([^/\n]+)", shown, re.MULTILINE)
    )
    return [name.lower() for name in found]


def covers(names: Sequence[str], domain: str) -> bool:
    """Whether one of a certificate's names (a wildcard stands for one label) is good for this domain."""
    return domain in names or "*." + domain.partition(".")[2] in names


@dataclass(frozen=True)
class Clients:
    """Connections at the public ports: open ones, and those refused since the start."""

    open: int
    refused: int


@dataclass
class HAProxy:
    """One HAProxy process. `home` holds haproxy.cfg and pages/; `run_dir` is its working directory, writable."""

    program: str
    home: Path
    run_dir: Path
    environment: Mapping[str, str]
    certified: dict[str, str] = field(default_factory=dict)
    """Domain -> digest of the certificate that HAProxy serves for it."""
    _tried: dict[str, str | None] = field(default_factory=dict)
    """Digest of a certificate -> why no browser takes it: one may stand in for 250 links, and comes with each set."""
    _links: tuple[Link, ...] = ()
    _seats: dict[str, int] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it with nothing configured: every name is unknown until the first apply()."""
        for name in (HOSTS, TVOXES, COMMUNITIES, STATE, CERTIFICATES):
            (self.run_dir / name).write_text(_FIRST_STATE if name == STATE else "")
        # Also of HTTP in a frontend that begins as TCP, which is as it should be.
        log.info("HAProxy starts without a certificate and warns about it: they come in at run time")
        self._process = await asyncio.create_subprocess_exec(
            self.program, "-db", "-f", str(self.home / "haproxy.cfg"),
            cwd=self.run_dir, env={**os.environ, **self.environment}, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def wait_until_it_answers(self) -> None:
        """Returns once the runtime API answers; the caller watches wait() for a process that never gets there."""
        while True:
            with suppress(RuntimeApiError):
                await ask(self._socket, "show info")
                return
            await asyncio.sleep(0.05)

    async def wait(self) -> int:
        """Returns its exit status when it ends, by itself or by stop()."""
        assert self._process is not None, "start() comes first"  # noqa: S101
        return await self._process.wait()

    async def stop(self) -> None:
        """Ends it at once; whoever wants connections to end by themselves drains first."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def set_mode(self, mode: str) -> None:
        """WAITING, OPEN or DRAINING: what new requests meet. Open connections stay as they are."""
        await self._do(f"set map {STATE} mode {mode}")

    async def apply(self, current: ConfigSet) -> dict[str, str]:
        """Makes HAProxy serve this set; returns the domains whose certificate had to be left out, and why.

        Raises RuntimeApiError when HAProxy does not answer or refuses a map; what was done until then stays done, and
        it may be repeated.
        """
        left_out = {}
        # In a thread: a trial takes some milliseconds, and 250 of them would keep the kubelet's questions waiting.
        self._tried = await asyncio.to_thread(try_new, current.certificates, self._tried, set(self.certified.values()))
        for certificate in current.certificates:
            problem = await self._apply_certificate(certificate)
            if problem:
                # A name in a certificate may hold anything, and these words end up in logs and in a status.
                left_out[certificate.domain] = "".join(c if c.isprintable() else "?" for c in problem)[:300]
        keep = {*current.spoiled, *(certificate.domain for certificate in current.certificates)}
        gone = self.certified.keys() - keep
        self._seats = seated([community.name for community in current.people.portals], self._seats)
        await self._replace_map(TVOXES, tvoxes_entries(current.links))
        await self._replace_map(COMMUNITIES, communities_entries(current))
        await self._replace_map(HOSTS, hosts_entries(current, self.certified.keys() & keep, self._seats))
        await self._do(f"set map {STATE} acme {current.instance.acme_thumbprint or NO_ACCOUNT}")
        await self._do(f"set map {STATE} solver {SOLVED if current.instance.http01_solver else UNSOLVED}")
        for domain in gone:
            await self._remove_certificate(domain)
        for number in cut_off(self._links, current.links):
            await self._do(f"shutdown sessions server tvox/link-{number}")
        self._links = current.links
        return left_out

    async def connections(self) -> dict[int, int]:
        """Link number -> exchanges with its TVox that are open now (a WebSocket is one), from HAProxy's statistics.

        Only links with at least one are listed. A browser's idle keep-alive connection is none.
        """
        rows = await self._statistics("tvox 4 -1")
        try:
            counts = {int(row["svname"].removeprefix("link-")): int(row["scur"]) for row in rows}
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            raise RuntimeApiError("HAProxy's statistics of the links cannot be read") from error
        return {number: count for number, count in counts.items() if count}

    async def clients(self) -> Clients:
        """Who is at the public ports now, whatever he wants there, and who was not let in since the start."""
        rows = await self._statistics("web 1 -1")
        try:
            web = rows[0]
            return Clients(int(web["scur"]), int(web["dcon"]) + int(web["dses"]))
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise RuntimeApiError("HAProxy's statistics of the public ports cannot be read") from error

    async def _statistics(self, of: str) -> list[dict[str, str]]:
        answer = await ask(self._socket, f"show stat {of}")
        try:
            return list(csv.DictReader(answer.strip().splitlines()))
        except csv.Error as error:
            raise RuntimeApiError("HAProxy's statistics cannot be read") from error

    @property
    def _socket(self) -> Path:
        return self.run_dir / "runtime.sock"

    async def _do(self, command: str, payload: Sequence[str] = ()) -> None:
        """A command that answers nothing but a blank line when it worked."""
        answer = (await ask(self._socket, command, payload)).strip()
        if answer:
            raise RuntimeApiError(f"{command}: {' '.join(answer.split())[:200]}")

    async def _replace_map(self, name: str, lines: Sequence[str]) -> None:
        answer = await ask(self._socket, f"prepare map {name}")
        version = re.search(r"New version created: (\d+)", answer)
        if not version:
            raise RuntimeApiError(f"prepare map {name}: {answer.strip()[:200]}")
        for start in range(0, len(lines), _LINES_PER_COMMAND):
            await self._do(f"add map @{version[1]} {name}", lines[start : start + _LINES_PER_COMMAND])
        await self._do(f"commit map @{version[1]} {name}")

    async def _apply_certificate(self, certificate: Certificate) -> str | None:
        """Loads one certificate, new or changed; returns why it was left out. The last good one stays then."""
        domain, name = certificate.domain, _store_name(certificate.domain)
        if self.certified.get(domain) == certificate.digest:
            return None
        if problem := self._tried[certificate.digest]:
            return problem
        is_new = domain not in self.certified
        if is_new:
            await ask(self._socket, f"new ssl cert {name}")
        problem = await self._try_certificate(certificate)
        if problem:
            await ask(self._socket, f"abort ssl cert {name}")
        elif is_new:
            answer = await ask(self._socket, f"add ssl crt-list {CERTIFICATES}", [f"{name} {domain}"])
            problem = None if "Success!" in answer else _reason(answer)
        if problem and is_new:
            await ask(self._socket, f"del ssl cert {name}")
        if not problem:
            self.certified[domain] = certificate.digest
        return problem

    async def _try_certificate(self, certificate: Certificate) -> str | None:
        name = _store_name(certificate.domain)
        answer = await ask(self._socket, f"set ssl cert {name}", certificate.pem.splitlines())
        if "Transaction created" not in answer:
            return _reason(answer)
        names = names_of(await ask(self._socket, f"show ssl cert *{name}"))
        if not covers(names, certificate.domain):
            return f"it is for other names: {', '.join(names)[:100] or 'none'}"
        answer = await ask(self._socket, f"commit ssl cert {name}")
        return None if "Success!" in answer else _reason(answer)

    async def _remove_certificate(self, domain: str) -> None:
        name = _store_name(domain)
        await ask(self._socket, f"del ssl crt-list {CERTIFICATES} {name}")
        await ask(self._socket, f"del ssl cert {name}")
        self.certified.pop(domain, None)
        log.info("certificate of %s removed", domain)


def try_new(
    certificates: Sequence[Certificate], tried: Mapping[str, str | None], served: Collection[str]
) -> dict[str, str | None]:
    """The trials of these certificates, without those that were tried before or are served already."""
    now: dict[str, str | None] = {}
    for certificate in certificates:
        digest = certificate.digest
        if digest not in now:
            known = digest in tried or digest in served
            now[digest] = tried.get(digest) if known else trial.refusal(certificate.pem)
    return now


def _store_name(domain: str) -> str:
    """The name of a certificate inside HAProxy; there is no such file, and no key is ever written to a disk."""
    return f"certs/{domain}.pem"


def _reason(answer: str) -> str:
    """HAProxy's complaint, for people: the first line that is none of its progress."""
    lines = (line.strip() for line in answer.splitlines())
    progress = ("Committing ", "Inserting ", "Failed!")
    said = next((line for line in lines if line and not line.startswith(progress)), "HAProxy refused it")
    if "inconsistencies between private key" in said:
        return "the key does not belong to the certificate"
    if "unable to load" in said:
        return "it cannot be read as certificate and key"
    return said[:200]
