"""Out of service on a real API server: a customer, or all of them, for hours, over restarts of everything.

No kubelet and no appliance are here: a fake agent says what they would, of the files that the operator wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from support.api import Api
from support.fake_agent import FakeAgent, FakeAppliance, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.ordering import all_is_handled, without
from support.snapshots import Audit, settled
from support.waiting import until

pytestmark = pytest.mark.integration

OUT, IN = {"serviceState": "OutOfService"}, {"serviceState": "InService"}


@pytest.fixture
def agent(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """Of a namespace with two customers, each with two open connections."""
    base = free_base_port()
    api.create(an_instance(vpn={"slots": 20, "basePort": base}, drainSeconds=600), a_community())
    api.create(a_link("acme", vpnAddress="198.18.254.5"), a_link("bolt", vpnAddress="198.18.254.6"))
    with fake_agent(api, base) as agent:
        agent.appliance = FakeAppliance(api, "mcs")
        agent.appliance.open = {5: 2, 6: 2}
        for name in ("acme", "bolt"):
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed")
        settled(api)
        yield agent


@pytest.fixture
def appliance(agent: FakeAgent) -> FakeAppliance:
    assert agent.appliance is not None
    return agent.appliance


def is_in(api: Api, kind: str, name: str, state: str | None) -> None:
    def look() -> bool:
        status = api.get(kind, name)["status"]
        assert status.get("serviceState") == state, api.condition(kind, name, "InService")
        return True

    until(f"{kind} {name} is {state}", look)


def test_a_customer_goes_out_of_service_and_comes_back_and_nobody_else_notices(
    api: Api, appliance: FakeAppliance
) -> None:
    neighbour, slot = api.get("TVoxLink", "bolt"), api.get("Secret", "mcs-link-005")["metadata"]["resourceVersion"]
    api.change("TVoxLink", "acme", **OUT)
    is_in(api, "TVoxLink", "acme", "Draining")
    assert api.condition("TVoxLink", "acme", "Ready")[:2] == ("True", "OutOfService")
    appliance.open[5] = 0
    is_in(api, "TVoxLink", "acme", "OutOfService")
    api.change("TVoxLink", "acme", **IN)
    is_in(api, "TVoxLink", "acme", "InService")
    settled(api)
    assert api.get("TVoxLink", "bolt") == neighbour
    assert api.get("Secret", "mcs-link-005")["metadata"]["resourceVersion"] == slot, "the tunnel is not touched"
    assert appliance.orders == []
    entries = json.loads(api.get("ConfigMap", "mcs-links")["data"]["links.json"])["links"]
    assert all("serviceState" not in entry for entry in entries)


def test_what_a_customer_out_of_service_costs(api: Api, appliance: FakeAppliance) -> None:
    audit = Audit.of(api)
    api.change("TVoxLink", "acme", **OUT)
    is_in(api, "TVoxLink", "acme", "Draining")
    settled(api)
    if audit is not None:
        written = [write for write in audit.writes(api.namespace) if "pods/" not in write]
        assert sorted(set(written)) == [
            "patch configmaps/mcs-links",
            "patch configmaps/mcs-manifest",
            "patch tvoxlinks/acme/status",
        ]
        assert len(written) <= 4, "the status twice at most: as it is asked for, and as it is confirmed"


def test_an_image_that_knows_no_service_state_is_named_and_nothing_waits_for_it(
    api: Api, appliance: FakeAppliance
) -> None:
    appliance.knows_service_states = False
    settled(api)
    api.change("TVoxLink", "acme", **OUT)
    api.wait_condition("TVoxLink", "acme", "InService", "Unknown", "NotConfirmed")
    is_in(api, "TVoxLink", "acme", None)
    assert api.condition("TVoxLink", "acme", "Ready")[:2] == ("True", "Programmed")
    assert api.condition("MCSInstance", "mcs", "Reconciling")[0] == "False"


def test_an_instance_goes_out_of_service_without_a_restart_and_stays_so_until_it_is_put_back(
    api: Api, appliance: FakeAppliance, operator: Operator
) -> None:
    uid = api.get("Pod", "mcs-0")["metadata"]["uid"]
    api.change("MCSInstance", "mcs", **OUT)
    is_in(api, "MCSInstance", "mcs", "Draining")
    readiness(api, ready=False)
    appliance.open = {}
    is_in(api, "MCSInstance", "mcs", "OutOfService")
    assert api.condition("MCSInstance", "mcs", "Ready")[:2] == ("True", "OutOfService")
    assert set(appliance.orders) == {"POST"}

    told = len(appliance.orders)
    before = settled(api, quiet=3)
    operator.stop()
    audit = Audit.of(api)
    operator.start()
    marker = all_is_handled(api)
    assert {name: version for name, version in settled(api, quiet=3).items() if name in before} == before
    if audit is not None:
        assert without(marker, audit.writes(api.namespace)) == []
    assert len(appliance.orders) == told, "an operator that has just started orders nothing that is done"

    appliance.restart()
    until("the next container drains, too", lambda: len(appliance.orders) > told)
    assert set(appliance.orders) == {"POST"}
    is_in(api, "MCSInstance", "mcs", "OutOfService")
    api.change("MCSInstance", "mcs", **IN)
    until("it takes new sessions", lambda: appliance.orders[-1] == "DELETE")
    readiness(api, ready=True)
    is_in(api, "MCSInstance", "mcs", "InService")
    assert api.condition("MCSInstance", "mcs", "Ready")[:2] == ("True", "Serving")
    assert api.get("Pod", "mcs-0")["metadata"]["uid"] == uid
    assert "mcs.tvox.io/draining-since" not in api.get("Pod", "mcs-0")["metadata"]["annotations"]


def readiness(api: Api, *, ready: bool) -> None:
    """What the kubelet's probe finds."""
    (media,) = api.get("Pod", "mcs-0")["status"]["containerStatuses"]
    api.merge_status("Pod", "mcs-0", {"containerStatuses": [media | {"ready": ready}]})


def test_a_restart_that_is_called_off_puts_nobody_back_into_service(api: Api, appliance: FakeAppliance) -> None:
    api.change("MCSInstance", "mcs", **OUT)
    is_in(api, "MCSInstance", "mcs", "Draining")

    def noted() -> bool:
        return "mcs.tvox.io/draining-since" in api.get("Pod", "mcs-0")["metadata"]["annotations"]

    image = api.get("MCSInstance", "mcs")["spec"]["image"]
    api.change("MCSInstance", "mcs", image="localhost/mcs/appliance:next")
    until("the restart is noted", noted)
    until("the appliance is told by when it comes", lambda: appliance.until)
    api.change("MCSInstance", "mcs", image=image)
    until("its note is gone", lambda: not noted())
    settled(api)
    assert appliance.until == "", "out of service it is for nobody knows how long"
    assert set(appliance.orders) == {"POST"}
    is_in(api, "MCSInstance", "mcs", "Draining")


def test_who_waits_for_the_end_of_a_drain_is_told_another_one_when_drain_seconds_change(
    api: Api, appliance: FakeAppliance
) -> None:
    api.change("MCSInstance", "mcs", image="localhost/mcs/appliance:next")
    first = datetime.fromisoformat(until("the appliance is told by when it comes", lambda: appliance.until))
    later = first + timedelta(seconds=600)
    api.change("MCSInstance", "mcs", drainSeconds=1200)
    until("it is told anew", lambda: appliance.until == later.strftime("%Y-%m-%dT%H:%M:%SZ"))
    settled(api)
    assert appliance.orders == ["POST", "POST"]
