"""Whether what has a name that we need is ours: by its labels, without which nothing is adopted."""

from __future__ import annotations

from mcs_operator.domain.manifest import Manifest
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.parse.metadata import missing_labels, tidy
from mcs_operator.kube.resources import BY_KIND
from mcs_operator.settings import LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, OPERATOR


async def lacking(api: Api, store: Store, manifest: Manifest) -> str:
    """Which labels an object whose name we need lacks; empty where it is ours: the store was behind, which a retry
    mends."""
    resource, namespace = BY_KIND[manifest.kind], manifest.body["metadata"]["namespace"]
    body = tidy(await api.get(resource, namespace, manifest.name))
    if body is None:
        return ""
    labels = body["metadata"]["labels"]
    if labels.get(LABEL_MANAGED_BY) != OPERATOR:
        return missing_labels(labels, manifest.body["metadata"]["labels"])
    store.take(resource, body)
    return ""


def mistaken(child: Child, manifest: Manifest) -> str:
    """Which labels keep what has the name of an identity from being one: it is not written over. A link's label that
    another link has is no mistake: that one's Secret has to go first."""
    if not manifest.claim:
        return ""
    wanted = manifest.body["metadata"]["labels"]
    wrong = [LABEL_INSTANCE] if child.labels.get(LABEL_INSTANCE) != wanted.get(LABEL_INSTANCE) else []
    wrong += [LABEL_LINK] if manifest.link and LABEL_LINK not in child.labels else []
    return missing_labels(child.labels, {label: wanted[label] for label in wrong if label in wanted})
