"""Disruptions wait for their hour: what status, pod and StatefulSet say meanwhile, and what is not written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.api import Api, Object, Refused
from support.objects import INSTANCE, a_community, a_link, an_instance
from support.operator import Operator
from support.pods import media_runs, place_pod
from support.snapshots import audited, settled
from support.waiting import until

pytestmark = pytest.mark.integration

POD = f"{INSTANCE}-0"


def window(begins: datetime) -> Object:
    """The rules of a spec with one window of an hour, on one day of the year."""
    schedule = f"{begins.minute} {begins.hour} {begins.day} {begins.month} *"
    return {"windows": [{"schedule": schedule, "duration": "1h"}]}


def far_away() -> Object:
    return window(datetime.now(UTC) + timedelta(days=40))


def open_now() -> Object:
    return window(datetime.now(UTC) - timedelta(minutes=5))


@pytest.fixture
def running(api: Api, operator: Operator) -> Api:
    """An instance that may be interrupted in a month, whose pod runs on a node that nobody else has."""
    if api.find("Node", "mcs-node"):
        pytest.skip("a kubelet is there: tests/e2e/test_gate.py asks it")
    api.create(an_instance(disruptions=far_away(), drainSeconds=1), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    place_pod(api, INSTANCE, nodeName="mcs-node")
    media_runs(api, INSTANCE)
    api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
    return api


def status(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("MCSInstance", INSTANCE)["status"]
    return found


def pod(api: Api) -> Object:
    """Metadata of the media pod."""
    found: Object = api.get("Pod", POD)["metadata"]
    return found


def seen_by_its_controller(api: Api) -> None:
    """Say what the controller of the StatefulSet would: that the next pod is made from the present template."""
    generation = api.get("StatefulSet", INSTANCE)["metadata"]["generation"]
    api.merge_status("StatefulSet", INSTANCE, {"observedGeneration": generation, "replicas": 1})


def ledger(api: Api) -> list[dict[str, Any]]:
    noted = api.get("StatefulSet", INSTANCE)["metadata"]["annotations"]
    return [json.loads(text) for name, text in sorted(noted.items()) if name.startswith("mcs.tvox.io/interruption-")]


def told(api: Api) -> list[str]:
    """What Events say of waiting: each comes after the status that it is about."""
    return [event["message"] for event in api.list("Event") if event["reason"] == "Waiting"]


def test_outside_of_its_window_a_change_waits_and_says_for_when(running: Api, operator: Operator) -> None:
    before = pod(running)["uid"]
    running.change("MCSInstance", INSTANCE, vpn={"slots": 7})
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
    (waits,) = status(running)["disruptions"]
    assert (waits["cause"], waits["impact"]) == ("SpecChanged", "Restart")
    hours = datetime.fromisoformat(waits["plannedFor"]) - datetime.now(UTC)
    assert timedelta(days=39) < hours < timedelta(days=41)
    until("it is told", lambda: told(running))

    settled(running)
    assert len(told(running)) == 1 and f"waits for the window that begins at {waits['plannedFor']}" in told(running)[0]
    audit = audited(running)
    operator.stop()
    operator.start()
    settled(running)
    assert audit.writes(running.namespace) == [], "what waits costs nothing, also when the operator starts anew"

    running.change("MCSInstance", INSTANCE, vpn={"slots": 6})
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
    until("it is gone from the list", lambda: "disruptions" not in status(running))
    until("the pod does not wait", lambda: "mcs.tvox.io/disruptions" not in pod(running)["annotations"])
    assert pod(running)["uid"] == before
    assert ledger(running) == []


def test_in_its_window_the_pod_is_replaced_and_that_is_in_the_ledger(running: Api) -> None:
    running.change("MCSInstance", INSTANCE, vpn={"slots": 7})
    running.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
    running.change("MCSInstance", INSTANCE, disruptions=open_now())
    seen_by_its_controller(running)
    until("the pod is deleted", lambda: "deletionTimestamp" in pod(running), 40)
    (begun,) = ledger(running)
    assert (begun["cause"], begun["number"], "over" in begun) == ("SpecChanged", 1, False)

    running.kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    until("the pod is gone", lambda: running.find("Pod", POD) is None)
    place_pod(running, INSTANCE, nodeName="mcs-node")
    media_runs(running, INSTANCE)
    until("it is over", lambda: "over" in status(running).get("interruptions", [{}])[0], 40)
    (told,) = status(running)["interruptions"]
    assert (told["number"], told["cause"], told["begun"]) == (1, "SpecChanged", begun["begun"])
    until("that is told", lambda: [e for e in running.list("Event") if e["reason"] == "InterruptionOver"])
    settled(running)
    assert len(ledger(running)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "@daily", "duration": "2h"},
        {"schedule": "0 2 * *", "duration": "2h"},
        {"schedule": "0 2 * * SUN", "duration": "25h"},
        {"schedule": "0 2 * * SUN", "duration": "30s"},
        {"schedule": "0 2 * * SUN", "duration": "2h", "timeZone": "../UTC"},
    ],
    ids=str,
)
def test_the_api_server_refuses_what_is_no_window(api: Api, wrong: Object) -> None:
    with pytest.raises(Refused) as refused:
        api.create(an_instance(disruptions={"windows": [wrong]}))
    assert "spec.disruptions.windows[0]" in str(refused.value)


def test_the_api_server_refuses_to_force_without_a_window(api: Api) -> None:
    with pytest.raises(Refused, match="Force needs windows"):
        api.create(an_instance(disruptions={"atWindowEnd": "Force"}))
