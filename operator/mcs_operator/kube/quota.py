"""The quota's count: made before the limit is in force, and corrected where nobody else does.

`domain.rules.quota` says who writes what, and when it is the operator's turn.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from mcs_operator.domain.rules.quota import INSTANCES_COUNT, LIMITS, LINKS_COUNT, Doubt, Usage
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.parse.quota import usage_of
from mcs_operator.kube.resources import INSTANCES, LINKS, RESOURCE_QUOTAS, Object, Resource

log = logging.getLogger(__name__)

_COUNTED = {LINKS_COUNT: LINKS, INSTANCES_COUNT: INSTANCES}
_TRIES = 5


async def put(api: Api, body: Object, live: Object | None) -> Object:
    """Apply the quota so that no create is ever refused for want of a count: first the count, then the limit.

    A limit without a count refuses everything, and the quota controller keeps a count that it cannot make itself, but
    drops one that no limit asks for. So the limit is written onto the very version that has the count; in the last try
    onto any, because by then it is creates that come between, and those keep the count.
    """
    metadata = body["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    for left in reversed(range(_TRIES)):
        live = live or await api.apply(RESOURCE_QUOTAS, body | {"spec": {}})
        try:
            if usage_of(live).uncounted:
                live = await _write_count(api, namespace, name, live["metadata"]["resourceVersion"])
            version = {"resourceVersion": live["metadata"]["resourceVersion"]} if left else {}
            return await api.apply(RESOURCE_QUOTAS, body | {"metadata": metadata | version})
        except ApiError as error:
            if error.status != 409:
                raise
            live = await api.get(RESOURCE_QUOTAS, namespace, name)
    raise ApiError(409, "Conflict", f"was changed by somebody else {_TRIES} times in a row")


@dataclass(slots=True)
class QuotaCounter:
    """Corrects counts that stay wrong, of all namespaces; see `Doubt` for when."""

    api: Api
    store: Store
    doubts: dict[str, Doubt] = field(default_factory=dict)

    async def check(self, namespace: str, name: str, now: datetime) -> float | None:
        """Compare the quota's count with the store, and mend it if it is time; seconds until the next look."""
        children = self.store.cache(namespace).children
        child = children.get((RESOURCE_QUOTAS, name))
        if child is None or child.stale or not isinstance(child.detail, Usage):
            self.doubts.pop(namespace, None)  # its event brings us back
            return None
        known = {key: self._known(namespace, resource) for key, resource in _COUNTED.items()}
        pause = self.doubts.setdefault(namespace, Doubt()).wait(child.detail, child.version, known, now)
        if pause != 0.0:
            if pause is None:
                self.doubts.pop(namespace, None)
            return pause
        log.warning("%s: ResourceQuota %s has %s, there are %s: counting anew", namespace, name, child.detail, known)
        try:
            body = await _write_count(self.api, namespace, name, child.version)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or counted by somebody else: its event brings us back
                raise
        else:
            self.store.take(RESOURCE_QUOTAS, body)
        self.doubts.pop(namespace, None)
        return None

    def forget(self, namespace: str) -> None:
        """No instance is served there any more."""
        self.doubts.pop(namespace, None)

    def _known(self, namespace: str, resource: Resource) -> int:
        """Those that are being deleted count as well: they are there until they are gone."""
        return sum(1 for kind, _ in self.store.cache(namespace).ours if kind == resource)


async def _write_count(api: Api, namespace: str, name: str, version: str) -> Object:
    """Count what is there, on the server, and write that onto this version of the quota; ApiError 409 for another."""
    used = {}
    for key, resource in _COUNTED.items():
        found, _ = await api.list(resource, namespace=namespace, metadata_only=True)
        used[key] = str(len(found))
    status = {"hard": {key: str(limit) for key, limit in LIMITS.items()}, "used": used}
    patch = {"metadata": {"resourceVersion": version}, "status": status}
    return await api.merge(RESOURCE_QUOTAS, namespace, name, patch, status=True)
