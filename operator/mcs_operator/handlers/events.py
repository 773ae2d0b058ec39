"""Kopf's part: our three kinds come in here, and it runs the operator's life. A handler hands on what it is told, and
returns; the store wakes the reconciliation of the namespace.

Only `on.event` handlers: they write nothing to anybody's objects, no finalizer, no annotation. What comes of a change
is decided from all that is known, so there is no handler for a creation, a field or a deletion.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import kopf

from mcs_operator.handlers.service import Service
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS
from mcs_operator.settings import GROUP, VERSION


def registry_for(service: Service) -> kopf.OperatorRegistry:
    """All handlers, bound to this service."""
    registry = kopf.OperatorRegistry()

    # Not tried again in this process: it ends with the cause of its failure, and a new one starts clean.
    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await service.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await service.stop()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        found = kopf.login_with_service_account(**kwargs)
        return as_the_environment_says(found) if found else kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, INSTANCES.plural, registry=registry)
    async def mcs_instance(event: kopf.RawEvent, **_: Any) -> None:
        service.take_event(INSTANCES, event)

    @kopf.on.event(GROUP, VERSION, COMMUNITIES.plural, registry=registry)
    async def community(event: kopf.RawEvent, **_: Any) -> None:
        service.take_event(COMMUNITIES, event)

    @kopf.on.event(GROUP, VERSION, LINKS.plural, registry=registry)
    async def tvox_link(event: kopf.RawEvent, **_: Any) -> None:
        service.take_event(LINKS, event)

    return registry


def as_the_environment_says(found: kopf.ConnectionInfo) -> kopf.ConnectionInfo:
    """The API server by the address that the kubelet gives each pod, as our own client has it. Kopf asks for
    kubernetes.default.svc, and without the cluster's DNS the operator would not even start."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        return found
    return replace(found, server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")


class NoDiffBase(kopf.DiffBaseStorage):
    """Kopf copies each body to compare it with the one before, which only handlers of changes would ask for: of 25,000
    links that is a fifth of the time of a start."""

    def build(self, **_: Any) -> Any:
        """Nothing is compared."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Nothing was stored."""

    def store(self, **_: Any) -> None:
        """Nothing is."""


def configure(settings: kopf.OperatorSettings) -> None:
    """Kopf as a watcher: no peering (our own Lease leads), no posted events, no state on objects.

    Of 25,000 links a task for each would be there at once, with a queue and the whole body. So lists come by the page,
    few objects are handled at a time, and a task ends as soon as it has nothing to do. Not at once: with an idle
    time-out of 0 it would never take its first event.
    """
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.chunk_size = 500
    settings.queueing.worker_limit = 64
    settings.queueing.idle_timeout = 0.001
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.queueing.exit_timeout = 5
    settings.persistence.finalizer = f"{GROUP}/unused"
