"""The media's image and size in a pod that runs, run after run: what is written, in which order, and no more."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.events import Recorder
from mcs_operator.kube.report import Reporter
from mcs_operator.kube.resources import (
    COMMUNITIES,
    INSTANCES,
    LINKS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    STATEFUL_SETS,
)
from mcs_operator.media.agents import Agents
from mcs_operator.media.lookups import Lookups
from mcs_operator.reconcile import Reconciler
from mcs_operator.settings import Settings
from mcs_operator.timestamps import rfc3339
from support.memory import MemoryApi, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW

IMAGE: str = an_instance()["spec"]["image"]
NEXT = "localhost/mcs/appliance:next"
RUNNING: Object = {"ready": True, "restartCount": 0, "state": {"running": {}}}
AGAIN = RUNNING | {"restartCount": 1}
CRASHES: Object = {
    "ready": False,
    "restartCount": 1,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "exit 1"}},
}


TOLD = ("apply ConfigMap/mcs-links", "apply ConfigMap/mcs-manifest")
"""What the appliance is told of its size."""


class Place:
    """A namespace in memory whose pod runs; the test is its kubelet, and has the clock."""

    def __init__(self) -> None:
        self.memory, self.store, self.now = MemoryApi(), Store(wake=lambda _: None), NOW
        self.declare()
        self.memory.add(self.store, COMMUNITIES, _at_home(a_community()))
        self.operator = self.an_operator()
        self.settle()
        template = self.found(STATEFUL_SETS, "mcs")["spec"]["template"]
        self.put_pod("mcs-0", template["metadata"], template["spec"] | {"nodeName": "node"})
        self.kubelet("mcs-0", RUNNING)
        self.settle()

    def an_operator(self) -> Reconciler:
        agents = Agents(wake=lambda _: None)
        lookups = Lookups(agents.resolve, agents.resolve, wake=lambda _: None)  # type: ignore[arg-type]
        api: Any = self.memory
        reporter = Reporter(api, self.store, Recorder(api, "test"))
        return Reconciler(api, self.store, agents, lookups, reporter, Settings(), clock=lambda: self.now)

    def declare(self, **spec: Any) -> None:
        self.memory.add(self.store, INSTANCES, _at_home(an_instance(**{"drainSeconds": 0} | spec)))

    def put_pod(self, name: str, metadata: Object, spec: Object) -> None:
        created = {"name": name, "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"}
        self.memory.add(self.store, PODS, {"metadata": metadata | created, "spec": spec})

    def kubelet(self, name: str, told: Object, **conditions: Any) -> None:
        """Says this of the first container, and has seen its size."""
        body = dict(self.found(PODS, name))
        container = body["spec"]["containers"][0]
        status = {"name": container["name"], "resources": container.get("resources", {}), **told}
        status |= conditions.pop("status", {})
        body["status"] = {"containerStatuses": [status], **conditions}
        self.memory.add(self.store, PODS, body)

    def next_pod(self) -> None:
        """In the place of the one that runs, from the template of now."""
        self.settle()
        template = self.found(STATEFUL_SETS, "mcs")["spec"]["template"]
        self.put_pod("mcs-0", template["metadata"], template["spec"] | {"nodeName": "node"})
        self.kubelet("mcs-0", RUNNING)
        self.settle()

    def run(self, seconds: float = 0) -> list[str]:
        """One reconciliation; what it wrote, statuses left out."""
        self.now += timedelta(seconds=seconds)
        self.memory.writes.clear()
        asyncio.run(self.operator("demo"))
        for resource, namespace, name in list(self.memory.objects):
            self.store.put(resource, self.memory.objects[resource, namespace, name])
        return [write for write in self.memory.writes if not write.startswith("status ")]

    def settle(self) -> list[str]:
        """Until nothing is written any more; everything that was, once, without Events. The pod is poked, too, for
        nobody answers for the agent."""
        found: dict[str, None] = {}
        for _ in range(10):
            found |= dict.fromkeys(write for write in self.run() if "Event/" not in write)
            if not self.memory.writes:
                return list(found)
        raise AssertionError(f"it never ends: {found}")

    def found(self, resource: Any, name: str) -> Object:
        body = self.memory.find(resource, name)
        assert body is not None, name
        return body

    def pull(self) -> str:
        (name,) = [name for kind, _, name in self.memory.objects if kind is PODS and "-pull-" in name]
        return name

    def media(self) -> Object:
        found: Object = self.found(PODS, "mcs-0")["spec"]["containers"][0]
        return found

    def condition(self, type: str) -> tuple[str, str]:
        (found,) = [c for c in self.found(INSTANCES, "mcs")["status"]["conditions"] if c["type"] == type]
        return found["reason"], found["message"]


def _at_home(body: Object) -> Object:
    body["metadata"] |= {"namespace": "demo"}
    return body


@pytest.fixture
def place() -> Place:
    return Place()


def test_another_image_is_pulled_then_put_into_the_pod_and_the_pull_goes(place: Place) -> None:
    place.declare(image=NEXT)
    assert place.settle() == ["apply StatefulSet/mcs", f"apply Pod/{place.pull()}", "merge Pod/mcs-0"]
    assert place.condition("RestartPending")[0] == "Pulling"
    place.kubelet(pull := place.pull(), {"state": {"terminated": {"exitCode": 0}}, "imageID": "sha256:1"})
    begins = ["merge Pod/mcs-0", "merge StatefulSet/mcs", "patch Pod/mcs-0"]
    steps = place.settle()
    assert steps == ["apply StatefulSet/mcs", *begins, f"delete Pod/{pull}"], (
        "the next pod has it, and so has the ledger"
    )
    assert place.media()["image"] == NEXT
    place.kubelet("mcs-0", AGAIN)
    over = "merge StatefulSet/mcs"
    assert place.settle() == ["apply StatefulSet/mcs", "merge Pod/mcs-0", over], "it is the last good image from now on"
    assert place.condition("RestartPending")[0] == "UpToDate"
    assert place.settle() == []


def test_a_pull_that_the_node_rejects_is_made_anew_after_five_minutes(place: Place) -> None:
    place.declare(image=NEXT)
    place.settle()
    pull = place.pull()
    place.found(PODS, pull)["metadata"]["creationTimestamp"] = rfc3339(place.now)
    place.kubelet(pull, {}, phase="Failed", reason="OutOfpods", message="the node has 110 pods")
    assert place.settle() == []
    assert place.condition("RestartPending")[0] == "ImageNotPulled"
    assert place.run(299) == []
    assert f"delete Pod/{pull}" in place.run(1)
    assert f"apply Pod/{pull}" in place.settle(), "the same once more"


def test_a_restart_of_the_operator_in_the_midst_of_it_writes_nothing_of_its_own(place: Place) -> None:
    place.declare(image=NEXT)
    place.settle()
    place.operator = place.an_operator()
    assert place.settle() == []


def test_an_image_that_never_becomes_ready_goes_back_and_stays_so(place: Place) -> None:
    place.declare(image=NEXT)
    place.settle()
    place.kubelet(place.pull(), {"state": {"terminated": {"exitCode": 0}}, "imageID": "sha256:1"})
    place.settle()
    place.kubelet("mcs-0", CRASHES)
    assert place.settle() == []
    assert place.run(299) == []
    assert "patch Pod/mcs-0" in place.run(1)
    assert place.media()["image"] == IMAGE
    place.kubelet("mcs-0", RUNNING | {"restartCount": 2})
    place.settle()
    reason, message = place.condition("Stalled")
    assert reason == "RolledBack"
    assert f"image {NEXT} did not become ready (CrashLoopBackOff: exit 1); the media goes on with {IMAGE}" in message
    place.operator = place.an_operator()
    assert place.run(86400) == [] and place.settle() == []
    place.declare(image=IMAGE)
    place.settle()
    assert place.condition("Stalled")[0] == "NotStalled"


def test_another_size_is_given_once(place: Place) -> None:
    place.declare(resources={"limits": {"cpu": "2"}})
    assert place.settle() == [*TOLD, "apply StatefulSet/mcs", "merge Pod/mcs-0", "patch-resize Pod/mcs-0"]
    assert place.media()["resources"]["limits"]["cpu"] == "2"
    place.kubelet("mcs-0", RUNNING)
    assert place.settle() == []


def test_a_size_that_the_node_will_never_have_leaves_the_template_as_it_runs(place: Place) -> None:
    before = place.media()["resources"]
    place.declare(resources={"requests": {"cpu": "400"}})
    place.settle()
    said = {"type": "PodResizePending", "status": "True", "reason": "Infeasible", "message": "capacity: 2000"}
    place.kubelet("mcs-0", RUNNING, conditions=[said], status={"resources": before})
    assert place.settle() == [*TOLD, "apply StatefulSet/mcs", "merge Pod/mcs-0"]
    template = place.found(STATEFUL_SETS, "mcs")["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == before
    assert place.condition("Sized")[0] == "ResizeInfeasible" and "capacity: 2000" in place.condition("Sized")[1]
    place.operator = place.an_operator()
    assert place.settle() == []


def test_a_size_that_the_api_server_knows_the_node_will_never_have_is_told_and_restarts_nobody(place: Place) -> None:
    before = place.media()["resources"]
    said = "node didn't have enough allocatable resources: cpu, requested: 400000, allocatable: 2000"
    refuses = ApiError(403, "Forbidden", f'pods "mcs-0" is forbidden: {said}', causes=frozenset({"NodeCapacity"}))
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"requests": {"cpu": "400"}})
    place.settle()
    assert place.condition("Sized")[0] == "ResizeInfeasible" and said in place.condition("Sized")[1]
    assert place.condition("RestartPending")[0] == "UpToDate"
    template = place.found(STATEFUL_SETS, "mcs")["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == before
    place.operator = place.an_operator()
    assert place.settle() == []


@pytest.mark.parametrize("causes", [{"NodeCapacity"}, {}], ids=["no room", "a quota"])
@pytest.mark.parametrize("declared", [{"resources": {"limits": {"cpu": "2"}}}, {}], ids=["another", "as it runs"])
def test_after_a_size_that_was_refused_another_one_is_given(place: Place, declared: Object, causes: set[str]) -> None:
    refuses = ApiError(403, "Forbidden", "no room", causes=frozenset(causes))
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"requests": {"cpu": "400"}})
    place.settle()
    place.memory.trouble = lambda *_: None
    place.declare(**declared)
    place.settle()
    place.kubelet("mcs-0", RUNNING)
    place.settle()
    assert place.condition("Sized")[0] not in ("ResizeInfeasible", "ResizeForbidden")
    assert (
        place.found(STATEFUL_SETS, "mcs")["spec"]["template"]["spec"]["containers"][0]["resources"]
        == (place.media()["resources"])
    )
    assert place.run(60) == []


def test_a_pod_that_takes_no_other_size_while_it_runs_is_made_anew(place: Place) -> None:
    refuses = ApiError(422, "Invalid", "Pod running on node without support for resize")
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"limits": {"cpu": "2"}})
    place.run()
    place.run()
    assert place.condition("RestartPending")[0] == "Draining"
    assert "the media's size, which this pod cannot take in place" in place.condition("RestartPending")[1]


def test_who_may_not_change_sizes_has_failed_and_restarts_nobody(place: Place) -> None:
    words = (
        'pods "mcs-0" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "pods/resize" in API group'
    )
    refuses = ApiError(403, "Forbidden", words)
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"limits": {"cpu": "2"}})
    with pytest.raises(ApiError):
        place.run()
    with pytest.raises(ApiError):
        place.run()
    assert place.condition("RestartPending")[0] == "UpToDate"


FORBIDDEN = [
    pytest.param(403, 'pods "mcs-0" is forbidden: exceeded quota: cpus, requested: limits.cpu=1', id="a quota"),
    pytest.param(
        403, 'pods "mcs-0" is forbidden: maximum cpu usage per Container is 1, but limit is 2', id="a LimitRange"
    ),
    pytest.param(403, 'admission webhook "sizes.example.com" denied the request: too large', id="somebody's webhook"),
    pytest.param(
        400, 'admission webhook "sizes.example.com" denied the request: too large', id="a webhook without a status"
    ),
    pytest.param(
        422,
        "pods \"mcs-0\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'all' denied request: too large",
        id="a policy",
    ),
]


@pytest.mark.parametrize(("status", "words"), FORBIDDEN)
def test_a_size_that_the_cluster_forbids_is_told_and_neither_a_failure_nor_a_restart(
    place: Place, status: int, words: str
) -> None:
    before = place.media()["resources"]
    refuses = ApiError(status, "Forbidden", words)
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"limits": {"cpu": "2"}})
    place.settle()
    assert place.condition("Sized")[0] == "ResizeForbidden" and words in place.condition("Sized")[1]
    assert place.condition("RestartPending")[0] == "UpToDate"
    assert place.condition("Reconciling")[0] != "ReconcileFailed"
    template = place.found(STATEFUL_SETS, "mcs")["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == before, "or there would be no next pod"
    place.operator = place.an_operator()
    assert place.settle() == []


def test_a_size_that_the_cluster_forbids_keeps_no_next_pod_away_where_something_else_restarts(place: Place) -> None:
    """What asks for it first is the pod that runs: were it the next one, there would be none."""
    refuses = ApiError(403, "Forbidden", 'pods "mcs-0" is forbidden: exceeded quota: cpus')
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    before = place.media()["resources"]
    place.declare(resources={"limits": {"cpu": "2"}}, network={"mediaPort": 10002})
    place.settle()
    template = place.found(STATEFUL_SETS, "mcs")["spec"]["template"]["spec"]["containers"][0]
    assert template["resources"] == before
    assert {"containerPort": 10002, "hostPort": 10002, "name": "media", "protocol": "UDP"} in template["ports"]
    place.next_pod()
    assert place.condition("Sized")[0] == "ResizeForbidden"


def test_a_size_for_another_node_is_not_asked_of_this_one(place: Place) -> None:
    never = ApiError(403, "Forbidden", 'pods "mcs-0" is forbidden: no room', causes=frozenset({"NodeCapacity"}))
    place.memory.trouble = lambda verb, *_: never if verb == "patch resize" else None
    place.declare(resources={"limits": {"cpu": "2"}}, nodeSelector={"size": "large"})
    assert not [write for write in place.settle() if "resize" in write]
    place.next_pod()
    assert place.media()["resources"]["limits"]["cpu"] == "2"


def test_it_is_asked_for_again_every_ten_minutes_and_given_once_nobody_is_against_it(place: Place) -> None:
    refuses = ApiError(403, "Forbidden", 'pods "mcs-0" is forbidden: exceeded quota: cpus')
    place.memory.trouble = lambda verb, *_: refuses if verb == "patch resize" else None
    place.declare(resources={"limits": {"cpu": "2"}})
    place.settle()
    assert place.run(590) == []
    assert "merge Pod/mcs-0" in place.run(20)
    assert place.condition("Sized")[0] == "ResizeForbidden", "it is not said to be well in between"
    assert place.run(590) == []
    place.memory.trouble = lambda *_: None
    assert "patch-resize Pod/mcs-0" in place.run(20)
    place.kubelet("mcs-0", RUNNING)
    place.settle()
    assert place.media()["resources"]["limits"]["cpu"] == "2"
    assert place.condition("Sized")[0] == "BelowTier"
    template = place.found(STATEFUL_SETS, "mcs")["spec"]["template"]
    assert template["spec"]["containers"][0]["resources"] == place.media()["resources"]
    assert place.run(3600) == []


IN_A_MONTH = {"windows": [{"schedule": f"0 3 {(NOW + timedelta(days=30)).day} * *", "duration": "1h"}]}
NETWORKS = [
    pytest.param({"mediaPort": 10002}, id="another port of the media"),
    pytest.param({"mode": "HostNetwork"}, id="the node's network"),
]


@pytest.mark.parametrize("network", NETWORKS)
def test_another_network_waits_for_its_hour_and_until_then_nobody_is_given_anything_of_it(
    place: Place, network: Object
) -> None:
    """OpenVPN and the firewall of each slot, the Services and the NetworkPolicy are of the pod that runs."""
    place.memory.add(place.store, LINKS, _at_home(a_link("acme")))
    place.declare(disruptions=IN_A_MONTH)
    place.settle()
    assert place.memory.find(SECRETS, "mcs-link-002")
    place.declare(disruptions=IN_A_MONTH, network=network)
    written = {write for write in place.settle() if not write.startswith("merge ")}
    assert written == {"apply StatefulSet/mcs"}
    assert place.condition("RestartPending")[0] == "Waiting"


def test_with_the_pod_that_has_it_the_other_network_is_everybodys(place: Place) -> None:
    place.memory.add(place.store, LINKS, _at_home(a_link("acme")))
    place.settle()
    place.declare(network={"mediaPort": 10002})
    place.next_pod()
    firewall = base64.b64decode(place.found(SECRETS, "mcs-link-002")["data"]["firewall.nft"]).decode()
    assert "10002" in firewall
    assert 10002 in [port["port"] for port in place.found(NETWORK_POLICIES, "mcs")["spec"]["ingress"][0]["ports"]]


def test_a_load_balancer_is_there_before_the_pod_that_needs_it_and_as_long_as_it_does(place: Place) -> None:
    place.declare(disruptions=IN_A_MONTH, network={"mode": "LoadBalancer"})
    place.settle()
    assert place.memory.find(SERVICES, "mcs-public"), "it takes its time to get its address"
    place.next_pod()
    before = place.found(SERVICES, "mcs-public")
    place.declare(disruptions=IN_A_MONTH, network={"mode": "HostNetwork", "mediaPort": 10002})
    place.settle()
    assert place.memory.find(SERVICES, "mcs-public") == before
    assert place.memory.find(NETWORK_POLICIES, "mcs")
    place.next_pod()
    assert place.memory.find(SERVICES, "mcs-public") is place.memory.find(NETWORK_POLICIES, "mcs") is None
    place.declare(disruptions=IN_A_MONTH)
    place.settle()
    assert place.memory.find(NETWORK_POLICIES, "mcs"), "the next pod is held from its first moment"


def test_an_operator_that_does_not_change_sizes_asks_nobody_whether_it_could(place: Place) -> None:
    asked: list[str] = []
    place.memory.trouble = lambda verb, *_: asked.append(verb)
    place.declare(image=NEXT)
    place.settle()
    assert "discover" not in asked
    place.declare(resources={"limits": {"cpu": "2"}})
    place.settle()
    place.declare(resources={"limits": {"cpu": "3"}})
    place.settle()
    assert asked.count("discover") == 1
