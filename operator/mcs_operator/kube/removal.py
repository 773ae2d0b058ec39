"""Removal: what nobody wants any more is deleted, each object by its UID, and what cannot be deleted is told."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from mcs_operator.domain.manifest import Manifest
from mcs_operator.domain.outcome import Outcome
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.outcome import guarding
from mcs_operator.kube.resources import (
    BY_KIND,
    DISRUPTION_BUDGETS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    STATEFUL_SETS,
    VOLUME_CLAIMS,
)
from mcs_operator.settings import IMAGE_PULL, LABEL_INSTANCE, LABEL_NAME

NEVER_PRUNED = (PODS, VOLUME_CLAIMS, STATEFUL_SETS, RESOURCE_QUOTAS, DISRUPTION_BUDGETS)
"""Calls, data and the law hang on these: they go with their owner or by a step of their own, never because nobody
wants them. But of pods that only pull an image nothing hangs."""


async def prune(
    api: Api,
    store: Store,
    namespace: str,
    instance: str,
    owner_uid: str,
    manifests: Iterable[Manifest],
    outcome: Outcome | None = None,
) -> int:
    """Delete what this instance owns and nobody wants any more; the number of objects deleted.

    Only what its own UID controls: what is retained has no owner, what belongs to a link goes with the link.
    """
    wanted = {(BY_KIND[manifest.kind], manifest.name) for manifest in manifests}
    doomed = [
        child
        for key, child in store.cache(namespace).children.items()
        if key not in wanted
        and (child.resource not in NEVER_PRUNED or _only_pulls(child))
        and child.metadata.get("labels", {}).get(LABEL_INSTANCE) == instance
        and any(o["uid"] == owner_uid and o.get("controller") for o in child.metadata.get("ownerReferences", []))
    ]
    return await delete_all(api, store, namespace, doomed, outcome)


def _only_pulls(child: Child) -> bool:
    return child.resource is PODS and child.labels.get(LABEL_NAME) == IMAGE_PULL


async def drop_slots(
    api: Api, store: Store, namespace: str, names: Iterable[str], outcome: Outcome | None = None
) -> int:
    """Delete Secrets of links that have no place any more, as they were observed; how many are gone now. What fails
    is noted in the ``outcome``, or raised where there is none."""
    children = store.cache(namespace).children
    doomed = [child for name in names if (child := children.get((SECRETS, name)))]
    return await delete_all(api, store, namespace, doomed, outcome, as_observed=True)


async def delete_all(
    api: Api,
    store: Store,
    namespace: str,
    doomed: list[Child],
    outcome: Outcome | None = None,
    *,
    as_observed: bool = False,
) -> int:
    """Delete these; how many are gone now. ``as_observed``: only in the version that was decided about; of another one
    its event brings us back."""
    deleted = 0
    for child in doomed:
        observed = store.cache(namespace).observed.get((child.resource, child.name), "")
        version = observed if as_observed else ""
        with guarding(outcome, f"{child.resource.kind} {child.name}") if outcome else nullcontext():
            if await api.delete(child.resource, namespace, child.name, uid=child.uid, version=version):
                store.gone(child, by_us=True)
                deleted += 1
    return deleted
