"""An API server in memory, for the story of one namespace without any network: versions, UIDs, merges, and failures.

It is handed to the product in place of `mcs_operator.kube.client.Api`; what it cannot do, the product does not ask for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import OURS, PODS, Resource

Object = dict[str, Any]
Key = tuple[Resource, str, str]


class MemoryApi:
    """``trouble`` is asked before each request, with its verb, kind and name: what it returns is raised. ``writes`` are
    those that were done, as ``patch Secret/mcs-ca``."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.writes: list[str] = []
        self.trouble: Callable[[str, str, str], Exception | None] = lambda verb, kind, name: None
        self._version = 100

    def add(self, store: Store, resource: Resource, body: Object) -> Object:
        """Somebody creates this, or changes it to this, and the store hears of it."""
        body = copy.deepcopy(body) | {"apiVersion": resource.api_version, "kind": resource.kind}
        key = (resource, body["metadata"]["namespace"], body["metadata"]["name"])
        known = self.objects.get(key, {"metadata": {"uid": f"uid-{resource.kind}-{key[2]}"}})
        body["metadata"] = {"generation": 1, "creationTimestamp": "2026-03-01T11:00:00Z"} | body["metadata"]
        body["metadata"]["uid"] = known["metadata"]["uid"]
        if "status" in known and "status" not in body:
            body["status"] = known["status"]
        stored = self._keep(key, body)
        store.take(resource, stored)
        return stored

    def find(self, resource: Resource, name: str, namespace: str = "demo") -> Object | None:
        """As stored; None where there is none."""
        return self.objects.get((resource, namespace, name))

    # --- what the product asks for ---

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        self._ask("get", resource, name)
        return copy.deepcopy(self.objects.get((resource, namespace, name)))

    async def list(self, resource: Resource, *, namespace: str, fields: str = "", **_: Any) -> tuple[list[Object], str]:
        self._ask("list", resource, "")
        here = {
            name: body for (kind, where, name), body in self.objects.items() if (kind, where) == (resource, namespace)
        }
        return [body for name, body in here.items() if fields in ("", f"metadata.name={name}")], "1"

    async def create(self, resource: Resource, body: Object) -> Object:
        key = (resource, body["metadata"]["namespace"], body["metadata"]["name"])
        self._ask("create", resource, key[2])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", "it exists")
        return self._done("create", key, copy.deepcopy(body))

    async def apply(self, resource: Resource, body: Object, *, status: bool = False, **_: Any) -> Object:
        key = (resource, body["metadata"]["namespace"], body["metadata"]["name"])
        self._ask("status" if status else "apply", resource, key[2])
        known = self.objects.get(key)
        if known is None and status:
            raise ApiError(404, "NotFound", "there is none")
        given = copy.deepcopy(body)
        new = copy.deepcopy(known or {})
        if status:
            new["status"] = given["status"]
        else:
            new |= {field: value for field, value in given.items() if field != "metadata"}
            new["metadata"] = new.get("metadata", {}) | given["metadata"]
        return self._done("status" if status else "apply", key, new)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Object, **_: Any) -> Object:
        self._ask("merge", resource, name)
        key = (resource, namespace, name)
        if key not in self.objects:
            raise ApiError(404, "NotFound", "there is none")
        return self._done("merge", key, _merged(copy.deepcopy(self.objects[key]), patch))

    async def strategic_merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str | None = None
    ) -> Object:
        """Of a pod: its containers are found by their names."""
        verb = f"patch {sub}" if sub else "patch"
        self._ask(verb, resource, name)
        key = (resource, namespace, name)
        if key not in self.objects:
            raise ApiError(404, "NotFound", "there is none")
        known = copy.deepcopy(self.objects[key])
        metadata = patch.get("metadata", {})
        for precondition in ("uid", "resourceVersion"):
            if metadata.get(precondition, known["metadata"][precondition]) != known["metadata"][precondition]:
                raise ApiError(409, "Conflict", precondition)
        changed = {one["name"]: one for one in patch["spec"]["containers"]}
        containers = [one | changed.get(one["name"], {}) for one in known["spec"]["containers"]]
        new = _merged(known, {"metadata": {"annotations": metadata.get("annotations", {})}})
        return self._done(verb.replace(" ", "-"), key, new | {"spec": new["spec"] | {"containers": containers}})

    async def served(self, _: str) -> set[str]:
        self._ask("discover", PODS, "")
        return {"pods", "pods/resize"}

    async def delete(self, resource: Resource, namespace: str, name: str, **_: Any) -> bool:
        self._ask("delete", resource, name)
        if self.objects.pop((resource, namespace, name), None) is None:
            return False
        self.writes.append(f"delete {resource.kind}/{name}")
        return True

    def _ask(self, verb: str, resource: Resource, name: str) -> None:
        if error := self.trouble(verb, resource.kind, name):
            raise error

    def _done(self, verb: str, key: Key, body: Object) -> Object:
        self.writes.append(f"{verb} {key[0].kind}/{key[2]}")
        return self._keep(key, body)

    def _keep(self, key: Key, body: Object) -> Object:
        self._version += 1
        metadata = body["metadata"]
        metadata.setdefault("uid", f"uid-{key[0].kind}-{key[2]}-{self._version}")
        metadata["resourceVersion"] = str(self._version)
        if key[0] not in OURS:
            metadata.setdefault("generation", 1)
        self.objects[key] = body
        return copy.deepcopy(body)


def _merged(body: Object, patch: Object) -> Object:
    """JSON merge patch."""
    for field, value in patch.items():
        if value is None:
            body.pop(field, None)
        elif isinstance(value, dict):
            body[field] = _merged(body.get(field) or {}, value)
        else:
            body[field] = value
    return body
