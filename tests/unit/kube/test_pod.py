"""The media pod and the quota, as they are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mcs_operator.domain.facts.world import Damaged, Pod
from mcs_operator.domain.rules.quota import Usage
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.resources import PODS, RESOURCE_QUOTAS

READ = Pod(
    name="mcs-0",
    uid="u1",
    ip="10.42.0.7",
    node="node-1",
    image="media:1",
    media_ready=True,
    media_problem="",
    terminating=False,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    annotations={"mcs.tvox.io/links": "x" * 16_384},
    media_runs=True,
)


def body(metadata: Any = None, spec: Any = None, status: Any = None, **media: Any) -> dict[str, Any]:
    told = {"name": "media", "ready": True, "state": {"running": {}}} | media
    annotations = {"mcs.tvox.io/links": "x" * 16_384, "mcs.tvox.io/long": "x" * 16_385, "example.com/a": "b"}
    known = {"name": "mcs-0", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations}
    containers = [{"name": "sidecar", "image": "other:1"}, {"name": "media", "image": "media:1"}]
    return {
        "metadata": known | (metadata or {}),
        "spec": {"nodeName": "node-1", "containers": containers} | (spec or {}),
        "status": {"podIP": "10.42.0.7", "containerStatuses": [{"name": "sidecar", "ready": False}, told]}
        | (status or {}),
    }


def test_of_a_pod_is_read_what_decisions_need() -> None:
    assert parse_body(PODS, body()) == READ


def test_a_pod_that_is_being_stopped_is_not_ready_and_says_so() -> None:
    found = parse_body(PODS, body({"deletionTimestamp": "2026-01-02T00:00:00Z"}))
    assert found == replace(READ, media_ready=False, terminating=True, media_problem="the pod is being stopped")


def test_a_pod_that_was_just_created_has_neither_an_address_nor_a_node() -> None:
    metadata = {"name": "mcs-0", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert parse_body(PODS, {"metadata": metadata}) == Pod(
        *("mcs-0", "u1", "", "", "", False, "the pod is starting", False, READ.created, {}, False)
    )


def test_a_pod_without_a_creation_time_is_damaged() -> None:
    assert parse_body(PODS, body({"creationTimestamp": None})) == Damaged("Pod", "mcs-0", "has a time that is none")


@pytest.mark.parametrize("ready", [False, "yes", None, 1])
def test_only_true_is_ready(ready: Any) -> None:
    found = parse_body(PODS, body(ready=ready))
    problem = "the container runs, its readiness probe has not succeeded yet"
    assert found == replace(READ, media_ready=False, media_problem=problem)


def said(status: Any = None, **media: Any) -> str:
    found = parse_body(PODS, body(status=status, **({"ready": False} | media)))
    assert isinstance(found, Pod)
    return found.media_problem


def test_words_of_others_are_cut_at_512_characters() -> None:
    assert said(state={"waiting": {"reason": "x" * 600}}) == "x" * 512


def test_the_scheduler_is_heard_where_it_has_no_node() -> None:
    assert said({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no"}]}) == "Unschedulable: no"
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "held"}
    assert said({"conditions": [gated]}) == "SchedulingGated: held"
    for other in ({"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}):
        assert said({"conditions": [other | {"reason": "Other"}]}, state={}) == "the pod is starting"


def test_a_phase_without_a_reason_is_told_by_its_name() -> None:
    assert said(state={"waiting": {}}) == "waiting"
    assert said(state={"terminated": {"message": "gone"}}) == "terminated: gone"
    assert (
        said(state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}) == "CrashLoopBackOff: back-off"
    )


def test_of_the_init_containers_the_one_is_named_that_keeps_the_pod() -> None:
    done = {"name": "first", "ready": True, "state": {"terminated": {"reason": "Completed"}}}
    broken = {"name": "second", "ready": False, "state": {"waiting": {"reason": "ErrImagePull"}}}
    waits = {"waiting": {"reason": "PodInitializing"}}
    assert said({"initContainerStatuses": [done, broken]}, state=waits) == "init container second: ErrImagePull"
    assert said({"initContainerStatuses": [done]}, state=waits) == "PodInitializing"


def containers(*statuses: dict[str, Any], **more: Any) -> Pod:
    spec = {"containers": [{"name": f"link-00{n}", "image": f"link:{n}"} for n in (2, 3)]}
    found = parse_body(PODS, body(more.get("metadata"), spec, {"containerStatuses": list(statuses)}))
    assert isinstance(found, Pod)
    return found


@pytest.mark.parametrize(("said", "ready"), [({"ready": True}, True), ({"ready": False}, False), ({}, False)])
def test_whether_the_agent_is_ready_is_the_kubelets_word(said: dict[str, Any], ready: bool) -> None:
    assert containers({"name": "agent"} | said).agent_ready is ready


def test_an_agent_that_is_being_stopped_is_not_ready() -> None:
    gone = {"deletionTimestamp": "2026-01-02T00:00:00Z"}
    assert not containers({"name": "agent", "ready": True}, metadata=gone).agent_ready


def waiting(name: str, reason: Any) -> dict[str, Any]:
    return {"name": name, "ready": False, "image": "", "state": {"waiting": {"reason": reason, "message": "by turns"}}}


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_the_image_that_a_slot_lacks_is_named_and_the_kubelets_words_that_change_are_not(reason: str) -> None:
    found = containers(waiting("link-002", "ContainerCreating"), waiting("link-003", reason))
    assert (found.slots_lack, found.slots_run) == ("link:3", False)


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "CrashLoopBackOff", None, 7])
def test_slots_that_only_start_lack_nothing(reason: Any) -> None:
    assert containers(waiting("link-002", reason)).slots_lack == ""


def test_containers_that_are_no_slots_are_not_taken_for_some() -> None:
    for name in ("agent", "media", "link-2", "link-0021", "a-link-002"):
        assert containers(waiting(name, "ErrImagePull")).slots_lack == ""


def test_a_slot_that_runs_is_seen() -> None:
    found = containers({"name": "link-002", "state": {"running": {}}}, waiting("link-003", "ErrImagePull"))
    assert (found.slots_lack, found.slots_run) == ("link:3", True)


def test_an_image_that_the_pod_does_not_tell_is_lacked_all_the_same() -> None:
    assert containers(waiting("link-009", "ErrImagePull")).slots_lack == "their image"


# --- a quota ---

LINKS, INSTANCES = (f"count/{kind}.mcs.tvox.io" for kind in ("tvoxlinks", "mcsinstances"))


def test_of_a_quota_the_counts_of_our_kinds_are_read() -> None:
    hard, used = {LINKS: "250", INSTANCES: "1k", "count/pods": "7"}, {LINKS: 3, INSTANCES: "0"}
    found = parse_body(RESOURCE_QUOTAS, {"status": {"hard": hard, "used": used}})
    assert found == Usage({LINKS: 250, INSTANCES: 1000}, {LINKS: 3, INSTANCES: 0})


@pytest.mark.parametrize("amount", ["9" * 18, 10**17, "1e17"])
def test_a_count_of_18_digits_is_one(amount: Any) -> None:
    found = parse_body(RESOURCE_QUOTAS, {"status": {"hard": {LINKS: amount}}})
    assert isinstance(found, Usage)
    assert found.hard[LINKS] >= 10**17


@pytest.mark.parametrize("amount", ["9" * 19, 10**18, "1e18", True, None, 1.0, ["1"], "many"])
def test_what_is_no_count_or_a_longer_one_is_left_out(amount: Any) -> None:
    assert parse_body(RESOURCE_QUOTAS, {"status": {"hard": {LINKS: amount}}}) == Usage({}, {})
