"""Do the public names lead to the instance? Asked in the pod (by a stand-in agent here) and by the operator, told in a
condition, and without any effect on what works."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.api import Api
from support.fake_agent import fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.names import knowing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import until_counted
from support.snapshots import Audit, settled
from support.waiting import until

pytestmark = pytest.mark.integration

ADDRESS = "10.89.0.1"
SAME, OTHER, UNKNOWN = "same.mcs.test", "other.mcs.test", "unknown.mcs.test"


@pytest.mark.timeout(240)
def test_what_the_dns_says_is_told_without_an_effect_and_not_asked_again_and_again(
    api: Api, operator: Operator, tmp_path: Path
) -> None:
    with left_out_if_missing():
        known = knowing(dict.fromkeys(("mcs.test", SAME, OTHER), ADDRESS), tmp_path)
    operator.stop()  # the next test starts it again
    asking = Operator(api.kubeconfig, tmp_path / "operator.log", within=known)
    asking.start()
    try:
        base = free_base_port()
        api.create(an_instance(vpn={"slots": 6, "basePort": base}), a_community())
        api.create(*(a_link(name) for name in ("same", "other", "unknown")))
        with fake_agent(api, base) as agent:
            agent.addresses |= {"mcs.test": ADDRESS, SAME: ADDRESS, OTHER: "192.0.2.9", UNKNOWN: ADDRESS}

            told = api.wait_condition("MCSInstance", "mcs", "DomainResolved", "True", "Resolved", 60)
            assert told == f"mcs.test should lead to {ADDRESS}: the media pod is told {ADDRESS}, the operator {ADDRESS}"
            api.wait_condition("TVoxLink", "same", "DomainResolved", "True", "Resolved", 30)
            told = api.wait_condition("TVoxLink", "other", "DomainResolved", "False", "WrongAddress", 30)
            assert "the media pod is told 192.0.2.9, the operator 10.89.0.1;" in told
            told = api.wait_condition("TVoxLink", "unknown", "DomainResolved", "False", "NotResolved", 30)
            assert "the media pod is told 10.89.0.1, the operator that there is no such name" in told
            for name in ("same", "other", "unknown"):
                api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed", 30)

            until_counted(api)
            before = settled(api, quiet=3)
            asking.stop()
            audit, questions = Audit.of(api), len(agent.asked)
            asking.start()
            until("all is asked again", lambda: sum(map(len, agent.asked[questions:])) >= 4, 60)
            assert settled(api, quiet=5) == before, "what was written stands until it is known otherwise"
            assert audit is None or audit.writes(api.namespace) == []
            new = agent.asked[questions:]
            assert len(new) <= 2, new
            assert sorted(name for asked in new for name in asked) == sorted(["mcs.test", SAME, OTHER, UNKNOWN])

            agent.addresses[SAME] = "192.0.2.9"
            asking.stop()
            asking.start()
            api.wait_condition("TVoxLink", "same", "DomainResolved", "False", "WrongAddress", 30)
            api.wait_condition("TVoxLink", "same", "Ready", "True", "Programmed")

            agent.is_outdated = True
            asking.stop()
            asking.start()
            api.wait_condition("MCSInstance", "mcs", "DomainResolved", "Unknown", "AgentOutdated", 30)
    finally:
        asking.stop()
