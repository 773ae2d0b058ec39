"""The pod's template as it is really rendered, and pods that were made from one. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.world import Pod
from mcs_operator.domain.pod.template import Template
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.render.template import template_of as _template_of
from mcs_operator.settings import Settings
from support.worlds import pod


def template_of(instance: MCSInstance, settings: Settings | None = None, running: Pod | None = None) -> Template:
    """What a running pod is compared with."""
    settings = settings or Settings()
    return _template_of(build_stateful_set(instance, settings).body, instance, settings, running)


def made_from(instance: MCSInstance, settings: Settings | None = None, **other: Any) -> Pod:
    """A pod that is well, as the StatefulSet's controller makes it for this instance."""
    template = template_of(instance, settings)
    made = replace(
        pod(),
        annotations=template.annotations,
        image=template.media_image,
        images=template.images,
        size=template.size,
        size_in_force=template.size,
    )
    return replace(made, **other)
