"""What an instance that is out of service changes about the next step of its pod. It is told to drain, as before a
restart, and goes on so: whatever a restart that was called off, or another container, would make of it."""

from __future__ import annotations

from mcs_operator.api import MCSInstance, ServiceState
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.changes import PodStep, StartDraining, StopDraining
from mcs_operator.domain.facts.world import Pod

TOLD_AGAIN = 10.0
"""Seconds after which an appliance that was told to drain, and does not say that it does, is told again."""


def kept_out_of_service(
    step: PodStep | None, instance: MCSInstance, pod: Pod, confirmed: LinkReport | None
) -> PodStep | None:
    """The step that is taken instead. Level-triggered: a container that is new has forgotten that it drains."""
    if instance.spec.service_state is ServiceState.IN_SERVICE or pod.terminating:
        return step
    if isinstance(step, StopDraining):
        step = StopDraining(step.noted, out_of_service=True) if step.noted else None
    takes_calls = confirmed is not None and confirmed.media is not None and not confirmed.media.draining
    return StartDraining() if step is None and takes_calls else step


def stays_out_of_service(instance: MCSInstance, confirmed: LinkReport | None) -> bool:
    """Whether the appliance is out of service as declared, by its own word."""
    is_out = instance.spec.service_state is ServiceState.OUT_OF_SERVICE
    return is_out and confirmed is not None and confirmed.media is not None and confirmed.media.draining
