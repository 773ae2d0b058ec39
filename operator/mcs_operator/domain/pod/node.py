"""What becomes of a media pod whose node is cordoned: whoever drains the node waits for the operator. Pure.

The operator deletes the pod only where another node takes it. A pod that is pinned to the cordoned node would be
Pending until somebody uncordons that: an outage of unknown length, for which a person has to ask.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcs_operator.api import MCSInstance, Toleration
from mcs_operator.api.conditions import Reason
from mcs_operator.domain.facts.nodes import CordonedNode, Node, Taint
from mcs_operator.domain.facts.world import Pod, World
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.settings import ANNOTATION_FORCE_DRAIN

UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
"""What a cordoned node has."""


def leaves_its_node(world: World, instance: MCSInstance, pod: Pod) -> str:
    """Why the pod is to leave its node, as half a sentence; empty where it stays."""
    if world.cordoned is None or stays(world, instance, pod):
        return ""
    return f"node {world.cordoned.name} is cordoned"


def is_forced(instance: MCSInstance, pod: Pod) -> bool:
    """Whether a person wants this very pod to go from a cordoned node at once, whatever becomes of the next one."""
    return instance.annotations.get(ANNOTATION_FORCE_DRAIN) == pod.uid


def stays(world: World, instance: MCSInstance, pod: Pod) -> Verdict | None:
    """Why the pod stays on its node although that is cordoned; None where it leaves, or the node is not cordoned."""
    node = world.cordoned
    if node is None or pod.terminating:
        return None
    if node.ready is False:
        return Verdict(Reason.NODE_NOT_READY, _NOT_READY.format(node=node.name))
    if is_forced(instance, pod):
        return None
    if why := _nowhere_to_go(instance, node):
        return Verdict(Reason.NO_NODE_FITS, _NOWHERE.format(node=node.name, why=why, uid=pod.uid))
    return None


_NOT_READY = (
    "node {node} is cordoned and does not answer: nobody can drain the appliance there. If the node is off for good, "
    "taint it with node.kubernetes.io/out-of-service=nodeshutdown:NoExecute; then the pod may start elsewhere"
)
_NOWHERE = (
    "node {node} is cordoned, and {why}: the pod stays. Uncordon the node, make room on another one, or end the pod "
    f"until then by annotation {ANNOTATION_FORCE_DRAIN}: {{uid}}"
)


def _nowhere_to_go(instance: MCSInstance, node: CordonedNode) -> str:
    """Why the next pod could not run anywhere, or would come back to the same node; empty where it could."""
    if is_tolerated(instance.spec.tolerations, UNSCHEDULABLE):
        return "spec.tolerations lets the next pod run there all the same"
    if node.others is None:
        return "it is not known whether another node takes the pod"
    if any(takes(instance, other) for other in node.others):
        return ""
    if not node.others:
        return "no other schedulable node is matched by spec.nodeSelector and has the volume within reach"
    return f"no other node that spec.nodeSelector matches is ready and tolerated ({len(node.others)} looked at)"


def takes(instance: MCSInstance, node: Node) -> bool:
    """Whether the scheduler may place the pod on this node, as far as readiness and taints tell."""
    keeps_away = (taint for taint in node.taints if taint.effect in ("NoSchedule", "NoExecute"))
    return node.ready and all(is_tolerated(instance.spec.tolerations, taint) for taint in keeps_away)


def is_tolerated(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """As Kubernetes has it: what a toleration does not say, it tolerates."""
    return any(
        (one.key is None or one.key == taint.key)
        and (one.effect is None or one.effect == taint.effect)
        and (one.operator == "Exists" or (one.value or "") == taint.value)
        for one in tolerations
    )
