"""A real OpenVPN server, as a slot runs it, and real clients, each in a network namespace of its own.

    lab-…-server  10.77.0.1 (bridge)  ──┬── lab-…-a  10.77.0.11
                                        └── lab-…-b  10.77.0.12

The server's files are those that the operator renders; the keys are made anew for every lab.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mcs_operator.pki.inspect import fingerprint
from mcs_operator.pki.mint import Authority, KeyPair, mint_ca, mint_client, mint_server, mint_tls_crypt
from mcs_operator.render.openvpn import ClientConfig, Firewall, Identity, LinkNet, Server, build_profile, slot_files

NET = LinkNet(17)
SERVER_ADDRESS = "10.77.0.1"
_DAY = timedelta(days=1)


def why_not() -> str | None:
    """Why a lab cannot be had on this machine; None if it can."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    missing = [tool for tool in ("openvpn", "ip") if shutil.which(tool) is None]
    if missing:
        return f"needs {' and '.join(missing)} installed"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    name = f"lab-try-{os.getpid()}"  # several test processes may try at the same time
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def leaf(ca: Authority, not_before: datetime, not_after: datetime, common_name: str = "link-017") -> KeyPair:
    """A client certificate of this CA with these dates (the product's own mint makes no expired ones)."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = serialization.load_pem_private_key(ca.key_pem.encode(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(x509.load_pem_x509_certificate(ca.cert_pem.encode()).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(x509.KeyUsage(True, False, False, False, True, False, False, False, False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(issuer_key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


@dataclass
class Keys:
    """The link's own, and those of everybody who should not get in."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.ca = mint_ca("demo", self.now - 400 * _DAY)
        other_ca = mint_ca("other", self.now - 400 * _DAY)
        self.server = mint_server(self.ca, "mcs", self.now)
        self.tls_crypt = mint_tls_crypt()
        self.other_tls_crypt = mint_tls_crypt()
        self.clients = {
            "pinned": mint_client(self.ca, "link-017", self.now - 2 * _DAY),
            "unpinned": mint_client(self.ca, "link-017", self.now - 2 * _DAY),
            "foreign": mint_client(other_ca, "link-017", self.now - 2 * _DAY),
            "expired": leaf(self.ca, self.now - 10 * _DAY, self.now - _DAY),
            "early": leaf(self.ca, self.now + _DAY, self.now + 10 * _DAY),
        }
        self.clients["stranger"] = self.clients["pinned"]

    def profile(self, who: str, protocol: str) -> str:
        pair = self.clients[who]
        tls_crypt = self.other_tls_crypt if who == "stranger" else self.tls_crypt
        identity = Identity(self.ca.cert_pem, pair.cert_pem, pair.key_pem, tls_crypt)
        return build_profile(ClientConfig(NET, protocol, "mcs.example.com", identity)).replace(  # type: ignore[arg-type]
            "remote mcs.example.com", f"remote {SERVER_ADDRESS}"
        )


class Lab:
    """Namespaces, one server, any clients; everything is taken away at the end."""

    def __init__(self, folder: Path, protocol: str = "UDP", keys: Keys | None = None) -> None:
        self.folder, self.protocol, self.keys = folder, protocol, keys or Keys()
        self.link = folder / NET.device
        self._name = f"lab-{os.getpid()}"
        self._started: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.link / "openvpn.sock"

    def __enter__(self) -> Lab:
        try:
            self._make_network()
        except BaseException:
            self._remove_network()
            raise
        self.link.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._remove_network()

    def _make_network(self) -> None:
        server = self.namespace("server")
        for place in ("server", "a", "b"):
            _ip("netns", "add", self.namespace(place))
            _ip("-n", self.namespace(place), "link", "set", "lo", "up")
        _ip("-n", server, "link", "add", "br0", "type", "bridge")
        _ip("-n", server, "addr", "add", f"{SERVER_ADDRESS}/24", "dev", "br0")
        _ip("-n", server, "link", "set", "br0", "up")
        for place, address in (("a", "10.77.0.11"), ("b", "10.77.0.12")):
            own = self.namespace(place)
            _ip("-n", server, "link", "add", f"to-{place}", "type", "veth", "peer", "name", "eth0", "netns", own)
            _ip("-n", server, "link", "set", f"to-{place}", "master", "br0", "up")
            _ip("-n", own, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", own, "link", "set", "eth0", "up")

    def _remove_network(self) -> None:
        for place in ("server", "a", "b"):
            subprocess.run(["ip", "netns", "del", self.namespace(place)], capture_output=True, check=False)

    def namespace(self, place: str) -> str:
        return f"{self._name}-{place}"

    def start_server(self, pins: tuple[str, ...] = ("pinned", "expired")) -> None:
        keys = self.keys
        prints = [fingerprint(keys.clients[who].cert_pem) for who in pins]
        identity = Identity(keys.ca.cert_pem, keys.server.cert_pem, keys.server.key_pem, keys.tls_crypt)
        files = slot_files(
            Server(NET, self.protocol, prints),  # type: ignore[arg-type]
            Firewall(NET),
            identity,
            enabled=True,
        )
        good = self.link / "good"
        good.mkdir(mode=0o700, exist_ok=True)
        for name, content in files.items():
            (good / name).write_text(content.replace("/run/link", str(self.link)))
        self.socket.unlink(missing_ok=True)
        self._server = self._spawn("server", "server", ["openvpn", "--cd", str(good), "--config", "server.conf"])
        _wait_for(self.socket.exists)

    def kill_server(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self._server
        self._server.send_signal(number)
        self._server.wait()

    def restart_server(self) -> None:
        """As the supervisor does for a new revision: SIGTERM tells the clients, SIGKILL saves two seconds."""
        assert self._server
        self._server.terminate()
        time.sleep(0.3)
        self.kill_server()
        self.start_server()

    def start_client(self, place: str, who: str, *options: str) -> subprocess.Popen[bytes]:
        profile = self.folder / f"{who}.ovpn"
        profile.touch(mode=0o600)
        profile.write_text(self.keys.profile(who, self.protocol))
        return self._spawn(place, f"{place}-{who}", ["openvpn", "--config", str(profile), *options])

    def python(self, place: str, code: str) -> None:
        self.wait(self._spawn(place, "python", ["python3", "-c", code]))

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait(timeout=20)

    def _spawn(self, place: str, log: str, command: list[str]) -> subprocess.Popen[bytes]:
        # `ip netns exec` becomes the command, so that a signal to this process reaches it.
        with (self.folder / f"{log}.log").open("ab") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(place), *command], stdout=output, stderr=subprocess.STDOUT
            )
        self._started.append(process)
        return process


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _wait_for(done: object, seconds: float = 5) -> None:
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "OpenVPN has not started"
        time.sleep(0.02)
