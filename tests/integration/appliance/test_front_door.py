"""Strangers who hold what they can at the public ports: a flood from one host; visitors, and pages of
somebody who signed in at a portal, from another.

::

    namespace strangers               namespace mcs (the appliance)              namespace visitors
    10.78.0.2, 10.78.1.1 … ── veth ── 10.78.0.1      10.79.0.1 ── veth ── 10.79.0.2, 10.79.1.1 …
                                      127.0.0.17, 127.0.0.18: two TVoxes; portal.sock
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import front_door
from support.cluster import MissingError
from support.lab import Namespace, eventually, missing, sh
from support.levels import left_out_if_missing
from support.quantiles import quantile
from unit.images.appliance_set import APPLIANCE, MountedSet, certificate, link
from unit.portal.running import HASH, PASSWORD

CONNECTIONS, FILES = 10_000, 8192
SECONDS = 3.5
HOSTS, MEET = ["tvox-17.example.com", "tvox-18.example.com"], "meet.acme.example.com"
CONTRACT, HTTP, HTTPS, TVOX = 21000, 80, 443, 8080


class Front:
    """The appliance and the hosts around it."""

    def __init__(self, root: Path, closing: ExitStack) -> None:
        self._root, self._closing = root, closing
        self.mcs, self.strangers, self.visitors = (self._host(name) for name in ("mcs", "strangers", "visitors"))
        self.mcs.cable(self.strangers, here="10.78.0.1/16", there="10.78.0.2/16", device=("out0", "eth0"))
        self.mcs.cable(self.visitors, here="10.79.0.1/16", there="10.79.0.2/16", device=("out1", "eth0"))
        self.mounted = MountedSet(root / "etc", links=[link(17), link(18)])
        self.mounted.certificates = [certificate(host) for host in (*HOSTS, MEET)]
        self.mounted.communities[0]["portalDomain"] = MEET
        self.mounted.users = [{"community": "acme", "name": "ada", "displayName": "Ada", "functions": ["Chat"]}]
        self.mounted.logins = [{"community": "acme", "name": "ada", "hash": HASH}]
        self.tvoxes = self.begin(self.mcs, "tvoxes", addresses=["127.0.0.17", "127.0.0.18"], port=TVOX)
        self._start()
        self._start_portal()

    def _host(self, purpose: str) -> Namespace:
        namespace = Namespace(purpose)
        self._closing.callback(namespace.close)
        return namespace

    def _start(self) -> None:
        self._root.chmod(0o755)
        for name in ("etc", "data", "run"):
            (self._root / name).mkdir()
            shutil.chown(self._root / name, 65532, 65532)
        expected = self.mounted.write()
        environment = {
            "MCS_CONFIG_DIR": self._root / "etc", "MCS_DATA_DIR": self._root / "data",
            "MCS_RUN_DIR": self._root / "run",
            "MCS_CONTRACT_PORT": CONTRACT, "MCS_HTTP_PORT": HTTP, "MCS_HTTPS_PORT": HTTPS, "MCS_TVOX_PORT": TVOX,
            "MCS_INSTANCE": "demo", "MCS_POLL_SECONDS": 0.2, "PYTHONDONTWRITEBYTECODE": 1,
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in environment.items()]
        # As in the pod: an unprivileged user, who cannot have more files than he is given.
        self.mcs.run("sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0")
        who = ["prlimit", f"--nofile={FILES}", "setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"]
        home = image_without_parts(self._root / "home")
        command = [*who, "env", "-C", home, *words, "/usr/bin/python3", "-m", "appliance"]
        self.appliance = self.mcs.start(self._root / "log", *command)
        # Closed first, so that HAProxy goes with it: SIGKILL, which the namespace would send, leaves a child behind.
        self._closing.callback(self.appliance.terminate, 5)
        eventually("the set is in force", lambda: self.report().get("config") == expected or None, 20)

    def _start_portal(self) -> None:
        """The real one, by the Python that has its libraries: the system's has not, and the unprivileged user may not
        run ours."""
        run_dir, data, pages = (self._root / name for name in ("run", "kept", "pages"))
        data.mkdir()
        pages.mkdir()
        (pages / "index.html").write_text("pages")
        environment = {"MCS_RUN_DIR": str(run_dir), "MCS_DATA_DIR": str(data), "MCS_WEB_DIR": str(pages)}
        portal = subprocess.Popen([sys.executable, "-m", "portal"], cwd=APPLIANCE, env=os.environ | environment)
        self._closing.callback(portal.wait)
        self._closing.callback(portal.terminate)
        for name in ("portal-inner.sock", "portal.sock"):
            eventually(f"{name} is there", (run_dir / name).exists, 20)
            shutil.chown(run_dir / name, 65532, 65532)
        eventually("Ada can log in", lambda: self.report().get("portals") == {"acme": {"logins": 1}}, 20)

    def begin(self, where: Namespace, role: str, **arguments: Any) -> subprocess.Popen[str]:
        # -P: beside the program lies an operator.py, which is not the standard library's.
        command = [
            "ip",
            "netns",
            "exec",
            where.name,
            sys.executable,
            "-P",
            front_door.__file__,
            role,
            json.dumps(arguments),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._closing.callback(process.wait)
        self._closing.callback(process.kill)
        return process

    def report(self) -> dict[str, Any]:
        """What the operator is told, over loopback as it asks; empty while nobody answers."""
        with self.mcs.socket("tcp") as question:
            question.settimeout(5)
            try:
                question.connect(("127.0.0.1", CONTRACT))
                question.sendall(b"GET /connections HTTP/1.1\r\nHost: mcs\r\n\r\n")
                answer = b"".join(iter(lambda: question.recv(65536), b""))
            except OSError:
                return {}
        found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2] or b"{}")
        return found

    def said(self) -> str:
        """What it complains of."""
        return self.report().get("error") or ""

    def refused(self) -> int:
        """How many connections were."""
        return int(self.report().get("clients", {}).get("refused", 0))

    def visit(self, sources: list[str], seconds: float) -> subprocess.Popen[str]:
        about = {"address": "10.79.0.1", "port": HTTPS, "hosts": HOSTS, "sources": sources}
        return self.begin(self.visitors, "visitors", **about, seconds=seconds, pause=0.02)

    def pages(self, source: str) -> subprocess.Popen[str]:
        """Four of Ada's, who has signed in: a source that nobody knows may have no more when the ports are crowded."""
        at = {"address": "10.79.0.1", "port": HTTPS, "host": MEET, "source": source}
        cookie = told(self.begin(self.visitors, "sign_in", **at, user="ada", password=PASSWORD))["cookie"]
        return self.begin(self.visitors, "pages", **at, cookie=cookie, count=4, pause=0.05)

    def flood(self, sources: list[str]) -> subprocess.Popen[str]:
        about = {"address": "10.78.0.1", "port": HTTPS, "sources": sources, "count": CONNECTIONS}
        return self.begin(self.strangers, "strangers", **about, per_second=2500)


def image_without_parts(home: Path) -> Path:
    """What the image has, but for the programs of portals and calls, which the supervisor then does not start."""
    for name in ("appliance", "pages"):
        shutil.copytree(APPLIANCE / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(APPLIANCE / "haproxy.cfg", home)
    return home


def several(host: Namespace, network: str, count: int) -> list[str]:
    """So many more addresses of this host."""
    addresses = [f"{network}.{1 + number // 250}.{1 + number % 250}" for number in range(count)]
    lines = "".join(f"address add {address}/16 dev eth0\n" for address in addresses)
    sh("ip", "-n", host.name, "-batch", "-", stdin=lines)
    return addresses


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a program of ours says at its end."""
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.fixture
def front() -> Iterator[Front]:
    with left_out_if_missing():
        if reason := missing():
            raise MissingError(reason)
        if not shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            raise MissingError("haproxy is not installed (Debian: apt-get install haproxy)")
    with ExitStack() as closing:
        # Not tmp_path: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root)
        yield Front(root, closing)


@pytest.mark.parametrize("addresses", [1, 250], ids=["from one address", "from 250 addresses"])
def test_ten_thousand_who_say_nothing_keep_nobody_waiting(front: Front, addresses: int) -> None:
    newcomers = several(front.visitors, "10.79", 250)
    sh("ip", "-n", front.visitors.name, "address", "add", "10.79.0.3/16", "dev", "eth0")
    crowd = several(front.strangers, "10.78", addresses)
    calm = told(front.visit(newcomers[:50], 1.5))
    assert not calm["failures"]

    pages = front.pages("10.79.0.3")
    flood = front.flood(crowd)
    many = addresses > 1
    eventually("they have what they can get", lambda: "are taken" in front.said() if many else front.refused() > 2000)
    known, new = front.visit(["10.79.0.2"], SECONDS), front.visit(newcomers[50:], SECONDS)
    served = {"known": told(known), "new": told(new)}
    report = front.report()
    eventually("all of them have come", lambda: front.refused() + report["clients"]["open"] > CONNECTIONS)
    served["pages"] = told(pages)
    strangers = told(flood)

    print(f"\n{addresses} addresses: {strangers}; clients {report.get('clients')}, error {report['error']}")
    for who, visits in {"calm": calm, **served}.items():
        print(f"{who}: {len(visits['waits'])} requests, p95 {quantile(visits['waits'], 0.95):.3f} s")
    assert strangers["made"] >= CONNECTIONS, "that was no flood"
    for who, visits in served.items():
        assert not visits["failures"], f"{who}: {visits['failures'][:3]}"
        # Of some twenty on a busy machine it is nearly the longest one: one packet may come again, after a second.
        assert quantile(visits["waits"], 0.95) < 2.0, who
    assert report["connections"] <= 2, "strangers are no calls"
    assert ("are taken" in (report["error"] or "")) == many, "one address takes 5 %, which is no crowd"
    assert front.appliance.alive
