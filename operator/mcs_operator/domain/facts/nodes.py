"""Nodes, as far as it matters where a media pod may run."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 500
"""Nodes that are looked at to find one for a pod that has to leave its own."""


@dataclass(frozen=True, slots=True)
class Taint:
    """What keeps pods away from a node, or drives them off, unless they tolerate it."""

    key: str
    effect: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``unschedulable``: it is cordoned. ``ready``: its kubelet says so, and has said so lately."""

    name: str
    unschedulable: bool = False
    ready: bool = True
    taints: tuple[Taint, ...] = ()


@dataclass(frozen=True, slots=True)
class CordonedNode:
    """The node of a pod, which is cordoned. ``others``: nodes that are not, that the pod's nodeSelector matches,
    and that its volume can be mounted on. What nobody knows is None."""

    name: str
    ready: bool | None = None
    others: tuple[Node, ...] | None = None
