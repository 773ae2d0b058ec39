"""Which nodes are cordoned, and where their media pods could go.

The API server tells of cordoned nodes alone, and of these only the names: a node that is not drained costs nothing,
however often its kubelet reports. Only where a media pod is on a cordoned node other nodes are looked for, and not
oftener than twice a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.nodes import MOST, CordonedNode, Node
from mcs_operator.domain.facts.world import Pod, World
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.parse.bounds import mapping, text
from mcs_operator.kube.parse.node import read_node
from mcs_operator.kube.parse.volume import reaches, volume_of
from mcs_operator.kube.resources import NODES, VOLUME_CLAIMS, VOLUMES, Object

log = logging.getLogger(__name__)

CORDONED = "spec.unschedulable=true"
LOOK_SECONDS = 30.0
"""Between two looks for where the pod of a namespace could go, from the same node."""
_LOOK_ANEW_SECONDS = 1.0
"""The same where it asks for other nodes than before: each look is a list of all nodes."""
_REFUSED = (401, 403, 404, 405)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What came of a look, at this time of the monotonic clock, for a pod on this ``node`` that asks for nodes with
    these ``labels``."""

    at: float
    node: str
    labels: str
    ready: bool | None
    others: tuple[Node, ...] | None


class Nodes:
    """``cordoned`` has the names of all cordoned nodes. ``listed`` is set once that is known, or cannot be known: in a
    decision before that, a pod that drains because of its node would take calls again."""

    def __init__(self, api: Api, store: Store) -> None:
        self.cordoned: frozenset[str] = frozenset()
        self.listed = asyncio.Event()
        self._api, self._store = api, store
        self._looks: dict[str, _Look] = {}
        """By namespace."""

    async def run(self) -> None:
        """Follow them for ever. The API server ends each watch after minutes; then the few names are listed again."""
        pause = _FIRST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                await self._watch(await self.read())
            except Exception as error:  # of many kinds: a proxy before the server may answer anything
                log.info("cordoned nodes are not known: %s", str(error)[:200] or type(error).__name__)
                if isinstance(error, ApiError) and error.status in _REFUSED:  # a role of an older chart
                    self.listed.set()
            pause = _FIRST_PAUSE if time.monotonic() - begun > _LONGEST_PAUSE else min(_LONGEST_PAUSE, 2 * pause)
            await asyncio.sleep(pause)

    async def read(self) -> str:
        """List them once; the list's version."""
        found, version = await self._api.list(NODES, fields=CORDONED, metadata_only=True)
        self._take(frozenset(filter(None, map(_name, found))))
        self.listed.set()
        return version

    async def read_if_allowed(self) -> None:
        """List them once; where that is refused, none is cordoned."""
        try:
            await self.read()
        except ApiError as error:
            if error.status not in _REFUSED:
                raise

    async def _watch(self, since: str) -> None:
        async for event in self._api.watch(NODES, since=since, fields=CORDONED, metadata_only=True):
            match event.type:
                case "ADDED" | "MODIFIED":
                    self._take(self.cordoned | {_name(event.object)})
                case "DELETED":  # it is gone, or is cordoned no more
                    self._take(self.cordoned - {_name(event.object)})
                case "ERROR":
                    return

    def _take(self, cordoned: frozenset[str]) -> None:
        changed, self.cordoned = self.cordoned ^ cordoned, cordoned
        if changed:
            self._looks.clear()
            for namespace in self._with_pods_on(changed):
                self._store.wake(namespace)

    def _with_pods_on(self, nodes: Collection[str]) -> Iterator[str]:
        for namespace in self._store.namespaces():
            details = (child.detail for child in self._store.cache(namespace).children.values())
            if any(isinstance(detail, Pod) and detail.node in nodes for detail in details):
                yield namespace

    async def known(self, world: World) -> World:
        """The world with what is known of the pod's node, where that is cordoned."""
        pod = world.pod
        if pod is None or pod.node not in self.cordoned:
            return world
        instance = next((i for i in world.instances if f"{i.name}-0" == pod.name), None)
        look = await self._looked(pod.node, instance) if instance else None
        if look is None or look.others is None:
            return replace(world, cordoned=CordonedNode(pod.node, look.ready if look else None, None))
        others = tuple(node for node in look.others if node.name not in self.cordoned)
        return replace(world, cordoned=CordonedNode(pod.node, look.ready, others))

    async def _looked(self, node: str, instance: MCSInstance) -> _Look:
        labels = ",".join(f"{key}={value}" for key, value in sorted(instance.spec.node_selector.items()))
        known = self._looks.get(instance.namespace)
        if known and (known.node, known.labels) == (node, labels):
            if time.monotonic() - known.at <= LOOK_SECONDS:
                return known
        elif known and time.monotonic() - known.at <= _LOOK_ANEW_SECONDS:
            return _Look(known.at, node, labels, None, None)
        ready, others = await self._ready(node), await self._others(node, labels, instance)
        look = self._looks[instance.namespace] = _Look(time.monotonic(), node, labels, ready, others)
        return look

    async def _ready(self, name: str) -> bool | None:
        try:
            found, _ = await self._api.list(NODES, fields=f"metadata.name={name}")
        except ApiError:
            return None
        return read_node(found[0]).ready if found else None

    async def _others(self, name: str, labels: str, instance: MCSInstance) -> tuple[Node, ...] | None:
        """Of a large cluster only so many are looked at, a page at a time: nodes are large."""
        found, looked_at = list[Node](), 0
        try:
            volume = await self._volume(instance)
            async for page, _ in self._api.pages(NODES, labels=labels):
                within_reach = map(read_node, (body for body in page if reaches(volume, body)))
                found += (node for node in within_reach if node.name != name and not node.unschedulable)
                looked_at += len(page)
                if looked_at >= MOST:
                    break
        except ApiError:
            return None
        return tuple(found[:MOST])

    async def _volume(self, instance: MCSInstance) -> Object:
        """The volume of the appliance's data; an empty object before there is one."""
        claim = await self._api.get(VOLUME_CLAIMS, instance.namespace, f"{instance.name}-data")
        name = volume_of(claim or {})
        return (await self._api.get(VOLUMES, None, name) if name else None) or {}


def _name(body: Object) -> str:
    return text(mapping(body.get("metadata")).get("name"))
