"""The way of each disruption through the gate, from the moment that it is known until it is done, or is called off.

A clock that the test moves, an appliance that drains, a pod that remembers its annotations. Each cause is told in each
of the stories; a new cause is one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from mcs_operator.api import MCSInstance, MCSInstanceSpec
from mcs_operator.contract.linkstate import LinkReport, MediaState
from mcs_operator.domain.facts.world import Pod, Pull
from mcs_operator.domain.pod.disruptions import Cause, note_of
from mcs_operator.domain.pod.rollout import Rollout, Step, decide_rollout
from mcs_operator.domain.pod.template import Template
from mcs_operator.settings import ANNOTATION_ALLOWED, ANNOTATION_DISRUPTIONS, ANNOTATION_DRAINING, ANNOTATION_RESTART
from support.templates import made_from, template_of
from support.worlds import given, instance, report

NEXT = "localhost/mcs/appliance:next"
DRAIN = 60
NIGHT = {"windows": [{"schedule": "0 2 * * *", "duration": "2h"}]}
WHEN_IDLE = NIGHT | {"whenIdle": {"seconds": 120}}
FORCED = WHEN_IDLE | {"atWindowEnd": "Force"}
BY_DEADLINE = WHEN_IDLE | {"deadline": "30h"}


def at(text: str, day: int = 1) -> datetime:
    return datetime.fromisoformat(f"2026-05-{day:02d} {text}").replace(tzinfo=UTC)


NOON = at("12:00")


@dataclass(frozen=True)
class Asked:
    """How somebody asks for it: a spec, an annotation, a cluster that cannot do better."""

    spec: Mapping[str, Any] = field(default_factory=dict)
    restart: bool = False
    world: Mapping[str, Any] = field(default_factory=dict)


CAUSES = {
    Cause.SPEC_CHANGED: Asked({"vpn": {"slots": 7}}),
    Cause.RESTART_REQUESTED: Asked(restart=True),
    Cause.MEDIA_IMAGE: Asked({"image": NEXT}),
    Cause.RESIZE: Asked({"tier": "UpTo10000", "resources": None}, world={"resizes_in_place": False}),
}


@cache
def template(spec: str) -> Template:
    """Rendered once for each spec: there are thousands of looks."""
    return template_of(instance().model_copy(update={"spec": MCSInstanceSpec.model_validate_json(spec)}))


@dataclass
class Story:
    """One media pod and its time. ``talks`` says whether somebody talks at a moment."""

    asked: Asked
    rules: Mapping[str, Any]
    talks_until: datetime
    now: datetime = NOON
    pod: Pod = field(default_factory=lambda: made_from(instance(), created=NOON - timedelta(days=7)))
    draining: bool = False
    told: list[Rollout] = field(default_factory=list)
    allowed: datetime | None = None

    def until(self, end: datetime) -> Story:
        """Go on until it is done, or until then; one look at each moment that the operator would look at."""
        while self.now < end and self.look() not in (Step.REPLACE, Step.SET_IMAGE):
            again = self.told[-1].due or end
            soon = self.now + timedelta(seconds=1)
            changes = [self.talks_until] if self.talks_until > self.now else []
            self.now = min([soon if self.draining else again, end, *changes])
        return self

    def look(self) -> Step:
        decided = self.decide()
        self.told.append(decided)
        notes = {**self.pod.annotations, ANNOTATION_DISRUPTIONS: note_of(decided.disruptions) or ""}
        match decided.step:
            case Step.START_DRAINING:
                notes[ANNOTATION_DRAINING], self.draining = self.now.isoformat(), True
            case Step.STOP_DRAINING:
                notes.pop(ANNOTATION_DRAINING, None)
                self.draining = False
        self.pod = self.pod.annotated(notes)
        return decided.step

    def decide(self) -> Rollout:
        subject = self.subject()
        pulled = Pull("p", NEXT, self.pod.node, done=True)
        idle_since = self.talks_until if self.now >= self.talks_until else None
        world = given(subject, self.pod, now=self.now, pulls=(pulled,), idle_since=idle_since, **self.asked.world)
        return decide_rollout(world, subject, self.pod, template(subject.spec.model_dump_json()), self.report())

    def subject(self) -> MCSInstance:
        subject = instance(**{"drainSeconds": DRAIN, "disruptions": self.rules} | dict(self.asked.spec))
        annotations = {ANNOTATION_RESTART: NOON.isoformat()} if self.asked.restart else {}
        annotations |= {ANNOTATION_ALLOWED: self.allowed.isoformat()} if self.allowed else {}
        metadata = subject.metadata.model_copy(update={"annotations": annotations})
        return subject.model_copy(update={"metadata": metadata})

    def report(self) -> LinkReport:
        connections = 3 if self.now < self.talks_until else 0
        return report(media=MediaState(connections=connections, draining=self.draining))

    @property
    def done(self) -> datetime | None:
        """When the pod, or its media, was replaced."""
        return self.now if self.told and self.told[-1].step in (Step.REPLACE, Step.SET_IMAGE) else None

    def undone(self) -> Story:
        """The change is taken back."""
        return replace(self, asked=Asked(), told=[])


every_cause = pytest.mark.parametrize("asked", CAUSES.values(), ids=[str(cause) for cause in CAUSES])
BUSY, IDLE = at("12:00", 20), NOON - timedelta(days=1)


@pytest.mark.parametrize(("cause", "asked"), CAUSES.items())
def test_each_way_of_asking_is_one_cause(cause: Cause, asked: Asked) -> None:
    story = Story(asked, NIGHT, BUSY).until(at("12:01"))
    assert [one.cause for one in story.told[-1].disruptions] == [cause]


@every_cause
def test_without_rules_it_drains_at_once_and_is_done(asked: Asked) -> None:
    assert Story(asked, {}, BUSY).until(at("18:00")).done == NOON + timedelta(seconds=DRAIN)


@every_cause
@pytest.mark.parametrize("talks_until", [BUSY, IDLE])
def test_outside_of_the_window_nothing_happens_and_the_time_is_told(asked: Asked, talks_until: datetime) -> None:
    story = Story(asked, NIGHT, talks_until).until(at("01:59:59", 2))
    assert story.done is None
    assert {told.step for told in story.told} == {Step.WAIT_FOR_GATE}
    assert {told.disruptions[0].planned for told in story.told} == {at("02:00", 2)}
    assert {told.waits for told in story.told} == {"waits for the window that begins at 2026-05-02T02:00:00Z"}


@every_cause
def test_at_the_windows_begin_it_drains_and_is_done(asked: Asked) -> None:
    assert Story(asked, NIGHT, BUSY).until(at("12:00", 3)).done == at("02:01", 2)


@every_cause
def test_inside_and_idle_it_is_done_at_once(asked: Asked) -> None:
    done = Story(asked, WHEN_IDLE, IDLE).until(at("12:00", 3)).done
    assert done is not None and done - at("02:00", 2) <= timedelta(seconds=2)


@every_cause
def test_inside_and_busy_it_waits_until_nobody_talks(asked: Asked) -> None:
    done = Story(asked, WHEN_IDLE, at("02:30", 2)).until(at("12:00", 3)).done
    assert done is not None and done - at("02:32", 2) <= timedelta(seconds=2)


@every_cause
def test_who_is_busy_until_the_windows_end_is_spared_until_the_next(asked: Asked) -> None:
    done = Story(asked, WHEN_IDLE, at("05:00", 2)).until(at("12:00", 5)).done
    assert done is not None and done - at("02:00", 3) <= timedelta(seconds=2)


@every_cause
def test_forced_it_is_over_by_the_windows_end(asked: Asked) -> None:
    done = Story(asked, FORCED, BUSY).until(at("12:00", 5)).done
    assert done == at("03:58", 2), "the drain began at 03:57; two minutes are left for the new pod"


@every_cause
def test_past_its_deadline_it_is_over_by_the_next_windows_end(asked: Asked) -> None:
    """30 hours after the first noon: the end of the night after that, idle or not."""
    assert Story(asked, BY_DEADLINE, BUSY).until(at("12:00", 9)).done == at("03:58", 3)


@every_cause
def test_undone_before_its_hour_it_is_gone_from_the_list(asked: Asked) -> None:
    story = Story(asked, NIGHT, BUSY).until(at("18:00")).undone()
    assert story.look() is Step.NOTHING
    assert story.told[-1].disruptions == ()
    assert story.until(at("12:00", 3)).done is None


@every_cause
def test_undone_while_it_drains_calls_are_taken_again(asked: Asked) -> None:
    story = Story(asked, NIGHT, BUSY).until(at("02:00:30", 2)).undone()
    assert story.draining
    assert story.look() is Step.STOP_DRAINING
    assert not story.draining
    assert story.until(at("12:00", 3)).done is None


@every_cause
def test_a_drain_that_the_windows_end_overtakes_goes_on_to_its_end(asked: Asked) -> None:
    story = Story(asked, NIGHT, BUSY, now=at("03:59:30", 2))
    assert story.until(at("12:00", 3)).done == at("04:00:30", 2)


@every_cause
def test_rules_that_come_while_it_waits_hold_at_once(asked: Asked) -> None:
    story = Story(asked, WHEN_IDLE, BUSY).until(at("18:00"))
    assert story.done is None
    assert replace(story, rules={}).until(at("19:00")).done == at("18:01")


@every_cause
def test_allowed_by_hand_it_begins_at_that_moment(asked: Asked) -> None:
    story = replace(Story(asked, WHEN_IDLE, BUSY), allowed=at("15:00"))
    assert story.until(at("18:00")).done == at("15:01")


@every_cause
def test_what_was_allowed_an_hour_ago_lets_nothing_pass(asked: Asked) -> None:
    assert replace(Story(asked, NIGHT, BUSY), allowed=at("11:00")).until(at("18:00")).done is None


@every_cause
def test_since_when_it_waits_outlives_the_operator(asked: Asked) -> None:
    """The deadline counts from the first sight, which is noted at the pod."""
    first = Story(asked, BY_DEADLINE, BUSY).until(at("18:00"))
    anew = Story(asked, BY_DEADLINE, BUSY, now=at("06:00", 2), pod=first.pod)
    assert anew.until(at("12:00", 9)).done == at("03:58", 3)


@pytest.mark.parametrize("rules", [NIGHT, WHEN_IDLE])
def test_a_media_that_has_no_process_gets_a_mended_image_at_any_hour(rules: dict[str, Any]) -> None:
    """Nobody is there whom the gate could spare."""
    broken = made_from(instance(), created=NOON, media_ready=False, media_problem="ImagePullBackOff")
    subject = instance(disruptions=rules, image=NEXT)
    world = given(subject, broken, now=NOON)
    assert decide_rollout(world, subject, broken, template_of(subject, running=broken), None).step is Step.SET_IMAGE
