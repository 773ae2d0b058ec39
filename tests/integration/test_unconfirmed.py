"""A node that is cut off: nobody is told that all is well by the last word of its kubelet, which stands for ever."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from support.api import Api
from support.fake_agent import fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.snapshots import audited, settled

pytestmark = pytest.mark.integration

NAMES = [f"c{number:02d}" for number in range(50)]


@pytest.mark.timeout(300)
def test_what_nobody_confirms_is_unknown_after_half_a_minute_at_the_cost_of_one_write_each(
    api: Api, operator: Operator
) -> None:
    base = free_base_port()
    api.create(an_instance(vpn={"slots": 50, "basePort": base}), a_community(), *map(a_link, NAMES))
    with fake_agent(api, base, is_ready=True) as agent:
        for name in NAMES:
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed", timeout=90)
        for name in NAMES:  # its DNS is asked once, some seconds after the rest
            api.wait_condition("TVoxLink", name, "DomainResolved", "False", "NotResolved", timeout=90)
        api.wait_condition("MCSInstance", "mcs", "Ready", "True", "Serving")
        settled(api, quiet=3)

        once = Counter([f"patch tvoxlinks/{name}/status" for name in NAMES] + ["patch mcsinstances/mcs/status"])
        for is_cut_off, ready in ((True, ("Unknown", "AgentUnreachable")), (False, ("True", "Serving"))):
            audit, begun = audited(api), time.monotonic()
            agent.is_cut_off = is_cut_off
            api.wait_condition("MCSInstance", "mcs", "Ready", *ready, timeout=60)
            took = time.monotonic() - begun
            assert took < 45, "35 s, on a machine that has time"
            settled(api, quiet=3)
            time.sleep(10)
            written = Counter(write for write in audit.writes(api.namespace) if not write.startswith("create events"))
            assert written == once
