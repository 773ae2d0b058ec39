"""A cordoned node, as a real API server tells of it: whether its media pod goes, and what is said where it stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from support.api import Api
from support.objects import an_instance
from support.operator import Operator
from support.pods import place_pod
from support.waiting import until

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Pool:
    """Two nodes that the instance's nodeSelector matches. No kubelet runs there: the test says what one would."""

    api: Api
    home: str
    spare: str

    def ready(self, node: str, status: str = "True") -> None:
        heartbeat = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        condition = {"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat, "reason": "Test"}
        self.api.merge_status("Node", node, {"conditions": [condition]})

    def cordon(self, node: str, cordoned: bool = True) -> None:
        self.api.change("Node", node, unschedulable=cordoned)

    def says(self) -> tuple[str, str, str]:
        return self.api.condition("MCSInstance", "mcs", "RestartPending")

    def waits(self, reason: str) -> str:
        status = "False" if reason == "UpToDate" else "True"
        return self.api.wait_condition("MCSInstance", "mcs", "RestartPending", status, reason, 20)

    def stays(self) -> bool:
        return not self.api.get("Pod", "mcs-0")["metadata"].get("deletionTimestamp")

    def goes(self) -> None:
        until("the pod is deleted", lambda: not self.api.find("Pod", "mcs-0") or not self.stays(), 20)


@pytest.fixture
def pool(api: Api, operator: Operator) -> Iterator[Pool]:
    """With the media pod on one of them."""
    names = [f"{api.namespace}-{name}" for name in ("home", "spare")]
    pool = Pool(api, *names)
    for name in names:
        labels = {"mcs.tvox.io/pool": api.namespace}
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        pool.ready(name)
        api.change("Node", name, taints=None)  # a new node has that of one that is not ready, until a controller sees
    try:
        api.create(an_instance(nodeSelector={"mcs.tvox.io/pool": api.namespace}))
        place_pod(api, "mcs", nodeName=pool.home)
        status = '{"status": {"replicas": 1, "observedGeneration": 1000}}'  # as its controller would have it
        api.kubectl("patch", "statefulset", "mcs", "--subresource=status", "--type=merge", f"--patch={status}")
        pool.waits("UpToDate")
        yield pool
    finally:
        api.kubectl("delete", "pod", "mcs-0", "--force", "--ignore-not-found")
        for name in names:
            api.delete("Node", name)


def test_the_pod_goes_where_another_node_takes_it(pool: Pool) -> None:
    uid = pool.api.get("Pod", "mcs-0")["metadata"]["uid"]
    pool.cordon(pool.home)
    pool.goes()
    events = pool.api.kubectl("get", "events", "--output=jsonpath={.items[*].message}")
    assert f"(UID {uid}) is replaced: node {pool.home} is cordoned" in events


def test_where_none_does_it_stays_until_the_node_is_uncordoned_or_somebody_insists(pool: Pool) -> None:
    pool.cordon(pool.spare)
    pool.cordon(pool.home)
    message = pool.waits("NoNodeFits")
    assert "no other schedulable node is matched by spec.nodeSelector" in message
    assert pool.stays()
    pool.cordon(pool.home, cordoned=False)
    pool.waits("UpToDate")
    pool.cordon(pool.home)
    pool.waits("NoNodeFits")
    pool.api.annotate("MCSInstance", "mcs", force_drain="6a6f1a5c-0000-4000-8000-000000000000")
    assert pool.waits("NoNodeFits") and pool.stays()
    pool.api.annotate("MCSInstance", "mcs", force_drain=pool.api.get("Pod", "mcs-0")["metadata"]["uid"])
    pool.goes()


def test_on_a_node_that_does_not_answer_it_stays_and_says_so(pool: Pool) -> None:
    pool.ready(pool.home, "Unknown")
    pool.cordon(pool.home)
    assert f"node {pool.home} is cordoned and does not answer" in pool.waits("NodeNotReady")
    assert pool.stays()
