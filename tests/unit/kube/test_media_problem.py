"""Why the media container is not ready: what the scheduler and the kubelet say in the pod, as one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.domain.facts.world import Pod
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.resources import PODS

STARTS = {"ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}
NO_IMAGE = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}


def problem(media: dict[str, Any] | None, init: dict[str, Any] | None = None, **status: Any) -> str:
    """What is told of a pod whose containers have these states."""
    metadata = {"name": "mcs-0", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    for place, name, state in (("containerStatuses", "media", media), ("initContainerStatuses", "sweep", init)):
        if state is not None:
            status[place] = [{"name": name} | state]
    body = {"metadata": metadata, "spec": {"containers": [{"name": "media", "image": "media:1"}]}, "status": status}
    pod = parse_body(PODS, body)
    assert isinstance(pod, Pod)
    return pod.media_problem


def test_there_is_none_when_it_is_ready() -> None:
    assert problem({"ready": True, "state": {"running": {}}}) == ""


def test_a_pod_without_a_node_has_the_schedulers_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert problem(None, conditions=[condition]) == "Unschedulable: 0/1 nodes"


def test_a_container_that_cannot_start_has_the_kubelets_words() -> None:
    assert problem({"state": NO_IMAGE}) == "ImagePullBackOff: not found"
    assert problem({"state": {"terminated": {"reason": "OOMKilled"}}}) == "OOMKilled"
    assert problem({"state": {"waiting": {"message": "no network on XX"}}}) == "waiting: no network on XX"


IMAGE = "registry.example.com:5443/platform/mcs/appliance"
DIGEST = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
DENIED = (
    f'failed to pull and unpack image "{IMAGE}@{DIGEST}": failed to resolve reference "{IMAGE}@{DIGEST}": pull access '
    "denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
)
"""What a node's containerd 2.4 says of a registry that wants a password."""


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", DENIED),
        ("ImagePullBackOff", f'Back-off pulling image "{IMAGE}:0.1.0@{DIGEST}": ErrImagePull: {DENIED}'),
    ],
)
def test_why_an_image_is_refused_is_told_however_long_its_name_is(reason: str, message: str) -> None:
    told = problem({"state": {"waiting": {"reason": reason, "message": message}}})
    assert told.startswith(f'ImagePullBackOff: failed to pull and unpack image "{IMAGE}')
    assert told.endswith("no basic auth credentials")
    longer = message.replace("/platform/", f"/{'platform/' * 15}")
    told = problem({"state": {"waiting": {"reason": reason, "message": longer}}})
    assert told.startswith("ImagePullBackOff: failed to pull") and told.endswith("no basic auth credentials")
    assert len(told) == 512


def test_an_image_that_is_tried_again_and_again_is_told_once() -> None:
    """The kubelet goes from one to the other and back, for as long as the image cannot be had."""
    tried = {"reason": "ErrImagePull", "message": DENIED}
    waits = {
        "reason": "ImagePullBackOff",
        "message": f'Back-off pulling image "{IMAGE}@{DIGEST}": ErrImagePull: {DENIED}',
    }
    assert problem({"state": {"waiting": tried}}) == problem({"state": {"waiting": waits}})


def test_a_kubelet_that_says_no_more_than_the_image_is_quoted() -> None:
    """As those before 1.31 do at every other try."""
    said = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}:1"'}
    assert problem({"state": {"waiting": said}}) == f'ImagePullBackOff: Back-off pulling image "{IMAGE}:1"'


def test_a_container_that_runs_is_waited_for() -> None:
    assert problem({"state": {"running": {}}}) == "the container runs, its readiness probe has not succeeded yet"
    assert problem(None) == "the pod is starting"


@pytest.mark.parametrize(
    "state, told",
    [
        (NO_IMAGE, "init container sweep: ImagePullBackOff: not found"),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "init container sweep: Error"),
    ],
    ids=["no image", "failed"],
)
def test_what_keeps_an_init_container_keeps_the_media(state: dict[str, Any], told: str) -> None:
    assert problem(STARTS, {"ready": False, "state": state}) == told


@pytest.mark.parametrize(
    "state",
    [
        {"ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        {"ready": False, "state": {"running": {}}},
        {"ready": False, "state": {"waiting": {"reason": "PodInitializing"}}},
        {"ready": False},
    ],
    ids=["done", "runs", "waits", "new"],
)
def test_an_init_container_that_does_its_work_is_no_problem(state: dict[str, Any]) -> None:
    assert problem(STARTS, state) == "PodInitializing"
