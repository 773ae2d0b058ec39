"""Kopf's part: it watches the instances and runs the operator's life; its handler feeds the store and returns.

Only `on.event` handlers: they write nothing to anybody's objects, no finalizer, no annotation.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import kopf

from mcs_operator.handlers.service import Service
from mcs_operator.kube.parse.metadata import tidy
from mcs_operator.kube.resources import INSTANCES
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

    @kopf.on.event(GROUP, VERSION, INSTANCES.plural, registry=registry, id="feed")
    async def feed(event: kopf.RawEvent, **_: Any) -> None:
        body: Any = event["object"]
        if event["type"] == "DELETED":
            metadata = (tidy(dict(body)) or {}).get("metadata")
            if metadata is None:
                return
            service.store.drop(
                INSTANCES, metadata["namespace"], metadata["name"], metadata["uid"], metadata["resourceVersion"]
            )
        else:
            service.store.put(INSTANCES, dict(body))

    return registry


def as_the_environment_says(found: kopf.ConnectionInfo) -> kopf.ConnectionInfo:
    """The API server by the address that the kubelet gives each pod, as our own client has it. Kopf asks for
    kubernetes.default.svc, and without the cluster's DNS the operator would not even start."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port:
        return found
    return replace(found, server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")


def configure(settings: kopf.OperatorSettings) -> None:
    """Kopf as a watcher: no peering (our own Lease leads), no posted events, no state on objects."""
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.queueing.exit_timeout = 5
    settings.persistence.finalizer = f"{GROUP}/unused"
