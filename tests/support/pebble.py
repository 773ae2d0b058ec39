"""Pebble: a real ACME server, with names that lead to loopback and to nowhere else, where nothing else is said."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcs_operator.domain.facts.keys import Authority
from mcs_operator.pki.mint import mint_ca, mint_https
from support.api import ROOT
from support.cluster import MissingError
from support.levels import left_out_if_missing
from support.names import knowing
from support.ports import free_port
from support.waiting import until

BLOCKED = "blocked.test"
"""A name that it issues nothing for. Of two labels: a shorter name than the one that is blocked ends its answer."""
LOOPBACK = "127.0.0.1"
_BUILD_SECONDS = 1800  # on a new machine others are built beside it


@dataclass(frozen=True)
class Pebble:
    """One that runs. ``ca``: who vouches for its own HTTPS; ``management``: the port where its root is to be had;
    ``log``: what it says."""

    port: int
    management: int
    ca: str
    log: Path
    address: str = LOOPBACK

    @property
    def directory(self) -> str:
        """As spec.tls.acme.server names it."""
        return f"https://{self.address}:{self.port}/dir"

    def acme(self, **more: Any) -> dict[str, Any]:
        """spec.tls.acme."""
        return {"server": self.directory, "caBundle": base64.b64encode(self.ca.encode()).decode()} | more

    def answers(self) -> bool:
        """Whether it does."""
        try:
            context = ssl.create_default_context(cadata=self.ca)
            with urllib.request.urlopen(self.directory, timeout=2, context=context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def root(self) -> str:
        """The root of its certificates, which no browser knows."""
        context = ssl.create_default_context(cadata=self.ca)
        address = f"https://{self.address}:{self.management}/roots/0"
        with urllib.request.urlopen(address, timeout=5, context=context) as answer:
            return str(answer.read().decode())

    def orders(self) -> int:
        """How often it was asked for one."""
        return self.log.read_text().count("/order-plz")


def built() -> Path:
    """The program, built the first time, in seconds."""
    command = [str(ROOT / "hack" / "tool"), "pebble", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError(done.stderr)
    assert done.returncode == 0, done.stderr
    return ROOT / "hack" / "tool"


@contextmanager
def pebble(
    folder: Path,
    http_port: int,
    names: Iterable[str] = (),
    config: dict[str, Any] | None = None,
    dns: str = "",
    at: tuple[str, int] | None = None,
    on: Sequence[str] = (),
    **environment: str,
) -> Iterator[Pebble]:
    """A Pebble that looks for these names, and no others, at this port of loopback; or for those that the DNS at
    ``dns`` knows, where it leads to. ``config``: more of its file's. ``at``: its address and port, on another host,
    whose command prefix is ``on``."""
    program = built()
    address, port = at or (LOOPBACK, free_port())
    ca = mint_ca("pebble", datetime.now(UTC))
    written = _config(folder, ca, address, port, http_port) | (config or {})
    management = int(written["managementListenAddress"].rpartition(":")[2])
    (folder / "pebble.json").write_text(json.dumps({"pebble": written}))
    with left_out_if_missing():
        within = knowing(dict.fromkeys(names, LOOPBACK), folder)
    found = Pebble(port, management, ca.cert_pem, folder / "pebble.log", address)
    asking = ["-dnsserver", dns] if dns else []
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    with found.log.open("wb") as log:
        process = subprocess.Popen(
            [*on, *within, str(program), "pebble", "-config", str(folder / "pebble.json"), *asking],
            env={**os.environ, **quick, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until("Pebble answers", found.answers, 30)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def _config(folder: Path, ca: Authority, address: str, port: int, http_port: int) -> dict[str, Any]:
    pair = mint_https(ca, "pebble", [address, "localhost"], datetime.now(UTC), 7)
    (folder / "pebble.crt").write_text(pair.cert_pem)
    (folder / "pebble.key").write_text(pair.key_pem)
    return {
        "listenAddress": f"{address}:{port}",
        "managementListenAddress": f"{address}:{free_port()}",
        "certificate": str(folder / "pebble.crt"),
        "privateKey": str(folder / "pebble.key"),
        "httpPort": http_port,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "domainBlocklist": [BLOCKED],
        "retryAfter": {"authz": 1, "order": 1},
        "keyAlgorithm": "ecdsa",
        "profiles": {"default": {"description": "of ninety days", "validityPeriod": 90 * 86_400}},
    }
