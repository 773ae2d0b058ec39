"""The media pod's life: poked so that it takes what is mounted, changed in place, and replaced by nobody but the
operator."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from datetime import datetime

from mcs_operator.domain.changes import Resize, SetImages
from mcs_operator.domain.facts.world import Resize as Refusal
from mcs_operator.domain.facts.world import ResizeReason
from mcs_operator.domain.pod.fallback import noted_size
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import PODS, STATEFUL_SETS, Object
from mcs_operator.settings import MEDIA_CONTAINER

log = logging.getLogger(__name__)

_NODE_CAPACITY = "NodeCapacity"
"""The cause of a refusal: the size is more than all that the pod's node has."""


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
        # It may have been on its way out: then it is gone by now.
        await _unless_changed(api.merge(PODS, namespace, pod, {"metadata": change}, metadata_only=True))
        return
    store.take_annotated(child, answer)


async def set_images(api: Api, store: Store, namespace: str, pod: str, step: SetImages) -> None:
    """Give containers of exactly this pod other images, in the version that was decided about. Of another one, or where
    it is gone, its event brings us back."""
    child = store.cache(namespace).children.get((PODS, pod))
    if child is None:
        return
    change: Object = {
        "metadata": {"uid": step.uid, "resourceVersion": child.parsed, "annotations": dict(step.annotations)},
        "spec": {"containers": [{"name": name, "image": image} for name, image in step.images.items()]},
    }
    await _unless_changed(api.strategic_merge(PODS, namespace, pod, change))


async def resize(api: Api, namespace: str, pod: str, step: Resize, now: datetime) -> str:
    """Give the media of exactly this pod another size; what is to be noted where it cannot take it: a kubelet may be
    older than the API server, Kubernetes 1.33 takes no memory away from what runs, and from 1.37 on the API server
    says itself what a node will never have. A quota, a range of limits or a policy may be against it, too: a failure
    of that would keep all else of the namespace waiting.

    Not in a certain version: whatever else changed, it is to have that size. And not by a plain merge patch, which is
    refused here, for it would take all other containers away.
    """
    size = {"requests": dict(step.size.requests), "limits": dict(step.size.limits)}
    change: Object = {
        "metadata": {"uid": step.uid},
        "spec": {"containers": [{"name": MEDIA_CONTAINER, "resources": size}]},
    }
    try:
        await _unless_changed(api.strategic_merge(PODS, namespace, pod, change, sub="resize"))
    except ApiError as error:
        if error.status != 422 and not error.forbids:
            raise
        log.warning("%s: pod %s takes no other size in place: %s", namespace, pod, error.message)
        return noted_size(step.size, _refusal(error), now)
    return ""


def _refusal(error: ApiError) -> Refusal | None:
    """What the API server has against a size; None where it is the pod that cannot take it while it runs."""
    if _NODE_CAPACITY in error.causes:
        return Refusal(ResizeReason.INFEASIBLE, error.message)
    return Refusal(ResizeReason.FORBIDDEN, error.message) if error.forbids else None


async def _unless_changed(request: Awaitable[Object]) -> None:
    try:
        await request
    except ApiError as error:
        if error.status not in (404, 409):
            raise


async def note_interruptions(api: Api, store: Store, namespace: str, name: str, ledger: Mapping[str, str]) -> None:
    """Set annotations of the StatefulSet of this pod: it outlives its pods. What cannot be noted is only logged:
    whoever asked for a restart must not wait for a line in a list."""
    if not ledger:
        return
    change: Object = {"metadata": {"annotations": dict(ledger)}}
    try:
        answer = await api.merge(STATEFUL_SETS, namespace, name.removesuffix("-0"), change, metadata_only=True)
    except ApiError as error:
        log.warning("%s: an interruption is not in the ledger: %s", namespace, error)
        return
    store.put(STATEFUL_SETS, answer)


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
