"""The data volume: a PersistentVolumeClaim of its own, because a volumeClaimTemplate can never be changed again."""

from __future__ import annotations

from mcs_operator.api import MCSInstance, RetentionPolicy
from mcs_operator.domain.manifest import Manifest, Object, Wave
from mcs_operator.domain.rules.tiers import TIERS
from mcs_operator.render.objects import build_object


def build_volume_claim(instance: MCSInstance) -> Manifest:
    """`<instance>-data` of the tier's size; without an owner where the user wants it to outlive the instance."""
    storage = instance.spec.storage
    spec: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size or f"{TIERS[instance.spec.tier].disk_gigabytes}G"}},
    }
    if storage.class_name:
        spec["storageClassName"] = storage.class_name
    owner = instance if instance.spec.retain.storage is RetentionPolicy.DELETE else None
    body = build_object("v1", "PersistentVolumeClaim", f"{instance.name}-data", instance, owner=owner, spec=spec)
    return Manifest(body, Wave.WORKLOAD)
