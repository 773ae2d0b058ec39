"""A registry of a company's own: with TLS by a CA that nobody knows, and a password. It notes who asks it for what."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cluster import MissingError
from support.lab import sh
from support.ports import free_port
from support.programs import built, running

USER, PASSWORD = "team", "open, sesame"


@dataclass(frozen=True)
class Asked:
    """A request. ``user``: who has shown his password; empty where nobody has. ``code``: of the answer."""

    user: str
    agent: str
    method: str
    path: str
    code: int


@dataclass(frozen=True)
class Registry:
    """``name``: what stands before the first slash in the name of an image. ``folder``: of its files."""

    name: str
    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate that its clients trust."""
        return self.folder / "ca.crt"

    def asked(self) -> list[Asked]:
        """Until now."""
        lines = (self.folder / "log").read_text().splitlines()
        return [Asked(**json.loads(line)) for line in lines if line.startswith("{")]

    def environment(self) -> Mapping[str, str]:
        """With which its clients trust it, and have the password: all of them know one place for these."""
        known = str(self.folder / "config.json")
        passwords = {"DOCKER_CONFIG": str(self.folder), "HELM_REGISTRY_CONFIG": known, "REGISTRY_AUTH_FILE": known}
        return {"SSL_CERT_FILE": str(self.authority), **passwords}

    def client(self, *command: str | Path, **environment: str) -> str:
        """What a program says that knows the registry."""
        told = os.environ | self.environment() | environment
        done = subprocess.run(
            command, env=told, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr[-3000:]}"
        return done.stdout

    def crane(self, *arguments: str | Path) -> str:
        """What crane says."""
        return self.client(built("registry") / "crane", *arguments).strip()


@contextmanager
def registry(address: str, folder: Path) -> Iterator[Registry]:
    """One at this address as long as the block lasts, empty at first."""
    served = Registry(f"{address}:{free_port()}", folder)
    key = folder / "tls.key"
    names = ("-subj", "/CN=registry", "-addext", f"subjectAltName=IP:{address}")
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", key, "-out", served.authority)
    sh("openssl", "req", "-x509", "-days", "2", *names, *made)
    blobs = folder / "blobs"
    blobs.mkdir()
    options = [f"--address={served.name}", f"--folder={blobs}", f"--certificate={served.authority}", f"--key={key}"]
    command = [built("registry") / "registry", *options, f"--user={USER}"]

    def ready() -> bool:
        probe = ["openssl", "s_client", "-connect", served.name, "-CAfile", served.authority, "-verify_return_error"]
        return subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

    with running("registry", *command, log=folder / "log", ready=ready, REGISTRY_PASSWORD=PASSWORD):
        served.crane("auth", "login", served.name, f"--username={USER}", f"--password={PASSWORD}")
        yield served


@contextmanager
def trusted_by_node(served: Registry) -> Iterator[None]:
    """The node's containerd gets its certificate, and no password. It looks for that at every pull."""
    if "MCS_REGISTRIES" not in os.environ:
        raise MissingError("the node is none of hack/cluster on this machine")
    place = Path(os.environ["MCS_REGISTRIES"]) / served.name
    place.mkdir(parents=True)
    try:
        shutil.copy(served.authority, place / "ca.crt")
        (place / "hosts.toml").write_text(f'server = "https://{served.name}"\nca = "{place}/ca.crt"\n')
        yield
    finally:
        shutil.rmtree(place)
