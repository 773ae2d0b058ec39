"""A media pod on a cordoned node: it leaves where another node takes it, or where a person insists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mcs_operator.api import MCSInstance, Toleration
from mcs_operator.api.conditions import Reason
from mcs_operator.domain.facts.nodes import CordonedNode, Node, Taint
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.pod.node import is_tolerated, leaves_its_node, stays, takes
from mcs_operator.settings import ANNOTATION_FORCE_DRAIN
from support.worlds import given, instance, pod

SPARE = Node("spare")
TAINTED = Node("spare", taints=(Taint("dedicated", "NoSchedule", "media"),))


def world(**node: Any) -> World:
    return replace(given(instance(), pod()), cordoned=CordonedNode("mcs-node", **{"ready": True, "others": ()} | node))


def forced(uid: str = "uid-of-pod") -> MCSInstance:
    subject = instance()
    metadata = subject.metadata.model_copy(update={"annotations": {ANNOTATION_FORCE_DRAIN: uid}})
    return subject.model_copy(update={"metadata": metadata})


def reason(world: World, instance: MCSInstance) -> Reason | None:
    verdict = stays(world, instance, pod())
    assert bool(leaves_its_node(world, instance, pod())) is (verdict is None)
    return verdict.reason if verdict else None


def test_on_a_node_that_is_not_cordoned_nothing_becomes_of_it() -> None:
    assert leaves_its_node(given(instance(), pod()), instance(), pod()) == ""
    assert stays(given(instance(), pod()), instance(), pod()) is None


def test_it_leaves_where_another_node_takes_it() -> None:
    assert reason(world(others=(SPARE,)), instance()) is None
    assert leaves_its_node(world(others=(SPARE,)), instance(), pod()) == "node mcs-node is cordoned"


@pytest.mark.parametrize(
    ("others", "why"),
    [
        pytest.param((), "no other schedulable node is matched by spec.nodeSelector", id="pinned to that node"),
        pytest.param((replace(SPARE, ready=False),), "is ready and tolerated (1 looked at)", id="the other is down"),
        pytest.param((TAINTED,), "is ready and tolerated (1 looked at)", id="the other is tainted"),
        pytest.param(None, "it is not known whether another node takes the pod", id="nobody knows"),
    ],
)
def test_it_stays_where_none_does_and_says_what_to_do(others: Any, why: str) -> None:
    verdict = stays(world(others=others), instance(), pod())
    assert verdict and verdict.reason is Reason.NO_NODE_FITS
    assert why in verdict.message
    assert f"{ANNOTATION_FORCE_DRAIN}: uid-of-pod" in verdict.message


def test_whoever_insists_names_the_very_pod() -> None:
    assert reason(world(), forced()) is None
    assert reason(world(), forced("uid-of-the-one-before")) is Reason.NO_NODE_FITS
    assert reason(world(), forced("true")) is Reason.NO_NODE_FITS


def test_a_node_that_does_not_answer_is_no_node_that_is_drained() -> None:
    """The kubelet stops nothing there, and the next pod might start beside one that still runs."""
    for told in (instance(), forced()):
        assert reason(world(ready=False, others=(SPARE,)), told) is Reason.NODE_NOT_READY


def test_whether_a_node_answers_may_be_unknown() -> None:
    assert reason(world(ready=None, others=(SPARE,)), instance()) is None


def test_a_pod_that_would_come_back_to_the_same_node_stays() -> None:
    """It would be replaced for ever."""
    tolerant = instance(tolerations=[{"operator": "Exists"}])
    assert reason(world(others=(SPARE,)), tolerant) is Reason.NO_NODE_FITS


def test_nothing_is_said_of_a_pod_that_is_being_stopped() -> None:
    assert stays(world(), instance(), pod(terminating=True)) is None


@pytest.mark.parametrize(
    ("toleration", "tolerates"),
    [
        ({"key": "dedicated", "operator": "Exists"}, True),
        ({"key": "dedicated", "value": "media"}, True),
        ({"key": "dedicated", "operator": "Equal", "value": "media", "effect": "NoSchedule"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "dedicated"}, False),
        ({"key": "dedicated", "value": "other"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_a_toleration_is_read_as_kubernetes_reads_it(toleration: dict[str, Any], tolerates: bool) -> None:
    (taint,) = TAINTED.taints
    assert is_tolerated([Toleration.model_validate(toleration)], taint) is tolerates
    assert takes(instance(tolerations=[toleration]), TAINTED) is tolerates


def test_a_taint_that_only_asks_keeps_nobody_away() -> None:
    assert takes(instance(), Node("spare", taints=(Taint("busy", "PreferNoSchedule"),)))
