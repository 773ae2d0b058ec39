"""Writes the files that the operator mounts into the appliance: a complete set, or a deliberately broken one."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

APPLIANCE = Path(__file__).resolve().parents[3] / "images" / "appliance"
if str(APPLIANCE) not in sys.path:  # the image's program is no part of the operator's package
    sys.path.insert(0, str(APPLIANCE))

from appliance import (  # noqa: E402
    config,
    contract,
    documents,
    handover,
    haproxy,
    http01,
    limits,
    media,
    parts,
    pem,
    people,
    report,
    supervisor,
    talk,
    trial,
)

__all__ = [
    "APPLIANCE",
    "DOMAIN",
    "MountedSet",
    "certificate",
    "config",
    "contract",
    "documents",
    "handover",
    "haproxy",
    "http01",
    "limits",
    "link",
    "media",
    "parts",
    "pem",
    "people",
    "report",
    "supervisor",
    "talk",
    "trial",
    "weak",
]

DOMAIN = "mcs.example.com"


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate(
    domain: str,
    *names: str,
    key_of: dict[str, str] | None = None,
    key: PrivateKey | None = None,
    password: bytes | None = None,
) -> dict[str, str]:
    """An entry of a certs shard: self-signed for `names` (default: the domain); `key_of` takes another entry's key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (names or (domain,))[0])])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names or (domain,)]), False)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    pem = signed.public_bytes(serialization.Encoding.PEM).decode()
    return {"domain": domain, "certificate": pem, "key": key_of["key"] if key_of else private.decode()}


def weak(kind: str, domain: str = "acme.mcs.test") -> dict[str, str]:
    """A certificate that no browser takes: `k1`, `rsa1024`, or `sha1` (of acme.mcs.test alone)."""
    if kind == "sha1":  # made with an older library: the one of today signs nothing with SHA-1
        folder = Path(__file__).parent / "certificates"
        return {
            "domain": domain,
            "certificate": (folder / "sha1.crt").read_text(),
            "key": (folder / "sha1.key").read_text(),
        }
    if kind == "k1":
        return certificate(domain, key=ec.generate_private_key(ec.SECP256K1()))
    return certificate(domain, key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point


def link(number: int, /, **changes: Any) -> dict[str, Any]:
    """An entry of links.json: link `tvox-17` for tvox-17.example.com at 127.0.0.17, unless said otherwise."""
    entry = {"name": f"tvox-{number}", "number": number, "domain": f"tvox-{number}.example.com"}
    return {**entry, "address": f"127.0.0.{number}", "community": "acme", "enabled": True, **changes}


@dataclass
class MountedSet:
    """The mounted directory; write() makes it a complete set of what the fields say."""

    directory: Path
    links: list[Any] = field(default_factory=list)
    certificates: list[Any] = field(default_factory=list)
    users: list[Any] = field(default_factory=list)
    logins: list[Any] = field(default_factory=list)
    erasures: Any = None
    communities: list[Any] = field(default_factory=lambda: [{"name": "acme", "displayName": "Acme", "enabled": True}])
    instance: dict[str, Any] = field(default_factory=lambda: {"name": "demo", "domain": DOMAIN})
    raw: dict[str, bytes] = field(default_factory=dict)
    """Files that hold this instead of what the fields say."""

    def files(self) -> dict[str, bytes]:
        documents: dict[str, dict[str, Any]] = {
            "instance.json": self.instance,
            "links.json": {"links": self.links},
            "communities.json": {"communities": self.communities},
            "users-00.json": {"users": self.users},
            "logins-00.json": {"logins": self.logins}
            | ({"erasures": self.erasures} if self.erasures is not None else {}),
        }
        for shard in range(2):
            documents[f"certs-{shard}.json"] = {"certificates": self.certificates[shard::2]}
        return {
            name: json.dumps({"version": 1, **document}).encode() for name, document in documents.items()
        } | self.raw

    def write(self) -> str:
        """Writes everything, the manifest last; returns its SHA-256, by which the appliance names the set."""
        files = self.files()
        for name, content in files.items():
            self.put(name, content)
        manifest = {
            "version": 1,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        content = json.dumps(manifest).encode()
        self.put("manifest.json", content)
        return hashlib.sha256(content).hexdigest()

    def put(self, name: str, content: bytes) -> None:
        """Writes one file whole, as a volume shows it."""
        fresh = self.directory / f".{name}.new"
        fresh.write_bytes(content)
        fresh.replace(self.directory / name)
