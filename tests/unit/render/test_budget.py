"""The media pod's PodDisruptionBudget."""

from __future__ import annotations

from typing import Any

from mcs_operator.render.budget import build_disruption_budget
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.settings import Settings
from support.worlds import instance


def spec() -> dict[str, Any]:
    found: dict[str, Any] = build_disruption_budget(instance()).body["spec"]
    return found


def test_it_allows_no_eviction_also_of_a_pod_that_is_not_ready() -> None:
    assert (spec()["maxUnavailable"], spec()["unhealthyPodEvictionPolicy"]) == (0, "IfHealthyBudget")


def test_it_is_about_the_media_pod_and_about_no_second_replica() -> None:
    template = build_stateful_set(instance(), Settings()).body["spec"]["template"]["metadata"]["labels"]
    added = {"statefulset.kubernetes.io/pod-name": "mcs-0"}  # by the StatefulSet's controller
    wanted = spec()["selector"]["matchLabels"]
    assert wanted.items() <= (template | added).items()
    assert added.items() <= wanted.items()


def test_it_goes_with_its_instance() -> None:
    (owner,) = build_disruption_budget(instance()).body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("MCSInstance", "mcs", True)
