"""The wanted pod template beside the running pod: what of it differs, and what that can be changed in place. Pure.

A pod is known by annotations that it got from its template. Those of the releases before changes in place hash image
and size with all the rest; such a pod is compared by their rule (`Template.earlier`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mcs_operator.api.annotations import noted_object
from mcs_operator.contract.digest import canonical
from mcs_operator.domain.facts.world import Pod, Size
from mcs_operator.domain.pod.fallback import Refused
from mcs_operator.settings import (
    AGENT_CONTAINER,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_PARTS,
    ANNOTATION_POD_HASH,
    ANNOTATION_POD_PARTS,
    ANNOTATION_RESTART_HASH,
    FIRST_NUMBER,
    MEDIA_CONTAINER,
    link_name,
)


@dataclass(frozen=True, slots=True)
class Template:
    """What the next pod would be made from. ``images`` by container; ``size`` is the media's. ``earlier``: what the
    annotations of an earlier release would say of the pod that runs, had it been made from this spec with the image and
    the size that it has."""

    annotations: Mapping[str, str]
    images: Mapping[str, str]
    size: Size
    earlier: Mapping[str, str] = field(default_factory=dict)
    refused: Refused | None = None
    """The declared image, where the media is to go back to another one."""

    @property
    def media_image(self) -> str:
        """Image of the media."""
        return self.images[MEDIA_CONTAINER]

    @property
    def agent_image(self) -> str:
        """Image of the link agent."""
        return self.images[AGENT_CONTAINER]

    @property
    def link_image(self) -> str:
        """Image of all slots."""
        return self.images[link_name(FIRST_NUMBER)]


def is_of_an_earlier_release(pod: Pod) -> bool:
    """Whether the pod was made by an operator that changed nothing in place, and was not changed in place since."""
    return ANNOTATION_POD_HASH not in pod.annotations


def is_of_another_spec(pod: Pod, template: Template) -> bool:
    """Whether a field of impact Restart changed since the pod was made."""
    if is_of_an_earlier_release(pod):
        return pod.annotations.get(ANNOTATION_RESTART_HASH) != template.earlier.get(ANNOTATION_RESTART_HASH)
    return pod.annotations[ANNOTATION_POD_HASH] != template.annotations[ANNOTATION_POD_HASH]


def other_parts(pod: Pod, template: Template) -> tuple[str, ...]:
    """Names of the parts of the template in which the pod differs, and which only another pod can have."""
    if is_of_an_earlier_release(pod):
        return differing_parts(pod.annotations.get(ANNOTATION_PARTS, ""), template.earlier.get(ANNOTATION_PARTS, ""))
    return differing_parts(
        pod.annotations.get(ANNOTATION_POD_PARTS, ""), template.annotations.get(ANNOTATION_POD_PARTS, "")
    )


def differing_parts(running: str, wanted: str) -> tuple[str, ...]:
    """Names of the parts that differ, from two annotations with a hash for each part."""
    try:
        now, then = json.loads(wanted or "{}"), json.loads(running or "{}")
        return tuple(sorted(name for name in {*now, *then} if now.get(name) != then.get(name)))
    except (ValueError, AttributeError, TypeError, RecursionError):  # somebody edited the annotation of the pod
        return ("template",)


def has_another_image(pod: Pod, template: Template) -> bool:
    """Whether the media was made from another image than is wanted.

    By what was noted: the pod itself may have the name of a mirror, which the cluster puts there each time. Compared
    with that, it would differ for ever, and be drained again and again.
    """
    return template.media_image not in (pod.image, image_of(pod, template))


def image_of(pod: Pod, template: Template) -> str:
    """What the media was made from, as a template would name it."""
    known = template.earlier if is_of_an_earlier_release(pod) else pod.annotations
    return known.get(ANNOTATION_MEDIA_IMAGE) or pod.image


def has_another_size(pod: Pod, template: Template) -> bool:
    """Whether the media asks for, or may use, something else than is wanted."""
    return pod.size is not None and not pod.size.is_same(template.size)


def can_be_changed_in_place(pod: Pod, template: Template) -> bool:
    """Whether it is known afterwards what the pod was made from: not of a pod of an earlier release that is to be made
    anew anyway. Its one hash has the image and the size in it, and would tell nothing any more."""
    return not (is_of_an_earlier_release(pod) and is_of_another_spec(pod, template))


def brought_up_to_date(pod: Pod, template: Template, image: str) -> dict[str, str]:
    """Annotations of the pod once its media is changed in place and has this image: for this release, and for those
    before. What an older pod's parts were made of is known only where nothing differs in them."""
    noted = {ANNOTATION_MEDIA_IMAGE: image}
    if is_of_another_spec(pod, template):
        return noted
    parts = noted_object(template.annotations[ANNOTATION_POD_PARTS]) | dict.fromkeys(
        other_parts(pod, template), "other"
    )
    noted |= {
        ANNOTATION_POD_HASH: template.annotations[ANNOTATION_POD_HASH],
        ANNOTATION_POD_PARTS: canonical(parts),
    }
    if image != template.media_image:
        return noted
    by_the_old_rule = noted_object(pod.annotations.get(ANNOTATION_PARTS, ""))
    by_the_old_rule["media"] = noted_object(template.annotations[ANNOTATION_PARTS])["media"]
    return noted | {
        ANNOTATION_RESTART_HASH: template.annotations[ANNOTATION_RESTART_HASH],
        ANNOTATION_PARTS: canonical(by_the_old_rule),
    }
