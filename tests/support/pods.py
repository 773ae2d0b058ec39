"""The media pod where no StatefulSet's controller runs: the test makes what that one would make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.api import Api, Object
from support.waiting import until

NODE = "mcs-node"


@contextmanager
def its_node(api: Api, cpu: str = "64", memory: str = "256Gi") -> Iterator[None]:
    """The node of a pod that is placed on it, without a kubelet: from Kubernetes 1.37 on the API server asks it whether
    it has room for another size."""
    api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    try:
        has = {"cpu": cpu, "memory": memory, "pods": "110"}
        ready = {"type": "Ready", "status": "True"}
        api.merge_status("Node", NODE, {"capacity": has, "allocatable": has, "conditions": [ready]})
        yield
    finally:
        api.delete("Node", NODE)


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


def media_runs(api: Api, instance: str) -> None:
    """Say what a kubelet would: the media runs and is ready, with the size that it is to have."""
    media = api.get("Pod", f"{instance}-0")["spec"]["containers"][0]
    told = {"name": "media", "ready": True, "state": {"running": {}}, "image": "x", "imageID": "", "restartCount": 0}
    told |= {"resources": media["resources"], "allocatedResources": media["resources"]["requests"]}
    api.merge_status("Pod", f"{instance}-0", {"phase": "Running", "containerStatuses": [told]})


def pull_of(api: Api, instance: str) -> Object:
    """The pod that pulls the media's next image."""
    found: Object = until("a pod that pulls", lambda: next(iter(_pulls(api, instance)), None))
    return found


def nobody_pulls(api: Api, instance: str) -> bool:
    """Whether there is no such pod, or none that stays."""
    return not [pod for pod in _pulls(api, instance) if not pod["metadata"].get("deletionTimestamp")]


def _pulls(api: Api, instance: str) -> list[Object]:
    return [pod for pod in api.list("Pod") if pod["metadata"]["name"].startswith(f"{instance}-pull-")]


def pull_ends(api: Api, pull: Object, **state: Any) -> None:
    """Say what a kubelet would of its container: ``terminated`` or ``waiting``."""
    told = {"name": "pull", "ready": False, "state": state, "image": "x", "restartCount": 0}
    told["imageID"] = "sha256:1" if "terminated" in state else ""
    api.merge_status("Pod", pull["metadata"]["name"], {"containerStatuses": [told]})
