"""What becomes a Secret: itself, or what a controller makes one of. Its name and its labels are told beforehand, and
its content is not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcs_operator.cli.files import Document
from mcs_operator.domain.admission.known import at

_NAME_AND_LABELS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Secret": (("metadata", "name"), ("metadata", "labels")),
    "SealedSecret": (("metadata", "name"), ("spec", "template", "metadata", "labels")),
    "ExternalSecret": (("spec", "target", "name"), ("spec", "target", "template", "metadata", "labels")),
    "Certificate": (("spec", "secretName"), ("spec", "secretTemplate", "labels")),
}


@dataclass(frozen=True, slots=True)
class Becoming:
    """A Secret that is there, or will be. ``is_made``: of something else, so that it may be of any type."""

    name: str
    labels: Mapping[str, Any]
    is_made: bool


def secret_of(document: Document) -> Becoming | None:
    """None of what becomes none. An ExternalSecret that names none makes one of its own name."""
    if document.kind not in _NAME_AND_LABELS:
        return None
    name, labels = (at(document.body, *path) for path in _NAME_AND_LABELS[document.kind])
    return Becoming(
        str(name or document.name), labels if isinstance(labels, dict) else {}, is_made=document.kind != "Secret"
    )
