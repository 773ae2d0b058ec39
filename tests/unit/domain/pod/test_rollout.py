"""What is done about the running pod: the one decision that costs every customer a call."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcs_operator.api import Impact
from mcs_operator.contract.linkstate import LinkReport, MediaState
from mcs_operator.domain.facts.nodes import CordonedNode, Node
from mcs_operator.domain.facts.world import Pull
from mcs_operator.domain.pod import rollout as module
from mcs_operator.domain.pod.disruptions import Cause
from mcs_operator.domain.pod.gate import Passage
from mcs_operator.domain.pod.rollout import Rollout, Step, decide_rollout
from mcs_operator.domain.pod.template import brought_up_to_date, differing_parts
from mcs_operator.settings import (
    ANNOTATION_DISRUPTIONS,
    ANNOTATION_DRAINING,
    ANNOTATION_DRAINING_FOR,
    ANNOTATION_MEDIA_CHANGED,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_PARTS,
    ANNOTATION_POD_PARTS,
    ANNOTATION_RESTART,
    ANNOTATION_UPDATE,
    Settings,
)
from support.templates import made_from, template_of
from support.worlds import NOW, given, instance, report, state

SETTINGS = Settings()
WEEK_AGO = NOW - timedelta(days=7)
NEXT = "localhost/mcs/appliance:next"
PULLED = Pull("mcs-pull-1", NEXT, "mcs-node", done=True)
SEVEN_SLOTS = {"vpn": {"slots": 7}}
OTHER_IMAGE = {"image": NEXT}
DEEP = "[" * 100_000
"""Python's reader of JSON ends at a thousand, with an error that is none of JSON."""


def running(settings: Settings = SETTINGS, *, draining_for: float | None = None, **other: Any) -> Any:
    """A pod made from the template of no further word, a week old."""
    found = made_from(instance(), settings)
    noted = dict(found.annotations)
    if draining_for is not None:
        noted[ANNOTATION_DRAINING] = (NOW - timedelta(seconds=draining_for)).isoformat()
    return replace(found, **{"created": WEEK_AGO, "annotations": noted} | other)


def talking(connections: int, *, draining: bool = True) -> LinkReport:
    """What the agent says of the appliance."""
    return report(media=MediaState(connections=connections, draining=draining))


def decided(
    its_pod: Any,
    said: LinkReport | None = None,
    *,
    asked: datetime | str | None = None,
    world: dict[str, Any] | None = None,
    **spec: Any,
) -> Rollout:
    """The decision about this pod at NOW. ``asked``: the annotation by which a user asks for a restart."""
    subject = instance(**{"drainSeconds": 60} | spec)
    if asked is not None:
        text = asked if isinstance(asked, str) else asked.isoformat()
        subject = subject.model_copy(
            update={"metadata": subject.metadata.model_copy(update={"annotations": {ANNOTATION_RESTART: text}})}
        )
    known = given(subject, its_pod, **{"pulls": (PULLED,)} | (world or {}))
    return decide_rollout(known, subject, its_pod, template_of(subject, SETTINGS, its_pod), said)


# --- nothing to do ---


def test_a_pod_of_the_present_template_is_left_alone() -> None:
    assert decided(running(), talking(3, draining=False)) == Rollout(Step.NOTHING)


def test_a_pod_that_ends_already_is_left_alone() -> None:
    assert decided(running(terminating=True), talking(3), **SEVEN_SLOTS).step is Step.NOTHING


@pytest.mark.parametrize(
    "hot",
    [
        {"drainSeconds": 5},
        {"publicAddress": "203.0.113.9"},
        {"storage": {"size": "2Gi"}},
        {"retain": {"pki": "Retain"}},
        {"bandwidth": "50M"},
        {"portals": {"retention": {"chat": "1h"}, "quota": "2Gi"}},
        {"tls": {"secretRef": {"name": "web"}}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_a_change_that_is_hot_restarts_nothing(hot: dict[str, Any]) -> None:
    assert decided(running(), talking(3, draining=False), **hot).step is Step.NOTHING


# --- a change of the spec ---


@pytest.mark.parametrize(
    "change",
    [
        {"vpn": {"slots": 7}},
        {"nodeSelector": {"kubernetes.io/hostname": "another"}},
        {"network": {"mode": "HostNetwork"}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_a_change_of_a_restart_field_drains_first(change: dict[str, Any]) -> None:
    restart = decided(running(), talking(3, draining=False), **change)
    assert (restart.step, restart.since) == (Step.START_DRAINING, NOW)
    assert "spec of MCSInstance mcs changed" in restart.cause


def test_the_cause_names_the_parts_that_change() -> None:
    assert "(slots, volumes)" in decided(running(), talking(1), **SEVEN_SLOTS).cause.replace("pod, ", "")
    assert "(media, slots)" in decided(running(), talking(1), network={"mode": "LoadBalancer"}).cause


def test_as_long_as_somebody_talks_it_goes_on_draining() -> None:
    assert decided(running(draining_for=59), talking(1), **SEVEN_SLOTS).step is Step.KEEP_DRAINING


def test_when_nobody_talks_any_more_the_pod_is_replaced() -> None:
    assert decided(running(draining_for=2), talking(0), **SEVEN_SLOTS).step is Step.REPLACE


def test_nobody_talks_only_counts_from_an_appliance_that_drains_already() -> None:
    """Otherwise a call that begins between the report and the drain would be cut."""
    assert decided(running(draining_for=2), talking(0, draining=False), **SEVEN_SLOTS).step is not Step.REPLACE


def test_after_drain_seconds_the_pod_is_replaced_whoever_talks() -> None:
    assert decided(running(draining_for=60), talking(7), **SEVEN_SLOTS).step is Step.REPLACE


def test_an_agent_that_does_not_answer_costs_the_drain_seconds_and_no_more() -> None:
    assert decided(running(draining_for=59), None, **SEVEN_SLOTS).step is Step.KEEP_DRAINING
    assert decided(running(draining_for=60), None, **SEVEN_SLOTS).step is Step.REPLACE


def test_zero_drain_seconds_replace_at_the_next_look() -> None:
    assert decided(running(draining_for=0), talking(7), drainSeconds=0, **SEVEN_SLOTS).step is Step.REPLACE


def test_a_pod_whose_media_does_not_run_is_replaced_at_once() -> None:
    """Nobody talks who could be spared."""
    broken = running(media_ready=False, media_problem="ImagePullBackOff")
    assert decided(broken, None, **SEVEN_SLOTS).step is Step.REPLACE
    assert decided(broken, report(media=None), **SEVEN_SLOTS).step is Step.REPLACE


def test_a_drain_makes_the_media_unready_and_that_ends_no_call() -> None:
    """By its contract an appliance that drains answers 503 at /readyz: it must not be taken for a broken one."""
    drains = running(draining_for=10, media_ready=False, media_problem="its readiness probe has not succeeded")
    assert decided(drains, talking(3), **SEVEN_SLOTS).step is Step.KEEP_DRAINING
    assert decided(drains, None, **SEVEN_SLOTS).step is Step.KEEP_DRAINING


def test_a_media_that_is_not_ready_and_still_has_calls_drains() -> None:
    unready = running(media_ready=False, media_problem="no set is in force")
    assert decided(unready, talking(2, draining=False), **SEVEN_SLOTS).step is Step.START_DRAINING


UNREADY = {"media_ready": False, "media_runs": True, "media_problem": "its readiness probe has not succeeded"}


@pytest.mark.parametrize(
    "said",
    [talking(0, draining=False), report(media=None), None],
    ids=["an old 0", "the appliance does not answer for a moment", "the agent does not answer"],
)
def test_a_media_that_is_unready_for_a_moment_drains_like_any_other(said: LinkReport | None) -> None:
    """Nobody is known to talk, and two hundred may: the number is from before the drain, or from nobody."""
    assert decided(running(**UNREADY), said, **SEVEN_SLOTS).step is Step.START_DRAINING


@pytest.mark.parametrize("runs", [True, False])
def test_an_appliance_that_does_not_answer_while_it_drains_is_dead_if_the_kubelet_says_so(runs: bool) -> None:
    """Its answer may only be one that the agent cannot read: an error text of 600 characters."""
    drains = running(draining_for=10, **UNREADY | {"media_runs": runs})
    assert decided(drains, report(media=None), **SEVEN_SLOTS).step is (Step.KEEP_DRAINING if runs else Step.REPLACE)


def test_a_media_that_dies_while_it_drains_is_not_waited_for() -> None:
    dead = running(draining_for=10, media_ready=False, media_problem="Error")
    assert decided(dead, report(media=None), **SEVEN_SLOTS).step is Step.REPLACE


def test_a_drain_that_did_not_arrive_is_asked_for_again() -> None:
    """The operator died in between, or the media was started anew: both forget the drain."""
    assert decided(running(draining_for=10), talking(3, draining=False), **SEVEN_SLOTS).step is Step.DRAIN_AGAIN


def test_a_change_that_is_taken_back_ends_the_drain() -> None:
    assert decided(running(draining_for=10), talking(3)).step is Step.STOP_DRAINING


def test_a_drain_that_nobody_asks_for_is_ended_also_when_the_note_of_it_is_gone() -> None:
    """The operator died after it had taken the annotation away, or the agent did not answer just then."""
    unready = {"media_ready": False, "media_runs": True}
    assert decided(running(**unready), talking(3)).step is Step.STOP_DRAINING
    assert decided(running(), talking(3)).step is Step.NOTHING, "it is ready, so it takes calls, whatever it says"


def test_the_container_that_was_replaced_a_moment_ago_is_not_told_to_take_calls_again() -> None:
    changed = {ANNOTATION_MEDIA_CHANGED: '{"at":"2026-03-01T12:00:00Z","restarts":2}'}
    made = running(media_ready=False, media_runs=True, media_restarts=2)
    just_changed = replace(made, annotations={**made.annotations, **changed})
    assert decided(just_changed, talking(0)).step is Step.NOTHING
    assert decided(replace(just_changed, media_restarts=3), talking(0)).step is Step.STOP_DRAINING


# --- a drain is for one cause ---


def drains_for(cause: str, **other: Any) -> Any:
    made = running(draining_for=9, **other)
    return replace(made, annotations={**made.annotations, ANNOTATION_DRAINING_FOR: cause})


def test_what_waits_for_its_hour_is_not_carried_out_by_a_drain_for_something_else(shut: datetime) -> None:
    found = decided(drains_for("MediaImage"), talking(0), **SEVEN_SLOTS)
    assert found.step is Step.STOP_DRAINING, "what it was for was called off"
    assert decided(drains_for("SpecChanged"), talking(0), **SEVEN_SLOTS).step is Step.REPLACE
    assert decided(running(draining_for=9), talking(0), **SEVEN_SLOTS).step is Step.REPLACE, "of an earlier operator"


def test_a_drain_for_the_image_takes_no_pod_from_a_node_that_is_cordoned() -> None:
    found = decided(drains_for("MediaImage"), talking(0), world=PINNED, **SEVEN_SLOTS, **OTHER_IMAGE)
    assert found.current is not None and found.current.cause is Cause.MEDIA_IMAGE


def test_a_drain_ends_where_the_node_is_cordoned_meanwhile_and_no_other_one_takes_the_pod() -> None:
    assert decided(drains_for("SpecChanged"), talking(0), world=PINNED, **SEVEN_SLOTS).step is Step.STOP_DRAINING


@pytest.mark.parametrize("said", [None, report(state(2, "r"))], ids=["silent", "one tunnel"])
def test_a_dead_media_takes_no_pod_with_it_while_tunnels_may_be_up(said: Any, shut: datetime) -> None:
    dead = {"media_ready": False, "media_runs": False, "slots_run": True}
    assert decided(running(**dead), said, **SEVEN_SLOTS).step is Step.WAIT_FOR_GATE


# --- an older template ---


def of_a_newer_operator(**other: Any) -> Any:
    """A pod in which slots and agent have another environment, say, than is wanted now."""
    noted = made_from(instance(), SETTINGS).annotations
    parts = json.loads(noted[ANNOTATION_POD_PARTS]) | {"agent": "other", "slots": "other"}
    return running(annotations={**noted, ANNOTATION_POD_PARTS: json.dumps(parts)}, **other)


def test_images_alone_of_a_newer_operator_are_no_other_template() -> None:
    newer = Settings(link_image="localhost/mcs/link:next", agent_image="localhost/mcs/operator:next")
    assert decided(running(newer), talking(3, draining=False)).parts == ()


def test_a_newer_operator_waits_until_it_is_asked_and_names_the_parts() -> None:
    restart = decided(of_a_newer_operator(), talking(3, draining=False))
    assert (restart.step, restart.parts, restart.cause) == (Step.WAIT_TO_BE_ASKED, ("agent", "slots"), "")


def test_a_newer_operator_waits_also_while_the_media_is_not_ready() -> None:
    assert decided(of_a_newer_operator(media_ready=False), None).step is Step.WAIT_TO_BE_ASKED


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        ("", "{}", ()),
        ("", '{"media": "1"}', ("media",)),
        ('{"media": "1"}', '{"media": "1"}', ()),
        ('{"media": "1", "old": "2"}', '{"media": "1", "new": "3"}', ("new", "old")),
        ("{", '{"media": "1"}', ("template",)),
        ("[]", '{"media": "1"}', ("template",)),
        ('"x"', '{"media": "1"}', ("template",)),
        pytest.param(DEEP, '{"media": "1"}', ("template",), id="deep"),
    ],
)
def test_parts_that_differ(before: str, after: str, parts: tuple[str, ...]) -> None:
    assert differing_parts(before, after) == parts


@pytest.mark.parametrize("text", ["{", "[]", pytest.param(DEEP, id="deep")])
def test_parts_that_somebody_edited_are_written_anew_with_a_change_in_place(text: str) -> None:
    edited = running(annotations={**made_from(instance(), SETTINGS).annotations, ANNOTATION_PARTS: text})
    template = template_of(instance(image=NEXT), SETTINGS)
    noted = brought_up_to_date(edited, template, NEXT)
    assert json.loads(noted[ANNOTATION_PARTS]).keys() == {"media"}


def test_every_part_of_the_template_has_a_hash() -> None:
    for noted in (ANNOTATION_PARTS, ANNOTATION_POD_PARTS):
        parts = json.loads(made_from(instance(), SETTINGS).annotations[noted])
        assert set(parts) == {"media", "agent", "slots", "volumes", "pod"}


# --- the annotation ---


def test_the_annotation_asks_for_a_restart_with_a_drain() -> None:
    restart = decided(running(), talking(3, draining=False), asked=NOW - timedelta(minutes=1))
    assert restart.step is Step.START_DRAINING
    assert ANNOTATION_RESTART in restart.cause


def test_the_annotation_also_moves_an_older_template_on() -> None:
    restart = decided(of_a_newer_operator(), talking(0), asked=NOW - timedelta(minutes=1))
    assert (restart.step, restart.parts) == (Step.START_DRAINING, ("agent", "slots"))


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=1), timedelta(hours=1)])
def test_the_annotation_has_done_its_work_once_the_pod_is_younger(age: timedelta) -> None:
    asked = NOW - timedelta(hours=2)
    assert decided(running(created=asked + age), talking(3, draining=False), asked=asked).step is Step.NOTHING


def test_what_was_asked_for_and_is_done_is_not_looked_at_again() -> None:
    assert decided(running(created=NOW), asked=NOW) == Rollout(Step.NOTHING)
    later = NOW + timedelta(seconds=1)
    assert decided(running(created=NOW), asked=later) == Rollout(Step.NOTHING, due=later)


@pytest.mark.parametrize(
    "typo", ["", "yes", "true", "now", "2026-13-45T00:00:00Z", "1772366400", "2026-03-01T25:00:00Z"]
)
def test_a_typing_error_in_the_annotation_restarts_nobody(typo: str) -> None:
    assert decided(running(), talking(3, draining=False), asked=typo) == Rollout(Step.NOTHING)


def test_a_time_to_come_is_not_a_restart_yet_and_is_looked_at_again_then() -> None:
    """A wrong year would otherwise restart every pod that there ever is, one after the other."""
    restart = decided(running(), talking(3, draining=False), asked=NOW + timedelta(seconds=30))
    assert (restart.step, restart.due) == (Step.NOTHING, NOW + timedelta(seconds=30))
    assert decided(running(), talking(3, draining=False), asked="2206-03-01T12:00:00Z").step is Step.NOTHING


def test_a_time_without_a_zone_is_utc() -> None:
    assert decided(running(), talking(3, draining=False), asked="2026-03-01T11:59:00").step is Step.START_DRAINING


# --- the note of the drain ---


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+14:00"])
def test_a_note_that_is_no_time_begins_the_drain_anew(text: str) -> None:
    notes = {**made_from(instance(), SETTINGS).annotations, ANNOTATION_DRAINING: text}
    assert decided(running(annotations=notes), talking(3, draining=False), **SEVEN_SLOTS).step is Step.START_DRAINING


def test_spelling_out_a_default_is_no_change() -> None:
    assert decided(running(), talking(3, draining=False), network={"mode": "HostPort"}).step is Step.NOTHING


# --- the media's image, in place ---


def test_another_image_drains_and_then_replaces_the_media_alone() -> None:
    first = decided(running(), talking(3, draining=False), **OTHER_IMAGE)
    assert (first.step, first.cause) == (Step.START_DRAINING, f"the media is to run image {NEXT}")
    assert [(one.cause, one.impact) for one in first.disruptions] == [(Cause.MEDIA_IMAGE, Impact.MEDIA_RESTART)]
    assert decided(running(draining_for=9), talking(3), **OTHER_IMAGE).step is Step.KEEP_DRAINING
    assert decided(running(draining_for=9), talking(0), **OTHER_IMAGE).step is Step.SET_IMAGE


@pytest.mark.parametrize(
    "pulls",
    [
        pytest.param((), id="nobody pulls it yet"),
        pytest.param((Pull("p", NEXT, "mcs-node", done=False),), id="it is being pulled"),
        pytest.param((Pull("p", NEXT, "another", done=True),), id="another node has it"),
        pytest.param((Pull("p", "localhost/mcs/appliance:older", "mcs-node", done=True),), id="another image is there"),
    ],
)
def test_nothing_drains_before_the_image_is_on_the_node(pulls: tuple[Pull, ...]) -> None:
    """The kubelet stops the old container first and pulls then."""
    found = decided(running(), talking(0, draining=False), world={"pulls": pulls}, **OTHER_IMAGE)
    assert (found.step, found.waits) == (Step.WAIT_FOR_IMAGE, f"node mcs-node pulls {NEXT} first")


def test_an_image_that_cannot_be_pulled_interrupts_nobody_and_is_told() -> None:
    pulls = (Pull("p", NEXT, "mcs-node", done=False, problem="not found"),)
    found = decided(running(), talking(0, draining=False), world={"pulls": pulls}, **OTHER_IMAGE)
    assert (found.step, found.waits) == (Step.CANNOT_PULL, "node mcs-node cannot pull it: not found")


def test_who_drains_already_takes_calls_again_while_a_further_image_is_pulled() -> None:
    found = decided(running(draining_for=9), talking(3), world={"pulls": ()}, **OTHER_IMAGE)
    assert found.step is Step.STOP_DRAINING


def test_a_restart_with_another_image_waits_for_it_too() -> None:
    """The next pod could not start without it."""
    found = decided(running(), talking(0, draining=False), world={"pulls": ()}, **OTHER_IMAGE | SEVEN_SLOTS)
    assert found.step is Step.WAIT_FOR_IMAGE
    both = decided(running(draining_for=9), talking(0), **OTHER_IMAGE | SEVEN_SLOTS)
    assert both.step is Step.REPLACE
    assert [one.cause for one in both.disruptions] == [Cause.SPEC_CHANGED, Cause.MEDIA_IMAGE]


def test_a_media_that_does_not_run_gets_its_image_at_once() -> None:
    """An image that cannot be pulled, mended: nobody talks who could be spared."""
    dead = running(media_ready=False, media_problem="ImagePullBackOff")
    assert decided(dead, None, world={"pulls": ()}, **OTHER_IMAGE).step is Step.SET_IMAGE


def test_the_name_of_a_mirror_that_the_cluster_put_there_is_no_other_image() -> None:
    """It would be put there again: the media would drain for ever."""
    assert decided(running(image="mirror.test/mcs/appliance:dev"), talking(3, draining=False)).step is Step.NOTHING


def test_an_image_that_was_set_by_hand_and_is_the_wanted_one_is_no_difference() -> None:
    assert decided(running(image=NEXT), talking(3, draining=False), **OTHER_IMAGE).step is Step.NOTHING


def test_an_image_that_is_taken_back_is_no_disruption_any_more() -> None:
    found = decided(running(draining_for=9), talking(3))
    assert (found.step, found.disruptions) == (Step.STOP_DRAINING, ())


# --- the media's size ---

BIGGER = [{"tier": "UpTo10000", "resources": None}, {"resources": {"limits": {"cpu": "2", "memory": "512Mi"}}}]


@pytest.mark.parametrize("size", BIGGER, ids=lambda spec: next(iter(spec)))
def test_another_size_is_given_in_place_and_disrupts_nobody(size: dict[str, Any]) -> None:
    found = decided(running(), talking(3, draining=False), **size)
    assert (found.step, found.disruptions, found.parts) == (Step.RESIZE, (), ())


@pytest.mark.parametrize("size", BIGGER, ids=lambda spec: next(iter(spec)))
def test_where_the_cluster_cannot_do_that_the_pod_is_made_anew(size: dict[str, Any]) -> None:
    found = decided(running(), talking(3, draining=False), world={"resizes_in_place": False}, **size)
    assert found.step is Step.START_DRAINING
    assert [(one.cause, one.impact) for one in found.disruptions] == [(Cause.RESIZE, Impact.RESTART)]


def test_a_pod_that_fits_no_node_is_made_anew_with_the_smaller_size() -> None:
    waiting = running(node="", media_ready=False, media_problem="Unschedulable")
    assert decided(waiting, None, **BIGGER[1]).step is Step.REPLACE


def test_the_same_amount_in_another_spelling_is_no_other_size() -> None:
    same = {"requests": {"cpu": "0.05", "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "512Mi"}}
    assert decided(running(), talking(3, draining=False), resources=same).step is Step.NOTHING


# --- the gate ---


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A gate that opens in an hour."""
    opens = NOW + timedelta(hours=1)
    closed = Passage(False, planned=opens, look_again=opens, why="waits for the window that begins at 13:00")
    monkeypatch.setattr(module, "passage", lambda *_: closed)
    return opens


def test_before_the_gate_opens_nothing_begins_and_it_is_told_when(shut: datetime) -> None:
    found = decided(running(), talking(3, draining=False), **SEVEN_SLOTS)
    assert (found.step, found.current, found.due) == (Step.WAIT_FOR_GATE, None, shut)
    assert found.waits == "waits for the window that begins at 13:00"
    assert [(one.cause, one.planned) for one in found.disruptions] == [(Cause.SPEC_CHANGED, shut)]


@pytest.mark.usefixtures("shut")
def test_a_drain_that_has_begun_goes_on_when_the_gate_shuts() -> None:
    assert decided(running(draining_for=9), talking(3), **SEVEN_SLOTS).step is Step.KEEP_DRAINING


@pytest.mark.usefixtures("shut")
def test_a_size_waits_at_no_gate() -> None:
    assert decided(running(), talking(3, draining=False), **BIGGER[0]).step is Step.RESIZE


@pytest.mark.usefixtures("shut")
def test_a_cause_is_known_since_the_time_that_is_noted_at_the_pod() -> None:
    noted = made_from(instance(), SETTINGS).annotations
    kept = {**noted, ANNOTATION_DISRUPTIONS: '{"SpecChanged":"2026-02-28T12:00:00Z","RestartRequested":"never"}'}
    (found,) = decided(running(annotations=kept), talking(3, draining=False), **SEVEN_SLOTS).disruptions
    assert found.since == NOW - timedelta(days=1)
    for text in ("", "{", "[]", '{"SpecChanged":7}', '{"SpecChanged":"0001-01-01T00:00:00+14:00"}', DEEP):
        other = {**noted, ANNOTATION_DISRUPTIONS: text}
        (found,) = decided(running(annotations=other), talking(3, draining=False), **SEVEN_SLOTS).disruptions
        assert found.since == NOW


def test_the_image_of_the_media_is_noted_at_the_pod() -> None:
    assert made_from(instance(), SETTINGS).annotations[ANNOTATION_MEDIA_IMAGE] == instance().spec.image


# --- a cordoned node ---

SPARE = {"cordoned": CordonedNode("mcs-node", ready=True, others=(Node("spare"),))}
PINNED = {"cordoned": CordonedNode("mcs-node", ready=True, others=())}
SILENT = {"cordoned": CordonedNode("mcs-node", ready=False, others=(Node("spare"),))}


def test_a_pod_whose_node_is_cordoned_drains_and_goes_where_another_node_takes_it() -> None:
    begun = decided(running(), talking(3, draining=False), world=SPARE)
    assert (begun.step, begun.cause) == (Step.START_DRAINING, "node mcs-node is cordoned")
    assert [one.cause for one in begun.disruptions] == [Cause.NODE_CORDONED]
    assert decided(running(draining_for=9), talking(3), world=SPARE).step is Step.KEEP_DRAINING
    assert decided(running(draining_for=9), talking(0), world=SPARE).step is Step.REPLACE
    assert decided(running(draining_for=61), talking(3), world=SPARE).step is Step.REPLACE


def test_a_pod_that_leaves_its_node_waits_for_no_image_there() -> None:
    found = decided(running(), talking(3, draining=False), world=SPARE | {"pulls": ()}, **OTHER_IMAGE)
    assert found.step is Step.START_DRAINING


@pytest.mark.parametrize("world", [PINNED, SILENT, {}], ids=["pinned", "silent", "uncordoned"])
def test_a_drain_stops_where_the_pod_is_to_stay_after_all(world: dict[str, Any]) -> None:
    assert decided(running(draining_for=9), talking(3), world=world).step is Step.STOP_DRAINING


@pytest.mark.parametrize("world", [PINNED, SILENT], ids=["pinned", "silent"])
def test_no_restart_begins_where_the_next_pod_could_not_run(world: dict[str, Any]) -> None:
    for change in ({}, {"asked": NOW}, SEVEN_SLOTS):
        found = decided(running(), talking(0, draining=False), world=world, **change)
        assert found.current is None and not found.since


def test_a_change_of_the_media_alone_does_not_mind_the_node() -> None:
    assert decided(running(), talking(3, draining=False), world=PINNED, **OTHER_IMAGE).step is Step.START_DRAINING


# --- suspended ---


def test_a_pod_that_is_suspended_drains_and_goes() -> None:
    begun = decided(running(), talking(3, draining=False), suspend=True)
    assert (begun.step, begun.becomes) == (Step.START_DRAINING, "stopped")
    assert begun.cause == "spec.suspend of MCSInstance mcs is true"
    assert decided(running(draining_for=9), talking(0), suspend=True).step is Step.REPLACE
    assert decided(running(draining_for=9), talking(3), suspend=False).step is Step.STOP_DRAINING


def test_a_suspended_pod_needs_no_other_node() -> None:
    assert decided(running(), talking(3, draining=False), world=PINNED, suspend=True).step is Step.START_DRAINING


# --- images of a newer operator, in place ---


EARLIER = Settings(link_image="mcs/link:earlier")
ON_NODE = {"pulls": (Pull("p", SETTINGS.link_image, "mcs-node", done=True),)}
ALL_CALM = {"agent_ready": True}


def test_slots_get_a_newer_image_while_nothing_else_is_to_be_done() -> None:
    found = decided(running(EARLIER, **ALL_CALM), report(state(2, "r")), world=ON_NODE)
    assert found.step is Step.UPDATE and found.update
    assert found.update.reconnects is None
    assert [one.cause for one in found.disruptions] == [Cause.SLOT_IMAGES]


def test_customers_wait_for_the_gate_and_it_is_told_when(shut: datetime) -> None:
    all_used = report(*(state(number, "r") for number in range(2, 252)))
    found = decided(running(EARLIER, **ALL_CALM), all_used, world=ON_NODE | {"report": all_used})
    assert (found.step, found.update, found.due) == (Step.WAIT_FOR_GATE, None, shut)
    assert found.disruptions[0].impact is Impact.THIS_LINK


def test_through_the_gate_one_customer_reconnects_and_no_call_drains() -> None:
    all_used = report(*(state(number, "r") for number in range(2, 252)), media=MediaState(connections=9))
    found = decided(running(EARLIER, **ALL_CALM), all_used, world=ON_NODE | {"report": all_used})
    assert found.step is Step.UPDATE and found.update
    assert (found.update.reconnects, found.current) == (2, None)


PROBLEM = {"pulls": (Pull("p", SETTINGS.link_image, "mcs-node", done=False, problem="not found"),)}
CANNOT = f"node mcs-node cannot pull {SETTINGS.link_image}: not found"
ALL_USED = report(*(state(number, "r") for number in range(2, 252)))


def test_an_image_of_a_newer_operator_that_cannot_be_pulled_is_told_and_waited_for_without_looks() -> None:
    found = decided(running(EARLIER, **ALL_CALM), ALL_USED, world=PROBLEM | {"report": ALL_USED})
    assert (found.step, found.waits, found.due) == (Step.CANNOT_PULL, CANNOT, None)
    assert found.told == f"{found.cause}; {CANNOT}"


def test_it_is_told_as_well_where_no_customer_waits_for_it_or_the_gate_is_shut(shut: datetime) -> None:
    idle = report()
    found = decided(running(EARLIER, **ALL_CALM), idle, world=PROBLEM | {"report": idle})
    assert (found.step, found.disruptions, found.told) == (Step.CANNOT_PULL, (), CANNOT)
    found = decided(running(EARLIER, **ALL_CALM), ALL_USED, world=PROBLEM | {"report": ALL_USED})
    assert (found.step, found.waits, found.due) == (Step.CANNOT_PULL, CANNOT, shut)


def with_note(**of: Any) -> Any:
    """A pod whose first slot got the newer image."""
    note = {"image": SETTINGS.link_image, "slots": {SETTINGS.link_image: [2]}, "at": "2026-03-01T11:59:00Z"}
    its_pod = running(EARLIER, **ALL_CALM | of)
    return its_pod.annotated({**its_pod.annotations, ANNOTATION_UPDATE: json.dumps(note | {"last": 2})})


@pytest.mark.parametrize("customers", [range(3, 252), ()], ids=["customers wait", "nobody waits"])
def test_a_slot_that_does_not_run_is_told_and_not_looked_at_each_second(customers: Any) -> None:
    said = report(*(state(number, "r") for number in customers))
    found = decided(with_note(slots_down=frozenset({2})), said, world=ON_NODE | {"report": said})
    assert found.told.endswith(f"a slot that got image {SETTINGS.link_image} does not run, and no other gets it before")
    assert (found.update, found.due) == (None, NOW + timedelta(seconds=30))


def test_of_an_image_that_is_mended_nothing_is_told_any_more() -> None:
    found = decided(with_note(slots_down=frozenset({7})), ALL_USED, world=ON_NODE | {"report": ALL_USED})
    assert (found.step, found.waits, found.due) == (Step.UPDATE, "one after the other", None), (
        "the step itself is looked after"
    )


def test_another_disruption_waits_for_its_own_reason(shut: datetime) -> None:
    found = decided(running(EARLIER, **ALL_CALM), ALL_USED, world=PROBLEM | {"report": ALL_USED}, image="localhost/x:2")
    assert (found.disruptions[0].cause, found.step) == (Cause.MEDIA_IMAGE, Step.WAIT_FOR_GATE)
    assert CANNOT not in found.waits


def test_a_restart_that_begins_comes_before_all_updates() -> None:
    found = decided(running(EARLIER, **ALL_CALM), talking(3, draining=False), world=ON_NODE, **SEVEN_SLOTS)
    assert found.step is Step.START_DRAINING
