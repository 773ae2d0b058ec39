"""A client that writes nothing: it notes each write, and answers as the API server would.

Whoever is given it cannot tell the difference. So what a dry run foretells comes from the very code that writes, and
needs no more rights than to read. Admission and quotas of the cluster are not asked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import EVENTS, Object, Resource

Key = tuple[Resource, str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """One object that would be written. ``action`` is create, change or remove; ``part`` is the status, where only that
    is written."""

    action: str
    kind: str
    name: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.action} {self.kind}/{self.name}" + (f" {self.part}" if self.part else "")


class DryRunApi(Api):
    """``writes`` are in the order in which they would be sent, each object once: what is created and then completed, as
    a ResourceQuota is, is created."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.may_write = lambda: False  # should anything get past the methods below, it is not sent
        self.writes: list[Write] = []
        self._answered: dict[Key, Object | None] = {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """As it would be by now."""
        key = (resource, namespace or "", name)
        return self._answered[key] if key in self._answered else await self.stored(resource, namespace, name)

    async def stored(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """As it is."""
        return await super().get(resource, namespace, name)

    async def create(self, resource: Resource, body: Object) -> Object:
        """409 where it exists, as the server says it; an Event, whose name is new each time, is not asked about."""
        metadata = body["metadata"]
        name = str(metadata["name"])
        if resource is EVENTS:
            regarding = body["regarding"]
            self._note("create", resource.kind, f"{regarding['name']}", str(body["reason"]))
            return self._answer(resource, {}, body)
        if await self.get(resource, metadata["namespace"], name) is not None:
            raise ApiError(409, "AlreadyExists", "it exists")
        self._note("create", resource.kind, name)
        return self._answer(resource, {}, body)

    async def apply(self, resource: Resource, body: Object, *, status: bool = False, dry_run: bool = False) -> Object:
        """What is there, with these fields."""
        metadata = body["metadata"]
        live = await self.get(resource, metadata["namespace"], metadata["name"])
        if status and live is None:
            raise ApiError(404, "NotFound", "there is none")
        self._note("change" if live else "create", resource.kind, metadata["name"], "status" if status else "")
        return self._answer(resource, live or {}, body)

    async def merge(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Object,
        *,
        metadata_only: bool = False,
        status: bool = False,
    ) -> Object:
        """What is there, merged."""
        live = await self.get(resource, namespace, name)
        if live is None:
            raise ApiError(404, "NotFound", "there is none")
        self._note("change", resource.kind, name, "status" if status else "")
        known = live["metadata"]
        kept = {key: known[key] for key in ("uid", "resourceVersion")}
        return self._answer(resource, live, _merged(live, patch | {"metadata": patch.get("metadata", {}) | kept}))

    async def strategic_merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str | None = None
    ) -> Object:
        """What is there: what the patch is about is told as a step of the pod."""
        live = await self.get(resource, namespace, name)
        if live is None:
            raise ApiError(404, "NotFound", "there is none")
        self._note("change", resource.kind, name, sub or "")
        return live

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str = "") -> bool:
        """It is gone."""
        self._note("remove", resource.kind, name)
        self._answered[resource, namespace, name] = None
        return True

    def _note(self, action: str, kind: str, name: str, part: str = "") -> None:
        made = Write("create", kind, name)
        write = Write(action, kind, name, part)
        if write not in self.writes and (kind == EVENTS.kind or made not in self.writes or action == "remove"):
            self.writes.append(write)

    def _answer(self, resource: Resource, live: Object, body: Object) -> Object:
        """With a version that is newer than any that is known, as each write gives one."""
        known = live.get("metadata") or {"uid": str(uuid.uuid4()), "creationTimestamp": "2000-01-01T00:00:00Z"}
        version = int(known.get("resourceVersion") or body["metadata"].get("resourceVersion") or 0) + 1
        metadata = known | body["metadata"] | {"uid": known["uid"], "resourceVersion": str(version)}
        answer = live | body | {"metadata": metadata}
        self._answered[resource, metadata["namespace"], metadata["name"]] = answer
        return answer


def _merged(body: Object, patch: Object) -> Object:
    """A JSON merge patch."""
    found = dict(body)
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict):
            found[name] = _merged(found.get(name) or {}, value)
        else:
            found[name] = value
    return found
