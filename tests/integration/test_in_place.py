"""The media's image and size change in the pod that runs: what is sent, and that the API server takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.api import Api, Object
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.pods import NODE, its_node, media_runs, nobody_pulls, place_pod, pull_ends, pull_of
from support.snapshots import audited, settled
from support.waiting import until

pytestmark = pytest.mark.integration

POD = f"{INSTANCE}-0"
NEXT = "localhost/mcs/appliance:next"


@pytest.fixture
def running(api: Api, operator: Operator) -> Iterator[Api]:
    """An instance whose pod runs on a node that nobody else has; there the test is the kubelet."""
    if api.find("Node", NODE):
        pytest.skip("a kubelet is there: tests/e2e/running/test_in_place.py asks it")
    with its_node(api):
        api.create(an_instance(), a_community(), a_link("acme"))
        api.wait_condition("TVoxLink", "acme", "Accepted", "True")
        place_pod(api, INSTANCE, nodeName=NODE)
        media_runs(api, INSTANCE)
        api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
        yield api


def media(api: Api) -> Object:
    containers = api.get("Pod", POD)["spec"]["containers"]
    found: Object = next(container for container in containers if container["name"] == "media")
    return found


def uid(api: Api) -> str:
    return str(api.get("Pod", POD)["metadata"]["uid"])


def annotations(api: Api, kind: str = "Pod", name: str = POD) -> Object:
    body = api.get(kind, name)
    found: Object = (body["metadata"] if kind == "Pod" else body["spec"]["template"]["metadata"])["annotations"]
    ours = ("restart-hash", "parts", "pod-hash", "pod-parts", "media-image", "draining-since", "disruptions")
    return {name: found[f"mcs.tvox.io/{name}"] for name in ours if f"mcs.tvox.io/{name}" in found}


def test_another_image_is_pulled_first_and_then_put_into_the_pod_that_runs(running: Api) -> None:
    before = uid(running)
    running.change("MCSInstance", INSTANCE, image=NEXT)
    pull = pull_of(running, INSTANCE)
    assert (pull["spec"]["nodeName"], pull["spec"]["containers"][0]["image"]) == (NODE, NEXT)
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Pulling")
    assert media(running)["image"] != NEXT
    until("it is noted since when", lambda: "disruptions" in annotations(running))

    pull_ends(running, pull, terminated={"exitCode": 0, "reason": "Completed"})
    until("the image is in the pod", lambda: media(running)["image"] == NEXT, 20)
    assert uid(running) == before
    assert annotations(running) == annotations(running, "StatefulSet", INSTANCE)
    until("nobody pulls any more", lambda: nobody_pulls(running, INSTANCE), 20)
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


def test_an_image_that_cannot_be_pulled_changes_nothing_and_is_told_once(running: Api) -> None:
    running.change("MCSInstance", INSTANCE, image=NEXT)
    pull = pull_of(running, INSTANCE)
    pull_ends(running, pull, waiting={"reason": "ErrImagePull", "message": "rpc error: not found"})
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "ImageNotPulled")
    settled(running)
    audit = audited(running)
    words = f'Back-off pulling image "{NEXT}": ErrImagePull: rpc error: not found'
    pull_ends(running, pull, waiting={"reason": "ImagePullBackOff", "message": words})
    settled(running)
    assert audit.writes(running.namespace) == []
    assert media(running)["image"] != NEXT

    running.change("MCSInstance", INSTANCE, image=an_instance()["spec"]["image"])
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
    until("nobody pulls any more", lambda: nobody_pulls(running, INSTANCE), 20)
    until("it is no disruption any more", lambda: "disruptions" not in annotations(running))


def test_another_size_is_given_to_the_media_that_runs_or_it_is_told_that_it_waits_for_the_next_pod(
    running: Api,
) -> None:
    before = uid(running)
    if not running.resizes_in_place():
        running.change("MCSInstance", INSTANCE, resources={"limits": {"cpu": "2", "memory": "512Mi"}})
        why = running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Draining")
        assert "changed the media's size, which this pod cannot take in place; the pod is replaced when idle" in why
        return
    for cpu in ("2", "500m"):
        limits = {"cpu": cpu, "memory": "512Mi"}
        running.change("MCSInstance", INSTANCE, resources={"limits": limits})
        until(f"the media may use {cpu}", lambda limits=limits: media(running)["resources"]["limits"] == limits, 20)
    assert uid(running) == before
    settled(running)
    assert annotations(running) == annotations(running, "StatefulSet", INSTANCE)
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


def test_a_size_that_the_node_will_never_have_is_told_and_restarts_nobody(running: Api) -> None:
    if not running.resizes_in_place():
        return  # the next pod gets it, wherever that is
    before, had = uid(running), media(running)["resources"]
    running.change("MCSInstance", INSTANCE, resources={"requests": {"cpu": "400"}, "limits": {"cpu": "400"}})

    def is_refused() -> bool:
        return running.condition("MCSInstance", INSTANCE, "Sized")[1] == "ResizeInfeasible"

    until("it is in the pod, or refused", lambda: is_refused() or media(running)["resources"] != had, 20)
    if not is_refused():  # up to Kubernetes 1.36 the kubelet says so, afterwards
        said = "Node didn't have enough capacity: cpu, requested: 400000, capacity: 64000"
        told = {"type": "PodResizePending", "status": "True", "reason": "Infeasible", "message": said}
        running.merge_status("Pod", POD, {"conditions": [told]})
    assert "didn't have enough" in running.wait_condition("MCSInstance", INSTANCE, "Sized", "False", "ResizeInfeasible")
    settled(running)
    assert uid(running) == before
    template = running.get("StatefulSet", INSTANCE)["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == had


def test_a_size_that_a_limit_range_forbids_is_told_and_keeps_nothing_else_waiting(running: Api) -> None:
    if not running.resizes_in_place():
        return
    before, had = uid(running), media(running)["resources"]
    limits = {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": limits}
    running.kubectl("create", "-f", "-", stdin=json.dumps(body))
    running.change("MCSInstance", INSTANCE, resources={"limits": {"cpu": "2", "memory": "512Mi"}})
    said = running.wait_condition("MCSInstance", INSTANCE, "Sized", "False", "ResizeForbidden")
    assert "maximum cpu usage per Container is 1" in said
    running.create(a_link("new"))
    running.wait_condition("TVoxLink", "new", "Accepted", "True", timeout=5)
    settled(running)
    assert (uid(running), media(running)["resources"]) == (before, had)
    template = running.get("StatefulSet", INSTANCE)["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == had, "or there would be no next pod"


def test_a_restart_of_the_operator_writes_nothing_to_a_pod_that_was_changed_in_place(
    running: Api, operator: Operator
) -> None:
    running.change("MCSInstance", INSTANCE, image=NEXT)
    pull_ends(running, pull_of(running, INSTANCE), terminated={"exitCode": 0, "reason": "Completed"})
    until("the image is in the pod", lambda: media(running)["image"] == NEXT, 20)
    if running.resizes_in_place():
        running.change("MCSInstance", INSTANCE, tier="UpTo10000", resources=None)
        until("the media has the tier's cores", lambda: media(running)["resources"]["limits"]["cpu"] == "8", 20)
    settled(running)
    audit = audited(running)
    operator.stop()
    operator.start()
    settled(running)
    assert audit.writes(running.namespace) == []
