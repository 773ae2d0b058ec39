"""The media pod and the quota, as they are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.api import NetworkMode
from mcs_operator.api.instance import Network
from mcs_operator.contract.digest import canonical
from mcs_operator.domain.facts.world import Damaged, Pod, Pull, Resize, ResizeReason, Size
from mcs_operator.domain.rules.quota import Usage
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.parse import parse_body
from mcs_operator.kube.pod import annotate
from mcs_operator.kube.resources import PODS, RESOURCE_QUOTAS
from mcs_operator.settings import ANNOTATION_UPDATE

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
    annotations={"mcs.tvox.io/links": "x" * 4096},
    media_runs=True,
    images={"media": "media:1"},
)


def body(metadata: Any = None, spec: Any = None, status: Any = None, **media: Any) -> dict[str, Any]:
    told = {"name": "media", "ready": True, "state": {"running": {}}} | media
    annotations = {"mcs.tvox.io/links": "x" * 4096, "mcs.tvox.io/long": "x" * 4097, "example.com/a": "b"}
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


@pytest.mark.parametrize(("count", "read"), [(3, 3), (0, 0), (-1, 0), (True, 0), ("3", 0), (None, 0), (2**40, 0)])
def test_how_often_the_media_was_started_anew(count: object, read: int) -> None:
    assert parse_body(PODS, body(restartCount=count)).media_restarts == read  # type: ignore[union-attr]


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


# --- what changes in place ---

SIZE = {"requests": {"cpu": "50m", "memory": "64Mi", "example.com/tun": "1"}, "limits": {"cpu": "1"}}


def read(**changed: Any) -> Pod:
    found = parse_body(PODS, body(**changed))
    assert isinstance(found, Pod)
    return found


@pytest.mark.parametrize(
    ("pod", "port", "mode"),
    [
        ({}, {"hostPort": 10002}, NetworkMode.HOST_PORT),
        ({"hostNetwork": True}, {"hostPort": 10002}, NetworkMode.HOST_NETWORK),
        ({}, {}, NetworkMode.LOAD_BALANCER),
    ],
)
def test_how_a_pod_is_reached_is_read_from_its_ports(pod: Any, port: Any, mode: NetworkMode) -> None:
    ports = [{"name": "http", "containerPort": 80}, {"name": "media", "containerPort": 10002} | port]
    found = read(spec=pod | {"containers": [{"name": "media", "image": "media:1", "ports": ports}]})
    assert found.network == Network(mode=mode, media_port=10002)


@pytest.mark.parametrize("ports", [None, [], "x", [{"name": "media"}], [{"name": "media", "containerPort": 99999}]])
def test_where_the_ports_say_nothing_it_is_not_known(ports: Any) -> None:
    assert read(spec={"containers": [{"name": "media", "image": "media:1", "ports": ports}]}).network is None


def test_images_are_read_by_container_and_held_once_for_all_pods_that_have_the_same() -> None:
    containers = [{"name": name, "image": f"{name}:1"} for name in ("media", "agent", "link-002", "theirs")]
    one, other = (read(spec={"containers": containers}).images for _ in range(2))
    assert one == {"media": "media:1", "agent": "agent:1", "link-002": "link-002:1"}
    assert one is other


def test_of_a_pod_that_somebody_filled_no_more_is_kept_than_one_of_ours_has() -> None:
    slots = [{"name": f"link-{number:03}", "image": "x" * 65_536} for number in range(2, 1000)]
    media = {"name": "media", "image": "x" * 65_536}
    notes = {f"mcs.tvox.io/{number}": "x" * 4096 for number in range(1000)}
    found = read(metadata={"annotations": notes}, spec={"containers": [media, *slots]})
    assert (len(found.images), len(found.annotations)) == (252, 32)
    assert {len(image) for image in (found.image, *found.images.values())} == {512}
    assert len(parse_body(PODS, body({"name": "mcs-pull-0123abcd"}, {"containers": [media]})).image) == 512  # type: ignore[union-attr]


def test_an_annotation_that_is_nested_without_end_is_not_there() -> None:
    notes = {"mcs.tvox.io/disruptions": "[" * 1200, "mcs.tvox.io/poke": "1"}
    assert read(metadata={"annotations": notes}).annotations == {"mcs.tvox.io/poke": "1"}


def test_how_far_the_update_of_all_slots_has_come_is_read_whole() -> None:
    image = "registry.test/" + "x" * 241
    said = {
        "image": image,
        "slots": [*range(2, 252)],
        "restarts": 10**6,
        "last": 251,
        "since": "x" * 20,
        "at": "x" * 20,
    }
    note = {ANNOTATION_UPDATE: canonical(said)}
    assert read(metadata={"annotations": note}).annotations == note


def test_the_medias_size_is_read_as_it_is_wanted_and_as_it_is_in_force() -> None:
    containers = [{"name": "media", "resources": SIZE}]
    found = read(spec={"containers": containers}, resources={"limits": {"memory": "1Gi"}})
    assert found.size == Size({"cpu": "50m", "memory": "64Mi"}, {"cpu": "1"})
    assert found.size_in_force == Size({}, {"memory": "1Gi"})


@pytest.mark.parametrize(
    "resources", [None, "x", {}, {"limits": {"cpu": "many"}}, {"limits": {"cpu": "1e99999999999"}}]
)
def test_a_size_that_is_not_told_or_is_none_is_not_known(resources: Any) -> None:
    assert read(spec={"containers": [{"name": "media", "resources": resources}]}).size is None


@pytest.mark.parametrize(
    ("condition", "resize"),
    [
        ({"status": "True", "reason": "Deferred", "message": "no room"}, Resize(ResizeReason.DEFERRED, "no room")),
        ({"status": "True", "reason": "Infeasible", "message": "x" * 600}, Resize(ResizeReason.INFEASIBLE, "x" * 512)),
        ({"status": "False", "reason": "Infeasible"}, None),
        ({"status": "True", "reason": "Whatever"}, None),
        ({"status": "True", "reason": "Error"}, None),
        ({"type": "PodResizeInProgress", "status": "True"}, None),
        (
            {"type": "PodResizeInProgress", "status": "True", "reason": "Error", "message": "cannot decrease"},
            Resize(ResizeReason.ERROR, "cannot decrease"),
        ),
        ({"type": ["PodResizeInProgress"], "status": "True", "reason": "Error"}, None),
    ],
)
def test_a_resize_that_is_not_carried_out_is_read_with_the_kubelets_words(condition: Any, resize: Any) -> None:
    assert read(status={"conditions": [{"type": "PodResizePending"} | condition]}).resize == resize


PULL = {"metadata": {"name": "mcs-pull-0123abcd"}}
SPEC = {"nodeName": "node-1", "containers": [{"name": "pull", "image": "mcs:2"}]}


def pulled(state: Any = None, **status: Any) -> Pull:
    told = {"name": "pull", "state": state or {}, "imageID": status.pop("imageID", "")}
    found = parse_body(PODS, PULL | {"spec": SPEC, "status": {"containerStatuses": [told]} | status})
    assert isinstance(found, Pull)
    return found


def test_the_media_pod_is_known_by_its_name_whatever_its_labels_say() -> None:
    assert isinstance(parse_body(PODS, body({"labels": {"app.kubernetes.io/name": "mcs-image-pull"}})), Pod)


def test_of_a_pod_that_pulls_an_image_is_read_whether_it_is_there() -> None:
    assert pulled({"waiting": {"reason": "ContainerCreating"}}) == Pull(
        "mcs-pull-0123abcd", "mcs:2", "node-1", done=False
    )
    assert pulled({"terminated": {"reason": "Completed"}}, imageID="sha256:1").done


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_start_proves_that_its_image_is_there(reason: str) -> None:
    assert pulled({"waiting": {"reason": reason, "message": "no /bin/true"}}).done


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImagePull", "rpc error: not found"),
        ("ImagePullBackOff", 'Back-off pulling image "mcs:2": ErrImagePull: rpc error: not found'),
    ],
)
def test_an_image_that_cannot_be_pulled_is_told_in_the_same_words_from_try_to_try(reason: str, message: str) -> None:
    """Each other text is another status to write."""
    found = pulled({"waiting": {"reason": reason, "message": message}})
    assert (found.done, found.problem) == (False, "rpc error: not found")


def test_a_problem_that_is_not_put_into_words_is_told_by_its_reason() -> None:
    assert pulled({"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "mcs:2"'}}).problem == (
        "ImagePullBackOff"
    )
    assert pulled({"waiting": {"reason": "InvalidImageName"}}).problem == "InvalidImageName"


PULLED = {"name": "pull", "image": "mcs:2", "imageID": "sha256:1", "state": {"terminated": {"reason": "Completed"}}}


@pytest.mark.parametrize(
    ("generation", "containers", "statuses", "done"),
    [
        pytest.param(1, ["pull"], [PULLED], True, id="as it was made"),
        pytest.param(2, ["pull"], [PULLED], False, id="with another image since"),
        pytest.param(1, ["pull", "a"], [PULLED | {"name": "a"}, {"name": "pull"}], False, id="with another container"),
        pytest.param(1, ["pull"], [PULLED | {"name": "a"}], False, id="told of another container"),
    ],
)
def test_a_pod_that_was_made_to_look_as_if_it_had_pulled_an_image_has_not(
    generation: int, containers: list[str], statuses: list[Any], done: bool
) -> None:
    spec = {"containers": [{"name": name, "image": "mcs:2"} for name in containers]}
    metadata = {"name": "mcs-pull-0123abcd", "generation": generation}
    found = parse_body(PODS, {"metadata": metadata, "spec": spec, "status": {"containerStatuses": statuses}})
    assert isinstance(found, Pull)
    assert found.done is done


def test_a_pod_that_the_node_does_not_take_pulls_nothing() -> None:
    found = pulled(phase="Failed", reason="OutOfpods", message="the node has 110 pods")
    assert (found.done, found.problem) == (False, "OutOfpods: the node has 110 pods")


def test_a_pod_that_will_never_pull_its_image_says_since_when_it_is_there() -> None:
    metadata = {"name": "mcs-pull-0123abcd", "creationTimestamp": "2026-01-01T00:00:00Z"}
    since = datetime(2026, 1, 1, tzinfo=UTC)
    for generation, phase, useless in ((1, "Failed", since), (2, "Running", since), (1, "Pending", None)):
        body = {"metadata": metadata | {"generation": generation}, "spec": SPEC, "status": {"phase": phase}}
        found = parse_body(PODS, body)
        assert isinstance(found, Pull)
        assert found.useless_since == useless
    assert pulled(phase="Failed").useless_since is None, "nobody knows how old it is"


def test_words_of_others_have_512_characters_at_most_of_their_begin_and_their_end() -> None:
    assert said(state={"waiting": {"reason": "x" * 512}}) == "x" * 512
    shortened = "x" * 254 + " .. " + "y" * 254
    assert said(state={"waiting": {"reason": "x" * 300 + "y" * 300}}) == shortened
    assert pulled({"waiting": {"reason": "ErrImagePull", "message": "x" * 300 + "y" * 300}}).problem == shortened


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
    assert said({"initContainerStatuses": [done, broken]}, state=waits) == "init container second: ImagePullBackOff"
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


def test_slots_without_a_process_are_known_by_number() -> None:
    assert containers({"name": "link-002", "state": {"running": {}}}).slots_down == {3}
    assert containers(waiting("link-002", "CrashLoopBackOff")).slots_down == {2, 3}


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


class Refusing:
    """An API server that answers every merge with one of these, in turn."""

    def __init__(self, *statuses: int) -> None:
        self.left = list(statuses)

    async def merge(self, *_: object, **__: object) -> None:
        raise ApiError(self.left.pop(0), "", "")


@pytest.mark.parametrize("statuses", [(404,), (409, 404)], ids=["gone", "deleted while it was looked at"])
async def test_a_pod_that_goes_meanwhile_is_not_woken_and_that_is_no_failure(statuses: tuple[int, ...]) -> None:
    """As where a pipeline prunes the instance: 409 is its deletion, 404 its end."""
    child = SimpleNamespace(parsed="5")
    store: Any = SimpleNamespace(cache=lambda _: SimpleNamespace(children={(PODS, "mcs-0"): child}))
    api: Any = Refusing(*statuses)
    await annotate(api, store, "demo", "mcs-0", {"mcs.tvox.io/poke": "1"})
    assert api.left == []


async def test_another_refusal_is_told() -> None:
    child = SimpleNamespace(parsed="5")
    store: Any = SimpleNamespace(cache=lambda _: SimpleNamespace(children={(PODS, "mcs-0"): child}))
    api: Any = Refusing(409, 403)
    with pytest.raises(ApiError):
        await annotate(api, store, "demo", "mcs-0", {"mcs.tvox.io/poke": "1"})
