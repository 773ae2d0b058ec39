"""A small synchronous client of the API server, of the tests' own: they must not see the world through the product.

Objects are plain dictionaries. It stands on the `kubernetes` package for kubeconfig and TLS, so any cluster will do.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from kubernetes import config

from support.waiting import until

ROOT = Path(__file__).parents[2]
FIELD_MANAGER = "mcs-tests"
Object = dict[str, Any]

OURS = "/apis/mcs.tvox.io/v1alpha1"
_PLACES = {
    "MCSInstance": (OURS, "mcsinstances"),
    "Community": (OURS, "communities"),
    "TVoxLink": (OURS, "tvoxlinks"),
    "Namespace": ("/api/v1", "namespaces"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "Event": ("/api/v1", "events"),
    "Node": ("/api/v1", "nodes"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
    ),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
_CLUSTER_WIDE = {
    "Namespace",
    "Node",
    "PersistentVolume",
    "StorageClass",
    "CustomResourceDefinition",
    "ValidatingWebhookConfiguration",
}


def know_kinds(root: str, **plurals: str) -> None:
    """Kinds of somebody else that are in namespaces: ``know_kinds("/apis/argoproj.io/v1alpha1", Application="…")``."""
    _PLACES.update({kind: (root, plural) for kind, plural in plurals.items()})


_INSTANCES = "mcsinstances.mcs.tvox.io"
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class Refused(Exception):  # noqa: N818 - the API server's answer, not a defect
    """The API server said no. ``status`` is the HTTP code, ``reason`` its word for it, the text its message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @property
    def is_about_counting(self) -> bool:
        """Whether it could not count a create, because a quota was written at the same time: kubernetes issue 67761.
        Nothing was created, and whoever applies does it again."""
        return self.status == 409 and "cannot be fulfilled on resourcequotas" in self.message


class Api:
    """One API server. ``namespace`` is where objects without one of their own are; see `within`."""

    def __init__(self, kubeconfig: Path, namespace: str = "default") -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self._client = config.new_client_from_config(config_file=str(kubeconfig))

    def within(self, namespace: str) -> Api:
        """The same server, another namespace."""
        other = object.__new__(Api)
        other.kubeconfig, other.namespace, other._client = self.kubeconfig, namespace, self._client
        return other

    @property
    def host(self) -> str:
        """URL of the server."""
        return str(self._client.configuration.host)

    def get(self, kind: str, name: str) -> Object:
        """One object; raises Refused (404) without it."""
        return self._call("GET", self._path(kind, name))

    def stored_size(self, kind: str, name: str) -> int:
        """Bytes of one object in the encoding in which etcd has it; not for kinds of CRDs, which have another one."""
        url = self._client.configuration.host + self._path(kind, name)
        headers = {"Accept": "application/vnd.kubernetes.protobuf"}
        answer = self._client.call_api("GET", url, header_params=headers, _request_timeout=30)
        assert answer.status == 200, answer.status
        return len(answer.read())

    def find(self, kind: str, name: str) -> Object | None:
        """One object, or None."""
        try:
            return self.get(kind, name)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, kind: str, labels: str = "") -> list[Object]:
        """All objects of a kind in the namespace, by name."""
        items = self._call("GET", self._path(kind), {"labelSelector": labels} if labels else None)["items"]
        items = [{"kind": kind, **item} for item in items]  # a list's items leave out what its own kind says
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    def versions(self, kind: str) -> dict[str, str]:
        """resourceVersion of all objects of a kind in the namespace, by name: with nothing else of them, however large
        they are."""
        listed = self._ask("GET", self._path(kind), None, None, "application/json", accept=_METADATA)
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listed["items"] or ()}

    def everywhere(self, kind: str, labels: str) -> Iterable[Object]:
        """All objects of a kind with these labels, in all namespaces."""
        root, plural = _PLACES[kind]
        items: Iterable[Object] = self._call("GET", f"{root}/{plural}", {"labelSelector": labels})["items"]
        return items

    def create(self, *bodies: Object, dry_run: bool = False) -> Object:
        """Create each, or only ask whether it could be; the last one as stored."""
        stored: Object = {}
        query = {"dryRun": "All"} if dry_run else None
        for body in bodies:
            stored = self._call("POST", self._path(body["kind"], namespace=_namespace(body)), query, body)
        return stored

    def create_at_once(self, body: Object) -> Object:
        """Create it by one request, whatever becomes of that; as stored."""
        return self._ask("POST", self._path(body["kind"], namespace=_namespace(body)), None, body, "application/json")

    def apply(self, *bodies: Object) -> Object:
        """Server-side apply of each, as `kubectl apply --server-side`; the last one as stored."""
        stored: Object = {}
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        for body in bodies:
            path = self._path(body["kind"], body["metadata"]["name"], _namespace(body))
            stored = self._call("PATCH", path, query, body, "application/apply-patch+yaml")
        return stored

    def change(self, kind: str, name: str, **spec: Any) -> Object:
        """Merge fields into the spec; None removes one."""
        return self.merge(kind, name, {"spec": spec})

    def merge(self, kind: str, name: str, patch: Object) -> Object:
        """JSON merge patch of a whole object."""
        return self._call("PATCH", self._path(kind, name), None, patch, "application/merge-patch+json")

    def merge_status(self, kind: str, name: str, status: Object) -> Object:
        """JSON merge patch of the status, as its controller, or the kubelet, would write it."""
        path = f"{self._path(kind, name)}/status"
        return self._call("PATCH", path, None, {"status": status}, "application/merge-patch+json")

    def annotate(self, kind: str, name: str, **annotations: str | None) -> Object:
        """Set annotations, with `_` for `-` and without the group: rotate_requested_at; None removes one."""
        named = {f"mcs.tvox.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return self.merge(kind, name, {"metadata": {"annotations": named}})

    def delete(self, kind: str, name: str, *, wait: float = 0) -> None:
        """Delete; gone already is well. With ``wait``: until it is gone, at most so many seconds."""
        try:
            self._call("DELETE", self._path(kind, name))
        except Refused as refused:
            if refused.status != 404:
                raise
        if wait:
            until(f"{kind} {name} is gone", lambda: self.find(kind, name) is None, wait)

    def allow_deletion(self, instance: str) -> None:
        """Of an MCSInstance with links up; one that is not there is well."""
        if body := self.find("MCSInstance", instance):
            self.annotate("MCSInstance", instance, allow_deletion=body["metadata"]["uid"])

    def evict(self, pod: str, *, dry_run: bool = False) -> None:
        """Evict a pod, as `kubectl drain` does; raises Refused (429) where its budget does not allow it."""
        metadata = {"name": pod, "namespace": self.namespace}
        options = {"dryRun": ["All"]} if dry_run else {}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
        self._call("POST", f"{self._path('Pod', pod)}/eviction", None, body)

    def delete_all(self, kind: str, query: Mapping[str, str] | None = None) -> None:
        """Delete all objects of a kind in the namespace."""
        self._call("DELETE", self._path(kind), query)

    def condition(self, kind: str, name: str, type: str) -> tuple[str, str, str]:
        """(status, reason, message) of a condition of the present generation; ("", "", "") before it is there."""
        body = self.get(kind, name)
        for found in body.get("status", {}).get("conditions", []):
            if found["type"] == type and found.get("observedGeneration", 0) >= body["metadata"]["generation"]:
                return found["status"], found["reason"], found.get("message", "")
        return "", "", ""

    def wait_condition(
        self, kind: str, name: str, type: str, status: str, reason: str | None = None, timeout: float = 30
    ) -> str:
        """Until the condition has this status (and reason); its message."""
        seen = ("", "", "")

        def look() -> bool:
            nonlocal seen
            seen = self.condition(kind, name, type)
            assert seen[0] == status and reason in (None, seen[1]), f"{type}={seen[0]}, {seen[1]}: {seen[2]}"
            return True

        until(f"{kind} {name}: {type}={status}{f', {reason}' if reason else ''}", look, timeout)
        return seen[2]

    def is_well(self) -> bool:
        """Whether the server answers and is ready."""
        answer = self._client.call_api("GET", self._client.configuration.host + "/readyz", _request_timeout=5)
        answer.read()
        return bool(answer.status == 200)

    def version(self) -> str:
        """The server's version, such as v1.35.4."""
        return str(self._call("GET", "/version")["gitVersion"])

    def resizes_in_place(self) -> bool:
        """Whether the server gives a pod that runs another size, as it does from Kubernetes 1.33 on."""
        return any(one["name"] == "pods/resize" for one in self._call("GET", "/api/v1")["resources"])

    def can_watch(self, plural: str) -> bool:
        """Whether the server lets one of our kinds be watched by now."""
        # With initial events, of which the first comes at once: without any it would answer after seconds only. A
        # server whose feature gate WatchList is off, as that of Kubernetes 1.30 is, says 422 to that.
        events = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
        status = self._watched(plural, events)
        return (self._watched(plural, {}) if status == 422 else status) == 200

    def _watched(self, plural: str, options: Mapping[str, str]) -> int:
        """What the server says to a watch."""
        query = urlencode({"watch": "true", "timeoutSeconds": "1", **options})
        answer = self._client.call_api("GET", f"{self.host}{OURS}/{plural}?{query}", _request_timeout=5)
        answer.response.close()
        return int(answer.status)

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        timeout: float = 60,
        check: bool = True,
        merge: bool = False,
    ) -> str:
        """Output of kubectl in the namespace, with what it says on stderr where ``merge``; for exec and logs, where the
        API is streams."""
        done = subprocess.run(
            self.kubectl_command(*arguments), input=stdin, text=True, capture_output=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout + (done.stderr if merge else "")

    def kubectl_command(self, *arguments: str) -> list[str]:
        """The command line of kubectl for this server and namespace."""
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *arguments]

    def _path(self, kind: str, name: str | None = None, namespace: str | None = None) -> str:
        root, plural = _PLACES[kind]
        parts = [root] if kind in _CLUSTER_WIDE else [root, "namespaces", namespace or self.namespace]
        return "/".join([*parts, plural, *([name] if name else [])])

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        for pause in (0.1, 0.2, 0.4, 0.8):
            try:
                return self._ask(method, path, query, body, content_type)
            except Refused as refused:
                if not refused.is_about_counting:
                    raise
            time.sleep(pause)
        return self._ask(method, path, query, body, content_type)

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content_type: str,
        accept: str = "application/json",
    ) -> Object:
        headers = {"Accept": accept, "Content-Type": content_type}
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        # Apply patches are YAML, of which JSON is a part; as bytes the transport leaves them as they are.
        raw: Any = json.dumps(body).encode() if body is not None and "apply-patch" in content_type else body
        response = self._client.call_api(method, url, header_params=headers, body=raw, _request_timeout=30)
        answer: Object = json.loads(response.read())
        if response.status >= 400:
            raise Refused(response.status, answer.get("reason", ""), answer.get("message", ""))
        return answer


def install_crds(api: Api) -> None:
    """Our three kinds, as committed; returns when the API server serves them."""
    crds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    api.apply(*crds)
    for crd in crds:
        name = crd["metadata"]["name"]
        until(f"{name} is served", lambda name=name: is_served(api, name), 30)


def until_established(api: Api) -> None:
    """Wait until all CRDs of this server are. `kubectl wait` fails for one that has no conditions yet."""

    def look() -> bool:
        for crd in api.list("CustomResourceDefinition"):
            conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions") or []}
            assert conditions.get("Established") == "True", crd["metadata"]["name"]
        return True

    until("all CRDs are established", look)


def is_served(api: Api, crd: str) -> bool:
    """Whether the kind of a CRD of ours is there to be used, by the CRD's name."""
    stored = api.find("CustomResourceDefinition", crd) or {}
    conditions = {c["type"]: c["status"] for c in stored.get("status", {}).get("conditions") or []}
    # For a moment it refuses watches of a kind that is established; an operator that starts then would log that.
    return conditions.get("Established") == "True" and api.can_watch(crd.partition(".")[0])


def remove_namespaces(
    server: Api, *names: str, progress: Callable[[str], None] = lambda _: None, until_gone: bool = True
) -> None:
    """Delete namespaces with all that is in them; returns when their pods are gone, and the namespaces too unless told
    otherwise. Pods go first: the namespace controller waits half of a pod's grace period before it looks again, which
    is half a minute where the pod itself needs ten seconds. So do ours: their public names are the next one's.
    """
    present = [api for api in (server.within(name) for name in names) if api.find("Namespace", api.namespace)]
    served = server.find("CustomResourceDefinition", _INSTANCES)
    for api in present:
        for body in api.list("MCSInstance") if served else ():
            api.allow_deletion(body["metadata"]["name"])
        for kind in ("MCSInstance", "TVoxLink", "Community") if served else ():
            api.delete_all(kind)
        for kind in ("StatefulSet", "Pod"):
            for body in api.list(kind):
                owners = {owner["kind"] for owner in body["metadata"].get("ownerReferences", [])}
                if owners <= {"MCSInstance", "StatefulSet"}:  # what is gone, and brings nothing back
                    api.delete(kind, body["metadata"]["name"])

    def none_left(kind: str) -> bool:
        left = [f"{kind} {api.namespace}/{b['metadata']['name']}" for api in present for b in api.list(kind)]
        progress(", ".join(left))
        assert not left, left
        return True

    until("the pods are gone", lambda: none_left("Pod"), 120, pause=0.3)
    for api in present:
        server.delete("Namespace", api.namespace)
    for name in names if until_gone else ():
        until(f"namespace {name} is gone", lambda name=name: server.find("Namespace", name) is None, 90)


def samples(*paths: str) -> Iterable[Object]:
    """Objects of files or folders below manifests/samples, in the order of their names."""
    for path in paths:
        start = ROOT / "manifests" / "samples" / path
        for file in sorted(start.glob("*.yaml")) if start.is_dir() else [start]:
            yield from (body for body in yaml.safe_load_all(file.read_text()) if body)


def _namespace(body: Object) -> str | None:
    return body["metadata"].get("namespace")  # type: ignore[no-any-return]
