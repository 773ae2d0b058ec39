"""Maintenance of the node, and an appliance that is stopped on purpose: nobody is cut off before somebody says so."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
import yaml

from support.api import ROOT, Api, Refused
from support.cluster import Node
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE
from support.operator import Operator
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.usefixtures("operator")]

FIRST = "acme"
PROTECTION = "mcs-operator-deletion-protection"


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance that is pinned to the one node, with a customer who is connected. Few slots: it stops and starts."""
    with serving(node, server, first=FIRST, vpn={"slots": 3}, drainSeconds=5) as mcs:
        yield mcs


@pytest.fixture
def drain(server: Api, node: Node) -> Iterator[subprocess.Popen[str]]:
    """`kubectl drain` of the node, of the media pod alone: what else runs on a node that is shared is to stay."""
    command = ["drain", node.name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=200s"]
    selector = f"--pod-selector=statefulset.kubernetes.io/pod-name={POD}"
    process = subprocess.Popen(
        server.kubectl_command(*command, selector), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    process.kill()
    print(process.communicate()[0])
    server.kubectl("uncordon", node.name)


def uid(mcs: Mcs) -> str:
    return str((mcs.api.find("Pod", POD) or {}).get("metadata", {}).get("uid", ""))


def serves_again(mcs: Mcs, before: str) -> None:
    until("the next pod", lambda: uid(mcs) not in ("", before), 60)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", "Serving", timeout=120)
    mcs.programmed(FIRST)
    mcs.dialled_in(FIRST)


def test_a_drain_of_the_only_node_waits_costs_nobody_a_packet_and_goes_through_once_it_is_forced(
    mcs: Mcs, server: Api, node: Node, drain: subprocess.Popen[str]
) -> None:
    before = uid(mcs)
    with mcs.unnoticed(FIRST):
        message = mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "NoNodeFits", timeout=60)
        assert f"node {node.name} is cordoned" in message and before in message
        time.sleep(12)  # kubectl evicts every five seconds
        assert drain.poll() is None, "the drain has ended"
    mcs.release(FIRST)
    begun = time.monotonic()
    mcs.api.annotate("MCSInstance", INSTANCE, force_drain=before)
    assert drain.wait(150) == 0
    print(f"forced to drained: {time.monotonic() - begun:.1f} s")
    until(
        "the next pod waits for a node",
        lambda: "nschedulable" in mcs.api.condition("MCSInstance", INSTANCE, "Ready")[2],
        30,
    )
    server.kubectl("uncordon", node.name)
    serves_again(mcs, before)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False", "UpToDate")


def test_a_node_that_is_uncordoned_in_time_has_cost_nobody_a_packet(mcs: Mcs, server: Api, node: Node) -> None:
    before = uid(mcs)
    with mcs.unnoticed(FIRST):
        server.kubectl("cordon", node.name)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "NoNodeFits", timeout=60)
        server.kubectl("uncordon", node.name)
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False", "UpToDate")
    assert uid(mcs) == before


def test_an_appliance_that_is_suspended_stops_keeps_all_and_comes_back(mcs: Mcs) -> None:
    before, status = uid(mcs), mcs.status(FIRST)
    mcs.release(FIRST)
    mcs.api.change("MCSInstance", INSTANCE, suspend=True)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", "Suspended", timeout=90)
    assert uid(mcs) == ""
    mcs.api.wait_condition("TVoxLink", FIRST, "Ready", "True", "Suspended")
    mcs.api.wait_condition("TVoxLink", FIRST, "Connected", "False", "Suspended")
    assert mcs.api.get("StatefulSet", INSTANCE)["spec"]["replicas"] == 0
    mcs.api.change("MCSInstance", INSTANCE, suspend=None)
    serves_again(mcs, before)
    assert mcs.status(FIRST)["vpnAddress"] == status["vpnAddress"]


def test_an_instance_with_a_tunnel_is_not_deleted_by_a_slip_of_the_hand(mcs: Mcs, server: Api) -> None:
    rendered = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    text = yaml.safe_dump_all([body for body in rendered if body and body["metadata"]["name"] == PROTECTION])
    server.kubectl("apply", "-f", "-", stdin=text)
    try:
        until("one link is up", lambda: mcs.api.get("MCSInstance", INSTANCE)["status"]["links"].get("up") == 1, 30)
        asked = ("delete", "mcsinstance", INSTANCE, "--dry-run=server")
        until("the policy is in force", lambda: PROTECTION in mcs.api.kubectl(*asked, check=False, merge=True), 30)
        with mcs.unnoticed(FIRST), pytest.raises(Refused, match="1 TVoxLink is up"):
            mcs.api.delete("MCSInstance", INSTANCE)
    finally:
        server.kubectl("delete", "-f", "-", stdin=text)
