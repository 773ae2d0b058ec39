"""A cluster that wants a CPU limit of every container: the media pod fits once the chart's values give one."""

from __future__ import annotations

import json

import pytest

from mcs_operator.api import MCSInstance
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.settings import ContainerResources, Settings
from support.api import Api, Object, Refused
from support.objects import an_instance
from support.waiting import until

pytestmark = pytest.mark.integration

LIMITED = ContainerResources.from_json('{"limits": {"cpu": "100m"}}')
OURS, SET = Settings(), Settings(slot_resources=LIMITED, agent_resources=LIMITED)
NEEDED = "cpu max limit to request ratio per Container is 100"


@pytest.fixture
def ranged(api: Api) -> Api:
    """A namespace with such a LimitRange, in force."""
    until("the namespace's service account", lambda: api.find("ServiceAccount", "default"))
    limits = {"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "100"}}]}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": limits}
    api.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    until("it is in force", lambda: NEEDED in refusal(api, OURS))
    return api


def refusal(api: Api, settings: Settings) -> str:
    """What the API server says to the media pod; empty where it takes it."""
    instance = MCSInstance.from_object(an_instance(network={"mode": "HostNetwork"}))
    template = build_stateful_set(instance, settings).body["spec"]["template"]
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": "mcs-0"}}
    try:
        api.create(pod | {"spec": template["spec"]}, dry_run=True)
    except Refused as refused:
        return refused.message
    return ""


def test_the_media_pod_fits_a_limit_range_by_the_chart_s_values(ranged: Api) -> None:
    assert NEEDED in refusal(ranged, OURS)
    assert refusal(ranged, SET) == ""
