"""cert-manager as its users run it: its controllers and its cainjector, and what one writes for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.api import Api, Object, know_kinds, until_established
from support.levels import left_out_if_missing
from support.programs import built, running
from support.snapshots import files
from support.waiting import until

API_VERSION = "cert-manager.io/v1"


@contextmanager
def cert_manager(server: Api, folder: Path, nameserver: str) -> Iterator[Path]:
    """Its programs' folder; begins when an Issuer is ready. ``nameserver``: the only one that it asks about names."""
    with left_out_if_missing():
        programs = built("cert-manager")
    server.kubectl("apply", "--server-side", "-f", f"{programs}/crds")
    until_established(server)
    know_kinds(f"/apis/{API_VERSION}", Certificate="certificates", Issuer="issuers")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}})
    home = server.within("cert-manager")
    home.create(issuer("any", selfSigned={}))

    def ready() -> bool:
        return home.condition("Issuer", "any", "Ready")[0] == "True"

    known = {"KUBECONFIG": str(server.kubeconfig)}
    command = [programs / "cert-manager", f"--nameservers={nameserver}"]
    with running("cert-manager", *command, log=folder / "log", ready=ready, **known):
        yield programs


def issuer(name: str, **spec: Any) -> Object:
    return {"apiVersion": API_VERSION, "kind": "Issuer", "metadata": {"name": name}, "spec": spec}


def a_certificate(name: str, *domains: str, issuer: str = "ca", **more: Any) -> Object:
    """Its Secret has the same name."""
    named = {"dnsNames": list(domains)} if domains else {}
    spec = {"secretName": name, "issuerRef": {"name": issuer}} | named | more
    return {"apiVersion": API_VERSION, "kind": "Certificate", "metadata": {"name": name}, "spec": spec}


def create_ca(api: Api) -> None:
    """An issuer ``ca`` of the namespace, with a CA of its own."""
    root = a_certificate("root", issuer="self", isCA=True, commonName="Customers")
    api.create(issuer("self", selfSigned={}), root, issuer("ca", ca={"secretName": "root"}))
    api.wait_condition("Issuer", "ca", "Ready", "True")


def issued(api: Api, name: str, entry: str = "tls.crt") -> str:
    """The chain in a Secret, or another entry; empty while there is none."""
    return files(api.find("Secret", name) or {}).get(entry, "")


def renew(api: Api, name: str, timeout: float = 30) -> str:
    """What `cmctl renew` does, until the Secret has another certificate: that one."""
    before, body = issued(api, name), api.get("Certificate", name)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    asked = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now}
    api.merge_status("Certificate", name, {"conditions": [*body["status"]["conditions"], asked]})
    until("it is renewed", lambda: issued(api, name) not in ("", before), timeout)
    return issued(api, name)
