"""From what the media is made: what is declared, or what ran before where that has failed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.contract.linkstate import MediaState
from mcs_operator.domain.facts.world import Pull, Resize, ResizeReason, Size
from mcs_operator.domain.pod.fallback import Fallback, Refused, fallback, note_of_change
from mcs_operator.domain.pod.rollout import Step, decide_rollout
from mcs_operator.render.pod import build_stateful_set
from mcs_operator.render.template import template_of
from mcs_operator.settings import (
    ANNOTATION_KEPT_IMAGE,
    ANNOTATION_LAST_GOOD_IMAGE,
    ANNOTATION_MEDIA_CHANGED,
    ANNOTATION_MEDIA_IMAGE,
    ANNOTATION_REFUSED_IMAGE,
    ANNOTATION_REFUSED_SIZE,
    Settings,
)
from support.templates import made_from
from support.worlds import NOW, given, instance, report

BEFORE, NEXT, THIRD = (f"localhost/mcs/appliance:{tag}" for tag in ("dev", "next", "third"))
SICK = {"media_ready": False, "media_runs": False, "media_problem": "CrashLoopBackOff: exit 1"}


def running(image: str = BEFORE, *, changed: timedelta | None = None, **other: Any) -> Any:
    """A pod whose media has this image; since when, where it was put into it while it ran."""
    made = made_from(instance(image=image))
    noted = dict(made.annotations)
    if changed is not None:
        noted[ANNOTATION_MEDIA_CHANGED] = json.dumps({"at": (NOW - changed).isoformat(), "restarts": 0})
    return made_from(instance(image=image), **{"annotations": noted, "media_restarts": 1} | other)


def found(its_pod: Any, noted: dict[str, str] | None = None, **spec: Any) -> Fallback:
    subject = instance(**spec)
    return fallback(given(subject, *([its_pod] if its_pod else []), noted=noted or {}), subject)


def good(image: str) -> dict[str, str]:
    return {ANNOTATION_LAST_GOOD_IMAGE: image}


def kept(image: str, until: str) -> dict[str, str]:
    return {ANNOTATION_KEPT_IMAGE: json.dumps({"image": image, "until": until}, separators=(",", ":"))}


def refused(image: str, why: str = "exit 1") -> dict[str, str]:
    return {ANNOTATION_REFUSED_IMAGE: json.dumps({"image": image, "why": why})}


# --- the last good image ---


@pytest.mark.parametrize("its_pod", [None, running(), running(**SICK)])
def test_at_rest_nothing_is_noted(its_pod: Any) -> None:
    """A restart of the operator would write it for every instance."""
    assert found(its_pod).notes == {}


def test_with_the_declaration_of_another_image_the_one_that_runs_well_is_noted() -> None:
    declared = found(running(), image=NEXT)
    assert declared.notes == good(BEFORE) | kept(BEFORE, NEXT)
    assert declared.wanted_image == NEXT


# --- the image of the next pod ---


PULLED = (Pull("p", NEXT, "mcs-node", done=True),)


def of_next(its_pod: Any, noted: dict[str, str] | None = None, pulls: tuple[Pull, ...] = ()) -> str:
    subject = instance(image=NEXT)
    things = [its_pod] if its_pod else []
    return fallback(replace(given(subject, *things, noted=noted or {}), pulls=pulls), subject).image


def test_an_image_that_is_not_on_the_node_yet_is_not_put_into_the_template() -> None:
    """A name with a typing error would be what the pod is made from that has to leave its node."""
    assert of_next(running()) == BEFORE
    assert of_next(running(), pulls=(Pull("p", NEXT, "mcs-node", done=False, problem="no such image"),)) == BEFORE
    assert of_next(running(), pulls=(Pull("p", NEXT, "another", done=True),)) == BEFORE
    assert of_next(running(), pulls=PULLED) == NEXT


def test_while_the_pod_goes_and_is_gone_the_template_stays_as_it_was() -> None:
    for its_pod in (None, running(terminating=True)):
        assert of_next(its_pod, kept(BEFORE, NEXT)) == BEFORE
        assert of_next(its_pod) == NEXT
        assert of_next(its_pod, kept(BEFORE, THIRD)) == NEXT, "another one was declared then"


def test_a_pod_whose_media_does_not_run_gets_what_is_declared() -> None:
    assert of_next(running(**SICK), kept(BEFORE, NEXT)) == NEXT


def test_a_pod_of_an_earlier_release_does_not_say_from_which_name_it_was_made() -> None:
    assert of_next(replace(running(), annotations={})) == NEXT


def test_what_does_not_run_well_is_no_image_to_go_back_to() -> None:
    assert found(running(**SICK), image=NEXT).notes == {}


def test_the_note_stays_while_the_media_drains_or_starts() -> None:
    assert found(running(media_ready=False), good(BEFORE), image=NEXT).notes == good(BEFORE)
    assert found(None, good(BEFORE), image=NEXT).notes == good(BEFORE)


def test_the_next_one_is_noted_once_it_is_ready() -> None:
    assert found(running(NEXT), good(BEFORE), image=NEXT).notes == good(NEXT)
    assert found(running(NEXT), good(NEXT), image=NEXT).notes == good(NEXT)


def test_the_container_that_ran_before_is_ready_for_a_moment_and_says_nothing_about_the_next_image() -> None:
    """Else the next image would be the last good one before it has started."""
    before = replace(running(), media_runs=True, media_restarts=2)
    noted = {**running(NEXT).annotations, ANNOTATION_MEDIA_CHANGED: note_of_change(before, NOW)}
    at_once = replace(before, annotations=noted)
    assert found(at_once, good(BEFORE), image=NEXT).notes == good(BEFORE)
    assert found(at_once, good(BEFORE), image=NEXT).due == NOW + timedelta(minutes=5)
    assert found(replace(at_once, media_restarts=3), good(BEFORE), image=NEXT).notes == good(NEXT)


def test_where_no_container_ran_before_whatever_is_ready_is_the_next_one() -> None:
    """The first container of a pod was never restarted."""
    noted = {**running(NEXT).annotations, ANNOTATION_MEDIA_CHANGED: note_of_change(running(**SICK), NOW)}
    assert found(running(NEXT, annotations=noted, media_restarts=0), good(BEFORE), image=NEXT).notes == good(NEXT)


# --- rolled back ---

LATE, EARLY = timedelta(minutes=5), timedelta(minutes=4, seconds=59)


def test_an_image_that_is_not_ready_in_time_is_refused_and_the_one_before_wanted_again() -> None:
    back = found(running(NEXT, changed=LATE, **SICK), good(BEFORE), image=NEXT)
    assert (back.image, back.refused, back.due) == (BEFORE, Refused(NEXT, "CrashLoopBackOff: exit 1"), None)
    assert json.loads(back.notes[ANNOTATION_REFUSED_IMAGE]) == {"image": NEXT, "why": "CrashLoopBackOff: exit 1"}
    assert back.notes[ANNOTATION_LAST_GOOD_IMAGE] == BEFORE


def test_why_it_failed_is_noted_with_its_end_however_long_it_is() -> None:
    """A kubelet says why at the very end, after the image's name three times over."""
    sick = SICK | {"media_problem": f"ErrImagePull: failed to pull {'x' * 400}: not found"}
    back = found(running(NEXT, changed=LATE, **sick), good(BEFORE), image=NEXT)
    assert back.refused and back.refused.why.startswith("ErrImagePull: ")
    assert back.refused.why.endswith(": not found") and len(back.refused.why) == 300
    noted = running(NEXT, changed=timedelta(days=3), **SICK)
    assert found(noted, back.notes, image=NEXT).refused == back.refused, "and is read as it was written"


def test_before_its_time_is_over_it_is_waited_for_and_looked_at_then() -> None:
    waits = found(running(NEXT, changed=EARLY, **SICK), good(BEFORE), image=NEXT)
    assert (waits.image, waits.refused, waits.due) == (NEXT, None, NOW + timedelta(seconds=1))


def test_the_image_of_a_pod_that_was_made_with_it_is_taken_back_as_well_once_it_has_had_its_time() -> None:
    for how in (SICK, SICK | {"media_runs": True, "media_restarts": 0}):
        back = found(running(NEXT, **({"created": NOW - LATE} | how)), good(BEFORE), image=NEXT)
        assert (back.image, back.refused) == (BEFORE, Refused(NEXT, "CrashLoopBackOff: exit 1"))
    waits = found(running(NEXT, created=NOW - EARLY, **SICK), good(BEFORE), image=NEXT)
    assert waits.due == NOW + timedelta(seconds=1)


def test_its_time_is_the_users_choice() -> None:
    quick = {"image": NEXT, "disruptions": {"rollbackAfter": "30s"}}
    assert found(running(NEXT, changed=timedelta(seconds=30), **SICK), good(BEFORE), **quick).refused
    assert not found(running(NEXT, changed=timedelta(seconds=29), **SICK), good(BEFORE), **quick).refused


def test_an_appliance_that_is_out_of_service_is_unready_by_its_contract_and_not_rolled_back() -> None:
    said = report(media=MediaState(draining=True))
    subject = instance(image=NEXT, serviceState="OutOfService")
    before = running(media_ready=False, media_runs=True)
    assert fallback(given(subject, before, said), subject).notes == good(BEFORE) | kept(BEFORE, NEXT)
    pod = running(NEXT, changed=timedelta(days=3), media_ready=False, media_problem="readiness probe failed")
    assert fallback(given(subject, pod, said, noted=good(BEFORE)), subject).refused is None


@pytest.mark.parametrize(
    ("its_pod", "noted"),
    [
        pytest.param(running(NEXT, changed=LATE), good(BEFORE), id="it is ready"),
        pytest.param(running(NEXT, changed=LATE, **SICK), good(NEXT), id="it has been ready before"),
        pytest.param(running(NEXT, changed=LATE, **SICK), {}, id="there is nothing to go back to"),
        pytest.param(running(NEXT, media_restarts=0, **SICK), good(BEFORE), id="it has not started in a new pod yet"),
        pytest.param(running(NEXT, created=NOW - EARLY, **SICK), good(BEFORE), id="the pod was made with it just now"),
        pytest.param(running(changed=LATE, **SICK), good(BEFORE), id="another one runs yet"),
        pytest.param(running(NEXT, changed=LATE, terminating=True, **SICK), good(BEFORE), id="the pod goes"),
    ],
)
def test_nothing_is_rolled_back_where(its_pod: Any, noted: dict[str, str]) -> None:
    assert found(its_pod, noted, image=NEXT).refused is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"at": "yesterday", "restarts": 0}',
        '{"at": "9999-12-31T23:59:59Z", "restarts": 0}',
        '{"at": "2026-01-01T00:00:00Z", "restarts": "none"}',
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_time_that_somebody_wrote_rolls_nothing_back(text: str) -> None:
    its_pod = running(NEXT, **SICK)
    noted = {**its_pod.annotations, ANNOTATION_MEDIA_CHANGED: text}
    assert found(running(NEXT, annotations=noted, **SICK), good(BEFORE), image=NEXT).refused is None


def test_what_was_refused_stays_so_until_another_image_is_declared() -> None:
    noted = good(BEFORE) | refused(NEXT)
    for its_pod in (running(), running(NEXT, changed=LATE, **SICK), running(**SICK), None):
        stays = found(its_pod, noted, image=NEXT)
        assert (stays.image, stays.wanted_image, stays.refused) == (BEFORE, BEFORE, Refused(NEXT, "exit 1"))
    other = found(running(), noted, image=THIRD)
    assert (other.wanted_image, other.refused, other.notes) == (THIRD, None, good(BEFORE) | kept(BEFORE, THIRD))
    assert found(running(), noted).notes == good(BEFORE), "taken back: it is tried when it is declared again"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"image": 7}', '{"why": "x"}'])
def test_a_note_that_somebody_edited_refuses_nothing(text: str) -> None:
    assert found(running(), good(BEFORE) | {ANNOTATION_REFUSED_IMAGE: text}, image=NEXT).refused is None


def test_to_go_back_passes_the_gate_at_any_hour_and_drains_nobody_who_is_not_there() -> None:
    closed = {"windows": [{"schedule": "0 2 * * SUN", "duration": "2h"}]}
    subject = instance(image=NEXT, disruptions=closed)
    its_pod = running(NEXT, changed=LATE, **SICK)
    world = given(subject, its_pod, noted=good(BEFORE))
    instead = fallback(world, subject)
    body = build_stateful_set(subject, Settings(), instead).body
    template = template_of(body, subject, Settings(), its_pod, instead)
    rollout = decide_rollout(world, subject, its_pod, template, None)
    assert (rollout.step, template.media_image) == (Step.SET_IMAGE, BEFORE)
    assert rollout.cause == f"the media is to run image {BEFORE}, because {NEXT} did not become ready"
    assert body["spec"]["template"]["metadata"]["annotations"][ANNOTATION_MEDIA_IMAGE] == BEFORE
    assert body["metadata"]["annotations"] == instead.notes


# --- the size ---

BIG = {"resources": {"requests": {"cpu": "64", "memory": "64Mi"}, "limits": {"cpu": "64", "memory": "512Mi"}}}
WANTED = Size({"cpu": "64", "memory": "64Mi"}, {"cpu": "64", "memory": "512Mi"})
RUNS = Size({"cpu": "50m", "memory": "64Mi"}, {"cpu": "1", "memory": "512Mi"})
NEVER = Resize(ResizeReason.INFEASIBLE, "Node didn't have enough capacity: cpu, requested: 64000, capacity: 2000")
NOTED = {ANNOTATION_REFUSED_SIZE: json.dumps({
    "wanted": {"requests": dict(WANTED.requests), "limits": dict(WANTED.limits)},
    "runs": {"requests": dict(RUNS.requests), "limits": dict(RUNS.limits)},
})}  # fmt: skip


def test_the_next_pod_is_to_have_the_size_that_is_declared() -> None:
    sized = found(running(size=RUNS, size_in_force=RUNS), **BIG)
    assert (sized.size, sized.wanted, sized.notes) == (WANTED, WANTED, {})


def test_a_size_that_the_node_will_never_have_is_not_put_into_the_template() -> None:
    """The next pod would wait for ever."""
    sized = found(running(size=WANTED, size_in_force=RUNS, resize=NEVER), **BIG)
    assert (sized.size, sized.wanted) == (RUNS, WANTED)
    assert json.loads(sized.notes[ANNOTATION_REFUSED_SIZE]) == json.loads(NOTED[ANNOTATION_REFUSED_SIZE])


@pytest.mark.parametrize(
    "its_pod",
    [
        pytest.param(None, id="between two pods"),
        pytest.param(running(size=RUNS, size_in_force=RUNS), id="a new one, which was not asked yet"),
        pytest.param(running(size=WANTED, size_in_force=RUNS), id="that was just asked"),
    ],
)
def test_that_is_kept_in_mind(its_pod: Any) -> None:
    assert found(its_pod, NOTED, **BIG).size.is_same(RUNS)


def test_where_there_is_room_after_all_the_declared_size_counts_again() -> None:
    sized = found(running(size=WANTED, size_in_force=WANTED), NOTED, **BIG)
    assert (sized.size, sized.notes) == (WANTED, {})


def test_another_declared_size_is_another_question() -> None:
    assert found(running(size=RUNS, size_in_force=RUNS), NOTED).notes == {}


def test_what_there_is_no_room_for_now_is_waited_for() -> None:
    later = Resize(ResizeReason.DEFERRED, "Node didn't have enough resource: cpu")
    assert found(running(size=WANTED, size_in_force=RUNS, resize=later), **BIG).size == WANTED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"wanted": {}}', '{"wanted": {"requests": {"cpu": "x"}}, "runs": 7}'])
def test_a_size_that_somebody_edited_is_none(text: str) -> None:
    assert found(running(size=RUNS, size_in_force=RUNS), {ANNOTATION_REFUSED_SIZE: text}, **BIG).size == WANTED
