"""Removal: what nobody wants goes, and what calls and data hang on stays, whatever label somebody puts on it."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.removal import prune
from mcs_operator.kube.resources import PODS, SERVICES, STATEFUL_SETS, VOLUME_CLAIMS, Resource
from mcs_operator.settings import IMAGE_PULL, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, OPERATOR

OURS = {LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: "mcs"}
PULLS = OURS | {LABEL_NAME: IMAGE_PULL}
OWNER = {"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "MCSInstance", "name": "mcs", "uid": "u", "controller": True}


class Deletions:
    """An API server that is only asked to delete."""

    async def delete(self, *_: Any, **__: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("resource", "labels", "gone"),
    [
        (SERVICES, OURS, 1),
        (PODS, OURS, 0),
        (PODS, PULLS, 1),
        (STATEFUL_SETS, PULLS, 0),
        (VOLUME_CLAIMS, PULLS, 0),
    ],
)
async def test_the_label_of_a_pod_that_pulls_an_image_gives_nothing_else_away(
    resource: Resource, labels: dict[str, str], gone: int
) -> None:
    store = Store(wake=lambda _: None)
    metadata = {"name": "mcs-x", "namespace": "demo", "uid": "x", "resourceVersion": "1", "labels": labels}
    store.put(resource, {"metadata": metadata | {"ownerReferences": [OWNER]}})
    assert await prune(Deletions(), store, "demo", "mcs", "u", []) == gone  # type: ignore[arg-type]
