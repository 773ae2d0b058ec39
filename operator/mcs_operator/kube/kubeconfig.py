"""Where the API server is, and who asks: kubeconfig and context by kubectl's rules, or the pod's service account."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubeconfigError(Exception):
    """No way to an API server; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """``file`` and ``context`` as of kubectl's --kubeconfig and --context; empty: KUBECONFIG, and its current one."""

    file: str = ""
    context: str = ""

    @property
    def _in_cluster(self) -> bool:
        chosen = self.file or self.context or "KUBECONFIG" in os.environ
        return not chosen and "KUBERNETES_SERVICE_HOST" in os.environ

    async def configuration(self) -> Configuration:
        """Address, TLS and credentials."""
        found = Configuration()
        try:
            if self._in_cluster:
                config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=self.file or None, context=self.context or None, client_configuration=found
                )
        except config.ConfigException as error:
            raise KubeconfigError(f"no usable kubeconfig: {error}") from None
        return found

    def namespace(self) -> str:
        """The namespace of the context, or ``default``, as kubectl has it."""
        if self._in_cluster:
            return _SERVICE_ACCOUNT.read_text().strip()
        try:
            contexts, active = config.list_kube_config_contexts(self.file or None)  # type: ignore[no-untyped-call]
        except config.ConfigException as error:
            raise KubeconfigError(f"no usable kubeconfig: {error}") from None
        chosen = next((c for c in contexts if c["name"] == self.context), active)
        return str(chosen["context"].get("namespace") or "default")


DEFAULT = Kubeconfig()
