"""What is to be done, as data, and in the words of a dry run."""

from __future__ import annotations

from mcs_operator.domain.changes import (
    Changes,
    KeepDraining,
    PodChanges,
    Replace,
    Resize,
    SetImages,
    StartDraining,
    StopDraining,
    told_step,
)
from mcs_operator.domain.facts.world import Size
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.status.events import Note
from support.worlds import NOW


def test_each_step_is_told_in_words_after_the_name_of_the_pod() -> None:
    replaced = Replace("uid", "mcs", Note(True, "Restarting", "Replace", "why"))
    note = Note(True, "MediaRestarting", "Replace", "why")
    media = SetImages("uid", "mcs", {"media": "mcs:2"}, {}, note)
    resized = Resize("uid", Size({"cpu": "1"}, {"cpu": "2"}), {})
    stays_out = StopDraining(noted=True, out_of_service=True)
    drains = (StartDraining(NOW), StartDraining(), KeepDraining(NOW), StopDraining(noted=True))
    steps = (*drains, stays_out, replaced, media, resized)
    assert [told_step(step) for step in steps] == [
        "starts to drain",
        "starts to drain",
        "goes on draining",
        "stops draining",
        "goes on draining, out of service",
        "is replaced",
        "containers are replaced: media by mcs:2",
        "is given another size while it runs",
    ]


def test_unless_it_is_said_nothing_is_pruned_and_no_pod_is_touched() -> None:
    """Where nothing could be decided nobody knows what is wanted."""
    assert Changes("demo", NOW).prune is False
    assert PodChanges() == PodChanges("", None, Rollout(Step.NOTHING), None, None)
