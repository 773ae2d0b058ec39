"""The way to the API server, as the person at the terminal: kubeconfig, context and namespace as kubectl has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from mcs_operator.kube.client import BY_KIND, Api, ApiError, Object, Resource
from mcs_operator.kube.kubeconfig import Kubeconfig, KubeconfigError

FIELD_MANAGER = "kubectl-mcs"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """What was chosen on the command line, before any request is made. Empty: as the kubeconfig says."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""

    def run(self, work: Callable[[Cluster], Awaitable[T]]) -> T:
        """Do this on a connection of its own; what goes wrong there is told in one line, without a traceback."""
        try:
            return asyncio.run(self._connected(work))
        except KubeconfigError as error:
            raise click.ClickException(str(error)) from None
        except ApiError as error:
            raise click.ClickException(error.message or str(error)) from None
        except (OSError, TimeoutError) as error:
            raise click.ClickException(f"the API server does not answer: {error or 'time-out'}") from None

    async def _connected(self, work: Callable[[Cluster], Awaitable[T]]) -> T:
        chosen = Kubeconfig(self.kubeconfig, self.context)
        api = await Api.connect(manager=FIELD_MANAGER, kubeconfig=chosen)
        try:
            return await work(Cluster(api, self.namespace or chosen.namespace()))
        finally:
            await api.close()


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of one cluster."""

    api: Api
    namespace: str

    async def get(self, resource: Resource, name: str) -> Object:
        """One object; an error that names it where there is none."""
        found = await self.api.get(resource, self.namespace, name)
        if found is None:
            raise click.ClickException(
                f"{resource.kind} {name!r} not found in namespace {self.namespace}; "
                f"`kubectl get {resource.plural} --namespace={self.namespace}` lists those that are there"
            )
        return found

    async def list(self, resource: Resource) -> list[Object]:
        """All of a kind, by name."""
        found, _ = await self.api.list(resource, namespace=self.namespace)
        return sorted(found, key=lambda body: str(body["metadata"]["name"]))

    async def annotate(self, resource: Resource, name: str, key: str, value: str) -> Object:
        """Set one annotation."""
        await self.get(resource, name)
        return await self.api.merge(resource, self.namespace, name, {"metadata": {"annotations": {key: value}}})


def resource_of(body: Any) -> Resource | None:
    """Which of our kinds this is."""
    return BY_KIND.get(str(body.get("kind"))) if isinstance(body, dict) else None
