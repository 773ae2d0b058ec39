"""The set of files that an image is given: written by the operator's own code, shown as a kubelet shows a volume."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.subject import Subject
from mcs_operator.api import Function
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.contract.shards import (
    ServedCertificate,
    ServedCommunity,
    ServedLink,
    ServedLogin,
    ServedUser,
    certificates_files,
    checksum_manifest,
    communities_file,
    links_file,
    users_files,
)
from unit.images.appliance_set import certificate

MEET = "meet.acme.example.com"

HASH = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHQ$" + "A" * 43
INSTANCE = {
    "name": "demo", "domain": "mcs.example.com", "publicAddress": "203.0.113.10", "mediaPort": 10000,
    "bandwidthMbps": 100, "size": {"cpuMillicores": 2000, "memoryBytes": 4 * 10**9},
    "users": {"served": 1, "capacity": 1000},
}  # fmt: skip


@dataclass
class Given:
    """What the operator says. write() makes it the mounted set."""

    directory: Path
    links: list[ServedLink] = field(default_factory=list)
    communities: list[ServedCommunity] = field(default_factory=list)
    certificates: list[ServedCertificate] = field(default_factory=list)
    users: list[ServedUser] = field(default_factory=list)
    logins: list[ServedLogin] = field(default_factory=list)
    instance: dict[str, Any] = field(default_factory=lambda: dict(INSTANCE))

    def files(self) -> dict[str, str]:
        return {
            "instance.json": canonical({"version": 1} | self.instance),
            **links_file(self.links),
            **communities_file(self.communities),
            **users_files(self.users, self.logins),
            **certificates_files(self.certificates),
        }

    def write(self) -> str:
        """The digest of the checksum manifest, by which an image names the set."""
        return self.mount(self.files())

    def mount(self, files: dict[str, str], **instead: str) -> str:
        """These files and a checksum manifest that vouches for them; then some with another content."""
        manifest = checksum_manifest({name: digest(text) for name, text in files.items()})
        self.swap({**files, "manifest.json": manifest} | instead)
        return digest(manifest)

    def swap(self, files: dict[str, str]) -> None:
        """All at once, by one link, as a kubelet does it."""
        fresh, data = self.directory / f"..{secrets.token_hex(4)}", self.directory / "..data"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        before = data.readlink() if data.is_symlink() else None
        (self.directory / "..new").symlink_to(fresh.name)
        (self.directory / "..new").replace(data)
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for entry in os.scandir(self.directory):
            if not entry.name.startswith("..") and entry.name not in files:
                Path(entry.path).unlink()
        if before:
            shutil.rmtree(self.directory / before)


def a_user(name: str, community: str = "acme") -> ServedUser:
    return ServedUser(community, name, name.title(), (Function.AUDIO, Function.CHAT))


def a_login(name: str, community: str = "acme") -> ServedLogin:
    return ServedLogin(community, name, HASH)


def usual(subject: Subject) -> Given:
    given = Given(subject.root / "etc")
    given.communities = [ServedCommunity("acme", "Acme S.p.A.", True, MEET), ServedCommunity("globex", "Globex", True)]
    given.links = [a_link(subject, 17), a_link(subject, 18, "globex")]
    given.certificates = [a_certificate(domain) for domain in ("tvox-17.example.com", MEET)]
    given.users, given.logins = [a_user("ada"), a_user("eve", "globex")], [a_login("ada")]
    return given


def a_link(subject: Subject, number: int, community: str = "acme") -> ServedLink:
    address = f"{subject.place.tvoxes}.{number}"
    return ServedLink(f"tvox-{number}", number, f"tvox-{number}.example.com", address, community, True)


def a_certificate(domain: str) -> ServedCertificate:
    made = certificate(domain)
    return ServedCertificate(domain, made["certificate"], made["key"])
