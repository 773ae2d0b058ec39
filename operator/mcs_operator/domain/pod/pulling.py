"""With which Secrets the images of the media pod are pulled. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mcs_operator.api import MCSInstance


def pull_secrets(instance: MCSInstance, of_the_operator: Iterable[str]) -> tuple[str, ...]:
    """Names, each once. A pod has one list for all of its containers; in any other order than the last time it would
    be another template."""
    return tuple(sorted({*of_the_operator, *(secret.name for secret in instance.spec.image_pull_secrets)}))
