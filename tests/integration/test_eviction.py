"""Nobody evicts the media pod: who drains a node has to wait for the operator."""

from __future__ import annotations

import pytest

from support.api import Api, Refused
from support.objects import an_instance
from support.operator import Operator
from support.pods import place_pod
from support.waiting import until

pytestmark = pytest.mark.integration


def test_an_eviction_of_the_media_pod_is_refused_and_a_dry_run_of_it_too(api: Api, operator: Operator) -> None:
    api.create(an_instance())
    until("the budget", lambda: api.find("PodDisruptionBudget", "mcs"))
    place_pod(api, "mcs", nodeSelector={"mcs.tvox.io/nowhere": "true"})
    api.merge_status("Pod", "mcs-0", {"phase": "Running"})  # one that waits for a node may always go
    for dry_run in (True, False):
        with pytest.raises(Refused) as refused:
            api.evict("mcs-0", dry_run=dry_run)
        assert refused.value.status == 429, refused.value.message
        assert "disruption budget" in refused.value.message
