"""What decisions compare the running pod with: the wanted template, and what an earlier release would say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import combinations, product

from pydantic import ValidationError

from mcs_operator.api import MCSInstance, Resources, Tier
from mcs_operator.contract.digest import canonical
from mcs_operator.domain.facts.world import Pod, Size
from mcs_operator.domain.manifest import Object
from mcs_operator.domain.pod.fallback import Fallback
from mcs_operator.domain.pod.template import Template, is_of_an_earlier_release
from mcs_operator.render.hashes import part_hash, template_hash
from mcs_operator.render.pod import build_media
from mcs_operator.settings import (
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_PARTS,
    ANNOTATION_RESTART_HASH,
    MEDIA_CONTAINER,
    Settings,
)


def template_of(
    stateful_set: Object, instance: MCSInstance, settings: Settings, pod: Pod | None, instead: Fallback | None = None
) -> Template:
    """What decisions compare the running pod with."""
    template = stateful_set["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    containers = template["spec"]["containers"]
    size = containers[0]["resources"]
    return Template(
        annotations,
        {container["name"]: container["image"] for container in containers}
        | ({MEDIA_CONTAINER: instead.wanted_image} if instead else {}),
        instead.wanted if instead else Size(size["requests"], size["limits"]),
        _earlier(annotations, instance, settings, pod) if pod and is_of_an_earlier_release(pod) else {},
        refused=instead.refused if instead else None,
    )


def _earlier(annotations: Mapping[str, str], instance: MCSInstance, settings: Settings, pod: Pod) -> dict[str, str]:
    """What the annotations of an earlier release would say of this pod, had it been made from this spec with the image
    and the size that it has; what they say of the spec as it is, where no such size is to be found."""
    known = pod.annotations.get(ANNOTATION_RESTART_HASH)
    for before in (instance, *_with_what_runs(instance, pod)):
        if template_hash(before) == known:
            parts = json.loads(annotations[ANNOTATION_PARTS])
            parts["media"] = part_hash(build_media(before, settings))
            return {
                ANNOTATION_RESTART_HASH: str(known),
                ANNOTATION_PARTS: canonical(parts),
                ANNOTATION_MEDIA_IMAGE: before.spec.image,
            }
    return {key: annotations[key] for key in (ANNOTATION_RESTART_HASH, ANNOTATION_PARTS)}


def _with_what_runs(instance: MCSInstance, pod: Pod) -> Iterator[MCSInstance]:
    """The spec with whatever image, tier and spec.resources may have led to what runs. What a user asked for is in the
    pod as he wrote it, beside what came from the tier."""
    for image, tier in product({instance.spec.image, pod.image}, Tier):
        for resources in (instance.spec.resources, *_overrides(pod.size)):
            changed = {"image": image, "tier": tier, "resources": resources}
            yield instance.model_copy(update={"spec": instance.spec.model_copy(update=changed)})


def _overrides(size: Size | None) -> Iterator[Resources | None]:
    """Each choice among these amounts, as a user would have declared it; none of them first."""
    if size is None:
        yield None
        return
    sides = (("requests", size.requests), ("limits", size.limits))
    amounts = [(side, name, text) for side, found in sides for name, text in found.items() if name in ("cpu", "memory")]
    for count in range(len(amounts) + 1):
        for chosen in combinations(amounts, count):
            declared: dict[str, dict[str, str]] = {}
            for side, name, text in chosen:
                declared.setdefault(side, {})[name] = text
            try:
                yield Resources.model_validate(declared) if declared else None
            except ValidationError:  # no amount that a user can declare: it is the tier's
                continue
