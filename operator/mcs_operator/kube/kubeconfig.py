"""Where the API server is, and who asks, for the operator: the pod's service account, or else a kubeconfig."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import kube_config

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_IMPERSONATION = ("as", "as-groups", "as-uid", "as-user-extra")


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
        """Address, TLS and credentials. KubeconfigError where they cannot be had, whatever is in the files."""
        found = Configuration()
        try:
            if self._in_cluster:
                config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
            else:
                await self._load(found)
        except (config.ConfigException, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise KubeconfigError(f"no usable kubeconfig: {error}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise KubeconfigError(f"no usable kubeconfig: not YAML: {error}") from None
        return found

    async def _load(self, found: Configuration) -> None:
        files = self.file or os.environ.get("KUBECONFIG", "~/.kube/config")
        merged = kube_config.KubeConfigMerger(files)  # type: ignore[no-untyped-call]
        if merged.config is None:
            raise KubeconfigError(f"no usable kubeconfig: {files or 'KUBECONFIG names no file, so one'} is not there")
        loader = kube_config.KubeConfigLoader(  # type: ignore[no-untyped-call]
            config_dict=merged.config, active_context=self.context or None, config_base_path=None
        )
        if refused := _not_ours(loader._user):
            raise KubeconfigError(f"no usable kubeconfig: user: {refused}: use kubectl's, or a file without it")
        await loader.load_and_set(found)  # type: ignore[no-untyped-call]
        found.api_key = {name: value.strip() for name, value in found.api_key.items()}  # a token file ends its line


def _not_ours(user: Any) -> str:
    """What the library would pass over in silence, and so act with other rights than kubectl."""
    return next((name for name in _IMPERSONATION if user is not None and name in user), "")


DEFAULT = Kubeconfig()
