"""The pod's own life: it is deleted, and is back with all its customers, ten times out of ten."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from e2e.crowd import Town, a_town, bring_up, connected
from support.api import Api
from support.cluster import Node
from support.figures import Figure
from support.mcs import POD, Mcs
from support.operator import Operator
from support.sheet import Sheet
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

TIMES = int(os.environ.get("MCS_SOAK_TIMES", "10"))
LIMIT_SECONDS = {64: 45, 250: 160}
"""From the delete to Ready, by the number of slots, all of them in use; on two cores, also of a slow day."""


@dataclass(frozen=True)
class Life:
    """Seconds from the delete on."""

    gone: float
    ready: float
    back: float


@pytest.fixture(params=LIMIT_SECONDS, ids=lambda slots: f"{slots} slots")
def full(
    node: Node,
    server: Api,
    operator_process: Operator,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Town]:
    """An instance of which every slot has a tunnel."""
    names = [f"tvox-{number:03d}" for number in range(request.param)]
    with a_town(node, server, tmp_path_factory.mktemp("crowd"), names, slots=request.param) as town:
        bring_up(town.mcs, town.crowd, names, timeout=240)
        yield town


def live(mcs: Mcs, names: set[str]) -> Life:
    """Delete the pod, and wait for what comes after."""
    before, begun = mcs.identity().uid, time.monotonic()
    deleted = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mcs.api.delete("Pod", POD)

    def another() -> bool:
        pod = mcs.api.find("Pod", POD)
        return pod is not None and pod["metadata"]["uid"] != before

    def ready() -> bool:
        conditions = mcs.api.get("Pod", POD)["status"].get("conditions", [])
        return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)

    def back() -> bool:
        left = names - {name for name, since in connected(mcs).items() if since > deleted}
        assert not left, f"{len(left)} are not back: {sorted(left)[:10]}"
        return True

    times = []
    for what, look in (("the old pod is gone", another), ("the new one is ready", ready), ("all are back", back)):
        until(what, look, 300, pause=0.5)  # such a pod is half a megabyte at each look
        times.append(time.monotonic() - begun)
    return Life(*times)


def test_a_deleted_pod_is_back_in_time_with_all_its_customers_ten_times_out_of_ten(full: Town, sheet: Sheet) -> None:
    names = set(full.crowd.customers)
    slots = len(names)
    lives = []
    for turn in range(TIMES):
        life = live(full.mcs, names)
        print(
            f"{slots} slots, {turn + 1}: stop {life.gone:.1f} s, start {life.ready - life.gone:.1f} s, "
            f"ready after {life.ready:.1f} s, all tunnels back after {life.back:.1f} s"
        )
        lives.append(life)
        time.sleep(5)
    sheet.add(f"stop-{slots}", Figure(f"{slots} slots: pod stopped", [life.gone for life in lives], "s"))
    sheet.add(f"start-{slots}", Figure(f"{slots} slots: then ready", [life.ready - life.gone for life in lives], "s"))
    limit, ready = LIMIT_SECONDS[slots], [life.ready for life in lives]
    sheet.add(f"ready-{slots}", Figure(f"{slots} slots: delete to ready", ready, "s", limit))
    back = [life.back for life in lives]
    sheet.add(f"back-{slots}", Figure(f"{slots} slots: delete to all tunnels back", back, "s"))
    assert max(ready) <= limit
