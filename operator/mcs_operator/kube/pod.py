"""The media pod's life: poked so that it takes what is mounted, and replaced by nobody but the operator."""

from __future__ import annotations

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import PODS, STATEFUL_SETS, Object


async def annotate(api: Api, store: Store, namespace: str, pod: str, annotations: dict[str, str | None]) -> None:
    """Set annotations of the pod (None removes one). Any change makes the kubelet sync the pod's volumes at once.

    The pod's body is some 350 KB with 250 slots, so only its metadata is asked back, and where the pod is still the
    one that was parsed, only the annotations are taken over.
    """
    child = store.cache(namespace).children.get((PODS, pod))
    if child is None:
        return
    change: Object = {"annotations": annotations}
    try:
        unchanged = change | {"resourceVersion": child.parsed}
        answer = await api.merge(PODS, namespace, pod, {"metadata": unchanged}, metadata_only=True)
    except ApiError as error:
        if error.status == 404:
            return
        if error.status != 409:
            raise
        await api.merge(PODS, namespace, pod, {"metadata": change}, metadata_only=True)
        return
    store.take_annotated(child, answer)


async def next_one_is_current(api: Api, namespace: str, stateful_set: str) -> bool:
    """Whether a pod that is deleted now is made anew from the present template.

    Not before the StatefulSet's controller has seen that: it would make the old pod once more, and everybody would
    be cut off twice.
    """
    body = await api.get(STATEFUL_SETS, namespace, stateful_set)
    return body is not None and body.get("status", {}).get("observedGeneration", 0) >= body["metadata"]["generation"]


async def delete(api: Api, namespace: str, pod: str, uid: str) -> None:
    """Delete exactly this pod, so that the StatefulSet makes the next one."""
    await api.delete(PODS, namespace, pod, uid=uid)
