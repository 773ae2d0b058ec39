"""The media pod's PodDisruptionBudget: `kubectl drain`, and whoever else evicts, has to wait for the operator."""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.render.objects import build_object, media_pod


def build_disruption_budget(instance: MCSInstance) -> Manifest:
    """`<instance>`: no eviction, ever. The operator deletes the pod itself, which no budget holds up.

    Nobody opens it for a drain: a pod that drains is unready, so an opened budget would still allow none. For the same
    reason an unready pod is not to be evicted either.
    """
    spec = {
        "maxUnavailable": 0,
        "unhealthyPodEvictionPolicy": "IfHealthyBudget",
        "selector": {"matchLabels": media_pod(instance)},
    }
    body = build_object("policy/v1", "PodDisruptionBudget", instance.name, instance, owner=instance, spec=spec)
    return Manifest(body, Wave.WORKLOAD)
