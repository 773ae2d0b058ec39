"""The DNS of a provider, for one zone: Knot, which takes updates (RFC 2136) from whoever has its key."""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.levels import left_out_if_missing
from support.ports import free_port
from support.programs import debian, running

KEY, ALGORITHM = "mcs-acme", "hmac-sha256"


@dataclass(frozen=True)
class PublicDns:
    """``place``: where it answers, by UDP and TCP. ``secret``: its key's, in base64."""

    place: str
    secret: str

    @property
    def port(self) -> str:
        """Of loopback."""
        return self.place.rpartition(":")[2]

    def says(self, name: str, kind: str = "A") -> list[str]:
        """What it answers: of a name that is another one's, that one first, and then what that leads to."""
        with left_out_if_missing():
            kdig = debian("knot-dnsutils", "kdig")
        asked = [kdig, "@127.0.0.1", "-p", self.port, "+short", name, kind]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


@contextmanager
def public_dns(folder: Path, zone: str, *records: str) -> Iterator[PublicDns]:
    """At a port of loopback. Records are lines of a zone file."""
    with left_out_if_missing():
        program = debian("knot", "knotd")
    port, secret = free_port(), base64.b64encode(secrets.token_bytes(32)).decode()
    begin = [f"$ORIGIN {zone}.", "$TTL 5", "@ SOA ns hostmaster 1 60 60 60 5", "@ NS ns", "ns A 127.0.0.1"]
    (folder / "zone").write_text("\n".join([*begin, *records]) + "\n")
    (folder / "knot.conf").write_text(_config(folder, zone, port, secret))
    log = folder / "knot.log"

    def ready() -> bool:
        return "server started" in log.read_text()

    with running("knotd", program, "--config", folder / "knot.conf", log=log, ready=ready):
        yield PublicDns(f"127.0.0.1:{port}", secret)


def _config(folder: Path, zone: str, port: int, secret: str) -> str:
    return f"""\
server:
  rundir: {folder}
  listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: info
database:
  storage: {folder}
key:
  - id: {KEY}
    algorithm: {ALGORITHM}
    secret: {secret}
acl:
  - id: updates
    key: {KEY}
    action: [update, transfer]
zone:
  - domain: {zone}
    file: {folder}/zone
    acl: updates
"""
