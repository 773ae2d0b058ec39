"""The way to the API server, as the person at the terminal: through kubectl, by its kubeconfig, context, namespace."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import aiohttp
import click

from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.kubeconfig import KubeconfigError
from mcs_operator.kube.kubectl import namespace_of, proxied
from mcs_operator.kube.resources import BY_KIND, Object, Resource

FIELD_MANAGER = "kubectl-mcs"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """What was chosen on the command line, before any request is made. Empty: as the kubeconfig says.

    ``impersonation``: kubectl's own options, such as --as=jane. ``of_all``: lists are of every namespace.
    """

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    impersonation: tuple[str, ...] = ()
    of_all: bool = False

    def everywhere(self, wanted: bool) -> Access:
        """The same for every namespace, where that is wanted."""
        return replace(self, of_all=wanted)

    def run(self, work: Callable[[Cluster], Awaitable[T]]) -> T:
        """Do this on a connection of its own; what goes wrong there is told in one line, without a traceback."""
        try:
            return asyncio.run(self._connected(work))
        except KubeconfigError as error:
            raise click.ClickException(str(error)) from None
        except ApiError as error:
            raise click.ClickException(_told(error)) from None
        except (json.JSONDecodeError, _NoApiServerError):
            raise click.ClickException("what answers at this kubeconfig's address is no API server") from None
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise click.ClickException(f"the API server does not answer: {error or 'time-out'}") from None
        except asyncio.CancelledError:
            raise click.Abort from None

    async def _connected(self, work: Callable[[Cluster], Awaitable[T]]) -> T:
        _end_in_order()
        namespace = asyncio.create_task(self._namespace())
        try:
            async with proxied(self.kubeconfig, self.context, self.impersonation) as kubeconfig:
                api = await Api.connect(manager=FIELD_MANAGER, kubeconfig=kubeconfig)
                try:
                    return await work(Cluster(api, await namespace, bool(self.namespace), self.of_all))
                finally:
                    await api.close()
        finally:
            await asyncio.gather(namespace, return_exceptions=True)

    async def _namespace(self) -> str:
        return self.namespace or await namespace_of(self.kubeconfig, self.context)


class _NoApiServerError(Exception):
    """JSON came, and it is no answer of an API server."""


def _end_in_order() -> None:
    """Whoever ends us ends the kubectl proxy with us: it would go on speaking for this person."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None and threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)


def _told(error: ApiError) -> str:
    """An answer without a reason is the proxy's, about its own way to the API server, or of something in between."""
    message = " ".join(error.message.split())
    if error.reason or not message:
        return message or str(error)
    return f"the API server does not answer: {message}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of one cluster. ``chosen``: it was named on the command line. ``everywhere``: lists are of all."""

    api: Api
    namespace: str
    chosen: bool = False
    everywhere: bool = False

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
        """All of a kind, by namespace and name."""
        try:
            found, _ = await self.api.list(resource, namespace=None if self.everywhere else self.namespace)
            return sorted(found, key=lambda body: (str(body["metadata"].get("namespace")), body["metadata"]["name"]))
        except (LookupError, TypeError, AttributeError):
            raise _NoApiServerError from None

    async def annotate(self, resource: Resource, name: str, key: str, value: str) -> Object:
        """Set one annotation."""
        await self.get(resource, name)
        return await self.api.merge(resource, self.namespace, name, {"metadata": {"annotations": {key: value}}})


def resource_of(body: Any) -> Resource | None:
    """Which of our kinds this is."""
    return BY_KIND.get(str(body.get("kind"))) if isinstance(body, dict) else None
