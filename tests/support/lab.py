"""A laboratory for OpenVPN and nft on this machine: network namespaces, real processes, sockets inside of namespaces.

::

      namespace mcs (the pod)                         namespace tvox17 (the customer's site)
      10.77.17.1  ── veth ──────────────────────────  10.77.17.2
      link-017 198.18.254.1  ══ OpenVPN ════════════  tun0 198.18.254.17

A connection that "succeeds" proves nothing on every network (a gateway may accept all of them), so whoever listens
here names himself, and every check reads the name.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Literal, TypeVar

from mcs_operator.pki import KeyPair, fingerprint, mint_ca, mint_client, mint_server, mint_tls_crypt
from mcs_operator.render.openvpn import (
    ClientConfig,
    Firewall,
    Identity,
    LinkNet,
    Protocol,
    Server,
    build_profile,
    slot_files,
)

T = TypeVar("T")
Transport = Literal["tcp", "udp"]

CLONE_NEWNET = 0x40000000
DOMAIN = "mcs.test"
NOW = datetime.now(UTC)
CA = mint_ca("lab", NOW)
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def sh(*command: str | Path, stdin: str | None = None) -> str:
    """Run a program to its end; its standard output. A failure shows what it said."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def eventually(what: str, check: Callable[[], T | None], seconds: float = 10) -> T:
    """Wait for a check to give something; AssertionError that names what was waited for."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


def missing() -> str | None:
    """What this machine lacks for a laboratory, or None."""
    if os.geteuid():
        return "not root: network namespaces and tun devices need it"
    programs = [name for name in ("openvpn", "nft", "ip", "ping") if not shutil.which(name)]
    if programs:
        return f"not installed: {', '.join(programs)} (Debian: openvpn nftables iproute2 iputils-ping)"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    try:
        Namespace("try").close()
    except RuntimeError as error:
        return f"no network namespaces here: {error}"
    return None


def bridge_of(address: str) -> str | None:
    """The bridge of this machine in whose network the address is: that of a node, if it is this machine or a container
    here, as with kind."""
    for link in json.loads(sh("ip", "-j", "-4", "address", "show", "type", "bridge")):
        for own in link.get("addr_info", []):
            if IPv4Address(address) in IPv4Interface(f"{own['local']}/{own['prefixlen']}").network:
                return str(link["ifname"])
    return None


@contextmanager
def led_to(address: str, node: str) -> Iterator[None]:
    """What this machine sends to that address goes to the node, as a provider's load balancer would have it. A node
    that is this machine takes it without that."""
    if _is_own(node):
        yield
        return
    sh("ip", "route", "replace", f"{address}/32", "via", node)
    try:
        yield
    finally:
        sh("ip", "route", "del", f"{address}/32", "via", node)


def _is_own(address: str) -> bool:
    links = json.loads(sh("ip", "-j", "-4", "address"))
    return address in [own["local"] for link in links for own in link.get("addr_info", [])]


@functools.cache  # once is enough
def remove_abandoned() -> None:
    """The hosts of runs that were cut off: their devices have names with a process id, which may be ours one day."""
    for path in Path("/run/netns").glob("mcs-*-*-*"):
        if Path("/proc", path.name.split("-")[1]).exists():
            continue
        with suppress(RuntimeError):  # another run of now removes it as well
            _remove(path.name)


def _remove(name: str) -> None:
    """A network namespace, and first what still runs in it: it would live on in a namespace without a name."""
    for pid in sh("ip", "netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    sh("ip", "netns", "del", name)


class Namespace:
    """One host: a network namespace of this run's own, removed by ``close``, with what still runs in it."""

    def __init__(self, purpose: str) -> None:
        remove_abandoned()
        self.name = f"mcs-{os.getpid()}-{next(_numbers)}-{purpose}"
        self._closing = ExitStack()
        sh("ip", "netns", "add", self.name)
        self._closing.callback(_remove, self.name)
        self.ip("link", "set", "lo", "up")

    def close(self) -> None:
        self._closing.close()

    def ip(self, *arguments: str) -> str:
        return sh("ip", "-n", self.name, *arguments)

    def run(self, *command: str | Path) -> str:
        return sh("ip", "netns", "exec", self.name, *command)

    def load(self, rules: Path) -> None:
        self.run("nft", "-f", rules)

    def pings(self, address: str) -> bool:
        """Whether an echo comes back within 10 seconds."""
        command = ["ip", "netns", "exec", self.name, "ping", "-n", "-c1", "-W10", address]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def cable(self, other: Namespace, *, here: str, there: str, device: tuple[str, str]) -> None:
        """A wire between two hosts; the addresses are CIDR or ``LOCAL peer REMOTE``."""
        self.ip("link", "add", device[0], "type", "veth", "peer", "name", device[1], "netns", other.name)
        for host, name, address in ((self, device[0], here), (other, device[1], there)):
            host.ip("addr", "add", *address.split(), "dev", name)
            host.ip("link", "set", name, "up")

    def plug_in(self, bridge: str, address: str, router: str) -> None:
        """A wire to a bridge of this machine: a client from outside, whose way to everywhere is the router's."""
        device = f"lab{os.getpid() % 10**6}-{next(_numbers)}"
        sh("ip", "link", "add", device, "master", bridge, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        sh("ip", "link", "set", device, "up")
        self._batch(f"address add {address}/24 dev eth0", "link set eth0 up", f"route add default via {router}")

    def unplug(self) -> None:
        """It has no address and no way to anywhere, as between two networks."""
        self._batch("address flush dev eth0")

    def come_to(self, address: str, router: str) -> None:
        """In another network: with another address than before."""
        self._batch(f"address add {address}/24 dev eth0", f"route add default via {router}")

    def _batch(self, *commands: str) -> None:
        sh("ip", "-n", self.name, "-batch", "-", stdin="\n".join(commands) + "\n")

    def socket(self, transport: Transport) -> socket.socket:
        """A socket that belongs to this namespace, usable from anywhere."""
        made: list[socket.socket] = []
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        # In a thread of its own, because the namespace belongs to the thread.
        thread = threading.Thread(target=self.inside, args=(lambda: made.append(socket.socket(socket.AF_INET, kind)),))
        thread.start()
        thread.join()
        return made[0]

    def inside(self, work: Callable[[], object]) -> None:
        """Work in this namespace: the thread that calls it stays there for good."""
        with Path("/run/netns", self.name).open() as handle:
            if _libc.setns(handle.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        work()

    def listen(self, name: str, transport: Transport, *ports: int) -> None:
        """Answer on these ports of every address with ``name``, followed (UDP) by what was asked."""
        for port in ports:
            voice = self.socket(transport)
            voice.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            voice.bind(("0.0.0.0", port))  # noqa: S104 - inside of a namespace of our own
            if transport == "tcp":
                voice.listen()
            self._closing.callback(_silence, voice)
            threading.Thread(target=_answer, args=(voice, name.encode()), daemon=True).start()

    def ask(
        self, transport: Transport, address: str, port: int, source: str | None = None, seconds: float = 10
    ) -> str | None:
        """Who answers there? None when nobody does in time."""
        with self.socket(transport) as question:
            question.settimeout(seconds)
            try:
                if source:
                    question.bind((source, 0))
                question.connect((address, port))
                question.send(b"?")
                return question.recv(100).decode().removesuffix("?") or None
            except OSError:
                return None

    def start(self, log: Path, *command: str | Path, run: Path | None = None, hosts: Path | None = None) -> Process:
        """A program in this namespace, with its own /run and /etc/hosts where given; ``close`` ends it."""
        mounts = [f"mount --bind '{run}' /run"] if run else []
        mounts += [f"mount --bind '{hosts}' /etc/hosts"] if hosts else []
        script = " && ".join([*mounts, 'exec "$0" "$@"'])
        with log.open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, "sh", "-c", script, *command], stdout=output, stderr=output
            )
        started = Process(process, log)
        self._closing.callback(started.kill)
        return started


@dataclass
class Process:
    """A program that runs; ended by its own id."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def says(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")

    def terminate(self, patience: float) -> None:
        """As the supervisor does it: SIGTERM, ``patience`` seconds, SIGKILL."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.kill()

    def kill(self) -> None:
        if self.alive:
            self.process.kill()
        self.process.wait()


@dataclass
class Link:
    """A link's two ends in files, rendered by the product: ``slot/`` for the server, ``profile.ovpn`` for the TVox."""

    folder: Path
    number: int = 17
    protocol: Protocol = "UDP"
    sources: Sequence[str] = ()
    tls_crypt: str = field(default_factory=mint_tls_crypt)

    def __post_init__(self) -> None:
        self.net = LinkNet(self.number)
        self.client = self.new_client()
        self.server = mint_server(CA, f"{self.net.device}.lab", NOW)
        (self.folder / "run" / "link").mkdir(parents=True)
        self.write_slot([self.client])

    @property
    def outside(self) -> str:
        """The MCS's address as that customer's site sees it."""
        return f"10.77.{self.number}.1"

    @property
    def rules(self) -> Path:
        return self.folder / "slot" / "firewall.nft"

    def new_client(self) -> KeyPair:
        return mint_client(CA, f"{self.net.device}.lab", NOW)

    def write_slot(self, pinned: Sequence[KeyPair]) -> None:
        files = slot_files(
            Server(self.net, self.protocol, [fingerprint(client.cert_pem) for client in pinned]),
            Firewall(self.net, self.sources),
            Identity(CA.cert_pem, self.server.cert_pem, self.server.key_pem, self.tls_crypt),
            enabled=True,
        )
        (self.folder / "slot").mkdir(exist_ok=True)
        for name, text in files.items():
            (self.folder / "slot" / name).write_text(text)

    def write_profile(self, client: KeyPair | None = None, name: str = "profile.ovpn") -> Path:
        client = client or self.client
        identity = Identity(CA.cert_pem, client.cert_pem, client.key_pem, self.tls_crypt)
        path = self.folder / name
        path.write_text(build_profile(ClientConfig(self.net, self.protocol, DOMAIN, identity, self.outside)))
        return path

    def serve(self, mcs: Namespace) -> Process:
        """Load the firewall, start the server; as the slot's supervisor does it."""
        mcs.load(self.rules)
        slot, run = self.folder / "slot", self.folder / "run"
        return mcs.start(self.folder / "server.log", "openvpn", "--cd", slot, "--config", "server.conf", run=run)

    def dial(self, site: Namespace, profile: Path | None = None, *options: str, hosts: Path | None = None) -> Process:
        """The TVox: a plain OpenVPN client with the profile as it would be uploaded."""
        profile = profile or self.write_profile()
        log = profile.with_suffix(".log")
        return site.start(log, "openvpn", "--config", profile, *options, hosts=hosts)

    def join(self, mcs: Namespace, site: Namespace) -> None:
        """The Internet between the two."""
        devices = (f"wan{self.number}", "eth0")
        mcs.cable(site, here=f"{self.outside}/24", there=f"10.77.{self.number}.2/24", device=devices)


def _answer(voice: socket.socket, name: bytes) -> None:
    with suppress(OSError):  # closed: the test is over
        while True:
            if voice.type == socket.SOCK_DGRAM:
                question, peer = voice.recvfrom(2000)
                if peer is None:  # shut down
                    return
                voice.sendto(name + question, peer)
            else:
                connection, _ = voice.accept()
                with connection, suppress(OSError):
                    connection.settimeout(20)
                    connection.recv(2000)
                    connection.send(name)


def _silence(voice: socket.socket) -> None:
    with suppress(OSError):
        voice.shutdown(socket.SHUT_RDWR)  # close alone would leave the thread in accept
    voice.close()
