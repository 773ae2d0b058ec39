"""The media pod where no StatefulSet's controller runs: the test makes what that one would make."""

from __future__ import annotations

from typing import Any

from support.api import Api, Object
from support.waiting import until


def place_pod(api: Api, instance: str, **spec: Any) -> None:
    """Create the pod of the instance's StatefulSet, once there is one; `spec` replaces parts of the template's.

    A controller tries again where admission is not ready for the namespace yet; the test waits instead: a namespace
    is there before its service account, and until then the API server refuses every pod.
    """
    stateful_set = until("the StatefulSet", lambda: api.find("StatefulSet", instance))
    until("the namespace's service account", lambda: api.find("ServiceAccount", "default"))
    name = f"{instance}-0"
    if api.find("Pod", name) is None:
        api.create(_pod_of(stateful_set, name, spec))


def _pod_of(stateful_set: Object, name: str, spec: dict[str, Any]) -> Object:
    template = stateful_set["spec"]["template"]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": stateful_set["metadata"]["name"],
        "uid": stateful_set["metadata"]["uid"],
        "controller": True,
    }
    labels = template["metadata"]["labels"] | {"statefulset.kubernetes.io/pod-name": name}
    metadata = template["metadata"] | {"name": name, "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] | spec}
