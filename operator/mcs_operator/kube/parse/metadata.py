"""Metadata as the rest of the operator may rely on it, whatever a server, a proxy or an older schema let through."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from mcs_operator.kube.parse.bounds import has_half_characters, is_too_deep, mapping, mappings, texts
from mcs_operator.kube.resources import Object
from mcs_operator.settings import (
    GROUP,
    LABEL_INSTANCE,
    LABEL_LINK,
    LABEL_MANAGED_BY,
    LABEL_NAME,
    LABEL_PASSWORDS,
    LABEL_SLOT,
    LABEL_USERS,
)

_NEEDED = ("name", "namespace", "uid", "resourceVersion")
_TEXTS = ("creationTimestamp", "deletionTimestamp")
_KEPT = (*_NEEDED, "deletionTimestamp")
_OWNER = ("apiVersion", "kind", "name", "uid")
_OWNER_FLAGS = ("controller", "blockOwnerDeletion")
_MOST_OWNERS = 64
_LONGEST_VERSION = 20
_LABELS = ("app.kubernetes.io/", f"{GROUP}/")
_OURS = (LABEL_NAME, LABEL_MANAGED_BY, LABEL_INSTANCE, LABEL_LINK, LABEL_SLOT, LABEL_USERS, LABEL_PASSWORDS)
_MOST, _LONGEST_ANNOTATION = 32, 1024
"""Labels and annotations that are kept of one object; each of ours is far shorter."""
LONGEST_NOTE = 4096
"""The same of the media pod: how far an update has come names each of its slots."""


def tidy(body: object) -> Object | None:
    """The object with metadata of the right shape; None for what cannot be placed at all: no object of a namespace, or
    without UID or version."""
    metadata = mapping(mapping(body).get("metadata"))
    needed = [metadata.get(key) for key in _NEEDED]
    if not all(isinstance(value, str) and value for value in needed) or not is_version(metadata["resourceVersion"]):
        return None
    fit = {key: value for key, value in metadata.items() if key not in _TEXTS or isinstance(value, str)}
    fit["labels"], fit["annotations"] = texts(metadata.get("labels")), _annotations(metadata.get("annotations"))
    fit["ownerReferences"] = [_owner(o) for o in mappings(metadata.get("ownerReferences")) if _is_owner(o)]
    return mapping(body) | {"metadata": fit}


def is_version(value: object) -> bool:
    """Whether this is a resourceVersion: Kubernetes compares them as numbers, and so do we."""
    return isinstance(value, str) and len(value) <= _LONGEST_VERSION and value.isascii() and value.isdigit()


def trimmed(metadata: Object) -> Object:
    """What is kept of a child's metadata; without what is empty, as most of it would say nothing 50,000 times."""
    kept = {key: metadata[key] for key in _KEPT if metadata.get(key)}
    return kept | {key: value for key, value in kept_of_a_child(metadata).items() if value}


def kept_of_a_child(metadata: Object) -> Object:
    """Labels, annotations and owners that anybody here asks for. Of what others attach, nothing is kept: a megabyte of
    it on each of ten thousand objects costs them nothing, and us everything."""
    return {
        "labels": _kept_labels(metadata["labels"]),
        "annotations": kept_annotations(metadata["annotations"]),
        "ownerReferences": metadata["ownerReferences"][:_MOST_OWNERS],
    }


def without_copies(metadata: Object) -> Object:
    """Without what others keep in it: two copies of the whole object, each larger than what we need of it."""
    annotations = kept_annotations(metadata["annotations"])
    return {name: value for name, value in metadata.items() if name != "managedFields"} | {"annotations": annotations}


def kept_annotations(annotations: Mapping[str, str], longest: int = _LONGEST_ANNOTATION) -> dict[str, str]:
    """Those of our group: requests of users, and what the operator notes. None that is nested so deep that to read it
    as JSON raises, nor one that spells half of a character: whatever is written on with it would fail."""
    ours = ((key, value) for key, value in annotations.items() if key.startswith(f"{GROUP}/"))
    return dict(islice(((key, value) for key, value in ours if _is_kept(value, longest)), _MOST))


def _is_kept(value: str, longest: int) -> bool:
    return len(value) <= longest and not (is_too_deep(value) or has_half_characters(value))


def _kept_labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) <= _MOST:
        return {key: value for key, value in labels.items() if key.startswith(_LABELS)}
    return {key: labels[key] for key in _OURS if key in labels}


def _annotations(value: object) -> dict[str, str]:
    return {key: item for key, item in mapping(value).items() if isinstance(item, str)}


def _owner(owner: Object) -> Object:
    """What an owner reference has, and nothing that was put beside it."""
    flags = {key: owner[key] for key in _OWNER_FLAGS if isinstance(owner.get(key), bool)}
    return {key: owner[key] for key in _OWNER} | flags


def _is_owner(owner: Object) -> bool:
    return all(isinstance(owner.get(key), str) for key in _OWNER)


def missing_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Which labels an object lacks to be taken for ours, as they are written; empty where it lacks none."""
    return ", ".join(f"{name}={value}" for name, value in sorted(wanted.items()) if labels.get(name) != value)
