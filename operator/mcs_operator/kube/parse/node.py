"""A node, as the kubelet and whoever maintains it tell of it."""

from __future__ import annotations

from mcs_operator.domain.facts.nodes import Node, Taint
from mcs_operator.kube.parse.bounds import mapping, mappings, text
from mcs_operator.kube.resources import Object

_MOST_TAINTS = 64
_LONGEST = 512


def read_node(body: Object) -> Node:
    """The few fields that decide whether a pod may run there; what is missing is not so."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    told = {text(condition.get("type")): condition.get("status") for condition in mappings(status.get("conditions"))}
    taints = (
        Taint(text(t.get("key"), _LONGEST), text(t.get("effect"), _LONGEST), text(t.get("value"), _LONGEST))
        for t in mappings(spec.get("taints"))[:_MOST_TAINTS]
    )
    return Node(
        name=text(metadata.get("name"), _LONGEST),
        unschedulable=spec.get("unschedulable") is True,
        ready=told.get("Ready") == "True",
        taints=tuple(taints),
    )
