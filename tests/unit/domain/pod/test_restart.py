"""When the media pod is replaced: the one decision that costs every customer a call."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from mcs_operator.contract.linkstate import LinkReport, MediaState
from mcs_operator.domain.pod.restart import Restart, Step, decide_restart, differing_parts
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.settings import (
    ANNOTATION_DRAINING,
    ANNOTATION_PARTS,
    ANNOTATION_RESTART,
    ANNOTATION_RESTART_HASH,
    Settings,
)
from support.worlds import NOW, instance, pod, report

SETTINGS = Settings()
WEEK_AGO = NOW - timedelta(days=7)


def template(settings: Settings = SETTINGS, **spec: Any) -> dict[str, str]:
    """Annotations of the pod template, as they are really rendered."""
    body = build_stateful_set(instance(**spec), settings).body
    annotations: dict[str, str] = body["spec"]["template"]["metadata"]["annotations"]
    return annotations


def running(annotations: dict[str, str] | None = None, *, draining_for: float | None = None, **other: Any) -> Any:
    """A pod made from a template (the present one of no further word), a week old."""
    found = dict(template() if annotations is None else annotations)
    if draining_for is not None:
        found[ANNOTATION_DRAINING] = (NOW - timedelta(seconds=draining_for)).isoformat()
    return pod(**{"created": WEEK_AGO, "annotations": found} | other)


def talking(connections: int, *, draining: bool = True) -> LinkReport:
    """What the agent says of the appliance."""
    return report(media=MediaState(connections=connections, draining=draining))


def decided(
    its_pod: Any, said: LinkReport | None = None, *, asked: datetime | str | None = None, **spec: Any
) -> Restart:
    """The decision about this pod at NOW. ``asked``: the annotation by which a user asks for a restart."""
    subject = instance(**{"drainSeconds": 60} | spec)
    if asked is not None:
        text = asked if isinstance(asked, str) else asked.isoformat()
        subject = subject.model_copy(
            update={"metadata": subject.metadata.model_copy(update={"annotations": {ANNOTATION_RESTART: text}})}
        )
    return decide_restart(subject, its_pod, template(**{"drainSeconds": 60} | spec), said, NOW)


OTHER_IMAGE = {"image": "localhost/mcs/appliance:next"}


# --- nothing to do ---


def test_a_pod_of_the_present_template_is_left_alone() -> None:
    assert decided(running(), talking(3, draining=False)) == Restart(Step.NOTHING)


def test_a_pod_that_ends_already_is_left_alone() -> None:
    assert decided(running(terminating=True), talking(3), **OTHER_IMAGE).step is Step.NOTHING


@pytest.mark.parametrize(
    "hot",
    [
        {"drainSeconds": 5},
        {"publicAddress": "203.0.113.9"},
        {"storage": {"size": "2Gi"}},
        {"retain": {"pki": "Retain"}},
        {"bandwidth": "50M"},
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
        OTHER_IMAGE,
        {"tier": "UpTo10000"},
        {"vpn": {"slots": 7}},
        {"nodeSelector": {"kubernetes.io/hostname": "another"}},
        {"network": {"mode": "HostNetwork"}},
        {"resources": {"limits": {"cpu": "2", "memory": "512Mi"}}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_a_change_of_a_restart_field_drains_first(change: dict[str, Any]) -> None:
    restart = decided(running(), talking(3, draining=False), **change)
    assert (restart.step, restart.since) == (Step.START_DRAINING, NOW)
    assert "spec of MCSInstance mcs changed" in restart.cause


def test_the_cause_names_the_parts_that_change() -> None:
    assert "(media)" in decided(running(), talking(1), **OTHER_IMAGE).cause
    assert "(slots, volumes)" in decided(running(), talking(1), vpn={"slots": 7}).cause.replace("pod, ", "")


def test_as_long_as_somebody_talks_it_goes_on_draining() -> None:
    assert decided(running(draining_for=59), talking(1), **OTHER_IMAGE).step is Step.KEEP_DRAINING


def test_when_nobody_talks_any_more_the_pod_is_replaced() -> None:
    assert decided(running(draining_for=2), talking(0), **OTHER_IMAGE).step is Step.REPLACE


def test_nobody_talks_only_counts_from_an_appliance_that_drains_already() -> None:
    """Otherwise a call that begins between the report and the drain would be cut."""
    assert decided(running(draining_for=2), talking(0, draining=False), **OTHER_IMAGE).step is not Step.REPLACE


def test_after_drain_seconds_the_pod_is_replaced_whoever_talks() -> None:
    assert decided(running(draining_for=60), talking(7), **OTHER_IMAGE).step is Step.REPLACE


def test_an_agent_that_does_not_answer_costs_the_drain_seconds_and_no_more() -> None:
    assert decided(running(draining_for=59), None, **OTHER_IMAGE).step is Step.KEEP_DRAINING
    assert decided(running(draining_for=60), None, **OTHER_IMAGE).step is Step.REPLACE


def test_zero_drain_seconds_replace_at_the_next_look() -> None:
    assert decided(running(draining_for=0), talking(7), drainSeconds=0, **OTHER_IMAGE).step is Step.REPLACE


def test_a_media_that_is_not_ready_is_replaced_at_once() -> None:
    """An image that cannot be pulled, mended: nobody talks who could be spared."""
    broken = running(media_ready=False, media_problem="ImagePullBackOff")
    assert decided(broken, None, **OTHER_IMAGE).step is Step.REPLACE
    assert decided(broken, report(media=None), **OTHER_IMAGE).step is Step.REPLACE


def test_a_drain_makes_the_media_unready_and_that_ends_no_call() -> None:
    """By its contract an appliance that drains answers 503 at /readyz: it must not be taken for a broken one."""
    drains = running(draining_for=10, media_ready=False, media_problem="its readiness probe has not succeeded")
    assert decided(drains, talking(3), **OTHER_IMAGE).step is Step.KEEP_DRAINING
    assert decided(drains, None, **OTHER_IMAGE).step is Step.KEEP_DRAINING


def test_a_media_that_is_not_ready_and_still_has_calls_drains() -> None:
    unready = running(media_ready=False, media_problem="no set is in force")
    assert decided(unready, talking(2, draining=False), **OTHER_IMAGE).step is Step.START_DRAINING


UNREADY = {"media_ready": False, "media_runs": True, "media_problem": "its readiness probe has not succeeded"}


@pytest.mark.parametrize(
    "said",
    [talking(0, draining=False), report(media=None), None],
    ids=["an old 0", "the appliance does not answer for a moment", "the agent does not answer"],
)
def test_a_media_that_is_unready_for_a_moment_drains_like_any_other(said: LinkReport | None) -> None:
    """Nobody is known to talk, and two hundred may: the number is from before the drain, or from nobody."""
    assert decided(running(**UNREADY), said, **OTHER_IMAGE).step is Step.START_DRAINING


@pytest.mark.parametrize("runs", [True, False])
def test_an_appliance_that_does_not_answer_while_it_drains_is_dead_if_the_kubelet_says_so(runs: bool) -> None:
    """Its answer may only be one that the agent cannot read: an error text of 600 characters."""
    drains = running(draining_for=10, **UNREADY | {"media_runs": runs})
    assert decided(drains, report(media=None), **OTHER_IMAGE).step is (Step.KEEP_DRAINING if runs else Step.REPLACE)


def test_a_media_that_dies_while_it_drains_is_not_waited_for() -> None:
    dead = running(draining_for=10, media_ready=False, media_problem="Error")
    assert decided(dead, report(media=None), **OTHER_IMAGE).step is Step.REPLACE


def test_a_drain_that_did_not_arrive_is_asked_for_again() -> None:
    """The operator died in between, or the media was started anew: both forget the drain."""
    assert decided(running(draining_for=10), talking(3, draining=False), **OTHER_IMAGE).step is Step.DRAIN_AGAIN


def test_a_change_that_is_taken_back_ends_the_drain() -> None:
    assert decided(running(draining_for=10), talking(3)).step is Step.STOP_DRAINING


def test_a_drain_that_nobody_asks_for_is_ended_also_when_the_note_of_it_is_gone() -> None:
    """The operator died after it had taken the annotation away, or the agent did not answer just then."""
    assert decided(running(), talking(3)).step is Step.STOP_DRAINING


# --- an older template ---


NEWER_OPERATOR = Settings(link_image="localhost/mcs/link:next", agent_image="localhost/mcs/operator:next")


def test_a_newer_operator_waits_until_it_is_asked_and_names_the_parts() -> None:
    restart = decided(running(template(NEWER_OPERATOR)), talking(3, draining=False))
    assert (restart.step, restart.parts, restart.cause) == (Step.WAIT_TO_BE_ASKED, ("agent", "slots"), "")


def test_a_newer_operator_waits_also_while_the_media_is_not_ready() -> None:
    assert decided(running(template(NEWER_OPERATOR), media_ready=False), None).step is Step.WAIT_TO_BE_ASKED


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
    ],
)
def test_parts_that_differ(before: str, after: str, parts: tuple[str, ...]) -> None:
    assert differing_parts(before, after) == parts


def test_every_part_of_the_template_has_a_hash() -> None:
    assert set(json.loads(template()[ANNOTATION_PARTS])) == {"media", "agent", "slots", "volumes", "pod"}


# --- the annotation ---


def test_the_annotation_asks_for_a_restart_with_a_drain() -> None:
    restart = decided(running(), talking(3, draining=False), asked=NOW - timedelta(minutes=1))
    assert restart.step is Step.START_DRAINING
    assert ANNOTATION_RESTART in restart.cause


def test_the_annotation_also_moves_an_older_template_on() -> None:
    restart = decided(running(template(NEWER_OPERATOR)), talking(0), asked=NOW - timedelta(minutes=1))
    assert (restart.step, restart.parts) == (Step.START_DRAINING, ("agent", "slots"))


@pytest.mark.parametrize("age", [timedelta(0), timedelta(seconds=1), timedelta(hours=1)])
def test_the_annotation_has_done_its_work_once_the_pod_is_younger(age: timedelta) -> None:
    asked = NOW - timedelta(hours=2)
    assert decided(running(created=asked + age), talking(3, draining=False), asked=asked).step is Step.NOTHING


def test_what_was_asked_for_and_is_done_is_not_looked_at_again() -> None:
    assert decided(running(created=NOW), asked=NOW) == Restart(Step.NOTHING)
    later = NOW + timedelta(seconds=1)
    assert decided(running(created=NOW), asked=later) == Restart(Step.NOTHING, due=later)


@pytest.mark.parametrize(
    "typo", ["", "yes", "true", "now", "2026-13-45T00:00:00Z", "1772366400", "2026-03-01T25:00:00Z"]
)
def test_a_typing_error_in_the_annotation_restarts_nobody(typo: str) -> None:
    assert decided(running(), talking(3, draining=False), asked=typo) == Restart(Step.NOTHING)


def test_a_time_to_come_is_not_a_restart_yet_and_is_looked_at_again_then() -> None:
    """A wrong year would otherwise restart every pod that there ever is, one after the other."""
    restart = decided(running(), talking(3, draining=False), asked=NOW + timedelta(seconds=30))
    assert (restart.step, restart.due) == (Step.NOTHING, NOW + timedelta(seconds=30))
    assert decided(running(), talking(3, draining=False), asked="2206-03-01T12:00:00Z").step is Step.NOTHING


def test_a_time_without_a_zone_is_utc() -> None:
    assert decided(running(), talking(3, draining=False), asked="2026-03-01T11:59:00").step is Step.START_DRAINING


# --- the note of the drain ---


def test_a_note_that_is_no_time_begins_the_drain_anew() -> None:
    notes = template() | {ANNOTATION_DRAINING: "yesterday"}
    assert decided(running(notes), talking(3, draining=False), **OTHER_IMAGE).step is Step.START_DRAINING


def test_spelling_out_a_default_is_no_change() -> None:
    assert template()[ANNOTATION_RESTART_HASH] == template(network={"mode": "HostPort"})[ANNOTATION_RESTART_HASH]
