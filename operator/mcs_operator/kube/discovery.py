"""What this cluster can do, by API discovery: asked when it is needed first, and what it can do is remembered."""

from __future__ import annotations

from dataclasses import replace

from mcs_operator.domain.facts.world import Size, World
from mcs_operator.domain.pod.fallback import refused_resize
from mcs_operator.domain.pod.sizing import size
from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import PODS

_RESIZE = f"{PODS.plural}/resize"


class Discovery:
    """Of one API server."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._resizes = False

    async def known(self, world: World) -> World:
        """The world with the answer, where a pod is to have another size; else nobody asks."""
        pod = world.pod
        sizes = [Size(one.requests, one.limits) for one in map(size, world.instances)]
        if pod is None or pod.size is None or all(map(pod.size.is_same, sizes)):
            return world
        refused = refused_resize(pod)
        if refused and any(map(refused.is_same, sizes)):
            return replace(world, resizes_in_place=False)
        # A cluster that cannot do it may be upgraded, and is asked again: sizes change rarely.
        self._resizes = self._resizes or _RESIZE in await self._api.served(PODS.api_version)
        return replace(world, resizes_in_place=self._resizes)
