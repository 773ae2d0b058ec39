"""The operator's webhook as an API server reaches it where no kubelet runs: the test brings the Secret into the
replicas' folders, and the Service is an ExternalName that leads to this machine.
"""

from __future__ import annotations

import base64
import copy
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from mcs_operator.settings import WEBHOOK
from support.api import ROOT, Api, Object
from support.operator import Operator
from support.ports import free_port


class Door:
    """The webhook of an operator in namespace ``home``, and its replicas. ``registration``: what the chart registers,
    as committed unless given; ``issues``: whether the operator makes the certificate itself."""

    def __init__(
        self, server: Api, home: str, folder: Path, registration: Object | None = None, *, issues: bool = True
    ) -> None:
        self.home = server.within(home)
        self._registration = registration or _committed()
        self._issues = issues
        self._folder = folder
        self._replicas: dict[int, Operator] = {}
        self._ended = threading.Event()
        self._kubelet = threading.Thread(target=self._bring, daemon=True)

    def replica(self, number: int = 0) -> Operator:
        """One more operator process, with a port of its own."""
        port = free_port()
        (self._folder / str(port)).mkdir()
        options = [
            f"--webhook-port={port}",
            f"--webhook-certificate={self._folder / str(port)}",
            *(["--issue-webhook-certificate"] if self._issues else []),
        ]
        environment = {"POD_NAMESPACE": self.home.namespace, "POD_NAME": f"mcs-operator-{number}"}
        process = Operator(self.home.kubeconfig, self._folder / f"operator-{number}.log", options, **environment)
        self._replicas[port] = process
        return process

    def lead_to(self, replica: Operator) -> None:
        """Let the Service lead to this replica, as it does when the other one is not ready any more."""
        port = next(port for port, known in self._replicas.items() if known is replica)
        ports = [{"name": "webhook", "port": port}]
        service = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
        metadata = {"name": WEBHOOK}
        self.home.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
        self._register(port)

    def serves(self, replica: Operator) -> bool:
        return "the webhook serves" in replica.since(0)

    def trusted(self) -> str:
        """What the API server trusts."""
        webhook = self.home.get("ValidatingWebhookConfiguration", WEBHOOK)["webhooks"][0]
        return str(webhook["clientConfig"].get("caBundle", ""))

    def path(self) -> str:
        """Where the API server asks."""
        webhook = self.home.get("ValidatingWebhookConfiguration", WEBHOOK)["webhooks"][0]
        return str(webhook["clientConfig"]["service"].get("path", ""))

    def port(self) -> int:
        """Of the first replica."""
        return next(iter(self._replicas))

    def first(self) -> Operator:
        """The first replica."""
        return self._replicas[self.port()]

    def _register(self, port: int) -> None:
        body = copy.deepcopy(self._registration)
        body["webhooks"][0]["clientConfig"]["service"] |= {"namespace": self.home.namespace, "port": port}
        self.home.apply(body)

    def _bring(self) -> None:
        """What a kubelet does: the Secret's files, in each replica's folder."""
        while not self._ended.wait(0.2):
            secret = self.home.find("Secret", WEBHOOK)
            for port in list(self._replicas) if secret else []:
                for name in ("tls.crt", "tls.key"):
                    file = self._folder / str(port) / name
                    content = base64.b64decode((secret or {})["data"][name])
                    if not file.exists() or file.read_bytes() != content:
                        new = file.with_suffix(".new")
                        new.write_bytes(content)
                        new.replace(file)

    @contextmanager
    def open(self) -> Iterator[Door]:
        """As long as the context lasts."""
        self._kubelet.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._kubelet.join()
            for process in self._replicas.values():
                process.stop()
            self.home.delete("ValidatingWebhookConfiguration", WEBHOOK)


def _committed() -> Object:
    rendered = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    body: Object = next(b for b in rendered if b and b["kind"] == "ValidatingWebhookConfiguration")
    return body


def kubectl(api: Api, body: Object, *how: str) -> subprocess.CompletedProcess[str]:
    """`kubectl create`, which tells warnings and why it was refused."""
    return subprocess.run(
        api.kubectl_command("create", *how, "-f", "-"),
        input=yaml.safe_dump(body),
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
