"""The image under test, running: by default the programs of the reference appliance, or any image (MCS_IMAGE).

Asked over loopback it answers the link agent, at its other address the kubelet and neighbours. An image runs unpacked
in a network namespace of its own, with the ports of the contract, as the user and with the folders that the pod gives
it; the programs run on this machine's loopback, by ports that are free.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mcs_operator.agent.media import parse
from mcs_operator.contract.linkstate import MediaState
from support.appliance import APPLIANCE, programs
from support.cluster import MissingError
from support.lab import Namespace, eventually, missing, sh
from support.ports import free_port

USER = 65532


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Place:
    """Where it runs, and where those are whom it reaches. Without `inside` all of it is this machine."""

    web: str
    """The address of its public ports."""
    tvoxes: str
    """The network of the TVoxes: what comes before the last number."""
    http: int = 80
    https: int = 443
    contract: int = 21000
    tvox: int = 80
    inside: Namespace | None = None
    outside: Namespace | None = None

    def socket(self, within: bool = False) -> socket.socket:
        host = self.inside if within else self.outside
        return host.socket("tcp") if host else socket.socket()


@dataclass
class Subject:
    """`command` runs it; `root` has its folders."""

    root: Path
    place: Place
    command: list[str]
    environment: dict[str, str]
    home: Path = APPLIANCE
    process: subprocess.Popen[bytes] | None = None
    _closing: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.home, start_new_session=True)
        eventually("it is healthy", lambda: self._status("/healthz") == 200 or None, 30)

    def stop(self) -> int:
        """SIGTERM for its first process, and its status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
            self.process.kill()
            self.process.wait()

    # ---- as the agent and the kubelet ask

    def ask(self, path: str, method: str = "GET", **headers: str) -> Reply:
        connected = self._connected("127.0.0.1", self.place.contract, within=True)
        return _exchange(connected, "mcs", path, method, **headers)

    def ask_as_neighbour(self, path: str, method: str = "GET") -> Reply:
        address = self.place.web if self.place.outside else own_address()
        return _exchange(self._connected(address, self.place.contract), "mcs", path, method)

    def _status(self, path: str) -> int:
        try:
            return self.ask(path).status
        except (OSError, http.client.HTTPException):
            return 0

    def report(self) -> MediaState:
        """As the agent understands it."""
        found = parse(self.ask("/connections").body.encode())
        assert found is not None, "the link agent does not understand it"
        return found

    def takes(self, config: str, seconds: float = 10) -> None:
        eventually("the set is in force", lambda: self.report().config == config or None, seconds)

    # ---- as browsers ask

    def get(self, host: str, path: str = "/", tls: bool = False, sni: str = "", **headers: str) -> Reply:
        return _exchange(self.connect(sni or host, tls), host, path, **headers)

    def connect(self, host: str, tls: bool = False) -> socket.socket:
        found = self._connected(self.place.web, self.place.https if tls else self.place.http)
        if not tls:
            return found
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(found, server_hostname=host)

    def shown(self, host: str) -> str:
        """The certificate for this name, empty where the handshake is refused."""
        try:
            with self.connect(host, tls=True) as found:
                der = found.getpeercert(binary_form=True)  # type: ignore[attr-defined]
                return ssl.DER_cert_to_PEM_cert(der)
        except ssl.SSLError:
            return ""

    def stream(self, host: str) -> http.client.HTTPResponse:
        """An answer of a TVox that goes on until it is closed."""
        connection = _Connection(self.connect(host))
        connection.request("GET", "/stream", headers={"Host": host})
        return connection.getresponse()

    def _connected(self, address: str, port: int, within: bool = False) -> socket.socket:
        found = self.place.socket(within)
        found.settimeout(10)
        found.connect((address, port))
        return found


class _Connection(http.client.HTTPConnection):
    def __init__(self, connected: socket.socket) -> None:
        super().__init__("subject")
        self.sock = connected


def _exchange(connected: socket.socket, host: str, path: str, method: str = "GET", **headers: str) -> Reply:
    with contextlib.closing(_Connection(connected)) as connection:
        connection.request(method, path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def own_address() -> str:
    """An address of this machine that is not loopback, as the kubelet uses one of the pod's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


# ---- the TVoxes


class Tvox(BaseHTTPRequestHandler):
    """Says who it is and what it was asked; /stream goes on."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.is_over.wait(0.05):  # type: ignore[attr-defined]
                    self.wfile.write(b"tick\n")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({"tvox": self.server.server_address[0], "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Tvoxes(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Who asked has gone."""


class Solver(BaseHTTPRequestHandler):
    """As one of cert-manager's: it knows one name and one token, and says 404 to all else."""

    domain, path_known, says = "", "", ""

    def do_GET(self) -> None:
        is_known = (self.headers["Host"], self.path) == (self.domain, self.path_known)
        self.send_response(200 if is_known else 404)
        self.end_headers()
        self.wfile.write(self.says.encode() if is_known else b"404 page not found\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def a_solver(place: Place, number: int, domain: str, path: str, says: str, port: int = 0) -> Iterator[tuple[str, int]]:
    """Where it listens, among the TVoxes."""
    known = type("Known", (Solver,), {"domain": domain, "path_known": path, "says": says})
    with _server(place, number, port, known) as address:
        yield address


@contextmanager
def a_tvox(place: Place, number: int) -> Iterator[None]:
    with _server(place, number, place.tvox, Tvox):
        yield


@contextmanager
def _server(place: Place, number: int, port: int, handler: type[BaseHTTPRequestHandler]) -> Iterator[tuple[str, int]]:
    listening = place.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((f"{place.tvoxes}.{number}", port))
    listening.listen()
    server = _Tvoxes(listening.getsockname(), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.is_over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.is_over.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


# ---- how it is run


def _folders(root: Path) -> dict[str, Path]:
    found = {name: root / name for name in ("etc", "data", "run", "tmp")}
    root.chmod(0o755)
    for folder in found.values():
        folder.mkdir()
    return found


def our_programs(root: Path, home: Path = APPLIANCE, address: str = "127.0.0.1") -> Subject:
    """Those of the reference appliance, as its image runs them; media goes to and from `address`."""
    haproxy = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if haproxy is None:
        raise MissingError("haproxy is not installed (Debian: apt-get install haproxy)")
    folders = _folders(root)
    place = Place("127.0.0.1", "127.0.0", free_port(), free_port(), free_port(), free_port())
    environment = {
        "MCS_CONFIG_DIR": folders["etc"], "MCS_DATA_DIR": folders["data"], "MCS_RUN_DIR": folders["run"],
        "MCS_CONTRACT_PORT": place.contract, "MCS_HTTP_PORT": place.http, "MCS_HTTPS_PORT": place.https,
        "MCS_TVOX_PORT": place.tvox, "MCS_MEDIA_PORT": free_port(), "MCS_TURN_PORT": free_port(),
        "MCS_INSTANCE": "demo", "MCS_HAPROXY": haproxy, "MCS_PROGRAMS": programs(), "MCS_POD_ADDRESS": address,
        "MCS_POLL_SECONDS": 0.2, "MCS_SOLVERS_ON_LOOPBACK": 1, "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    said = {name: str(value) for name, value in environment.items()}
    return Subject(root, place, [sys.executable, "-m", "appliance"], said, home)


_IN_ITS_TREE = """
# The mounts are this program's own: `ip netns exec` has made a mount namespace for it.
tree=$0 root=$1; shift
mkdir -p "$tree/etc/mcs" "$tree/var/lib/mcs" "$tree/run/appliance"
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --bind "$root/etc" "$tree/etc/mcs"
mount --bind "$root/data" "$tree/var/lib/mcs"
mount --bind "$root/run" "$tree/run/appliance"
mount --bind "$root/tmp" "$tree/tmp"
exec "$@"
"""


def an_image(root: Path, image: str, closing: ExitStack) -> Subject:
    """Any image: a name that buildah finds, or the path of a docker-archive."""
    if reason := missing():
        raise MissingError(reason)
    if not shutil.which("buildah"):
        raise MissingError("buildah is not installed (Debian: apt-get install buildah)")
    folders = _folders(root)
    for name in ("data", "run", "tmp"):
        os.chown(folders[name], USER, USER)
    inside, outside = Namespace("mcs"), Namespace("around")
    closing.callback(outside.close)
    closing.callback(inside.close)
    inside.cable(outside, here="10.78.0.1/24", there="10.78.0.2/24", device=("out", "eth0"))
    inside.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
    outside.ip("link", "set", "lo", "up")
    for number in (17, 18, 19):
        outside.ip("address", "add", f"10.79.0.{number}/32", "dev", "eth0")
    inside.ip("route", "add", "10.79.0.0/24", "via", "10.78.0.2")
    buildah = ["buildah", "--storage-driver", "vfs", "--root", str(root / "store"), "--runroot", str(root / "runs")]
    container = sh(*buildah, "from", f"docker-archive:{image}" if Path(image).exists() else image).split()[-1]
    config = json.loads(sh(*buildah, "inspect", container))["OCIv1"]["config"]
    tree = sh(*buildah, "mount", container).strip()
    closing.callback(sh, *buildah, "umount", container)
    said = {
        "MCS_CONFIG_DIR": "/etc/mcs", "MCS_DATA_DIR": "/var/lib/mcs", "MCS_CONTRACT_PORT": "21000",
        "MCS_MEDIA_PORT": "10000", "MCS_INSTANCE": "demo",
    }  # fmt: skip
    variables = [*(config.get("Env") or []), *(f"{name}={value}" for name, value in said.items())]
    program = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    within = ["chroot", f"--userspec={USER}:{USER}", tree, "env", "-i", "-C", config.get("WorkingDir") or "/"]
    command = ["ip", "netns", "exec", inside.name, "sh", "-euc", _IN_ITS_TREE, tree, str(root)]
    command += ["setpriv", "--no-new-privs", *within, *variables, *program]
    place = Place("10.78.0.1", "10.79.0", inside=inside, outside=outside)
    return Subject(root, place, command, dict(os.environ))
