"""From the version of before to this one and back: what it made is taken over as it is, and who has a tunnel keeps it.

The operator, slots and media of before are built from its own tree. `make upgrade` runs these, FROM= says from where.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcs_operator.settings import ANNOTATION_UPDATE
from support.chart import CHART
from support.mcs import POD, Identity, Mcs
from support.objects import INSTANCE
from support.probe import MARGIN, Probe
from support.waiting import until
from upgrade.before import TAG, Installed, image
from upgrade.conftest import CUSTOMERS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

THIS = "localhost/mcs/operator:dev"
LONGEST_GAP = 3.0
STILL_SECONDS = 20
IDENTITIES = [f"{name}-profile" for name in CUSTOMERS] + [f"{INSTANCE}-ca"]
DECLARED = [("MCSInstance", INSTANCE), ("Community", "acme"), *(("TVoxLink", name) for name in CUSTOMERS)]


def test_the_version_of_before_serves_its_customers(mcs: Mcs, operator: Installed) -> None:
    assert operator.images() == {image("operator")}
    used = {c["name"]: c["image"] for c in mcs.api.get("Pod", POD)["spec"]["containers"]}
    assert (used["media"], used["agent"], used["link-002"]) == (image("appliance"), image("operator"), image("link"))


def test_this_version_takes_over_what_is_there_as_it_is(mcs: Mcs, operator: Installed) -> None:
    made = told(mcs)
    with on_the_phone(mcs):
        operator.install(CHART, "dev")
        assert operator.images() == {THIS}
        somebody_comes_and_talks(mcs, "came-after")
        wait_until_taken_over(mcs, "dev")
    assert told(mcs) == made
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"


def test_the_version_of_before_takes_it_back_as_it_is(mcs: Mcs, operator: Installed) -> None:
    made = told(mcs)
    with on_the_phone(mcs):
        operator.roll_back()
        assert operator.images() == {f"localhost/mcs/operator:{TAG}"}
        somebody_comes_and_talks(mcs, "came-back")
        wait_until_taken_over(mcs, TAG)
    assert told(mcs) == made
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"


def told(mcs: Mcs) -> dict[str, Any]:
    """What people declared, and the identities that were made for it, by name."""
    objects = {name: mcs.api.get(kind, name) for kind, name in DECLARED}
    declared = {
        name: (body["metadata"]["uid"], body["metadata"]["generation"], body["spec"]) for name, body in objects.items()
    }
    return declared | {name: mcs.api.get("Secret", name)["data"] for name in IDENTITIES}


def somebody_comes_and_talks(mcs: Mcs, name: str) -> None:
    """A new customer is served, connects and leaves. Where his slot is just getting another image he dials anew."""
    mcs.link(name)
    begun = time.monotonic()
    mcs.connect(name, timeout=120)
    print(f"{name} had a tunnel after {time.monotonic() - begun:.0f} s")
    mcs.remove(name)


@contextmanager
def on_the_phone(mcs: Mcs) -> Iterator[None]:
    """What happens in the block costs a customer no packet whose slot goes on; where a version may exchange images of
    slots in the pod that runs, the customer notices once, for three seconds at most. The media always goes on."""
    before = mcs.identity()
    slots = {name: f"link-{mcs.status(name)['slot']:03d}" for name in CUSTOMERS}
    probes = {name: Probe(mcs.api, POD, mcs.status(name)["vpnAddress"]) for name in CUSTOMERS}
    try:
        for probe in probes.values():
            probe.await_first_answer()
        time.sleep(MARGIN)
        yield
        time.sleep(MARGIN)
        after = mcs.identity()
        changed = {name for name, count in before.restarts.items() if after.restarts[name] != count}
        reports = {name: probe.finish() for name, probe in probes.items()}
    finally:
        for probe in probes.values():
            probe.close()
    print(f"restarted: {sorted(changed) or 'nothing'}; {reports}")
    assert after.uid == before.uid
    assert "media" not in changed
    for name, report in reports.items():
        assert report.sent > 100, f"{report} proves nothing"
        assert report.lost == 0 or slots[name] in changed, f"{name} lost packets: {report}"
        assert report.longest_gap <= LONGEST_GAP


def wait_until_taken_over(mcs: Mcs, tag: str) -> None:
    """Until the pod has the images of this version, or the operator leaves that to its next restart; and nothing has
    restarted for a while, nor is on its way to be exchanged."""
    last: list[tuple[float, Identity]] = []

    def look() -> bool:
        now, seen, pod = time.monotonic(), mcs.identity(), mcs.api.get("Pod", POD)
        if not last or last[0][1] != seen:
            last[:] = [(now, seen)]
        (agent,) = [c["image"] for c in pod["spec"]["containers"] if c["name"] == "agent"]
        pending = mcs.api.condition("MCSInstance", INSTANCE, "RestartPending")
        assert agent.endswith(f":{tag}") or pending[0] == "True", f"{agent}, RestartPending={pending}"
        assert ANNOTATION_UPDATE not in pod["metadata"]["annotations"], "slots get another image"
        assert now - last[0][0] >= STILL_SECONDS, "something restarted a moment ago"
        return True

    until("the pod is taken over", look, 240, pause=1)
