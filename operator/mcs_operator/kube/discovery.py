"""What this cluster can do, by API discovery: asked when it is needed first, and what it can do is remembered."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from mcs_operator.domain.facts.world import Size, World
from mcs_operator.domain.pod.fallback import asked_again, refused_resize
from mcs_operator.domain.pod.prediction import ANY_SIZE, NO_SIZE, Resizing
from mcs_operator.domain.pod.sizing import size
from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import PODS

log = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
_RESIZE = f"{PODS.plural}/resize"
_LOWERS_MEMORY = (1, 34)
"""Since this version of Kubernetes; the one before refuses it with 422."""


async def resizing_of(api: Api) -> Resizing:
    """Which sizes the cluster gives a container that runs."""
    if _RESIZE not in await api.served(PODS.api_version):
        return NO_SIZE
    return Resizing(lowers_memory=await api.version() >= _LOWERS_MEMORY)


class Discovery:
    """Of one API server. ``resizing`` is for admission, which cannot wait for an answer: until there is one, rather a
    restart is told that does not come than one is hidden that does."""

    def __init__(self, api: Api) -> None:
        self.resizing = NO_SIZE
        self._api = api
        self._resizes = False

    async def run(self) -> None:
        """Ask at start, and every ten minutes as long as there is something that the cluster cannot do: it may be
        upgraded."""
        while True:
            if self.resizing != ANY_SIZE:
                await self._ask()
            await asyncio.sleep(EVERY_SECONDS)

    async def _ask(self) -> None:
        try:
            self.resizing = await resizing_of(self._api)
        except Exception as error:  # of many kinds, and without it a warning too many is given, which is all
            log.info("what this cluster can do is not known: %s", type(error).__name__)

    async def known(self, world: World) -> World:
        """The world with the answer, where a pod is to have another size; else nobody asks."""
        pod = world.pod
        sizes = [Size(one.requests, one.limits) for one in map(size, world.instances)]
        if pod is None or pod.size is None or (all(map(pod.size.is_same, sizes)) and not asked_again(pod, world.now)):
            return world
        refused = refused_resize(pod)
        if refused and any(map(refused.is_same, sizes)):
            return replace(world, resizes_in_place=False)
        # A cluster that cannot do it may be upgraded, and is asked again: sizes change rarely.
        self._resizes = self._resizes or _RESIZE in await self._api.served(PODS.api_version)
        return replace(world, resizes_in_place=self._resizes)
