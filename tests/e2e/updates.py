"""An operator with other images for agent and slots, and what its update costs those who have tunnels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from mcs_operator.settings import ANNOTATION_AGENT_IMAGE, ANNOTATION_LINK_IMAGE, Settings
from support.images import load_under_another_name
from support.mcs import POD, Mcs
from support.objects import INSTANCE
from support.operator import Operator
from support.probe import PER_SECOND, Probe
from support.waiting import until

NEXT = Settings(agent_image="localhost/mcs/operator:next", link_image="localhost/mcs/link:next")
LONGEST_GAP = 3.0


@dataclass(frozen=True)
class Gap:
    """What a customer noticed: from when to when, in seconds of the monotonic clock."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long."""
        return round(self.ended - self.begun, 2)

    def __repr__(self) -> str:
        return f"{self.seconds} s"


@contextmanager
def newer_operator(operator: Operator) -> Iterator[None]:
    """The operator as of a version whose images are the same under other names, until the block ends."""
    for image, name in ((Settings().agent_image, NEXT.agent_image), (Settings().link_image, NEXT.link_image)):
        load_under_another_name(image, name)
    operator.stop()
    try:
        with operator.with_environment(MCS_AGENT_IMAGE=NEXT.agent_image, MCS_LINK_IMAGE=NEXT.link_image):
            operator.start()
            yield
    finally:
        operator.stop()
        operator.start()


def is_updated(mcs: Mcs) -> bool:
    """Whether agent and slots have these images and are all back."""
    pod = mcs.api.get("Pod", POD)
    noted = pod["metadata"]["annotations"]
    assert noted[ANNOTATION_AGENT_IMAGE] == NEXT.agent_image, "the agent is as it was"
    assert noted[ANNOTATION_LINK_IMAGE] == NEXT.link_image, noted.get("mcs.tvox.io/update", "slots are as they were")
    assert all(told["ready"] for told in pod["status"]["containerStatuses"])
    return True


def update_with_probes(
    mcs: Mcs, customers: Sequence[str], meanwhile: Callable[[], None] = lambda: None, timeout: float = 240
) -> tuple[dict[str, Gap], float]:
    """Wait until all is updated; what each of these customers noticed, and how long it took."""
    begun = time.monotonic()
    probes = {name: Probe(mcs.api, POD, mcs.status(name)["vpnAddress"]) for name in customers}
    started = {}
    try:
        for name, probe in probes.items():
            probe.await_first_answer()
            started[name] = time.monotonic()
        meanwhile()
        until("agent and slots are updated", lambda: is_updated(mcs), timeout, pause=1)
        took = time.monotonic() - begun
        time.sleep(10)
        gaps = {}
        for name, probe in probes.items():
            report = probe.finish()
            print(f"probe over {name}: {report}")
            first = started[name] + (report.lost_numbers[0] / PER_SECOND if report.lost_numbers else 0)
            gaps[name] = Gap(first, first + (report.longest_gap if report.lost_numbers else 0))
        return gaps, took
    finally:
        for probe in probes.values():
            probe.close()
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")


def assert_in_turn(gaps: dict[str, Gap], longest: float = LONGEST_GAP) -> None:
    """None is longer, and no two are at once."""
    assert all(gap.seconds <= longest for gap in gaps.values()), gaps
    inside = sorted((gap for gap in gaps.values() if gap.seconds), key=lambda gap: gap.begun)
    for one, other in pairwise(inside):
        assert one.ended <= other.begun, f"two at once: {gaps}"
