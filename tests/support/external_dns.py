"""external-dns as its users run it, beside a provider whose DNS takes updates (RFC 2136)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.api import Api
from support.levels import left_out_if_missing
from support.ports import free_port
from support.programs import answers, built, running
from support.public_dns import ALGORITHM, KEY, PublicDns


@contextmanager
def external_dns(server: Api, folder: Path, dns: PublicDns, zone: str, *flags: str) -> Iterator[None]:
    """It looks every two seconds, and not once a minute."""
    with left_out_if_missing():
        program = built("external-dns") / "external-dns"
    port = free_port()
    command = [
        f"--kubeconfig={server.kubeconfig}",
        *flags,
        "--registry=txt",
        "--txt-owner-id=mcs",
        "--interval=2s",
        "--min-event-sync-interval=1s",
        f"--metrics-address=127.0.0.1:{port}",
        "--provider=rfc2136",
        "--rfc2136-host=127.0.0.1",
        f"--rfc2136-port={dns.port}",
        f"--rfc2136-zone={zone}",
        f"--rfc2136-tsig-keyname={KEY}",
        f"--rfc2136-tsig-secret={dns.secret}",
        f"--rfc2136-tsig-secret-alg={ALGORITHM}",
        "--rfc2136-tsig-axfr",
    ]
    is_up = f"http://127.0.0.1:{port}/healthz"
    with running("external-dns", program, *command, log=folder / "log", ready=lambda: answers(is_up)):
        yield
