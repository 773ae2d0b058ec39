"""How the tier's machine is shared out among the pod's containers.

The tier describes the vendor's whole machine, so the pod must fit a node of exactly that size, beside the kubelet and
the system: the media's limits are the tier, the requests of the whole pod (slots and agent included) are 75 % of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcs_operator.api import MCSInstance
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.domain.rules.tiers import TIERS

REQUESTED_SHARE = 0.75
MEBIBYTE = 1024**2

SLOT_CPU_MILLICORES = 2
SLOT_MEMORY = 4 * MEBIBYTE
SLOT_MEMORY_LIMIT = 64 * MEBIBYTE
"""Bytes; 32 MiB OOM-kill some `runc init` under load on cgroup v1."""
AGENT_CPU_MILLICORES = 50
AGENT_MEMORY = 96 * MEBIBYTE
AGENT_MEMORY_LIMIT = 256 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Sizing:
    """Requests and limits of the media container as Kubernetes writes them; ``below`` says what the tier lacks."""

    requests: dict[str, str]
    limits: dict[str, str]
    below: str


def size(instance: MCSInstance) -> Sizing:
    """The tier's resources, or the user's override of them."""
    tier, slots = TIERS[instance.spec.tier], instance.spec.vpn.slots
    cpu = int(tier.cpu_millicores * REQUESTED_SHARE) - AGENT_CPU_MILLICORES - slots * SLOT_CPU_MILLICORES
    memory = int(tier.memory_bytes * REQUESTED_SHARE) - AGENT_MEMORY - slots * SLOT_MEMORY
    requests = {"cpu": f"{cpu}m", "memory": str(memory)}
    limits = {"cpu": f"{tier.cpu_millicores}m", "memory": str(tier.memory_bytes)}
    override = instance.spec.resources
    if override is None:
        return Sizing(requests, limits, below="")
    chosen = limits | (override.limits.as_quantities() if override.limits else {})
    asked = requests | (override.requests.as_quantities() if override.requests else {})
    if override.limits:
        asked = _no_more_than(asked, override.limits.as_quantities())
    allowed = _no_less_than(chosen, asked)
    return Sizing(asked, allowed, below=_difference(asked, allowed, requests, limits, instance.spec.tier))


def _no_more_than(requests: dict[str, str], limits: dict[str, str]) -> dict[str, str]:
    """The tier's requests under limits that the user lowered alone: Kubernetes refuses a request above its limit."""
    return {
        name: limits[name] if name in limits and parse_quantity(limits[name]) < parse_quantity(amount) else amount
        for name, amount in requests.items()
    }


def _no_less_than(limits: dict[str, str], requests: dict[str, str]) -> dict[str, str]:
    """The tier's limits over requests that the user raised alone."""
    return {
        name: requests[name] if parse_quantity(requests[name]) > parse_quantity(amount) else amount
        for name, amount in limits.items()
    }


def _difference(
    asked: dict[str, str], allowed: dict[str, str], requests: dict[str, str], limits: dict[str, str], tier: str
) -> str:
    """What is less than the tier's, in words; empty where nothing is."""
    lacks = [
        f"{kind}.{name} is {have[name]}, the tier's is {wanted}"
        for kind, have, want in (("requests", asked, requests), ("limits", allowed, limits))
        for name, wanted in want.items()
        if parse_quantity(have[name]) < parse_quantity(wanted)
    ]
    return f"spec.resources: below tier {tier}: {'; '.join(lacks)}" if lacks else ""
