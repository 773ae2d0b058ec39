"""The quota of the instance's namespace: see `domain.rules.quota` for what it is and who counts."""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.domain.rules.quota import LIMITS, quota_name
from mcs_operator.render.objects import build_object


def build_quota(instance: MCSInstance) -> Manifest:
    """`<instance>-max-250-tvoxlinks`; goes with its instance. In the first wave: until it is there, all may enter."""
    hard = {name: str(limit) for name, limit in LIMITS.items()}
    name = quota_name(instance.name)
    body = build_object("v1", "ResourceQuota", name, instance, owner=instance, spec={"hard": hard})
    return Manifest(body, Wave.AUTHORITY)
