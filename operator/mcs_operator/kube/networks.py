"""What is known of the cluster's own networks: Pods' and Services', read at start and every ten minutes.

Not watched: they change with the cluster's nodes, and what is asked is one question about each MCSInstance. What may
not be read, or is not served by this cluster, is not known; then fewer mistakes are found.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator

from mcs_operator.domain.facts.networks import MOST, Network, parsed
from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import NODES, Object, Resource

log = logging.getLogger(__name__)

SERVICE_CIDRS = Resource("networking.k8s.io/v1", "servicecidrs", "ServiceCIDR")
EVERY_SECONDS = 600.0
_PODS, _SERVICES = "Pods of this cluster", "Services of this cluster"


class Networks:
    """``known`` is replaced as a whole. ``on_change`` is called when it is another than before."""

    def __init__(self, api: Api, on_change: Callable[[], None]) -> None:
        self.known: tuple[Network, ...] = ()
        self._api, self._on_change = api, on_change

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self.read()
            await asyncio.sleep(EVERY_SECONDS)

    async def read(self) -> None:
        """Read once."""
        found = await self._read()
        if found != self.known:
            self.known = found
            self._on_change()

    async def _read(self) -> tuple[Network, ...]:
        found = {Network(os.environ.get("KUBERNETES_SERVICE_HOST", ""), _SERVICES)}
        for resource, read in ((NODES, _of_node), (SERVICE_CIDRS, _of_service_cidr)):
            try:
                async for page, _ in self._api.pages(resource):
                    found.update(network for body in page for network in read(body))
                    if len(found) >= MOST:
                        break
            except Exception as error:  # of many kinds, and without it fewer mistakes are found, which is all
                log.info("%s are not known: %s", resource.plural, type(error).__name__)
        return tuple(sorted((n for n in found if parsed(n.cidr)), key=lambda n: (n.what, n.cidr))[:MOST])


def _of_node(body: Object) -> Iterator[Network]:
    """Of its spec alone: what a node says of itself in its status is for the node to say."""
    yield from (Network(cidr, _PODS) for cidr in _texts(body, "podCIDRs"))


def _of_service_cidr(body: Object) -> Iterator[Network]:
    yield from (Network(cidr, _SERVICES) for cidr in _texts(body, "cidrs"))


def _texts(body: Object, field: str) -> list[str]:
    spec = body.get("spec")
    listed = spec.get(field) if isinstance(spec, dict) else None
    return [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
