"""The media's image and size change in the pod that runs, on a real node: calls end where they have to, tunnels never.

Two customers are witnesses, by probes that start in the agent's container: the media's goes in some of the tests.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.api import Api, Object
from support.cluster import Node
from support.images import load_under_another_name
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE, an_instance
from support.operator import Operator
from support.pods import nobody_pulls
from support.probe import Probe
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

WITNESSES = ("acme", "globex")
IMAGE: str = an_instance()["spec"]["image"]
NEXT = "localhost/mcs/appliance:next"
NOWHERE = "localhost/mcs/appliance:was-never-built"
NO_APPLIANCE = "localhost/mcs/link:dev"
"""An image that is on the node and never answers as an appliance."""


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance with two customers who have tunnels."""
    load_under_another_name(IMAGE, NEXT)
    with serving(node, server, first=WITNESSES[0], disruptions={"rollbackAfter": "20s"}) as mcs:
        mcs.link(WITNESSES[1])
        mcs.connect(WITNESSES[1])
        yield mcs


@contextmanager
def tunnels_stay_up(mcs: Mcs, media_restarts: bool) -> Iterator[None]:
    """What happens in the block replaces no pod and no container but the media, and loses nobody a packet."""
    before = mcs.identity()
    probes = {name: Probe(mcs.api, POD, mcs.status(name)["vpnAddress"], container="agent") for name in WITNESSES}
    try:
        for probe in probes.values():
            probe.await_first_answer()
        time.sleep(2)
        begun = time.monotonic()
        yield
        print(f"took {time.monotonic() - begun:.1f} s")
        time.sleep(5)
        for name, probe in probes.items():
            report = probe.finish()
            print(f"probe over {name}: {report}")
            assert report.lost == 0, report
            assert report.sent > 100 * 0.5 * report.seconds, report
    finally:
        for probe in probes.values():
            probe.close()
    after = mcs.identity()
    changed = {name for name in after.restarts if after.restarts[name] != before.restarts[name]}
    assert (after.uid, changed) == (before.uid, {"media"} if media_restarts else set())


def media(mcs: Mcs) -> Object:
    """The media's container, as its kubelet tells of it."""
    pod = mcs.api.get("Pod", POD)
    found: Object = next(told for told in pod["status"]["containerStatuses"] if told["name"] == "media")
    return found


def resizing(mcs: Mcs) -> bool:
    """Whether the kubelet says that it is at work on a size."""
    conditions = mcs.api.get("Pod", POD)["status"]["conditions"]
    return any(condition["type"].startswith("PodResize") for condition in conditions)


def declared(mcs: Mcs) -> Object:
    """The media's container, as it is to be."""
    found: Object = mcs.api.get("Pod", POD)["spec"]["containers"][0]
    return found


@contextmanager
def becoming_ready_with(mcs: Mcs, image: str, restarts: int = 1) -> Iterator[None]:
    """What happens in the block gives the media this image. The node may name it otherwise: it goes by the content."""
    before = int(media(mcs)["restartCount"])
    yield

    def look() -> bool:
        told = media(mcs)
        return declared(mcs)["image"] == image and bool(told["ready"]) and told["restartCount"] >= before + restarts

    until(f"the media is ready with {image}", look, 120)


def test_another_image_costs_the_calls_and_no_tunnel(mcs: Mcs) -> None:
    for image in (NEXT, IMAGE):
        with tunnels_stay_up(mcs, media_restarts=True), becoming_ready_with(mcs, image):
            mcs.api.change("MCSInstance", INSTANCE, image=image)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
        assert mcs.answers_outside(mcs.domain("acme"), 200)["tvox"] == "acme"
        until("nobody pulls any more", lambda: nobody_pulls(mcs.api, INSTANCE))


def test_an_image_that_cannot_be_pulled_interrupts_nobody_and_is_told(mcs: Mcs) -> None:
    with tunnels_stay_up(mcs, media_restarts=False):
        mcs.api.change("MCSInstance", INSTANCE, image=NOWHERE)
        message = mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "ImageNotPulled", 60)
        assert NOWHERE in message
        told = mcs.api.get("MCSInstance", INSTANCE)["metadata"]["resourceVersion"]
        time.sleep(15)  # longer than the kubelet's first back-off, which is another text of its own
        assert mcs.api.get("MCSInstance", INSTANCE)["metadata"]["resourceVersion"] == told, "in changing words"
        assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"
        mcs.api.change("MCSInstance", INSTANCE, image=IMAGE)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


@pytest.mark.slow
def test_an_image_that_is_never_ready_goes_back_to_the_one_before(mcs: Mcs) -> None:
    with tunnels_stay_up(mcs, media_restarts=True), becoming_ready_with(mcs, IMAGE, restarts=2):
        mcs.api.change("MCSInstance", INSTANCE, image=NO_APPLIANCE)
        until("the media has the image that is none", lambda: declared(mcs)["image"] == NO_APPLIANCE, 60)
        message = mcs.api.wait_condition("MCSInstance", INSTANCE, "Stalled", "True", "RolledBack", 90)
        print(message)
        assert NO_APPLIANCE in message and IMAGE in message
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True")
    mcs.api.change("MCSInstance", INSTANCE, image=IMAGE)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Stalled", "False")


def test_another_size_is_in_force_and_nobody_notices(mcs: Mcs) -> None:
    """Memory only grows: a kubelet that cannot tell what a container uses, as with cgroup v1, takes none away."""
    resources = an_instance()["spec"]["resources"]
    with tunnels_stay_up(mcs, media_restarts=False):
        for cpu, memory in (("2", "768Mi"), ("1", "768Mi")):
            limits = {"cpu": cpu, "memory": memory}
            mcs.api.change("MCSInstance", INSTANCE, resources=resources | {"limits": limits})
            until(f"{limits} are asked for", lambda limits=limits: declared(mcs)["resources"]["limits"] == limits, 20)
            # The kubelet's own pace: it looks again at a size that is in progress only now and then.
            until(f"{limits} are in force", lambda limits=limits: media(mcs)["resources"]["limits"] == limits, 240)
            until("the kubelet is done with it", lambda: not resizing(mcs), 240)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


def test_a_size_that_the_node_will_never_have_is_told_and_the_next_pod_keeps_what_runs(mcs: Mcs) -> None:
    resources = an_instance()["spec"]["resources"] | {"limits": {"cpu": "1", "memory": "768Mi"}}
    huge = {"requests": {"cpu": "400", "memory": "64Mi"}, "limits": {"cpu": "400", "memory": "768Mi"}}
    with tunnels_stay_up(mcs, media_restarts=False):
        mcs.api.change("MCSInstance", INSTANCE, resources=huge)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "Sized", "False", "ResizeInfeasible", 60)

        def kept() -> bool:
            template = mcs.api.get("StatefulSet", INSTANCE)["spec"]["template"]["spec"]
            return bool(template["containers"][0]["resources"]["requests"]["cpu"] == resources["requests"]["cpu"])

        until("the template keeps what runs", kept, 30)
        mcs.api.change("MCSInstance", INSTANCE, resources=resources)
        until("it is as before", lambda: mcs.api.condition("MCSInstance", INSTANCE, "Sized")[1] == "BelowTier", 60)
