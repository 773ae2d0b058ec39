"""The instance as its pod runs it: what only another pod can have holds for nothing else before that is there. Pure.

The slots' sets, the Services and the NetworkPolicy are written at once, and are about the pod that runs. With the ports
of a spec that waits for its hour, customers would be cut off while they were told that nobody is.
"""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.world import Pod


def as_it_runs(instance: MCSInstance, pod: Pod | None) -> MCSInstance:
    """With the network of the pod that runs. What is written while that goes, or there is none, the next one finds."""
    if pod is None or pod.terminating or pod.network in (None, instance.spec.network):
        return instance
    return instance.model_copy(update={"spec": instance.spec.model_copy(update={"network": pod.network})})
