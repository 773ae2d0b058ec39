"""The metadata that every object of ours has: names, labels, owners."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from mcs_operator.api import MCSInstance, RetentionPolicy, TVoxLink
from mcs_operator.domain.manifest import Object
from mcs_operator.settings import API_VERSION, LABEL_INSTANCE, LABEL_LINK, LABEL_MANAGED_BY, LABEL_NAME, OPERATOR


def labels(instance: str, link: str | None = None) -> dict[str, str]:
    """Labels of an object of ours; by them it is found, watched and pruned."""
    own = {LABEL_NAME: "mcs", LABEL_MANAGED_BY: OPERATOR, LABEL_INSTANCE: instance}
    return own | ({LABEL_LINK: link} if link else {})


def media_pod(instance: MCSInstance) -> dict[str, str]:
    """Labels of the media pod alone, by its own name too: a second replica, scaled by mistake, is not it."""
    return labels(instance.name) | {"statefulset.kubernetes.io/pod-name": f"{instance.name}-0"}


def owned_by(owner: MCSInstance | TVoxLink) -> list[Object]:
    """Owner reference: the garbage collector removes the object with its owner, also while the operator is down."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "MCSInstance" if isinstance(owner, MCSInstance) else "TVoxLink",
            "name": owner.name,
            "uid": owner.uid,
            "controller": True,
        }
    ]


def identity_owners(instance: MCSInstance) -> list[Object]:
    """Owner of the CA and of the links' identities: none, so that they outlive the instance, unless the user wants
    them to go with it. Not as a controller: an identity is never pruned, its retention ends it."""
    if instance.spec.retain.pki is RetentionPolicy.RETAIN:
        return []
    return [{key: value for key, value in owned_by(instance)[0].items() if key != "controller"}]


def build_object(
    api_version: str,
    kind: str,
    name: str,
    instance: MCSInstance,
    *,
    owner: MCSInstance | TVoxLink | None = None,
    owners: list[Object] | None = None,
    link: str | None = None,
    more_labels: Mapping[str, str] | None = None,
    **content: Any,
) -> Object:
    """An object with our metadata; ``content`` are its top-level fields (spec, data…).

    It belongs to its ``owner``, or to ``owners`` as given; without either it outlives them all.
    """
    metadata: Object = {
        "name": name,
        "namespace": instance.namespace,
        "labels": labels(instance.name, link) | dict(more_labels or {}),
    }
    if references := owned_by(owner) if owner is not None else owners:
        metadata["ownerReferences"] = references
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def encoded(files: Mapping[str, str]) -> dict[str, str]:
    """Texts as a Secret's data."""
    return {name: base64.b64encode(text.encode()).decode() for name, text in sorted(files.items())}
