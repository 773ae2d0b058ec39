"""The path at which the API server asks the webhook: a random one, so that nobody else's reviews are answered.

API servers show no certificate to webhooks unless somebody configures each of them, so the path is what tells them
from a pod that found the Service. It is kept where the API server reads it, in the ValidatingWebhookConfiguration,
which no tenant may read: one truth for all replicas, also where cert-manager keeps the certificate's Secret.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterator

import aiohttp

from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import WEBHOOK_CONFIGURATIONS, Object
from mcs_operator.settings import WEBHOOK

log = logging.getLogger(__name__)

LOOK_EVERY = 60.0
LOOK_FIRST = 2.0
"""Seconds between looks as long as no path is known; doubled each time, to LOOK_EVERY."""
_UNGUESSABLE = re.compile(r"/validate/[0-9a-f]{64}")
"""256 bits. Lower case: API servers take no other in the path of a Service."""


class Route:
    """Follows the registered path; whoever ``leads`` registers one where there is none, or none that will do."""

    def __init__(self, api: Api, leads: Callable[[], bool]) -> None:
        self.path = ""
        """Empty as long as none is known: then nobody is answered."""
        self._api, self._leads = api, leads

    async def run(self) -> None:
        """For ever; what fails is logged once a look, and tried again at the next."""
        pause = LOOK_FIRST
        while True:
            try:
                await self.look()
            except (ApiError, aiohttp.ClientError, OSError, ValueError) as error:
                log.warning("the webhook's path was not looked after: %s", error)
            await asyncio.sleep(LOOK_EVERY if self.path else pause)
            pause = min(2 * pause, LOOK_EVERY)

    async def look(self) -> None:
        """Look once; writes only what differs."""
        configuration = await self._api.get(WEBHOOK_CONFIGURATIONS, None, WEBHOOK)
        paths = dict(_paths(configuration)) if configuration else {}
        if not paths:
            return  # it is not installed, or asks somebody else
        (first, *others) = set(paths.values())
        if not others and _UNGUESSABLE.fullmatch(first):
            self.path = first
        elif self._leads() and configuration:
            self.path = await self._register(configuration, list(paths))

    async def _register(self, configuration: Object, entries: list[int]) -> str:
        """The former path, where there is one, is the one that the other replicas know."""
        path = self.path or f"/validate/{secrets.token_hex(32)}"
        known = configuration["metadata"]["resourceVersion"]
        patch = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": known},
            *({"op": "add", "path": f"/webhooks/{at}/clientConfig/service/path", "value": path} for at in entries),
        ]
        await self._api.patch(WEBHOOK_CONFIGURATIONS, WEBHOOK, patch)
        log.info("registered a path for the webhook that nobody can guess")
        return path


def _paths(configuration: Object) -> Iterator[tuple[int, str]]:
    """Of the entries that lead to a Service; whoever wrote them."""
    webhooks = configuration.get("webhooks")
    for at, webhook in enumerate(webhooks if isinstance(webhooks, list) else []):
        called = webhook.get("clientConfig") if isinstance(webhook, dict) else None
        service = called.get("service") if isinstance(called, dict) else None
        if isinstance(service, dict):
            yield at, str(service.get("path") or "")
