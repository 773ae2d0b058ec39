"""The cluster's CA, certificates and kubeconfigs, made by the openssl command."""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .shell import run, write_if_changed

DAYS = "3650"


@dataclass(frozen=True)
class Pki:
    """A folder (mode 0700) with ca, leaf certificates, the service-account key pair and kubeconfigs."""

    folder: Path

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        return self.folder / f"{name}.kubeconfig"

    def ensure_ca(self) -> None:
        """Make the CA and the service-account keys once; a new CA would void every certificate in use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not self.certificate("ca").exists():
            self._new_key("ca")
            # fmt: off
            run("openssl", "req", "-x509", "-new", "-key", self.key("ca"), "-days", DAYS, "-subj", "/CN=mcs-cluster-ca",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-out", self.certificate("ca"))
            # fmt: on
        if not (self.folder / "sa.pub").exists():
            self._new_key("sa")
            run("openssl", "pkey", "-in", self.key("sa"), "-pubout", "-out", self.folder / "sa.pub")

    def ensure_leaf(self, name: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        """Sign a client certificate (user and groups as Kubernetes reads them), or a server's when hosts are given."""
        if self.certificate(name).exists():
            return
        self._new_key(name)
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        extensions = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            f"extendedKeyUsage=clientAuth{',serverAuth' if hosts else ''}",
        ]
        if hosts:
            names = (f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in hosts)
            extensions.append(f"subjectAltName={','.join(names)}")
        request = run("openssl", "req", "-new", "-key", self.key(name), "-subj", subject)
        with tempfile.NamedTemporaryFile("w", suffix=".ext") as file:
            file.write("\n".join(extensions))
            file.flush()
            # fmt: off
            run("openssl", "x509", "-req", "-CA", self.certificate("ca"), "-CAkey", self.key("ca"), "-days", DAYS,
                "-set_serial", f"0x{secrets.token_hex(16)}", "-extfile", file.name, "-out", self.certificate(name),
                stdin=request)
            # fmt: on

    def write_kubeconfig(self, name: str, server: str, path: Path | None = None) -> Path:
        """A kubeconfig with everything embedded, so that it can be copied anywhere; JSON is YAML."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mcs",
            "contexts": [{"name": "mcs", "context": {"cluster": "mcs", "user": name}}],
            "clusters": [
                {
                    "name": "mcs",
                    "cluster": {"server": server, "certificate-authority-data": _embed(self.certificate("ca"))},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _embed(self.certificate(name)),
                        "client-key-data": _embed(self.key(name)),
                    },
                }
            ],
        }
        path = path or self.kubeconfig(name)
        write_if_changed(path, json.dumps(config, indent=1), mode=0o600)
        return path

    def _new_key(self, name: str) -> None:
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key(name))
        self.key(name).chmod(0o600)


def _embed(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
